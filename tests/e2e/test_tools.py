# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's own programs with all that they can do: under an allow-all policy they print what they print directly; under masks a dump
has the masked values, and restores."""
import re
import subprocess

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import postgres

SCHEMA = """
create type mood as enum ('happy', 'sad');
create table people (id int primary key, name text not null, ssn text, mood mood default 'happy', tags text[], doc jsonb);
create index on people (lower(name));
create table visits (id int primary key, person int references people, place text, at date, check (at > '1990-01-01'));
create table places (id int primary key, name text, "odd ""name" text) with (fillfactor = 70);
create view visitors as select p.name, count(*) from people p join visits v on v.person = p.id group by 1;
create materialized view summary as select place, count(*) from visits group by 1;
create sequence numbers start 10;
create function add_one(i int) returns int language sql as 'select i + 1';
create function noted() returns trigger language plpgsql as 'begin return new; end';
create trigger noting before insert on visits for each row execute function noted();
create table parted (id int, region text) partition by list (region);
create table parted_eu partition of parted for values in ('eu');
create rule none as on delete to places do instead nothing;
create policy own on places using (true);
alter table places enable row level security;
create publication pub for table people;
comment on table people is 'who';
comment on column people.ssn is 'number';
grant select on people to public;
insert into people select i, 'name' || i, lpad((100 + i)::text, 3, '0') || '-45-6789', 'sad', array['a', null, 'b' || i], jsonb_build_object('n', i)
  from generate_series(1, 60) i;
insert into visits select i, i % 60 + 1, 'place' || i % 4, date '2020-01-01' + i from generate_series(1, 400) i;
insert into places values (1, E'tab\\tline\\n', null), (2, '', 'x\\\\y');
insert into parted values (1, 'eu');
refresh materialized view summary;
select lo_from_bytea(4242, '\\x00ff');
"""
RULES = [
    {"name": "all", "resources": ["open"], "operations": ["*"], "allow": {}},
    {"name": "reads", "resources": ["guarded"], "operations": ["read", "lock", "cursor"],
     "objects": ["public.*", "pg_catalog.pg_subscription"],
     "allow": {"mask": [{"columns": ["public.people.ssn"], "with": "partial"}]}},
    {"name": "what pg_dump sets", "resources": ["guarded"], "operations": ["set"], "objects": ["row_security"], "allow": {}},
    {"name": "copies", "agents": ["other"], "resources": ["guarded"], "operations": ["replication"], "allow": {}},
]


class Place:
    def __init__(self, folder):
        self.server = postgres.Server(folder / "server", settings=["wal_level = logical"])
        self.server.sql("create role app login superuser")
        self.server.sql("create database shop owner app")
        self.server.sql(f"set role app; {SCHEMA}", "shop")
        config = make_config(self.server.port)
        config["resources"] = [{"name": name, "protocol": "postgres", "hosts": [f"{address}:{self.server.port}"]}
                               for name, address in (("open", "127.0.0.1"), ("guarded", "[::1]"))]
        self.daemon = daemons.Daemon(folder / "wayleave", config, RULES)

    def url(self, address="127.0.0.1", database="shop"):
        return f"host={address} port={self.server.port} user=app dbname={database}"

    def directly(self, *words, **options):
        return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=120, **options)

    def close(self):
        self.daemon.close()
        self.server.stop()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    postgres.open_way(folder)
    p = Place(folder)
    yield p
    p.close()


def alike(place, *words, scrub=r"(?!)", **options):
    """Both ways: status, output and errors are the same; returns what was printed."""
    there = place.daemon.run(*words, timeout=120, **options)
    here = place.directly(*words, **options)
    clean = re.compile(scrub)
    assert clean.sub("", there.stdout) == clean.sub("", here.stdout)
    assert clean.sub("", there.stderr) == clean.sub("", here.stderr)
    assert there.returncode == here.returncode
    return there.stdout + there.stderr


SCRIPTS = {
    "watch": "\\timing off\nselect 1 \\watch 0.1",
    "copy": "\\copy people to stdout csv header\n\\copy (select id, ssn from people where id < 3) to stdout\ncreate temp table t (a int, b text);\n"
            "\\copy t from stdin\n1\tx\n2\ty\n\\.\nselect * from t;\n\\copy t from stdin csv\nz,x\n\\.\n\\copy t to program 'cat >&2'\ncopy t to stdout;",
    "descriptions": "select id, ssn, count(*) over () from people \\gdesc\nselect 1 as a, 'x' as b \\gset\n\\echo :a :b\nselect 'select ' || i from generate_series(1, 3) i \\gexec\n"
                    "select id, name from people limit 1 \\gx\nselect place, at, count(*) from visits where id < 9 group by 1, 2 order by 1, 2 \\crosstabview\n"
                    "insert into people (id, name) values (900, 'x') returning * \\gdesc\n",
    "errors": "selec 1;\n\\errverbose\nselect 1/0;\n\\errverbose\n\\set VERBOSITY verbose\nselect nothing from people;\n\\set VERBOSITY sqlstate\nselect 1/0;\n"
              "\\echo :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE :ROW_COUNT :SQLSTATE\n\\set VERBOSITY default\n\\set SHOW_CONTEXT always\ndo $$ begin raise notice 'hm'; perform 1/0; end $$;",
    "fetch count": "\\set FETCH_COUNT 7\nselect id, ssn from people order by id;\nselect i, 10 / (20 - i) from generate_series(1, 30) i;\nselect 1;\n",
    "rolling back": "\\set ON_ERROR_ROLLBACK on\nbegin;\ncreate temp table t (a int primary key);\ninsert into t values (1);\ninsert into t values (1);\nselec;\n"
                    "insert into t values (2);\nselect * from t;\ncommit;\nselect * from t;\n\\set AUTOCOMMIT off\ninsert into t values (3);\nselect 1/0;\nselect 1;\nrollback;\nselect count(*) from t;",
    "several": "select 1\\; select 2\\; select 3;\nbegin\\; select 1/0\\; commit;\nselect 1;\nrollback;\n\\set SHOW_ALL_RESULTS off\nselect 1\\; select 2;\n",
    "functions": "\\ef add_one\n\\echo edited\n\\ev visitors\n\\sf add_one\n\\sf+ noted\n\\sv visitors\n\\p\n",
    "large objects": "\\lo_list\n\\lo_export 4242 /dev/null\n\\lo_import /etc/hostname 'a name'\n\\lo_list\n\\lo_unlink :LASTOID\n\\lo_unlink 1\n",
    "descriptive": "\n".join(["\\conninfo"] + [f"\\{c}" for c in (
        "d", "d+", "d people", "d+ people", "d visits", "d+ visitors", "d+ summary", "d numbers", "d+ parted", "d+ parted_eu", "d people_pkey", "dt+", "di+", "dv+", "dm+",
        "ds+", "dP+", "df+", "da", "dT+", "dT mood", "dC", "dc", "dD", "dd", "dp", "ddp", "dg+", "drds", "dn+", "do", "dO", "db+", "dA+", "dAc", "dAf", "dAo btree", "dAp btree",
        "dE", "des", "det", "deu", "dew", "dF+", "dFd", "dFp", "dFt", "dl", "dL+", "dRp+", "dRs", "dX", "dx+", "dy", "dconfig+ *mem*", "l+", "z", "sf add_one", "encoding", "dS pg_class")]),
    "settings": "set search_path = pg_catalog, public;\nselect count(*) from people;\nset role app;\nreset all;\nselect current_user, session_user;\n\\encoding LATIN1\n"
                "select 'x';\n\\encoding UTF8\n\\c\n\\c shop\nselect 1;\n\\c nothing_there\nselect 2;",
    "messages": "listen a;\nnotify a, 'one';\nselect pg_notify('a', 'two');\nunlisten a;\nnotify a;\n",
}
CHANGING = r"with PID \d+|\b\d{4,}\b|lo_import \d+|\w{3} \w{3} \d+ [\d:]+ \d{4} \(every.*"


@pytest.mark.parametrize("name", SCRIPTS)
def test_psql_prints_what_it_prints_directly(place, name):
    options = {"input": SCRIPTS[name] + "\n", "env": {"PSQL_EDITOR": "true", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}}
    words = ["psql", "-X", "-d", place.url()]
    if name == "watch":
        words = ["timeout", "-s", "INT", "2", *words]
        there, here = place.daemon.run(*words, **options).stdout, place.directly(*words, **options).stdout
        one = re.compile(r" \?column\? \n-+\n +1\n\(1 row\)\n")
        assert len(one.findall(there)) > 5 and len(one.findall(here)) > 5
        assert "every 0.1s" in there
        return
    printed = alike(place, *words, scrub=CHANGING, **options)
    assert len(printed) > 20


def test_psql_in_one_transaction(place, tmp_path):
    script = tmp_path / "script.sql"
    tmp_path.chmod(0o755)
    script.write_text("create table made (a int);\ninsert into made values (1);\nselect * from made;\nselect 1/0;\nselect 2;\n")
    for more in ([], ["-v", "ON_ERROR_STOP=1"]):
        alike(place, "psql", "-X", "-1", *more, "-f", script, place.url(), scrub=r"psql:\S+ ")
        assert place.server.sql("select to_regclass('made')", "shop") == ""


# What psql asks when Tab is pressed, for some of what can be completed.
COMPLETED = ["select * from pe", "\\d vi", "select add_", "update people set na", "set search_", "drop table pl", "alter table people drop column s", "grant select on vis",
             "comment on column people.", "insert into pla", "create index on peo", "explain select * from vis", "vacuum pl", "\\df no", "alter type mo", "notify ", "fetch "]


def test_psqls_completions(place):
    def ask(run):
        typed = "".join(f"{text}\t\t\x15" for text in COMPLETED) + "\\q\n"
        code = ("import os, pty, sys, time, select\n"
                "pid, fd = pty.fork()\n"
                "if pid == 0: os.execvp('psql', ['psql', '-X', '-E', sys.argv[1]])\n"
                "out = b''\n"
                "def read(t):\n"
                "    global out\n"
                "    while select.select([fd], [], [], t)[0]:\n"
                "        try: part = os.read(fd, 65536)\n"
                "        except OSError: return\n"
                "        if not part: return\n"
                "        out += part\n"
                "read(3)\n"
                "for text in sys.argv[2].split('\\x15'):\n"
                "    os.write(fd, text.encode() + b'\\x15'); read(0.4)\n"
                "sys.stdout.buffer.write(out)\n")
        return run("/usr/bin/python3", "-c", code, place.url(), typed.replace("\\q\n", ""), env={"TERM": "dumb", "PATH": "/usr/bin:/bin", "PAGER": "cat"})
    there, here = ask(lambda *w, **o: place.daemon.run(*w, timeout=60, **o)), ask(place.directly)
    assert there.stdout == here.stdout and "from people" in there.stdout


DUMPS = {"plain": [], "inserts": ["--inserts", "--rows-per-insert=7"], "columns": ["--column-inserts"], "schema": ["-s"], "data": ["-a"], "clean": ["-c", "--if-exists", "-C"],
         "one table": ["-t", "people"], "blobs": ["-b", "-Fp"]}
RESTRICT = r"\\(un)?restrict \S+"


@pytest.mark.parametrize("how", DUMPS)
def test_pg_dump_gives_what_it_gives_directly(place, how):
    printed = alike(place, postgres.BINARIES / "pg_dump", *DUMPS[how], "-d", place.url(), scrub=RESTRICT)
    assert "people" in printed and ("101-45-6789" in printed) == (how != "schema")


def test_pg_dumpall_gives_what_it_gives_directly(place):
    assert "101-45-6789" in alike(place, postgres.BINARIES / "pg_dumpall", "--no-sync", "-d", place.url(database="postgres"), scrub=RESTRICT)


@pytest.mark.parametrize("form", ["-Fc", "-Fd", "-Ft"])
def test_pg_restore(place, tmp_path, form):
    """Dumped and restored through us, in parallel where there is that: dumped again directly, it is the same."""
    tmp_path.chmod(0o777)
    file = tmp_path / "dump"
    jobs = ["-j", "3"] if form == "-Fd" else []
    done = place.daemon.run(postgres.BINARIES / "pg_dump", form, *jobs, "-f", file, "-d", place.url(), timeout=60)
    assert done.returncode == 0, done.stderr
    place.server.sql("create database again owner app")
    try:
        jobs = [] if form == "-Ft" else ["-j", "3"]
        done = place.daemon.run(postgres.BINARIES / "pg_restore", *jobs, "-d", place.url(database="again"), file, timeout=60)
        assert done.returncode == 0, done.stderr
        first, second = (place.directly(postgres.BINARIES / "pg_dump", "-d", place.url(database=d)).stdout for d in ("shop", "again"))
        assert re.sub(RESTRICT, "", first) == re.sub(RESTRICT, "", second)
    finally:
        place.server.sql("drop database again")


@pytest.mark.parametrize("how", ["plain", "inserts"])
def test_a_dump_under_masks_has_masked_values_and_restores(place, how):
    done = place.daemon.run(postgres.BINARIES / "pg_dump", *DUMPS[how], "-t", "people", "-t", "visits", "-t", "mood", "-d", place.url("::1"), timeout=60)
    assert done.returncode == 0, done.stderr
    assert "-45-6789" not in done.stdout and done.stdout.count("*******6789") == 60
    place.server.sql("create database again owner app")
    try:
        restored = place.directly("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", place.url(database="again"),
                                  input="create type mood as enum ('happy', 'sad'); create function noted() returns trigger language plpgsql as 'begin return new; end';\n" + done.stdout)
        assert restored.returncode == 0, restored.stderr
        assert place.server.sql("select count(*), min(ssn), max(ssn), count(distinct name) from people", "again") == "60|*******6789|*******6789|60"
        assert place.server.sql("select count(*) from visits", "again") == "400"
    finally:
        place.server.sql("drop database again")


PIPELINE = """\\set n random(1, 60)
\\startpipeline
select ssn from people where id = :n;
insert into visits values (1000000 + :client_id * 1000 + :n, :n, 'here', '2021-01-01') on conflict do nothing;
select count(*) from visits where person = :n;
\\endpipeline
"""


def test_pgbench_with_pipelines(place, tmp_path):
    tmp_path.chmod(0o755)
    script = tmp_path / "pipeline.sql"
    script.write_text(PIPELINE)
    for mode in ("extended", "prepared"):
        done = place.daemon.run(postgres.BINARIES / "pgbench", "-n", "-M", mode, "-c", "4", "-j", "2", "-t", "30", "-f", script, place.url(), timeout=60)
        assert done.returncode == 0 and "number of failed transactions: 0" in done.stdout and "processed: 120/120" in done.stdout, done.stderr
    assert int(place.server.sql("delete from visits where id >= 1000000 returning 1", "shop").count("1")) > 10


@pytest.mark.parametrize("words", [["vacuumdb", "-z", "-j", "2"], ["vacuumdb", "-f", "-t", "people"], ["reindexdb"], ["reindexdb", "-t", "people"], ["clusterdb"],
                                   ["vacuumdb", "-t", "nothing_there"]], ids=" ".join)
def test_maintenance(place, words):
    alike(place, postgres.BINARIES / words[0], *words[1:], "-d", place.url(), scrub=r"(?!)")


def test_databases_and_users_are_made_and_dropped(place):
    where = ["-h", "127.0.0.1", "-p", place.server.port, "-U", "app"]
    for words in (["createdb", "-T", "template0", "made"], ["createdb", "postgres"], ["dropdb", "made"], ["dropdb", "made"], ["createuser", "somebody"], ["dropuser", "somebody"]):
        there = place.daemon.run(postgres.BINARIES / words[0], *where, *words[1:])
        here = place.directly(postgres.BINARIES / words[0], *where, *words[1:]) if there.returncode else None
        assert there.returncode == 0 or there.stderr == here.stderr
    assert place.server.sql("select count(*) from pg_database where datname = 'made'") == "0"


def test_pg_isready(place):
    done = place.daemon.run(postgres.BINARIES / "pg_isready", "-h", "127.0.0.1", "-p", place.server.port)
    assert done.returncode == 0 and "accepting connections" in done.stdout


@pytest.mark.parametrize("words", [["pg_basebackup", "-D", "-", "-Ft", "-X", "none"], ["pg_receivewal", "-D", "/tmp", "-n"],
                                   ["pg_recvlogical", "-d", "shop", "--slot=s", "--create-slot"]], ids=lambda w: w[0])
def test_replication_is_refused(place, words):
    done = place.daemon.run(postgres.BINARIES / words[0], "-h", "::1", "-p", place.server.port, "-U", "app", *words[1:])
    assert done.returncode != 0 and "wayleave: denied: no rule allows replication" in done.stderr, done.stderr
    assert done.stdout == ""


def test_replication_where_it_is_named(place, tmp_path):
    """A copy of the server's log and a stream of its changes, through a walsender; what is plain SQL there is judged as such."""
    server, where = place.server, ["-h", "::1", "-p", place.server.port, "-U", "app"]
    server.sql("create table streamed (t text)", "shop")
    server.sql("select pg_create_logical_replication_slot('changes', 'test_decoding')", "shop")
    server.sql("insert into streamed select 'row ' || i || repeat('x', 1000) from generate_series(1, 3000) i; select pg_switch_wal()", "shop")
    end = server.sql("select pg_current_wal_lsn()")
    folder = tmp_path / "log"
    folder.mkdir()
    done = place.daemon.run(postgres.BINARIES / "pg_receivewal", *where, "-D", folder, "--no-loop", f"--endpos={end}", agent="other", timeout=60)
    assert done.returncode == 0, done.stderr
    name = server.sql("select pg_walfile_name(pg_current_wal_lsn())")
    done = place.daemon.run(postgres.BINARIES / "pg_recvlogical", *where, "-d", "shop", "--slot=changes", "--start", "-f", "-", "--no-loop",
                            f"--endpos={end}", agent="other", timeout=60)
    assert done.returncode == 0 and done.stdout.count("table public.streamed: INSERT") == 3000, done.stderr[-2000:]
    done = place.daemon.run("psql", "-X", f"host=::1 port={server.port} user=app dbname=shop replication=database", "-c", "drop table streamed",
                            agent="other")
    assert "wayleave: denied" in done.stderr, done
    server.sql("select pg_drop_replication_slot('changes')", "shop")
    server.sql("drop table streamed", "shop")
    assert list(folder.iterdir()), name
