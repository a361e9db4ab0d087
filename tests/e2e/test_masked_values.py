# SPDX-License-Identifier: Apache-2.0
#
# Masked values are legal: a real server's COPY data of every built-in type goes through tests/tools/mask_copy
# and back into the server, in text, CSV and binary. The bytes of a value are the same in COPY as in a
# DataRow, so this holds for results as well.
import io
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

import psycopg2
import pytest

from harness.values import NO_BINARY, NO_INPUT, SAMPLES, SECRETS, built_in_types

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("WAYLEAVE_BUILD", ROOT / "build/release")) / "tests/mask_copy"
BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
STRATEGIES = ["redact", "partial", "hash", "null"]
FORMATS = ["text", "csv", "binary"]


@pytest.fixture(scope="module")
def server():
    """A cluster of our own; a connection to it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wayleave-values-"))
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]

    def run(*command):
        subprocess.run(["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *map(str, command)],
                       check=True, stdout=subprocess.DEVNULL, cwd=folder)

    data = folder / "data"
    run(BIN / "initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    run(BIN / "pg_ctl", "-D", data, "-l", folder / "log", "-w",
        "-o", f"-p {port} -c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off", "start")
    try:
        connection = psycopg2.connect(host=str(folder), port=port, user="postgres", dbname="postgres")
        connection.autocommit = True
        yield connection
        connection.close()
    finally:
        run(BIN / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def copy_out(server, query, options):
    out = io.BytesIO()
    server.cursor().copy_expert(f"COPY ({query}) TO STDOUT WITH ({options})", out)
    return out.getvalue()


def mask(data, columns, **options):
    """What the tool makes of the data."""
    command = [TOOL, *(f"{name}={value}" for name, value in options.items()), *columns]
    done = subprocess.run(command, input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def mask_format(data, columns, format, **options):
    null = "\\N" if format == "text" else ""
    delimiter = "\t" if format == "text" else ","
    return mask(data, columns, format=format, null=null, delimiter=delimiter, **options)


def take_back(server, table, data, options):
    """COPY FROM; the rows as text. Raises where the server does not take the data."""
    cursor = server.cursor()
    cursor.execute(f"truncate {table}")
    cursor.copy_expert(f"COPY {table} FROM STDIN WITH ({options})", io.BytesIO(data))
    cursor.execute(f"select t::text from {table} t")
    return [row[0] for row in cursor.fetchall()]


def test_every_built_in_type_has_samples(server):
    missing = {name for _, name, _ in built_in_types(server)} - set(SAMPLES) - NO_INPUT
    assert not missing


@pytest.fixture(scope="module")
def everything(server):
    """A table with a column of each type and of each array type. (name of the type, OID) per column."""
    cursor = server.cursor()
    columns, samples = [], []
    for oid, name, array in built_in_types(server):
        values = SAMPLES.get(name)
        if values:
            columns.append(('"char"' if name == "char" else name, oid))
            samples.append(values)
            if array:
                columns.append((columns[-1][0] + "[]", array))
                samples.append([values, [values, values], [], [values[0], None]])
    definitions = ", ".join(f"c{i} {name}" for i, (name, _) in enumerate(columns))
    cursor.execute(f"create table everything ({definitions})")
    for row in range(max(len(values) for values in samples)):
        values = [values[row] if row < len(values) else None for values in samples]
        places = ", ".join(f"%s::text[]::{name}" if name.endswith("[]") else f"%s::text::{name}"
                           for name, _ in columns)
        cursor.execute(f"insert into everything values ({places})", values)
    return columns


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("format", FORMATS)
def test_masked_values_are_taken_back(server, everything, format, strategy):
    places = [i for i, (name, _) in enumerate(everything)
              if format != "binary" or name.removesuffix("[]") not in NO_BINARY]
    names = ", ".join(f"c{i}" for i in places)
    oids = [everything[i][1] for i in places]
    # COPY FROM asks for the input functions of all columns, whichever it names.
    server.cursor().execute(f"drop table if exists back_everything; "
                            f"create table back_everything as select {names} from everything limit 0")
    data = copy_out(server, f"select {names} from everything", f"format {format}")
    count = len(take_back(server, "back_everything", data, f"format {format}"))
    for columns, detect in [([f"{oid}:-1:{strategy}" for oid in oids], "none"), ([str(oid) for oid in oids], strategy)]:
        masked = mask_format(data, columns, format, detect=detect, piece=1000)
        rows = take_back(server, "back_everything", masked, f"format {format}")
        assert len(rows) == count
        shown = "\n".join(rows)
        for secret in SECRETS:
            assert secret not in shown


def test_limited_lengths(server):
    """varchar(n) and char(n): whatever the mask, the value fits."""
    cursor = server.cursor()
    cursor.execute("create table lengths (a varchar(5), b varchar(10), c char(5), d char(30), e varchar(40))")
    cursor.execute("create table back_lengths (like lengths)")
    cursor.execute("insert into lengths values ('ab', 'a@b.de', 'ab', 'a@b.de', 'x a@b.de'), "
                   "('äöüäö', 'äöü a@b.de', 'äöüäö', 'äöü a@b.de', repeat('ä', 40)), ('', '', '', '', '')")
    modifiers = [9, 14, 9, 34, 44]
    oids = [1043, 1043, 1042, 1042, 1043]
    for format in FORMATS:
        data = copy_out(server, "select * from lengths", f"format {format}")
        for strategy in STRATEGIES:
            for whole in ["none", strategy]:
                columns = [f"{o}:{m}:{whole}" for o, m in zip(oids, modifiers)]
                masked = mask_format(data, columns, format, detect=strategy)
                assert len(take_back(server, "back_lengths", masked, f"format {format}")) == 3


def test_what_is_not_masked_is_unchanged(server):
    """Without findings, and with every option of COPY, the very bytes come out."""
    cursor = server.cursor()
    cursor.execute("create table plain (id int4, a text, b text, c jsonb, d bytea)")
    cursor.execute(r"""insert into plain values (1, E'tab\t nl\n cr\r bs\\ q" s'' | ; end', '', '{"a": "b\\n"}', '\x0001'),
                       (2, null, E'\\N', null, null), (3, E'\\.', ',', '[]', ''), (4, 'ä€😀', ' x ', '1', 'abc')""")
    columns = ["23", "25", "25", "3802", "17"]
    for options, tool in [
        ("format text", {"format": "text", "null": "\\N"}),
        ("format text, delimiter '|', null ''", {"format": "text", "delimiter": "|", "null": ""}),
        ("format text, header", {"format": "text", "null": "\\N", "header": "1"}),
        ("format csv", {"format": "csv", "delimiter": ",", "null": ""}),
        ("format csv, delimiter ';', null 'NIL', header", {"format": "csv", "delimiter": ";", "null": "NIL",
                                                           "header": "1"}),
        ("format csv, quote '''', escape '\\', force_quote *", {"format": "csv", "delimiter": ",", "null": "",
                                                               "quote": "'", "escape": "\\"}),
        ("format binary", {"format": "binary"}),
    ]:
        data = copy_out(server, "select * from plain order by id", options)
        for piece in [1, 7, 100000]:
            assert mask(data, columns, detect="redact", piece=piece, **tool) == data, options


@pytest.mark.parametrize("options, tool", [
    ("format text, delimiter '|', null 'NIL'", {"format": "text", "delimiter": "|", "null": "NIL"}),
    ("format csv, delimiter ';', quote '''', escape '\\', force_quote *",
     {"format": "csv", "delimiter": ";", "null": "", "quote": "'", "escape": "\\"}),
    ("format csv, null '[masked]'", {"format": "csv", "delimiter": ",", "null": "[masked]"}),
    ("format text, null '[masked]'", {"format": "text", "null": "[masked]"}),
])
def test_masks_under_options(server, options, tool):
    cursor = server.cursor()
    cursor.execute("drop table if exists optional, back_optional; create table optional (id int4, a text, b text)")
    cursor.execute("create table back_optional (like optional)")
    cursor.execute(r"""insert into optional values (1, E'a|b;c,d "e" ''f'' \\ a@b.de\n', 'x'), (2, 'a@b.de', null),
                       (3, null, '')""")
    data = copy_out(server, "select * from optional order by id", options)
    masked = mask(data, ["23", "25", "25"], detect="redact", **tool)
    into = options.replace(", force_quote *", "")
    cursor.execute("truncate back_optional")
    cursor.copy_expert(f"COPY back_optional FROM STDIN WITH ({into})", io.BytesIO(masked))
    cursor.execute("select * from back_optional order by id")
    assert cursor.fetchall() == [(1, "a|b;c,d \"e\" 'f' \\ [masked]\n", "x"), (2, "[masked]", None), (3, None, "")]


@pytest.mark.parametrize("format", FORMATS)
def test_whole_rows(server, format):
    """select t from t: a composite, field by field, in text as record_out() and in binary as record_send()."""
    cursor = server.cursor()
    cursor.execute("drop table if exists back_people; drop type if exists person cascade; "
                   "create type person as (id int8, name text, ssn text, notes jsonb)")
    cursor.execute("create table back_people (p person)")
    query = r"""select row(1, E'Ann "A" \\ (x), y', '123-45-6789', '{"m": "a@b.de"}')::person union all
                select row(2, '', null, null)::person"""
    data = copy_out(server, query, f"format {format}")
    cursor.execute("select 'person'::regtype::oid")
    oid = cursor.fetchone()[0]
    column = f"{oid}:-1:none:20/none+25/none+25/partial+3802/none"
    for detect, notes in [("none", {"m": "a@b.de"}), ("redact", {"m": "[masked]"})]:
        masked = mask_format(data, [column], format, detect=detect)
        take_back(server, "back_people", masked, f"format {format}")
        cursor.execute("select (p).id, (p).name, (p).ssn, (p).notes from back_people order by 1")
        assert cursor.fetchall() == [(1, 'Ann "A" \\ (x), y', "*******6789", notes), (2, "", None, None)]
    # A mask of the whole value, or another number of fields: NULL.
    for other in [f"{oid}:-1:redact", f"{oid}:-1:none:20/none+25/none"]:
        masked = mask_format(data, [other], format, detect="none")
        assert take_back(server, "back_people", masked, f"format {format}") == ["()", "()"]


@pytest.mark.parametrize("format", FORMATS)
def test_types_of_users(server, format):
    """Enums, domains, extensions: a finding makes the value NULL, which any type takes."""
    cursor = server.cursor()
    cursor.execute("create extension if not exists citext; create extension if not exists hstore")
    cursor.execute("drop table if exists users_types, back_users_types; drop type if exists mails; "
                   "create type mails as enum ('user@example.com', 'other')")
    cursor.execute("create table users_types (a mails, b citext, c hstore, d mails[])")
    cursor.execute("create table back_users_types (like users_types)")
    cursor.execute("insert into users_types values ('user@example.com', 'a user@example.com', "
                   "'mail=>user@example.com', '{user@example.com}'), ('other', 'x', 'a=>b', '{other}')")
    cursor.execute("select atttypid from pg_attribute where attrelid = 'users_types'::regclass and attnum > 0 "
                   "order by attnum")
    oids = [str(row[0]) for row in cursor.fetchall()]
    data = copy_out(server, "select * from users_types", f"format {format}")
    masked = mask_format(data, oids, format, detect="redact")
    assert take_back(server, "back_users_types", masked, f"format {format}") == [
        "(,,,)", '(other,x,"""a""=>""b""",{other})']


@pytest.mark.parametrize("format", FORMATS)
def test_untold_types(server, format):
    """COPY of a query: types are not told, and still the common ones come out legal."""
    cursor = server.cursor()
    cursor.execute("drop table if exists untold, back_untold; create table untold (a int8, b text, c jsonb, d text[], "
                   "e numeric, f bytea, g float8, h inet, i json)")
    cursor.execute("create table back_untold (like untold)")
    cursor.execute(r"""insert into untold values (4111111111111111, 'x user@example.com', '{"a": "user@example.com"}',
        '{user@example.com,b}', 4111111111111111.00, 'user@example.com', 4111111111111111, '10.0.0.1', '["a@b.de"]'),
        (1, 'nothing', '[]', '{}', 1.5, '\x00', 0.5, null, null)""")
    data = copy_out(server, "select * from untold", f"format {format}")
    masked = mask_format(data, ["0"] * 9, format, detect="redact")
    rows = take_back(server, "back_untold", masked, f"format {format}")
    assert "user@example.com" not in "".join(rows) and "4111111111111111" not in "".join(rows)
    assert "x [masked]" in rows[0]
    assert rows[1] == "(1,nothing,[],{},1.5,\"\\\\x00\",0.5,,)"
