# SPDX-License-Identifier: Apache-2.0
"""Real clients at work: what they do all day gives what a direct connection gives."""
import re
import struct
import subprocess
import time

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import postgres
from harness.shell import Shell

ALL = [{"name": "all", "operations": ["*"], "allow": {}}]
BENCH = postgres.BINARIES / "pgbench"


@pytest.fixture(scope="module", params=["clear", "tls"])
def place(request, tmp_path_factory):
    """A server with pgbench's tables and a daemon in front; TLS on both legs, or on none."""
    folder = tmp_path_factory.mktemp("clients")
    postgres.open_way(folder)
    tls = request.param == "tls"
    s = postgres.Server(folder / "server", tls=tls)
    s.sql("create role app login")
    s.sql("create database bench owner app")
    config = make_config(s.port, workers=2, **({"resource": {"tls": {"ca_file": str(s.ca)}}} if tls else {}))
    d = daemons.Daemon(tmp_path_factory.mktemp("clientsd"), config, ALL)
    d.mode = "require" if tls else "disable"
    done = d.run(BENCH, "-i", "-q", "-s", "2", "-h", "127.0.0.1", "-p", s.port, "-U", "app", "bench", env={"PGSSLMODE": d.mode})
    assert done.returncode == 0, done.stderr
    yield s, d
    d.close()
    s.stop()


def url(place):
    return f"host=127.0.0.1 port={place[0].port} user=app dbname=bench sslmode={place[1].mode}"


def bench(place, *words):
    server, daemon = place
    return daemon.run(BENCH, *words, "-h", "127.0.0.1", "-p", server.port, "-U", "app", "bench", env={"PGSSLMODE": daemon.mode}, timeout=120)


def test_pgbench_filled_its_tables(place):
    assert place[0].sql("select count(*), sum(abalance) from pgbench_accounts", "bench") == "200000|0"


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("more", [[], ["-C"]], ids=["kept", "reconnecting"])
def test_pgbench(place, mode, more):
    server = place[0]
    server.sql("truncate pgbench_history; update pgbench_accounts set abalance = 0 where abalance <> 0; update pgbench_tellers set tbalance = 0; "
               "update pgbench_branches set bbalance = 0", "bench")
    count = 10 if more else 50
    done = bench(place, "-M", mode, "-c", "8", "-j", "2", "-t", count, "-n", *more)
    assert done.returncode == 0, done.stderr
    assert f"number of transactions actually processed: {8 * count}/{8 * count}" in done.stdout and "number of failed transactions: 0" in done.stdout
    sums = server.sql("select (select count(*) from pgbench_history), (select sum(delta) from pgbench_history) = (select sum(abalance) from pgbench_accounts), "
                      "(select sum(abalance) from pgbench_accounts) = (select sum(tbalance) from pgbench_tellers), "
                      "(select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches)", "bench")
    assert sums == f"{8 * count}|t|t|t"


def test_psqls_own_commands_print_what_they_print_directly(place):
    server, daemon = place
    commands = ["\\d", "\\d pgbench_accounts", "\\dt+ pgbench_tellers", "\\di", "\\du", "\\dn", "\\df pg_catalog.lower", "\\l", "\\dp pgbench_accounts",
                "\\dT int4", "\\conninfo", "\\encoding", "\\dx", "\\sf pg_catalog.age(timestamptz)", "\\dv", "\\ds", "\\dd", "\\drds"]
    words = ["psql", "-X"]
    for command in commands:
        words += ["-c", command]
    here = subprocess.run([*words, url(place)], capture_output=True, text=True, timeout=60)
    there = daemon.run(*words, url(place))
    scrub = re.compile(r"SSL connection.*|TLSv1.*")
    assert scrub.sub("", there.stdout) == scrub.sub("", here.stdout) and there.stderr == here.stderr


def test_copy_to_and_from_files(place, tmp_path):
    server, daemon = place
    tmp_path.chmod(0o777)
    file = tmp_path / "accounts.csv"
    done = daemon.run("psql", "-X", "-q", url(place), "-c", f"\\copy pgbench_accounts to '{file}' csv", "-c", "create table copied (like pgbench_accounts)",
                      "-c", f"\\copy copied from '{file}' csv")
    assert done.returncode == 0, done.stderr
    assert server.sql("select count(*) from (select * from copied except all select * from pgbench_accounts) x", "bench") == "0"
    assert server.sql("select count(*) from copied; drop table copied", "bench").splitlines()[0] == "200000"


def test_pg_dump_gives_what_it_gives_directly(place):
    server, daemon = place
    words = [postgres.BINARIES / "pg_dump", "-d", url(place), "-t", "pgbench_branches", "-t", "pgbench_tellers"]
    here = subprocess.run(words, capture_output=True, text=True, timeout=60)
    there = daemon.run(*words)
    assert there.returncode == 0, there.stderr
    restrict = re.compile(r"restrict \S+")  # a random word of each run
    assert restrict.sub("", there.stdout) == restrict.sub("", here.stdout)


CANCEL = """
import psycopg2, threading, time
connections = [psycopg2.connect("%s") for _ in range(6)]
victim = connections[%d]
threading.Timer(0.7, victim.cancel).start()
started = time.time()
try:
    victim.cursor().execute("select pg_sleep(20)")
    print("slept")
except psycopg2.Error as e:
    print(e.pgcode, time.time() - started < 8)
victim.rollback()
for c in connections:
    cursor = c.cursor()
    cursor.execute("select 1")
    print(cursor.fetchone()[0], end=" ")
"""


@pytest.mark.parametrize("which", range(4))
def test_a_cancel_request_finds_its_session_whatever_worker_has_it(place, which):
    done = place[1].run("/usr/bin/python3", "-c", CANCEL % (url(place), which))
    assert done.stdout == "57014 True\n1 1 1 1 1 1 ", done.stdout + done.stderr


def test_psqls_interrupt_cancels_and_does_not_hang(place):
    server, daemon = place
    shell = Shell(daemon, url(place))
    pid = shell.ask("select pg_backend_pid()")
    shell.send("select pg_sleep(30);")
    deadline = time.monotonic() + 10
    while server.sql(f"select wait_event from pg_stat_activity where pid = {pid}") != "PgSleep":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = subprocess.run(["pgrep", "-P", str(shell.process.pid), "psql"], capture_output=True, text=True).stdout.split()
    subprocess.run(["kill", "-INT", *(children or [str(shell.process.pid)])], check=True)
    assert "canceling statement due to user request" in shell.ask("select 'alive'", timeout=10)
    shell.close()


def test_another_agent_cannot_cancel(place):
    """With a key that it guessed, or was told."""
    server, daemon = place
    script = ("import psycopg2, sys\nc = psycopg2.connect(sys.argv[1])\nprint(c.info.backend_pid, flush=True)\n"
              "cur = c.cursor()\ncur.execute('select pg_sleep(2)')\nprint('slept')")
    agent = daemon.popen("/usr/bin/python3", "-c", script, url(place), stdout=subprocess.PIPE, text=True)
    pid = int(agent.stdout.readline())
    for key in (0, 1, -1):
        code = f"import socket, struct; s = socket.create_connection(('127.0.0.1', {server.port})); s.sendall(struct.pack('!IIii', 16, 80877102, {pid}, {key})); s.recv(1)"
        assert daemon.run("/usr/bin/python3", "-c", code, agent="other").returncode == 0
    assert agent.communicate(timeout=20)[0] == "slept\n"


LATE = """
import psycopg2, socket, struct, sys, time
c = psycopg2.connect(sys.argv[1])
c.autocommit = True
cursor = c.cursor()
late = 0
for i in range(40):
    c.cancel()
    try:
        cursor.execute("select pg_sleep(0.03)")
    except psycopg2.errors.QueryCanceled:
        late += 1
started = time.monotonic()
s = socket.create_connection((c.info.host, c.info.port))
s.sendall(struct.pack("!IIii", 16, 80877102, c.info.backend_pid, 12345))
print(late, s.recv(1), time.monotonic() - started < 3)
"""


def test_a_cancel_is_over_when_its_connection_is_closed(place):
    """Clients wait for that, so that it can't hit what they send next. One for nobody is over at once."""
    done = place[1].run("/usr/bin/python3", "-c", LATE, url(place))
    assert done.stdout == "0 b'' True\n", done.stdout + done.stderr


OBJECTS = """
import psycopg2
c = psycopg2.connect("%s")
cur = c.cursor()
cur.execute("select lo_from_bytea(0, %%s)", (bytes(range(256)) * 1000,))
oid = cur.fetchone()[0]
cur.execute("select lo_get(%%s)", (oid,))
print(bytes(cur.fetchone()[0]) == bytes(range(256)) * 1000)
cur.execute("select lo_unlink(%%s)", (oid,))
c.commit()
named = c.cursor("named")
named.itersize = 100
named.execute("select aid from pgbench_accounts order by aid limit 1000")
print(sum(row[0] for row in named))
c.commit()
c.autocommit = True
cur.execute("listen here")
cur.execute("notify here, 'x'")
c.poll()
print([n.payload for n in c.notifies])
"""


def test_large_objects_cursors_and_notifications(place):
    done = place[1].run("/usr/bin/python3", "-c", OBJECTS % url(place))
    assert done.stdout == "True\n500500\n['x']\n", done.stderr


# --- Kerberos ---


def ticket_cache(file):
    """A cache as MIT's library keeps it (version 4), with a ticket that nobody gave: enough for libpq to try."""
    def counted(data):
        return struct.pack("!I", len(data)) + data

    def principal(*names):
        return struct.pack("!II", 1, len(names)) + counted(b"WAYLEAVE.TEST") + b"".join(counted(n) for n in names)

    client, now = principal(b"app"), int(time.time())
    times = struct.pack("!IIII", now - 60, now - 60, now + 86400, now + 86400)
    file.write_bytes(b"\x05\x04\x00\x00" + client + client + principal(b"krbtgt", b"WAYLEAVE.TEST") + struct.pack("!H", 18) + counted(bytes(32))
                     + times + b"\0" + struct.pack("!III", 0x40000000, 0, 0) + counted(b"ticket") + counted(b""))
    file.chmod(0o644)


def test_a_client_with_a_kerberos_ticket_falls_back(place, tmp_path):
    """libpq asks for encryption by GSSAPI first, and goes on without it in the same connection; TLS or none comes behind."""
    daemon = place[1]
    ticket_cache(tmp_path / "cache")
    (tmp_path / "krb5.conf").write_text("[libdefaults]\n default_realm = WAYLEAVE.TEST\n dns_lookup_kdc = false\n")
    tmp_path.chmod(0o755)

    def psql(gss):
        return daemon.run("env", f"KRB5CCNAME=FILE:{tmp_path / 'cache'}", f"KRB5_CONFIG={tmp_path / 'krb5.conf'}", "psql", "-X", "-A", "-t",
                          f"{url(place)} gssencmode={gss} connect_timeout=20", "-c", "select 'alive'", timeout=60)

    # Insisting proves that it asks: without a ticket its own words are other ones.
    assert "server doesn't support GSSAPI encryption, but it was required" in psql("require").stderr
    done = psql("prefer")
    assert done.stdout == "alive\n", done.stderr
