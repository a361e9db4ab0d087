# SPDX-License-Identifier: Apache-2.0
"""Data in messages that are not results: errors, notices, notifications, parameters. And values that are too large to be
searched, in bounded memory."""
import pathlib

import pytest

from conftest import make_config

DETECTORS = ["credit_card", "email", "us_ssn", "iban", "phone", "jwt", "private_key", "cloud_key", "secret", "ip_address"]
RULES = [
    {"name": "all", "agents": ["demo"], "resources": ["shop"], "operations": ["*"], "allow": {"mask": [
        {"columns": ["public.customers.ssn"], "with": "redact"}, {"detect": DETECTORS, "with": "redact"}]}},
]
MAIL = "someone@example.com"


@pytest.fixture(scope="module")
def open_daemon(server, tmp_path_factory):
    from harness import daemon
    d = daemon.Daemon(tmp_path_factory.mktemp("messages"), make_config(server.port), RULES)
    yield d
    d.close()


@pytest.fixture
def talk(wire, open_daemon):
    def run(*script):
        seen = wire(*script, daemon=open_daemon)
        assert MAIL not in str(seen), seen
        return seen
    return run


def of_kind(seen, kind):
    return [m[1] for m in seen if m[0] == kind]


def test_the_value_that_an_error_quotes(talk):
    for sql in [f"select '{MAIL}'::int", f"select ('x ' || '{MAIL}')::date", f"select * from \"{MAIL}\"",
                f"do $$begin perform '{MAIL}'::int; end$$"]:
        errors = of_kind(talk(("Q", sql), ("wait", "Z")), "E")
        assert len(errors) == 1 and errors[0]["S"] == "ERROR"


def test_every_field_that_code_can_set(wire, server, make_daemon):
    """RAISE fills them all, in an error and in a notice. Without masked columns that the code may have read."""
    daemon = make_daemon(make_config(server.port), [
        {"name": "all", "operations": ["*"], "allow": {"mask": [{"detect": DETECTORS, "with": "redact"}]}}])
    using = ", ".join(f"{field} = '{field} {MAIL}'" for field in
                      ["detail", "hint", "column", "constraint", "datatype", "table", "schema"])
    for level, kind in [("exception", "E"), ("notice", "N"), ("warning", "N")]:
        seen = wire(("Q", f"do $$begin raise {level} using message = 'message {MAIL}', {using}; end$$"), ("wait", "Z"), daemon=daemon)
        assert MAIL not in str(seen)
        fields = of_kind(seen, kind)[0]
        for code, name in [("M", "message"), ("D", "detail"), ("H", "hint"), ("c", "column"), ("n", "constraint"),
                           ("d", "datatype"), ("t", "table"), ("s", "schema")]:
            assert fields[code].startswith(name) and "[masked]" in fields[code], (code, fields)


def test_a_failing_row_of_a_masked_table(talk):
    """The detail of a constraint's error has the whole row."""
    seen = talk(("Q", "insert into customers (id, name, ssn) values (1, 'x', 'not-found-by-detectors')"), ("wait", "Z"),
                ("Q", "insert into customers (id, ssn) values (null, 'not-found-by-detectors')"), ("wait", "Z"))
    assert len(of_kind(seen, "E")) == 2
    assert "not-found-by-detectors" not in str(seen)


def test_notifications(talk):
    seen = talk(("Q", "listen news"), ("wait", "Z"), ("Q", f"notify news, 'from {MAIL}'"), ("wait", "Z"),
                ("Q", f"select pg_notify('news', 'password=geheim1')"), ("wait", "Z"), ("Q", "select 1"), ("wait", "Z"))
    payloads = of_kind(seen, "A")
    assert len(payloads) == 2
    assert "from [masked]" in payloads[0] and "geheim1" not in payloads[1]


def test_parameters(talk):
    seen = talk(("Q", f"set application_name = 'by {MAIL}'"), ("wait", "Z"),
                ("Q", f"select set_config('application_name', 'again {MAIL}', false)"), ("wait", "Z"),
                ("Q", "show application_name"), ("wait", "Z"))
    assert any("by [masked]" in status for status in of_kind(seen, "S"))
    assert any("again [masked]" in status for status in of_kind(seen, "S"))
    assert ["D", ["again [masked]"]] in seen


def most_memory(daemon):
    """KiB, of the largest worker, ever."""
    def of(pid):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return max(of(pid) for pid in daemon.workers())


def psql_length(daemon, server, sql):
    """What the agent got of one value: its length, or nothing for NULL."""
    script = f"psql -X -q -A -t -v ON_ERROR_STOP=1 'host=127.0.0.1 port={server.port} user=app dbname=shop' -c \"{sql}\" | wc -c"
    done = daemon.run("sh", "-c", script, timeout=120)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return int(done.stdout) - 1


def test_values_up_to_the_limit_are_searched(open_daemon, server):
    filling = 15 << 20
    got = psql_length(open_daemon, server, f"select repeat('x ', {filling // 2}) || '{MAIL}'")
    assert got == filling + len("[masked]")


@pytest.mark.parametrize("sql", [
    "select repeat('x ', 10000000)", "copy (select repeat('x ', 10000000)) to stdout (null '')",
    "copy (select repeat('x ', 10000000)) to stdout (format csv)", "copy (select repeat('x ', 250000000)) to stdout (null '')",
])
def test_values_beyond_the_limit_become_null(open_daemon, server, sql):
    assert psql_length(open_daemon, server, sql) == 0


def test_rows_beyond_the_limit_are_refused(open_daemon, server):
    done = open_daemon.run("psql", "-X", "-A", "-t", f"host=127.0.0.1 port={server.port} user=app dbname=shop",
                           "-c", "select repeat('x ', 50000000)", timeout=120)
    assert done.returncode != 0
    assert "wayleave" in done.stderr and "too large to be masked" in done.stderr, done.stderr


def test_none_of_it_takes_much_memory(open_daemon):
    assert most_memory(open_daemon) < 256 << 10


SECRET = "not-for-detectors"


@pytest.fixture
def rule_with_rows(server):
    """A table whose rows are answered with masked ones, by a rule that no text names."""
    server.sql(f"create table customers_ruled (id int, note text); grant all on customers_ruled to app;"
               f"create rule shows as on insert to customers_ruled do also select ssn, upper(ssn) as loud from customers;"
               f"update customers set ssn = '{SECRET}' where id = 20", database="shop")
    yield
    server.sql("drop table customers_ruled; update customers set ssn = '120-45-6789' where id = 20", database="shop")


def test_rows_of_a_rule(talk, rule_with_rows):
    """They come without an origin, for a statement that names nothing masked."""
    insert = "insert into customers_ruled values (1, 'x')"
    for steps in [[("Q", insert)], [("Q", f"prepare ruled as {insert}"), ("wait", "Z"), ("Q", "execute ruled")]]:
        seen = talk(*steps, ("wait", "Z"))
        rows = of_kind(seen, "D")
        assert len(rows) == 20 and all(row == ["[masked]", "[masked]"] for row in rows), rows[-1]


@pytest.mark.parametrize("level, kind", [("notice", "N"), ("exception", "E")])
def test_what_a_block_of_code_raises(talk, rule_with_rows, level, kind):
    seen = talk(("Q", f"do $$declare x text; begin select ssn into x from customers where id = 20; raise {level} 'is %', x; end$$"),
                ("wait", "Z"))
    assert [m["M"] for m in of_kind(seen, kind)] == ["[masked]"] and SECRET not in str(seen)
