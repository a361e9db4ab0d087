# SPDX-License-Identifier: Apache-2.0
"""Results through the daemon, as they are on the wire: every type in both formats with every strategy. What the agent
gets the server takes back as a value of that type, in that format."""
import io
import json
import pathlib

import psycopg2
import pytest

from harness import results
from harness.values import NO_BINARY, SAMPLES, SECRETS, built_in_types

HARNESS = pathlib.Path(results.__file__).parent
DETECTORS = ["credit_card", "email", "us_ssn", "iban", "phone", "jwt", "private_key", "cloud_key", "secret", "ip_address"]
STRATEGIES = ["redact", "partial", "hash", "null"]
TABLES = [f"{kind}_{strategy}" for kind in ["whole", "found"] for strategy in STRATEGIES]
# Types whose whole value may be a mask's text; all others become NULL.
HOLD_TEXT = {"text", "varchar", "bpchar", "name", "json", "jsonb", "xml", "bytea", "refcursor", "mail_text", "mail_varchar",
             "citext"}
# A value without any of these has nothing for a detector.
TELLTALES = [*SECRETS, "@", "u0040", "6140622e6465", "password", "3782822", "4222222", "212 555", "10.0.0", "::", "dead:beef", "2001:db8", "41,111,111"]

USERS_TYPES = """
create schema vault;
set search_path = vault, public;
create extension if not exists citext with schema public;
create extension if not exists hstore with schema public;
create domain mail_text as text check (value <> 'forbidden');
create domain mail_varchar as varchar(40);
create domain big as int8;
create type mails as enum ('user@example.com', 'other');
create type person as (id int8, name text, mails text[], notes jsonb);
create domain person_domain as person;
create type text_range as range (subtype = text, multirange_type_name = text_multirange);
"""
PERSON = r'(4111111111111111,"user@example.com ""x"" \\",{user@example.com},"{""a"": ""user@example.com""}")'
USERS_SAMPLES = {
    "mail_text": ["x user@example.com", "x"], "mail_varchar": ["x user@example.com", "x"], "big": ["4111111111111111", "1"],
    "mails": ["user@example.com", "other"], "person": [PERSON, "(1,b,{},[])"], "person_domain": [PERSON, "(1,b,{},[])"],
    "text_range": ["[user@example.com,z)", "[b,c)"], "text_multirange": ["{[user@example.com,z)}", "{}"],
    "citext": ["x user@example.com", "x"], "hstore": ["mail=>user@example.com", "a=>b"],
    "mail_text[]": ['{"x user@example.com",b}', "{}"], "mails[]": ["{user@example.com}", "{other}"],
    "person[]": ['{"(1,user@example.com,,)"}', "{}"], "big[]": ["{4111111111111111}", "{1}"],
    "int8range[]": ['{"[4111111111111111,)"}', "{}"], "text[][]": ["{{user@example.com,b},{c,NULL}}", "{{a},{b}}"],
}


def make_tables(server):
    """vault.direct and a copy of it per strategy. The types of the columns c0, c1, …"""
    connection = psycopg2.connect(host=str(server.data), port=server.port, user="postgres", dbname="shop")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(USERS_TYPES)
    samples = {}
    for _, name, array in built_in_types(connection):
        values = SAMPLES.get(name)
        if values:
            type_name = '"char"' if name == "char" else name
            samples[type_name] = values
            if array:
                samples[type_name + "[]"] = [values, [values, values], [], [values[0], None]]
    samples.update(USERS_SAMPLES)
    columns = list(samples)
    cursor.execute("create table direct (row int4, " + ", ".join(f"c{i} {name}" for i, name in enumerate(columns)) + ")")
    for row in range(max(map(len, samples.values()))):
        values = [samples[name][row] if row < len(samples[name]) else None for name in columns]
        places = ", ".join(f"%s::text[]::{name}" if isinstance(value, list) else f"%s::text::{name}"
                           for name, value in zip(columns, values))
        cursor.execute(f"insert into direct values ({row}, {places})", values)
    for table in TABLES:
        cursor.execute(f"create table {table} as table direct")
    cursor.execute("grant usage on schema vault to app; grant select on all tables in schema vault to app")
    connection.close()
    return columns


def make_rules():
    rules = [{"name": "cursors", "agents": ["demo"], "resources": ["shop"], "operations": ["cursor"], "allow": {}}]
    for strategy in STRATEGIES:
        for table, mask in [("whole", {"columns": [f"vault.whole_{strategy}.c*"], "with": strategy}),
                            ("found", {"detect": [*DETECTORS], "with": strategy})]:
            rules.append({"name": f"{table} {strategy}", "agents": ["demo"], "resources": ["shop"],
                          "operations": ["read"], "objects": [f"vault.{table}_{strategy}"],
                          "allow": {"mask": [mask]}})
    return rules


@pytest.fixture(scope="module")
def vault(server, tmp_path_factory):
    """Runs jobs of results.py inside the agent. `columns`: the types of c0, c1, …"""
    from conftest import daemons, make_config
    columns = make_tables(server)
    daemon = daemons.Daemon(tmp_path_factory.mktemp("values"), make_config(server.port), make_rules())

    def run(jobs):
        done = daemon.run("/usr/bin/python3", HARNESS / "results.py", "127.0.0.1", server.port, "app", "shop",
                          input=json.dumps(jobs))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    run.columns, run.server, run.daemon = columns, server, daemon
    yield run
    daemon.close()


class TakeBack:
    """A connection of our own to the server, past the daemon: what does a value mean as one of a type?"""

    def __init__(self, server):
        self.connection = results.Raw("127.0.0.1", server.port, "postgres", "shop")
        results.simple(self.connection, "set search_path = vault, public")
        self.prepared = None

    def __call__(self, type_name, format, values):
        """The values' texts."""
        self.connection.seen.clear()
        self.connection.send(("P", "s", f"select ($1::{type_name})::text"),
                             *[step for value in values
                               for step in [("B", "", "s", (bytes.fromhex(value),), (format,)), ("E", "")]],
                             ("C", "S", "s"), ("S",))
        answer = self.connection.answer()
        assert answer["error"] is None, (type_name, values, answer["error"])
        return [bytes.fromhex(row[0]).decode() for row in answer["rows"]]


@pytest.fixture(scope="module")
def take_back(server):
    return TakeBack(server)


def column_of(columns, index, format):
    """A job's text; None where the server has no such format of the type."""
    if format == 1 and columns[index].removesuffix("[]") in NO_BINARY:
        return None
    return f"select c{index} from vault.{{table}} order by row"


def check(vault, take_back, table, format, how):
    """Each column of the table, by itself."""
    places = [i for i in range(len(vault.columns)) if column_of(vault.columns, i, format)]

    def answers(of):
        jobs = [{"sql": column_of(vault.columns, i, format).format(table=of), "format": format, "how": how} for i in places]
        return vault(jobs) if of == table else results.run("127.0.0.1", vault.server.port, "postgres", "shop", jobs)

    kind, strategy = table.split("_")
    for i, direct, masked in zip(places, answers("direct"), answers(table)):
        name = vault.columns[i]
        assert masked["error"] is None and len(masked["rows"]) == len(direct["rows"]), (name, masked)
        before, after = [[row[0] for row in answer["rows"]] for answer in (direct, masked)]
        shown = iter(take_back(name, format, [value for value in after if value is not None]))
        meant = iter(take_back(name, format, [value for value in before if value is not None]))
        for was, now in zip(before, after):
            if was is None:
                assert now is None
                continue
            text, original = None if now is None else next(shown), next(meant)
            if kind == "whole":
                check_whole(name, strategy, original, text)
            else:
                check_found(name, was, now, original, text)


def check_whole(name, strategy, original, text):
    if strategy == "null" or name not in HOLD_TEXT:
        assert text is None, (name, original, text)
    elif strategy == "redact":
        assert text.rstrip() in ("[masked]", '"[masked]"', "\\x5b6d61736b65645d"), (name, original, text)
    elif strategy == "hash":
        assert text is not None and ("[hash:" in text or "\\x5b686173683a" in text), (name, original, text)
    elif text is None:
        assert name == "xml", (name, original)
    else:
        assert len(original) < 8 or original not in text, (name, original, text)


def check_found(name, was, now, original, text):
    if not any(telltale in original for telltale in TELLTALES) and "inet" not in name and "cidr" not in name:
        assert was == now, (name, original, text)
    for secret in SECRETS:
        assert text is None or secret not in text, (name, original, text)


@pytest.mark.parametrize("format", [0, 1], ids=["text", "binary"])
@pytest.mark.parametrize("table", TABLES)
def test_what_the_agent_gets_is_legal(vault, take_back, table, format):
    check(vault, take_back, table, format, "undescribed")


@pytest.mark.parametrize("how", ["simple", "twice", "portal"])
@pytest.mark.parametrize("table", ["whole_redact", "found_redact"])
def test_however_it_is_asked_for(vault, take_back, table, how):
    check(vault, take_back, table, 0, how)


@pytest.mark.parametrize("how", ["twice", "portal"])
def test_in_binary_however_it_is_asked_for(vault, take_back, how):
    check(vault, take_back, "found_hash", 1, how)


def values_of(answers):
    """All values, as bytes."""
    return [bytes.fromhex(value) for answer in answers for row in answer["rows"] for value in row if value is not None]


def expect_hidden(answers, least):
    """Values came, and no secret among them."""
    values = values_of(answers)
    assert len(values) >= least, answers
    for secret in [*SECRETS, "a@b.de"]:
        assert not any(secret.encode() in value for value in values), (secret, values)


def place_of(vault, name):
    return f"c{vault.columns.index(name)}"


@pytest.mark.parametrize("table", ["whole_redact", "found_redact"])
def test_cursors(vault, table):
    """FETCH, however it comes: by Query, by Execute, from a binary cursor, and after the transaction."""
    text = place_of(vault, "text")
    select = f"select {text}, {text} as other from vault.{table} order by row"
    answers = vault([
        {"sql": "begin", "how": "simple"},
        {"sql": f"declare a cursor for {select}", "how": "simple"},
        {"sql": f"declare b binary cursor for {select}"},
        {"sql": f"declare c scroll cursor with hold for {select}", "how": "simple"},
        {"sql": "fetch 3 from a", "how": "simple"},
        {"sql": "fetch 3 from a"},
        {"sql": "fetch all from a", "format": 1},
        {"sql": "fetch all from b", "how": "simple"},
        {"sql": "commit", "how": "simple"},
        {"sql": "fetch all from c"},
        {"sql": "fetch backward 2 from c", "how": "simple"},
        {"sql": "fetch absolute 1 from c", "how": "twice"},
        {"sql": "close c", "how": "simple"},
    ])
    assert [a["error"] for a in answers] == [None] * len(answers)
    expect_hidden(answers, 40)
    assert b"[masked]" in values_of(answers)


@pytest.mark.parametrize("format", [0, 1], ids=["text", "binary"])
def test_whole_rows_and_wide_results(vault, format):
    """Rows as composites, and all columns of all types at once."""
    binary = [place_of(vault, name) for name in vault.columns if name.removesuffix("[]") not in NO_BINARY]
    wide = "*" if format == 0 else ", ".join(binary)
    answers = vault([{"sql": f"select {wide} from vault.{table}", "format": format, "how": how}
                     for table in TABLES for how in ["undescribed", "portal"]])
    assert [a["error"] for a in answers] == [None] * len(answers)
    expect_hidden(answers, 100)
    person = place_of(vault, "person")
    answers = vault([{"sql": f"select {what} from vault.{table} t", "format": format}
                     for table in TABLES for what in [f"row(1, {person}, {place_of(vault, 'text')})", f"array[{person}]"]])
    for answer in answers:
        expect_hidden([answer], 0)


COPY_OPTIONS = ["format text", "format csv", "format binary", "format csv, header, force_quote *", "format text, delimiter '|'",
                "format csv, delimiter ';', quote '''', escape '\\', null 'NIL'", "format text, null 'NIL', header"]


def copy_through(vault, what, options):
    done = vault.daemon.run("psql", "-X", "-q", f"host=127.0.0.1 port={vault.server.port} user=app dbname=shop",
                            "-c", f"copy {what} to stdout ({options})", text=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("query", [False, True], ids=["table", "query"])
@pytest.mark.parametrize("options", COPY_OPTIONS)
def test_copy_is_taken_back(vault, options, query):
    """COPY of a table and of a query, all types at once, back into a table of the same columns."""
    connection = psycopg2.connect(host=str(vault.server.data), port=vault.server.port, user="postgres", dbname="shop")
    connection.autocommit = True
    cursor = connection.cursor()
    places = [i for i, name in enumerate(vault.columns)
              if options != "format binary" or name.removesuffix("[]") not in NO_BINARY]
    names = ", ".join(f"c{i}" for i in places)
    cursor.execute("set search_path = vault, public; drop table if exists back; "
                   f"create table back as select {names} from direct limit 0; select count(*) from direct")
    count = cursor.fetchone()[0]
    for table in TABLES:
        data = copy_through(vault, f"(select {names} from vault.{table})" if query else f"vault.{table} ({names})", options)
        cursor.execute("truncate back")
        cursor.copy_expert(f"copy back from stdin ({options.replace(', force_quote *', '')})", io.BytesIO(data))
        cursor.execute("select b::text from back b")
        rows = [row[0] for row in cursor.fetchall()]
        assert len(rows) == count
        for secret in SECRETS:
            assert not any(secret in row for row in rows), (table, secret)
        cursor.execute(f"select {place_of(vault, 'text')} from back")
        seen = {row[0] for row in cursor.fetchall()}
        if table.startswith("found"):
            assert "nothing" in seen and " lead and trail " in seen
        elif table == "whole_redact":
            assert seen <= {"[masked]", None} and "[masked]" in seen
    connection.close()
