# SPDX-License-Identifier: Apache-2.0
"""The main job: an unmodified psql, and the protocol by hand, against a real PostgreSQL."""
import pytest
from conftest import Psql, make_config


def kinds(messages):
    return "".join(m[0] for m in messages)


def errors(messages):
    return [m[1] for m in messages if m[0] == "E"]


def test_a_masked_column_is_masked_and_others_are_not(psql):
    row = psql.rows("select id, name, ssn, card from customers where id = 7")[0]
    assert row == "7|name7|[masked]|***************1111"


def test_a_mask_may_allow_filters(server, make_daemon):
    """What is found by a masked value is still shown masked; another column's mask does not allow it."""
    d = make_daemon(make_config(server.port), [{"name": "read", "operations": ["read"], "objects": ["public.customers"], "allow": {"mask": [
        {"columns": ["public.customers.card"], "with": "partial", "filter": "allow"}, {"columns": ["public.customers.ssn"], "with": "redact"}]}}])
    psql = Psql(d, server)
    assert psql.rows("select id, card, ssn from customers where card = '4111 1111 1111 1111' and id < 3 order by card, id desc") == [
        "2|***************1111|[masked]", "1|***************1111|[masked]"]
    assert psql.rows("select id from customers where card = 'x' order by card") == []
    for text in ("select id from customers where ssn = '101-45-6789'", "select id from customers order by ssn",
                 "select id from customers where card = '4111 1111 1111 1111' order by ssn", "select id from customers where card = ssn"):
        done = psql(text)
        assert done.stdout == "" and "is masked and can't be used in " in done.stderr, text


def test_a_detector_finds_what_no_column_rule_names(psql):
    row = psql.rows("select 'write to ' || email from customers where id = 1")[0]
    assert "example.com" not in row and "[hash:" in row


def test_a_refused_write_is_an_sql_error_and_the_session_goes_on(psql, server):
    done = psql(input="delete from orders;\nselect count(*) > 0 from orders;\n")
    assert "ERROR:  wayleave: denied: no rule allows delete on public.orders" in done.stderr
    assert done.stdout.strip() == "t"


def test_a_deny_rule_names_itself_and_its_reason(wire):
    seen = wire(("Q", "create table x (a int)"), ("wait", "Z"))
    assert errors(seen)[0]["C"] == "42501"
    assert errors(seen)[0]["M"] == 'wayleave: denied by rule "no ddl": use migrations'
    assert errors(seen)[0]["S"] == "ERROR"
    assert seen[-1] == ["Z", "I"]


def test_a_refusal_in_a_transaction_leaves_it_aborted(wire):
    seen = wire(("Q", "begin"), ("wait", "Z"), ("Q", "delete from orders"), ("wait", "Z"), ("Q", "select 1"), ("wait", "Z"),
                ("Q", "rollback"), ("wait", "Z"))
    states = [m[1] for m in seen if m[0] == "Z"]
    assert states == ["T", "E", "E", "I"]
    assert [e["C"] for e in errors(seen)] == ["42501", "25P02"]


def test_a_refusal_in_a_pipeline_rolls_back_what_stood_before_it(wire, server):
    before = server.sql("select count(*) from orders", "shop")
    insert = "insert into orders (customer, item, amount) values (1, 'pipeline', 1)"
    seen = wire(("batch", [("P", "", insert), ("B", "", ""), ("E", ""),
                           ("P", "", "delete from secrets"), ("B", "", ""), ("E", ""),
                           ("P", "", insert), ("B", "", ""), ("E", ""), ("S",)]), ("wait", "Z"),
                ("Q", "select 42"), ("wait", "Z"))
    assert [e["C"] for e in errors(seen)] == ["42501"]
    assert kinds(seen).startswith("12C") and ["D", ["42"]] in seen
    assert server.sql("select count(*) from orders", "shop") == before


def test_extended_protocol_with_values(wire):
    seen = wire(("batch", [("P", "s", "select id, ssn from customers where id = $1"), ("D", "S", "s"), ("B", "", "s", ["5"]),
                           ("D", "P", ""), ("E", ""), ("S",)]), ("wait", "Z"))
    assert ["D", ["5", "[masked]"]] in seen
    assert not errors(seen)


def test_execute_without_describe_is_masked_too(wire):
    seen = wire(("batch", [("P", "s", "select ssn from customers where id = 5"), ("S",)]), ("wait", "Z"),
                ("batch", [("B", "", "s"), ("E", ""), ("S",)]), ("wait", "Z"))
    assert kinds(seen) == "1Z2DCZ"
    assert ["D", ["[masked]"]] in seen


def test_binary_results_are_masked(wire):
    seen = wire(("batch", [("P", "", "select ssn, id from customers where id = 5"), ("B", "", "", [], [], [1]), ("E", ""), ("S",)]),
                ("wait", "Z"))
    assert [m for m in seen if m[0] == "D"][0][1][0] == "[masked]"


def test_a_portal_with_a_row_limit(wire):
    seen = wire(("batch", [("P", "", "select ssn from customers order by id"), ("B", "p", ""), ("E", "p", 3), ("E", "p", 3), ("E", "p", 0), ("S",)]),
                ("wait", "Z"))
    rows = [m[1] for m in seen if m[0] == "D"]
    assert len(rows) == 20 and all(r == ["[masked]"] for r in rows)
    assert kinds(seen).count("s") == 2


def test_sql_cursors(psql):
    done = psql(input="begin; declare c cursor for select id, ssn as x from customers order by id; fetch 2 from c; fetch 1 from c; close c; commit;")
    assert done.stdout.split() == ["1|[masked]", "2|[masked]", "3|[masked]"], done.stderr


def test_prepare_and_execute_by_sql_and_by_wire(wire):
    seen = wire(("Q", "prepare q as select ssn from customers where id = 1"), ("wait", "Z"), ("Q", "execute q"), ("wait", "Z"),
                ("batch", [("B", "", "q"), ("E", ""), ("S",)]), ("wait", "Z"),
                ("batch", [("P", "w", "select ssn from customers where id = 2"), ("S",)]), ("wait", "Z"), ("Q", "execute w"), ("wait", "Z"))
    rows = [m[1] for m in seen if m[0] == "D"]
    assert rows == [["[masked]"]] * 3, seen


def test_execute_of_a_name_that_nobody_prepared(wire):
    seen = wire(("Q", "execute nosuch"), ("wait", "Z"))
    assert errors(seen)[0]["C"] in ("42501", "26000")


def test_the_servers_own_errors_reach_the_agent(wire):
    seen = wire(("Q", "selec 1"), ("wait", "Z"), ("Q", "select * from nosuch"), ("wait", "Z"), ("Q", "select nocolumn from orders"), ("wait", "Z"),
                ("Q", "select 1"), ("wait", "Z"))
    assert [e["C"] for e in errors(seen)] == ["42601", "42P01", "42703"]
    assert all(m[1] == "I" for m in seen if m[0] == "Z")


def test_several_statements_in_one_text_stand_or_fall_together(wire, server):
    before = server.sql("select count(*) from orders", "shop")
    seen = wire(("Q", "insert into orders (customer, item) values (1, 'x'); delete from orders; select 1"), ("wait", "Z"))
    assert [e["C"] for e in errors(seen)] == ["42501"] and kinds(seen) == "EZ"
    assert server.sql("select count(*) from orders", "shop") == before


def test_copy_out_is_masked(psql):
    rows = psql.rows("copy (select id, ssn, name from customers order by id limit 2) to stdout")
    assert rows == ["1\t[masked]\tname1", "2\t[masked]\tname2"]
    rows = psql.rows("copy (select id, ssn from customers order by id limit 2) to stdout with (format csv, header)")
    assert rows == ["id,ssn", "1,[masked]", "2,[masked]"]


def test_copy_in_another_encoding_is_refused_and_the_session_lives_on(wire):
    seen = wire(("Q", "copy customers to stdout with (encoding 'latin1')"), ("wait", "Z"), ("Q", "select 1"), ("wait", "Z"))
    assert [e["C"] for e in errors(seen)] == ["42501"] and "ENCODING" in errors(seen)[0]["M"]
    assert kinds(seen) == "EZTDCZ"


def test_copy_in(psql, server):
    done = psql("copy orders (customer, item, amount) from stdin", input="1\tcopied\t5\n2\tcopied\t6\n")
    assert done.returncode == 0, done.stderr
    assert server.sql("select count(*) from orders where item = 'copied'", "shop") == "2"


def test_copy_in_of_a_table_that_may_not_be_written(psql):
    assert "no rule allows copy_in on public.customers" in psql.error("copy customers from stdin", input="1\n")


def test_copy_in_by_the_extended_protocol_with_a_sync_too_many(wire):
    """libpq sends Sync behind Execute, which the server ignores while it reads COPY data."""
    seen = wire(("batch", [("P", "", "copy orders (customer, item) from stdin"), ("B", "", ""), ("E", ""), ("S",)]), ("wait", "G"),
                ("batch", [("d", "1\textended\n"), ("c",), ("S",)]), ("wait", "Z"), ("Q", "select 7"), ("wait", "Z"))
    assert ["C", "COPY 1"] in seen and ["D", ["7"]] in seen


def test_notifications(wire):
    seen = wire(("Q", "listen orders_channel"), ("wait", "Z"), ("Q", "notify orders_channel, 'mail a@example.com'"), ("wait", "Z"))
    notes = [m[1] for m in seen if m[0] == "A"]
    assert len(notes) == 1 and "example.com" not in notes[0] and "[hash:" in notes[0], seen


def test_function_call_and_replication_are_refused(wire, wayleave, server):
    seen = wire(("F", 1598), ("wait", "Z"), ("Q", "select 1"), ("wait", "Z"))
    assert errors(seen)[0]["C"] == "42501" and ["D", ["1"]] in seen
    done = wayleave.run("psql", "-X", f"host=127.0.0.1 port={server.port} dbname=shop user=app replication=database", "-c", "select 1")
    assert done.returncode != 0 and "replication" in done.stderr


def test_unknown_messages_end_the_session(wire):
    seen = wire(("raw", "7a00000004"), ("eof",))
    assert errors(seen)[0]["C"] == "08P01" and errors(seen)[0]["S"] == "FATAL"


def test_temporary_tables(psql):
    """CREATE is ddl and denied here; the daemon's other rules decide."""
    assert "no ddl" in psql.error("create temporary table t (a int)")


def test_search_path_decides_what_a_name_means(psql):
    done = psql("set search_path = pg_catalog", "select count(*) from public.orders where false", "select ssn from customers")
    assert done.stdout.split() == ["0"]
    assert 'relation "customers" does not exist' in done.stderr
    # In one text the second statement can't be looked up before the first has run.
    assert "could not be established" in psql.error("set search_path = pg_catalog; select ssn from customers")


def test_ipv6_and_names(psql):
    assert psql.rows("select 1", host="::1") == ["1"]
    assert psql.rows("select 1", host="localhost") == ["1"]


EXTENDED = """
import psycopg, sys
with psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} dbname=shop user=app", autocommit=True) as c:
    try:
        c.execute("select length('" + "x" * (5 << 20) + "'), %s", [1])
    except psycopg.Error as e:
        print(e.sqlstate, e)
    print(c.execute("select 41 + %s", [1]).fetchone())
"""


def test_a_statement_beyond_the_limit_is_refused_with_the_reason(psql, wayleave, server):
    """By either protocol, and the session goes on; one below it is a statement like others."""
    done = psql(input="".join(f"select length('{'x' * size}');\n" for size in (4000000, 5000000)) + "select 42;\n")
    assert done.stdout.split() == ["4000000", "42"]
    assert "wayleave: denied: a statement of 5000" in done.stderr and "is longer than 4194304" in done.stderr
    done = wayleave.run("/usr/bin/python3", "-c", EXTENDED, server.port)
    assert done.stdout.startswith("54000 wayleave: denied: a statement of 52") and done.stdout.endswith("(42,)\n"), done.stdout + done.stderr


def test_server_errors_that_quote_masked_values(psql):
    """The value is in the message, the detail or the context: none of it may pass."""
    for statement in ["select ssn::int from customers where id = 1", "select (ssn || 'x')::date from customers where id = 1"]:
        assert "101-45-6789" not in psql(statement).stderr


def test_parameters_of_the_connection(wire, wayleave, server):
    seen = wire(("Q", "show application_name"), ("wait", "Z"), parameters=[("application_name", "me"), ("options", "-c statement_timeout=5000")])
    assert ["D", ["me"]] in seen
    done = wayleave.run("psql", "-X", f"host=127.0.0.1 port={server.port} dbname=shop user=app options='-c role=postgres'", "-c", "select 1")
    assert done.returncode != 0 and "wayleave: denied" in done.stderr


def test_a_thousand_pipelined_statements(wire):
    batch = []
    for i in range(1000):
        batch += [("P", "", f"select {i}"), ("B", "", ""), ("E", "")]
    seen = wire(("batch", batch + [("S",)]), ("wait", "Z"))
    assert [m[1][0] for m in seen if m[0] == "D"] == [str(i) for i in range(1000)]


ANYTHING = [{"name": "all", "operations": ["*"], "allow": {}}]
# A rule that asks for facts, so that all must be understood.
FACTS = [*ANYTHING, {"name": "not that", "operations": ["drop"], "objects": ["elsewhere.*"], "deny": {}}]

OTHER_READINGS = [
    "set standard_conforming_strings = off",
    "set client_encoding = 'GBK'",
    "set names 'SJIS'",
    "reset client_encoding",
    "set backslash_quote = on",
    "select set_config('standard_conforming_strings', 'off', false)",
    "select set_config('standard_conforming' || '_strings', 'off', false)",
    "select set_config(n, 'off', false) from (values ('standard_conforming_strings')) v(n)",
    "begin; set local standard_conforming_strings to off; commit",
]


@pytest.mark.parametrize("statement", OTHER_READINGS)
def test_settings_that_change_how_text_is_read_are_refused_where_facts_are_needed(server, make_daemon, statement):
    psql = Psql(make_daemon(make_config(server.port), FACTS), server)
    assert "would change how the server reads text" in psql.error(statement)
    assert psql.rows("set client_encoding = 'UTF8'; set standard_conforming_strings to on; select 1") == ["1"]


def test_and_so_are_they_at_the_start(server, make_daemon):
    psql = Psql(make_daemon(make_config(server.port), FACTS), server)
    for options in ("-c standard_conforming_strings=off", "--client-encoding=GBK", "-cbackslash_quote=on"):
        done = psql("select 1", env={"PGOPTIONS": options})
        assert "would change how the server reads text" in done.stderr
    assert "would change how the server reads text" in psql("select 1", env={"PGCLIENTENCODING": "BIG5"}).stderr
    assert psql("select 1", env={"PGCLIENTENCODING": "LATIN1"}).stdout == "1\n"


def test_they_pass_where_no_rule_asks(server, make_daemon):
    psql = Psql(make_daemon(make_config(server.port), ANYTHING), server)
    for statement in OTHER_READINGS[:6]:
        assert psql(statement).returncode == 0
    done = psql("set standard_conforming_strings = off", "select '\\'' || 1")
    assert done.stdout == "'1\n", done.stderr


def test_what_the_server_reads_otherwise_by_its_own_settings_is_unknown(server, make_daemon):
    psql = Psql(make_daemon(make_config(server.port), FACTS), server)
    server.sql("alter role app set standard_conforming_strings = off")
    try:
        assert "standard_conforming_strings is off" in psql.error("select '\\'' ; drop table elsewhere.x; --'")
    finally:
        server.sql("alter role app reset standard_conforming_strings")


def test_names_in_another_encoding_are_other_names(server, make_daemon):
    """In Latin-1, the bytes of a name in UTF-8 are another name."""
    server.sql('create table "\u00fc" (i int); create table "\u00c3\u00bc" (i int); grant all on "\u00fc", "\u00c3\u00bc" to app', "shop")
    rules = [{"name": "one", "operations": ["read"], "objects": ["public.\u00fc"], "allow": {}}]
    d = make_daemon(make_config(server.port), rules)
    psql = Psql(d, server)
    try:
        assert psql.rows('select count(*) from "\u00fc"') == ["0"]
        # Sent as the same bytes, which mean the other table now.
        assert "wayleave: denied" in psql.error('set client_encoding = latin1; select count(*) from "\u00fc"')
        assert "the client encoding is not UTF8" in psql("set names 'latin1'", 'select count(*) from "\u00fc"').stderr
        for text in ('select count(*) from "\u00fc"', "select count(*) from orders"):
            assert "the client encoding is not UTF8" in psql(text, env={"PGCLIENTENCODING": "LATIN1"}).stderr
        assert psql.rows('select count(*) from "\u00fc"') == ["0"]
    finally:
        server.sql('drop table "\u00fc", "\u00c3\u00bc"', "shop")


EAGER = r"""
import socket, struct, sys
def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body
start = struct.pack("!I", 196608) + b"user\0app\0database\0shop\0\0"
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(struct.pack("!I", len(start) + 4) + start + message(b"Q", b"select 'early' from orders limit 1\0") + message(b"X", b""))
seen = b""
while part := s.recv(65536):
    seen += part
print(b"early" in seen, b"ERROR" in seen or b"FATAL" in seen)
"""


def test_all_may_come_with_the_startup_packet(wayleave, server):
    """A statement that needs no login's answer, and the end: the statement is answered."""
    done = wayleave.run("/usr/bin/python3", "-c", EAGER, server.port)
    assert done.stdout == "True False\n", done.stdout + done.stderr
