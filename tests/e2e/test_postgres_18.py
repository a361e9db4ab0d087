# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL 18 on either side: the main job with a server that speaks protocol 3.2 and SQL that our parser is too old for,
and with a libpq that knows what it wants of a login. The rest of the suite runs with Debian's version."""
import itertools
import json
import pathlib

import pytest
from conftest import RULES, make_config, make_shop
from harness import daemon as daemons
from harness import postgres18
from test_authentication import METHODS, create_roles, role
from test_postgres import (  # noqa: F401
    kinds, errors, test_a_detector_finds_what_no_column_rule_names, test_a_masked_column_is_masked_and_others_are_not,
    test_a_portal_with_a_row_limit, test_a_refusal_in_a_pipeline_rolls_back_what_stood_before_it,
    test_a_refusal_in_a_transaction_leaves_it_aborted, test_a_refused_write_is_an_sql_error_and_the_session_goes_on,
    test_all_may_come_with_the_startup_packet, test_binary_results_are_masked, test_copy_in,
    test_copy_in_by_the_extended_protocol_with_a_sync_too_many, test_copy_out_is_masked, test_execute_without_describe_is_masked_too,
    test_extended_protocol_with_values, test_function_call_and_replication_are_refused, test_notifications,
    test_parameters_of_the_connection, test_prepare_and_execute_by_sql_and_by_wire, test_search_path_decides_what_a_name_means,
    test_server_errors_that_quote_masked_values, test_several_statements_in_one_text_stand_or_fall_together, test_sql_cursors,
    test_the_servers_own_errors_reach_the_agent)

HERE = pathlib.Path(__file__).resolve().parent
TABLES = """
create table made (id int primary key, ssn text, shouted text generated always as (upper(ssn)) virtual,
                   kept text generated always as (lower(ssn)) stored, doubled int generated always as (id * 2) virtual);
insert into made values (1, 'Quokka-7731');
create view over_made as select shouted as x, doubled from made;
create function made_up() returns int language sql as 'select 1';
create view called as select id, made_up() as x from made;
create view counted as select count(*), set_config('search_path', 'nowhere', false) as x from made;
create table stays (room int4range, during daterange, ssn text, primary key (room, during without overlaps));
insert into stays values ('[1,2)', '[2020-01-01,2021-01-01)', 'Quokka-7731');
grant all on made, over_made, called, counted, stays to app;
"""
MASKED = ["public.made.ssn", "public.stays.ssn", "public.customers.ssn"]
MORE_RULES = [
    {"name": "reads elsewhere", "resources": ["upgraded", "bare"], "operations": ["read"], "allow": {}},
    {"name": "newer tables", "resources": ["shop"], "operations": ["read", "write"],
     "objects": ["public.made", "public.over_made", "public.called", "public.counted", "public.stays"],
     "allow": {"mask": [{"columns": ["public.made.ssn", "public.stays.ssn"], "with": "redact"}]}},
    {"name": "waiting", "operations": ["function"], "objects": ["pg_catalog.pg_sleep()"], "allow": {}},
]


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    return postgres18.Installation(tmp_path_factory.mktemp("installation"))


ADDRESSES = ["127.0.0.1", "127.0.0.2", "::1"]


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    """With TLS, for who asks."""
    users = [("app", "trust"), *((role(method), method) for method in METHODS)]
    lines = [f"host all {user} samehost {method}" for user, method in users]
    s = make_shop(tmp_path_factory.mktemp("server"), hba=lines, tls=True, installation=installation,
                  settings=[f"listen_addresses = '{','.join(ADDRESSES)}'"])
    s.sql(TABLES, "shop")
    create_roles(s)
    yield s
    s.stop()


@pytest.fixture(scope="module")
def base_daemon(server, tmp_path_factory):
    config = make_config(server.port)
    authority = str(server.ca)
    config["resources"] = [
        {"name": "shop", "protocol": "postgres", "hosts": [f"127.0.0.1:{server.port}"], "tls": {"ca_file": authority}},
        {"name": "bare", "protocol": "postgres", "hosts": [f"127.0.0.2:{server.port}"], "tls": {"upstream": "off"}},
        {"name": "upgraded", "protocol": "postgres", "hosts": [f"[::1]:{server.port}"],
         "tls": {"upstream": "verify-full", "ca_file": authority}}]
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config, RULES + MORE_RULES)
    yield d
    d.close()


@pytest.fixture
def libpq(wayleave, installation):
    """Calls of libpq 18 inside the agent, one after the other."""
    def call(*calls):
        done = wayleave.run("env", *(f"{k}={v}" for k, v in installation.client.items()), "/usr/bin/python3",
                            HERE / "clients" / "libpq.py", input="".join(json.dumps(c) + "\n" for c in calls))
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]
    return call


# By whether the agent's leg and the server's have TLS: address and sslmode.
LEGS = {(False, False): ("127.0.0.1", "disable"), (True, True): ("127.0.0.1", "require"),
        (False, True): ("::1", "disable"), (True, False): ("127.0.0.2", "require")}


def url(server, legs, user="app", password="", **more):
    host, mode = LEGS[legs]
    parts = {"host": host, "port": server.port, "user": user, "dbname": "shop", "sslmode": mode, "password": password, **more}
    return " ".join(f"{name}='{value}'" for name, value in parts.items())


def test_clients_that_require_a_method_of_authentication(server, libpq):
    """Only SCRAM with TLS on both legs can't be had: nobody can prove a password to two ends at once."""
    cases = list(itertools.product(LEGS, METHODS))
    answers = libpq(*(["run", url(server, legs, role(method), METHODS[method], require_auth="none" if method == "trust" else method),
                       "select current_user"] for legs, method in cases))
    for (legs, method), answer in zip(cases, answers):
        if method == "scram-sha-256" and legs == (True, True):
            assert answer["rows"] == [] and 'requirement "scram-sha-256" failed' in answer["error"], answer
        else:
            assert answer["rows"] == [[role(method)]], (legs, method, answer["error"])


def test_clients_that_require_or_refuse_channel_binding(server, libpq):
    cases = list(itertools.product(LEGS, ["require", "disable", "prefer"]))
    answers = libpq(*(["run", url(server, legs, "u_scram", METHODS["scram-sha-256"], channel_binding=binding), "select current_user"]
                      for legs, binding in cases))
    for (legs, binding), answer in zip(cases, answers):
        if binding == "require":
            assert answer["rows"] == [] and "channel binding" in answer["error"], answer
        else:
            assert answer["rows"] == [["u_scram"]], (legs, binding, answer["error"])


def test_tls_at_once(server, libpq, wayleave, tmp_path):
    """sslnegotiation=direct: no SSLRequest, TLS that names the protocol; also where the server's leg has no TLS."""
    authority = tmp_path / "ca.pem"
    authority.write_text(wayleave.wayleave("ca", "show").stdout)
    answers = libpq(*(["run", url(server, legs, sslnegotiation="direct", **more), "select 1"] for legs in LEGS if legs[0]
                      for more in ({}, {"sslmode": "verify-full", "sslrootcert": authority})))
    assert [a["rows"] for a in answers] == [[["1"]]] * 4, answers


# What the agent hears of a handshake that is not asked for, with these names of protocols.
AT_ONCE = """
import socket, ssl, sys
context = ssl._create_unverified_context()
context.set_alpn_protocols(sys.argv[2].split()) if sys.argv[2] else None
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as s:
    s.settimeout(10)
    try:
        s = context.wrap_socket(s)
        s.sendall(bytes.fromhex(sys.argv[3]))
        print(s.recv(1).decode() or "end")
    except (ssl.SSLError, ConnectionError) as e:
        print("refused")
"""


@pytest.mark.parametrize("names, heard", [("postgresql", "R"), ("other postgresql", "R"), ("http/1.1", "refused"), ("", "end")])
def test_tls_at_once_names_the_protocol(server, wayleave, names, heard):
    """As PostgreSQL has it: ALPN is a must, so that nobody's TLS for something else is taken for it."""
    startup = "0000002000030000" + b"user\0app\0database\0shop\0\0".hex()
    done = wayleave.run("/usr/bin/python3", "-c", AT_ONCE, str(server.port), names, startup, capture_output=True, text=True)
    assert done.stdout.split() in ([heard], ["refused"] if heard == "end" else [heard]), (done.stdout, done.stderr)


def test_versions_of_the_protocol(server, libpq):
    """3.2 is the client's and the server's; what a client insists on and the server has not is the server's own answer."""
    versions = [("3.0", "3.0", 30000), ("3.0", "3.2", 30002), ("3.2", "3.2", 30002), ("3.2", "latest", 30002)]
    answers = libpq(*(["run", url(server, legs, min_protocol_version=least, max_protocol_version=most), "select ssn from customers where id = 1"]
                      for legs in LEGS for least, most, _ in versions))
    shop = [a for a, legs in zip(answers, [legs for legs in LEGS for _ in versions]) if LEGS[legs][0] == "127.0.0.1"]
    assert [a["protocol"] for a in answers] == [version for _, _, version in versions] * len(LEGS)
    assert all(a["rows"] == [["[masked]"]] for a in shop), shop


@pytest.mark.parametrize("version", ["3.0", "3.2"])
def test_a_cancelled_statement(server, libpq, version):
    """With a key of 4 bytes and one of 32, in clear and within TLS, whatever the leg behind has."""
    answers = libpq(*(["cancel", url(server, legs, max_protocol_version=version), "select pg_sleep(60)"] for legs in LEGS))
    assert [(a["cancel"], "canceling statement due to user request" in a["error"]) for a in answers] == [("", True)] * len(LEGS), answers


def test_generated_columns(psql):
    """A virtual one's expression is the table's; COPY of a whole table has none of them."""
    assert psql.rows("select * from made") == ["1|[masked]|[masked]|[masked]|2"]
    assert psql.rows("select x, doubled from over_made") == ["[masked]|2"]
    assert psql.rows("copy made to stdout") == ["1\t[masked]"]
    assert psql.rows("copy (select * from made) to stdout") == ["1\t[masked]\t[masked]\t[masked]\t2"]
    assert "can't be used in WHERE" in psql.error("select id from made where shouted like 'Q%'")
    assert psql.rows("select room, ssn from stays where during @> '2020-05-05'::date") == ["[1,2)|[masked]"]


def test_what_views_call(psql):
    for view, function in [("called", "public.made_up()"), ("counted", "pg_catalog.set_config()")]:
        assert f"wayleave: denied: no rule allows function on {function}" in psql.error(f"select * from {view}")


# Of a row before and after a change: to our parser relations that it doesn't know.
RETURNING = ["old.ssn", "new.ssn", "old", "new", "old.*", "(old).ssn", "upper(old.ssn)", "to_jsonb(old)", "old::text", "row(new.*)",
             "array[old.ssn]", "(select old.ssn)", "old.ssn || new.ssn", "with (old as o) o.ssn", "with (new as n) n.*",
             "case when new.ssn > 'Q' then 1 end", "made.shouted || old.kept"]


@pytest.mark.parametrize("change", ["update made set id = id", "insert into made values (1, 'x') on conflict (id) do update set id = 1",
                                    "with changed as (update made set id = id returning {}) select * from changed",
                                    "copy (update made set id = id returning {}) to stdout"])
def test_rows_before_and_after_a_change(psql, change):
    texts = [change.format(what) if "{}" in change else f"{change} returning {what}" for what in RETURNING]
    done = psql(*texts)
    assert "uokka" not in done.stdout + done.stderr and "UOKKA" not in done.stdout + done.stderr
    # In COPY data, which says nothing of types, what is not known becomes NULL.
    assert done.stdout.count("[masked]") + done.stdout.count("\\N") > 6


def test_unmasked_rows_before_and_after_a_change(psql):
    assert psql.rows("update orders set item = 'new' where id = 3 returning old.item, new.item, id") == ["item3|new|3"]


# Text that only the server understands is refused as that, not in the name of a rule.
NEWER = ["merge into made m using (values (1)) v (i) on m.id = v.i when matched then update set id = 1 returning merge_action(), m.ssn",
         "merge into orders o using (values (1)) v (i) on o.id = v.i when not matched by source then delete",
         "update orders set item = 'x' returning with (old as o) o.item",
         "select * from json_table('[1]', '$[*]' columns (a int path '$'))"]


@pytest.mark.parametrize("text", NEWER)
def test_what_only_the_server_understands(psql, server, text):
    before = server.sql("select * from orders order by id", "shop")
    assert "wayleave: denied: not understood: syntax error" in psql.error(text)
    assert server.sql("select * from orders order by id", "shop") == before


def test_what_psql_asks_the_catalog(psql):
    """psql of Debian's version, as it talks to a server that is newer."""
    for command, found in [("\\d made", "upper(ssn)"), ("\\d+ over_made", "doubled"), ("\\dt", "stays"), ("\\d stays", "daterange"),
                           ("\\df", "add_one"), ("\\du", "app")]:
        assert any(found in line for line in psql.rows(command)), command
