# SPDX-License-Identifier: Apache-2.0
"""What a rule has run as another role of the server's: it alone does, whatever the client, and the session is what it was behind it."""
import json
import subprocess

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import postgres
from harness.daemon import ROOT
from harness.reviews import decide, wait_for_pending

HERE = ROOT / "tests" / "e2e" / "clients"
# The one who logs in may read, the role may write. Both must get a member's rights by SET ROLE alone.
SCHEMA = """
create role t_ro login noinherit; alter role t_ro set search_path = t_path; create role t_rw; create role t_other; grant t_rw, t_other to t_ro;
create schema t_path; create schema t_rw;
create table t_path.t (id int, by_whom text default current_user, by_login text default session_user);
create table t_path.mine (id int);
create table t_path.many (id int);
create table t_path.noted (id int);
create table public.t_elsewhere (id int);
create table t_rw.t_elsewhere (id int);
insert into t_path.many select generate_series(1, 300);
create function t_path.keep() returns trigger language plpgsql as $$ begin perform set_config('role', 't_rw', false); return null; end $$;
create trigger keeps after insert on t_path.noted for each statement execute function t_path.keep();
create function t_path.who() returns text language sql volatile as 'select current_user::text';
grant usage on schema t_path to t_ro, t_rw, t_other; grant usage on schema t_rw to t_ro, t_rw;
grant select on all tables in schema t_path to t_ro, t_rw, t_other;
grant insert, update, delete on all tables in schema t_path to t_rw;
grant insert on public.t_elsewhere, t_rw.t_elsewhere to t_rw;
grant insert on t_path.mine to t_other;
"""
OBJECTS = ["t_path.*", "*.t_elsewhere"]
RULES = [
    {"name": "reads", "operations": ["read", "cursor"], "objects": ["t_path.t", "t_path.mine", "t_path.noted"], "allow": {}},
    {"name": "writes", "operations": ["insert", "update", "copy_in"], "objects": OBJECTS, "allow": {"as": "t_rw"}},
    {"name": "deletes", "operations": ["delete"], "objects": ["t_path.t"], "review": {"by": "dba", "as": "t_rw", "grant": "5m"}},
    {"name": "many", "operations": ["select"], "objects": ["t_path.many"], "allow": {"as": "t_rw"}},
    {"name": "who", "operations": ["function"], "objects": ["t_path.who()"], "allow": {}},
    {"name": "roles", "operations": ["set_role"], "allow": {}},
]


@pytest.fixture(scope="module")
def place(server, tmp_path_factory):
    """(server, daemon): its agents log in as t_ro."""
    folder = tmp_path_factory.mktemp("roles")
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text("unused")
    server.sql(SCHEMA, database="shop")
    config = make_config(server.port, reviewers={"dba": {"local_users": ["root"]}})
    config["resources"][0]["credentials"] = {"user": "t_ro", "password_file": str(secret)}
    d = daemons.Daemon(folder, config, RULES)
    yield server, d
    d.close()
    server.sql("drop schema t_path cascade; drop schema t_rw cascade; drop table t_elsewhere; drop role t_ro; drop role t_rw; drop role t_other",
               database="shop")


@pytest.fixture(autouse=True)
def nothing_inside(place):
    place[0].sql("truncate t_path.t, t_path.mine, t_path.noted, t_elsewhere, t_rw.t_elsewhere", database="shop")


def url(server):
    return f"host=127.0.0.1 port={server.port} dbname=shop user=nobody sslmode=disable"


def psql(place, *statements, options=(), input=None):
    server, daemon = place
    words = ["psql", "-X", "-A", "-t", "-q", *options, url(server)]
    for statement in statements:
        words += ["-c", statement]
    return daemon.run(*words, input=input)


def rows(place, *statements, **more):
    done = psql(place, *statements, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def written(place, table="t", columns="*"):
    return place[0].sql(f"select {columns} from t_path.{table} order by 1", database="shop").splitlines()


class Session:
    """psycopg2 in the agent, one statement after the other."""

    def __init__(self, place):
        server, daemon = place
        self.process = daemon.popen("/usr/bin/python3", HERE / "session.py", url(server), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        json.loads(self.process.stdout.readline())

    def __call__(self, statement, *arguments):
        self.start(statement, *arguments)
        return json.loads(self.process.stdout.readline())

    def start(self, statement, *arguments):
        self.process.stdin.write(json.dumps([statement, arguments or None]) + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=15)


@pytest.fixture
def session(place):
    s = Session(place)
    yield s
    s.close()


ROLE = "select current_user, current_setting('role')"


def test_the_write_alone_runs_so(place):
    out = rows(place, ROLE, "insert into t values (1) returning by_whom, by_login", ROLE)
    assert out == ["t_ro|none", "t_rw|t_ro", "t_ro|none"]
    assert written(place) == ["1|t_rw|t_ro"]


def test_who_logs_in_can_not(place):
    with pytest.raises(RuntimeError, match="permission denied for table t"):
        place[0].sql("set session authorization t_ro; insert into t_path.t values (1)", database="shop")


def test_a_read_runs_as_who_logged_in(place):
    assert rows(place, "select t_path.who() from (select count(*) from t) as x") == ["t_ro"]


def test_in_transactions_it_is_put_back(place, session):
    for ending in ("commit", "rollback"):
        for statement in ("begin", "insert into t values (2)"):
            assert "error" not in session(statement)
        assert session(ROLE)["rows"] == [["t_ro", "none"]]
        assert "error" not in session(ending)
        assert session(ROLE)["rows"] == [["t_ro", "none"]]
    assert written(place, columns="id") == ["2"]


def test_behind_an_error_it_is_put_back(place, session):
    assert session("insert into t values (1 / (select count(*) from t))")["state"] == "22012"
    assert session(ROLE)["rows"] == [["t_ro", "none"]]
    for statement in ("begin", "savepoint s"):
        session(statement)
    assert session("insert into t values ('x')")["state"] == "22P02"
    assert session("insert into t values (1)")["state"] == "25P02"
    session("rollback to s")
    assert session(ROLE)["rows"] == [["t_ro", "none"]]
    assert session("insert into t values (3)")["count"] == 1
    session("commit")
    assert session(ROLE)["rows"] == [["t_ro", "none"]] and written(place) == ["3|t_rw|t_ro"]


def test_its_own_role_is_put_back(place, session):
    session("set role t_other")
    assert session("insert into t values (4) returning by_whom")["rows"] == [["t_rw"]]
    assert session(ROLE)["rows"] == [["t_other", "t_other"]]
    session("begin")
    assert session("insert into t values (5) returning by_whom")["rows"] == [["t_rw"]]
    session("rollback")
    assert session(ROLE)["rows"] == [["t_other", "t_other"]]
    session("begin")
    session("set local role t_rw")
    error = session("insert into t values (6)")
    assert error["state"] == "42501" and "could not be put back as it was" in error["error"]
    session("rollback")
    assert session(ROLE)["rows"] == [["t_other", "t_other"]] and written(place, columns="id") == ["4"]


def test_no_trigger_keeps_it(place, session):
    assert session("insert into noted values (1)")["count"] == 1
    assert session(ROLE)["rows"] == [["t_ro", "none"]]
    session("begin")
    assert session("insert into noted values (2)")["count"] == 1
    assert session(ROLE)["rows"] == [["t_ro", "none"]]
    session("commit")
    assert session(ROLE)["rows"] == [["t_ro", "none"]]


def test_a_role_that_is_not_granted_is_the_servers_error(place, session):
    server = place[0]
    server.sql("revoke t_rw from t_ro", database="shop")
    try:
        error = session("insert into t values (1)")
        assert error["state"] == "42501" and 'permission denied to set role "t_rw"' in error["error"]
        assert session(ROLE)["rows"] == [["t_ro", "none"]] and written(place) == []
    finally:
        server.sql("grant t_rw to t_ro", database="shop")
    assert session("insert into t values (1)")["count"] == 1


def test_names_that_would_be_others_are_refused(place, session):
    """The path has a schema of the role's name, or one that only one of them may use."""
    session('set search_path = "$user", public')
    error = session("insert into t_elsewhere values (1)")
    assert error["state"] == "42501" and "it has another search path" in error["error"]
    assert session("insert into public.t_elsewhere values (1)")["state"] == "42501"
    session("set search_path = public")
    assert session("insert into t_elsewhere values (2)")["count"] == 1
    assert place[0].sql("select * from public.t_elsewhere; select * from t_rw.t_elsewhere", database="shop").split() == ["2"]


def test_what_can_not_run_so_says_why(place):
    done = psql(place, "insert into t values (1); insert into t values (2)")
    assert 'rule "writes" would have it run as t_rw, as which only one statement by itself can run' in done.stderr
    done = psql(place, "declare c cursor for select id from many")
    assert 'rule "many" would have it run as t_rw' in done.stderr
    assert written(place) == []


def test_copy_runs_so(place):
    assert rows(place, "copy t (id) from stdin", ROLE, input="7\n8\n") == ["t_ro|none"]
    assert written(place) == ["7|t_rw|t_ro", "8|t_rw|t_ro"]
    done = psql(place, "copy t (id) from stdin", ROLE, input="x\n")
    assert "invalid input syntax" in done.stderr and done.stdout.split() == ["t_ro|none"]


def test_a_cancelled_statement_leaves_nothing(place, session):
    session("set statement_timeout = 200")
    assert session("update t set id = 1 where exists (select from generate_series(1, 100000000))")["state"] in ("57014", None)
    session("set statement_timeout = 0")
    session("insert into t select generate_series(1, 5)")
    session("set statement_timeout = 100")
    slow = "insert into t select a.id from t a, t b, generate_series(1, 100000000)"
    assert session(slow)["state"] == "57014"
    session("set statement_timeout = 0")
    assert session(ROLE)["rows"] == [["t_ro", "none"]]


def test_reviews_say_it_and_grants_keep_it(place, session):
    server, daemon = place
    session("insert into t values (1)")
    session("insert into t values (2)")
    session.start("delete from t where id = 1")
    (review,) = wait_for_pending(daemon)
    shown = daemon.json("reviews", "show", review["id"])
    assert review["as"] == shown["as"] == "t_rw" and shown["user"] == "t_ro"
    assert "user t_ro, runs as t_rw" in daemon.wayleave("reviews", "show", review["id"]).stdout
    decide(daemon, "approve", review, "--for", "5m")
    assert json.loads(session.process.stdout.readline())["count"] == 1
    assert session("delete from t where id = 2")["count"] == 1
    assert session(ROLE)["rows"] == [["t_ro", "none"]] and written(place) == []
    assert " as t_ro running as t_rw" in daemon.wayleave("grants").stdout
    text = daemon.wayleave("sessions", "show", shown["sessions"][0]["session"]).stdout
    assert "runs as: t_rw" in text


def test_explain_says_it(place):
    daemon = place[1]
    words = ("policy", "explain", "--agent", "demo", "--resource", "shop", "--search-path", "t_path")
    assert daemon.json(*words, "insert into t values (1)")["as"] == "t_rw"
    assert "as" not in daemon.json(*words, "select * from t")
    assert "runs as t_rw" in " ".join(daemon.wayleave(*words, "insert into t values (1)").stdout.split())


def wire(place, *script):
    server, daemon = place
    done = daemon.run("/usr/bin/python3", ROOT / "tests" / "harness" / "wire.py", "127.0.0.1", server.port, "nobody", "shop", repr(list(script)))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def execute(text, *values, most=0):
    return [("P", "", text), ("B", "", "", list(values)), ("D", "P", ""), ("E", "", most)]


def kinds(messages):
    return [m[0] for m in messages if m[0] in "12nTDCsEZ"]


def values(messages):
    return [m[1] for m in messages if m[0] == "D"]


def test_pipelines(place):
    """Each statement of a batch as it is to run; an error takes all of it back."""
    batch = [*execute("insert into t values ($1) returning by_whom", "1"), *execute(ROLE), *execute("insert into t values ($1) returning by_whom", "2"),
             *execute(ROLE), ("S",)]
    out = wire(place, ("batch", batch), ("wait", "Z"), ("Q", ROLE), ("wait", "Z"), ("close",))
    assert values(out) == [["t_rw"], ["t_ro", "none"], ["t_rw"], ["t_ro", "none"], ["t_ro", "none"]], out
    batch = [*execute("insert into t values ($1)", "3"), *execute("insert into t values (1 / (id - id)) ", ), ("S",), *execute(ROLE), ("S",)]
    out = wire(place, ("batch", batch), ("wait", "Z"), ("wait", "Z"), ("close",))
    assert values(out) == [["t_ro", "none"]] and "E" in kinds(out), out
    assert written(place, columns="id") == ["1", "2"]


def test_portals_in_parts(place):
    fetch = [("E", "c", 120), ("P", "", ROLE), ("B", "", "", []), ("E", "", 0)]
    batch = [("Q", "begin"), ("wait", "Z"),
             ("batch", [("P", "", "select current_user from many"), ("B", "c", "", []), *fetch, *fetch, *fetch, ("S",)]), ("wait", "Z"), ("close",)]
    out = wire(place, *batch)
    found = values(out)
    assert found.count(["t_rw"]) == 300 and found.count(["t_ro", "none"]) == 3, kinds(out)
    assert kinds(out).count("s") == 2


def test_pgjdbc(place):
    server, daemon = place
    done = daemon.run("java", "-cp", f"/usr/share/java/postgresql.jar:{HERE}", HERE / "Jdbc.java", "127.0.0.1", server.port, "nobody", "x", "shop", "disable", "",
                      "insert into t_path.t values (1) returning by_whom", ROLE, "select count(*) from t_path.many", "update t_path.t set id = id + 1")
    assert done.stdout.splitlines() == ["t_rw", "t_ro|none", "300", "update count 6"], done.stdout + done.stderr
    assert set(written(place, columns="by_whom")) == {"t_rw"} and len(written(place)) == 6


def test_node(place):
    server, daemon = place
    done = daemon.run("node", HERE / "node.js", "127.0.0.1", server.port, "nobody", "x", "shop", "disable", "",
                      "insert into t_path.t values (1) returning by_whom", ROLE, "insert into t_path.t values ('x')", ROLE)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [lines[0], lines[1], lines[2]["code"], lines[3]] == [[["t_rw"]], [["t_ro", "none"]], "22P02", [["t_ro", "none"]]], done.stdout


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench(place, tmp_path_factory, mode):
    server, daemon = place
    script = tmp_path_factory.mktemp("script") / "script.sql"
    postgres.open_way(script.parent)
    script.write_text("\\set n random(1, 1000)\ninsert into t_path.t values (:n);\nselect count(*) from t_path.t where id = :n;\n"
                      "begin;\nupdate t_path.t set id = id where id = :n;\nselect 1;\ncommit;\n")
    script.chmod(0o644)
    done = daemon.run(postgres.BINARIES / "pgbench", "-n", "-M", mode, "-c", "4", "-j", "1", "-t", "20", "-f", script, "-h", "127.0.0.1", "-p", str(server.port), "-U",
                      "nobody", "shop", env={"PGSSLMODE": "disable"})
    assert done.returncode == 0 and "number of transactions actually processed: 80/80" in done.stdout, done.stdout + done.stderr
    assert len(written(place)) == 80 and set(written(place, columns="by_whom")) == {"t_rw"}
