# SPDX-License-Identifier: Apache-2.0
import contextlib
import itertools
import json
import os
import pathlib
import sys

import psycopg2
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from harness import daemon as daemons  # noqa: E402
from harness import nginx, postgres  # noqa: E402

ORDERS = "insert into orders select i, i, 'item' || i, i * 10 from generate_series(1, 20) i;"
SCHEMA = """
create role app login;
create database shop;
\\c shop
create table customers (id int primary key, name text, email text, ssn text, card text, note text);
create table orders (id serial primary key, customer int references customers, item text, amount numeric(10,2));
create table secrets (id int primary key, value text);
create view people as select id, name, ssn as tax_number, upper(ssn) as shouted from customers;
create table parted (id int, region text, ssn text) partition by list (region);
create table parted_eu partition of parted for values in ('eu');
create table parted_us partition of parted for values in ('us');
create function leak() returns setof text language sql as 'select ssn from customers';
create function add_one(i int) returns int language sql as 'select i + 1';
insert into customers select i, 'name' || i, 'user' || i || '@example.com', lpad((100 + i)::text, 3, '0') || '-45-6789', '4111 1111 1111 1111', null
  from generate_series(1, 20) i;
insert into secrets values (1, 'top secret');
insert into parted values (1, 'eu', '201-45-6789'), (2, 'us', '202-45-6789');
select setval('orders_id_seq', 20);
grant all on all tables in schema public to app;
grant all on all sequences in schema public to app;
grant create on schema public to app;
""" + ORDERS

RULES = [
    {"name": "read", "agents": ["demo"], "resources": ["shop"], "operations": ["read", "cursor"],
     "objects": ["public.customers", "public.orders", "public.people", "public.parted*", "pg_temp.*"],
     "allow": {"mask": [
         {"columns": ["public.customers.ssn", "public.parted.ssn"], "with": "redact"},
         {"columns": ["public.customers.card"], "with": "partial"},
         {"detect": ["email"], "with": "hash"}]}},
    {"name": "write orders", "agents": ["demo"], "resources": ["shop"],
     "operations": ["insert", "update", "copy_in"], "objects": ["public.orders"],
     "allow": {}},
    {"name": "messages", "agents": ["demo"], "resources": ["shop"], "operations": ["listen", "notify"], "allow": {}},
    {"name": "no ddl", "resources": ["shop"], "operations": ["ddl"], "deny": {"message": "use migrations"}},
]


# Each daemon governs cgroups of its own: several run at once, also from several test runs.
numbers = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left():
    """What a daemon's close() doesn't see: daemons that were started and never closed."""
    yield
    left = [str(folder) for folder in daemons.cgroup_root().glob(f"wayleave-test-{os.getpid()}-*")]
    assert not left, left


def make_config(port, **more):
    slice_name = f"wayleave-test-{os.getpid()}-{next(numbers)}.slice"
    return {
        "agents": [{"name": name, "cgroup": f"{slice_name}/{name}"} for name in ("demo", "other")],
        "resources": [{"name": "shop", "protocol": "postgres", "hosts": [f"127.0.0.1:{port}", f"[::1]:{port}"],
                       **more.pop("resource", {})}],
        **more}


def make_shop(folder, **options):
    """A server with the tables above."""
    s = postgres.Server(folder / "server", **options)
    script = folder / "schema.sql"
    script.write_text(SCHEMA)
    os.chmod(script, 0o644)
    postgres._as_postgres("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", s.data, "-p", s.port, "-U", "postgres", "-f", script,
                          check=True)
    return s


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    s = make_shop(tmp_path_factory.mktemp("pg"))
    yield s
    s.stop()


@pytest.fixture(scope="module")
def server(shop):
    """The shop; its orders are as they were at its beginning, so that no module finds what another one left."""
    yield shop
    # Not a word of it in the server's log, which tests read.
    options = "-c log_statement=none -c lock_timeout=10s"
    with contextlib.closing(psycopg2.connect(host=shop.data, port=shop.port, user="postgres", dbname="shop", options=options)) as connection:
        connection.cursor().execute(f"delete from orders; {ORDERS}")
        connection.commit()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    s = nginx.Nginx(tmp_path_factory.mktemp("nginx") / "server")
    yield s
    s.stop()


@pytest.fixture(scope="session")
def base_daemon(shop, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), make_config(shop.port), RULES)
    yield d
    d.close()


@pytest.fixture
def wayleave(base_daemon):
    """The daemon with the rules above, as it was."""
    yield base_daemon
    assert base_daemon.process.poll() is None, base_daemon.text()[-2000:]


@pytest.fixture
def make_daemon(tmp_path):
    folders = itertools.count()
    with contextlib.ExitStack() as made:
        def make(config, rules, **options):
            d = daemons.Daemon(tmp_path / f"wayleave{next(folders)}", config, rules, **options)
            made.callback(d.close)
            return d

        yield make


class Psql:
    """psql inside the agent, against the shop."""

    def __init__(self, daemon, server, agent="demo"):
        self.daemon, self.server, self.agent = daemon, server, agent

    def __call__(self, *statements, options=(), database="shop", host="127.0.0.1", input=None, user="app", **keywords):
        words = ["psql", "-X", "-A", "-t", "-q", *options, f"host={host} port={self.server.port} dbname={database} user={user}"]
        for statement in statements:
            words += ["-c", statement]
        return self.daemon.run(*words, agent=self.agent, input=input, **keywords)

    def rows(self, statement, **keywords):
        done = self(statement, **keywords)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def error(self, statement, **keywords):
        done = self(statement, **keywords)
        assert done.returncode != 0, done.stdout
        return done.stderr


@pytest.fixture
def psql(wayleave, server):
    return Psql(wayleave, server)


@pytest.fixture
def wire(wayleave, server):
    """The protocol by hand, inside the agent."""
    def run(*script, database="shop", parameters=(), user="app", daemon=wayleave):
        done = daemon.run("/usr/bin/python3", ROOT / "harness" / "wire.py", "127.0.0.1", server.port, user, database,
                          repr(list(script)), repr(list(parameters)))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return run
