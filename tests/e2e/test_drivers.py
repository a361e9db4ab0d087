# SPDX-License-Identifier: Apache-2.0
"""Drivers with all that they can do (drivers/): each prints a line for every outcome, and the lines must be those of a run without us.

Two databases make that possible under a policy, too. `twin` is what the policy makes of `plain`: the masked column holds what masking
gives, a function's result is NULL, and what is refused is refused by the server's own privileges: those of a schema, which it looks at
where we look, while it parses. A driver in the agent at `plain` must print what it prints at
`twin` directly: rows, errors, transaction states, what of a pipeline was skipped."""
import difflib
import os
import pathlib
import re
import subprocess

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import golang, postgres

HERE = pathlib.Path(__file__).resolve().parent / "drivers"
JARS = ":".join(f"/usr/share/java/{name}.jar" for name in ("postgresql", "HikariCP", "slf4j-api", "slf4j-nop"))

SCHEMA = """
create type mood as enum ('happy', 'sad');
create type spot as (city text, number int);
create table people (id int primary key, name text, ssn text, born date, doc jsonb);
create table work (id int primary key, name text default 'none');
create schema hidden;
create table hidden.secrets (id int primary key, value text);
create table kinds (id int primary key, feeling mood, place spot, places spot[]);
create view names as select id, name from people;
create index on people (name, born);
comment on table people is 'who';
create function add_one(i int) returns int language sql immutable as '{add_one}';
insert into people select i, 'name' || i, {ssn}, date '2000-01-01' + i, jsonb_build_object('n', i) from generate_series(1, 40) i;
insert into hidden.secrets values (1, 'top secret');
insert into kinds values (1, 'happy', '(Rome,1)', '{{"(Rome,1)","(Oslo,2)"}}');
"""
OPEN_TABLES = ["public.people", "public.work", "public.kinds", "public.names", "public.scratch_*"]
RULES = [
    {"name": "all", "resources": ["open"], "operations": ["*"], "allow": {}},
    {"name": "rows", "resources": ["guarded"], "operations": ["read", "write", "cursor", "lock"], "objects": OPEN_TABLES,
     "allow": {"mask": [{"columns": ["public.people.ssn"], "with": "redact"}]}},
    {"name": "own tables", "resources": ["guarded"], "operations": ["create", "alter", "drop"], "objects": ["public.scratch_*"], "allow": {}},
    {"name": "messages", "resources": ["guarded"], "operations": ["listen", "notify"], "allow": {}},
    {"name": "functions", "resources": ["guarded"], "operations": ["function", "call"],
     "objects": ["pg_catalog.pg_sleep()", "pg_catalog.pg_backend_pid()", "public.add_one()"], "allow": {}},
]
# What the server says of what it refuses, as far as the policy refuses the same.
REVOKED = ["lo_creat(int)", "lo_create(oid)", "lo_open(oid, int)", "lo_close(int)", "loread(int, int)", "lowrite(int, bytea)", "lo_unlink(oid)",
           "lo_lseek64(int, bigint, int)", "lo_from_bytea(oid, bytea)", "lo_get(oid)"]


def fill(server, name, ssn, add_one):
    server.sql(f"create database {name} owner app")
    server.sql(SCHEMA.format(ssn=ssn, add_one=add_one), name)
    server.sql("grant select, insert, update, delete on people, work, kinds, names to app; grant all on schema public to app", name)
    if name == "plain":
        server.sql("grant usage on schema hidden to app; grant all on hidden.secrets to app", name)
    else:
        server.sql(f"revoke execute on function {', '.join(REVOKED)} from public", name)


class Place:
    def __init__(self, folder, tls):
        self.tls, self.transcripts, self.folder = tls, {}, folder
        self.server = postgres.Server(folder / "server", tls=tls)
        self.server.sql("create role app login")
        fill(self.server, "plain", "lpad((100 + i)::text, 3, '0') || '-45-6789'", "select i + 1")
        fill(self.server, "twin", "'[masked]'", "select null::int")
        config = make_config(self.server.port)
        config["resources"] = [{"name": name, "protocol": "postgres", "hosts": [f"{address}:{self.server.port}"],
                                **({"tls": {"ca_file": str(self.server.ca)}} if tls else {})}
                               for name, address in (("open", "127.0.0.1"), ("guarded", "[::1]"))]
        self.daemon = daemons.Daemon(folder / "wayleave", config, RULES)
        self.host_ca = folder / "host-ca.pem"
        self.host_ca.write_text(self.daemon.wayleave("ca", "show").stdout)

    def words(self, driver, address, database, ca):
        mode = "verify-full" if self.tls else "disable"
        return DRIVERS[driver](self, address, self.server.port, database, mode, ca)

    def directly(self, driver, database):
        """The transcript of a run outside of any agent; run once."""
        if (driver, database) not in self.transcripts:
            words = self.words(driver, "127.0.0.1", database, self.server.ca if self.tls else "")
            done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=240, env=environment())
            assert done.returncode == 0, done.stderr[-3000:]
            self.transcripts[driver, database] = done.stdout
        return self.transcripts[driver, database]

    def in_the_agent(self, driver, address):
        done = self.daemon.run(*self.words(driver, address, "plain", self.host_ca if self.tls else ""), timeout=240, env=environment())
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
        return done.stdout

    def close(self):
        self.daemon.close()
        self.server.stop()


def environment():
    return {**os.environ, "PYTHONPATH": str(HERE), "NODE_PATH": str(HERE.parent / "clients" / "node_modules"), "LC_ALL": "C.UTF-8"}


def libpq(script):
    def words(place, address, port, database, mode, ca):
        url = f"host={address} port={port} user=app dbname={database} sslmode={mode}" + (f" sslrootcert={ca}" if ca else "")
        return ["/usr/bin/python3", HERE / script, url]
    return words


def by_parts(*program):
    return lambda place, address, port, database, mode, ca: [*program, address, port, database, mode, ca]


def java(place, address, port, database, mode, ca):
    # Its verification doesn't know ::1 in a certificate, whoever made that.
    mode = "verify-ca" if address == "::1" and mode == "verify-full" else mode
    classes = place.folder / "classes"
    if not classes.exists():
        subprocess.run(["javac", "-nowarn", "-cp", JARS, "-d", classes, HERE / "Work.java"], check=True, timeout=120)
    return ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{JARS}", "Work", address, port, database, mode, ca]


def go(name):
    return lambda place, *parts: [golang.build(HERE / f"{name}.go"), *parts]


DRIVERS = {
    "psycopg2": libpq("work_psycopg2.py"),
    "psycopg3": libpq("work_psycopg3.py"),
    "asyncpg": by_parts("/usr/bin/python3", HERE / "work_asyncpg.py"),
    "dbd": by_parts("perl", HERE / "work_dbd.pl"),
    "jdbc": java,
    "node": by_parts("node", HERE / "work.js"),
    "pq": go("work_pq"),
    "pgx": go("work_pgx"),
}


@pytest.fixture(scope="module", params=["clear", "tls"])
def place(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drivers")
    postgres.open_way(folder)
    p = Place(folder, request.param == "tls")
    yield p
    p.close()


# A refusal is ours or the server's, and says so in its own words; the server names the place in the text.
REFUSALS = re.compile(r"(permission denied for (schema|function) \w+(\\n(LINE 1: .*?\^|  Position: \d+))?|wayleave: denied: no rule allows \w+ on [\w.]+(\(\))?|"
                      r"wayleave: denied: no rule allows function_call\b[^'\"\n|]*)")


def alike(there, here):
    there, here = (REFUSALS.sub("refused", text).splitlines() for text in (there, here))
    assert there == here, "\n".join(difflib.unified_diff(here, there, "directly", "in the agent", lineterm="", n=0))[:6000]


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_allowed_is_as_without_us(place, driver):
    alike(place.in_the_agent(driver, "127.0.0.1"), place.directly(driver, "plain"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_masked_or_refused_is_as_if_the_server_did_it(place, driver):
    there = place.in_the_agent(driver, "::1")
    assert "[masked]" in there and "-45-6789" not in there and "top secret" not in there
    alike(there, place.directly(driver, "twin"))
