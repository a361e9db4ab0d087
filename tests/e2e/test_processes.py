# SPDX-License-Identifier: Apache-2.0
"""The process behind a session: its program's hash, its arguments, its parents that are the agent's; as the
recording, the audit log and people see them."""
import hashlib
import os
import shutil
import subprocess
import time

import pytest
from conftest import Psql, make_config
from harness import daemon as daemons
from harness.waiting import wait_for

RULES = [{"name": "reads", "operations": ["read"], "allow": {}},
         {"name": "writes", "operations": ["write"], "review": {"by": "dba"}}]
CLIENT = """
import psycopg2, sys
c = psycopg2.connect(sys.argv[1])
c.autocommit = True
for line in sys.stdin:
    try:
        c.cursor().execute(line)
        print('done', flush=True)
    except psycopg2.Error as e:
        print(str(e).splitlines()[0], flush=True)
"""


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    config = make_config(server.port, workers=1, reviewers={"dba": {"local_users": ["root"]}})
    d = daemons.Daemon(tmp_path_factory.mktemp("processes"), config, RULES)
    yield d
    d.close()


@pytest.fixture
def client(daemon, server):
    made = []

    def start(*before, arguments=(), python="/usr/bin/python3"):
        where = f"host=127.0.0.1 port={server.port} dbname=shop user=app"
        made.append(daemon.popen(*before, python, "-c", CLIENT, where, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True))
        return made[-1]

    yield start
    for process in made:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def ask(process, text):
    process.stdin.write(text + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def session_of(daemon):
    return daemon.json("sessions", "list")[0]


def known(daemon):
    """The newest session, once the process is known."""
    return wait_for(lambda: session_of(daemon)["arguments"] and session_of(daemon), what="what is known of the process")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def test_what_is_recorded(daemon, client):
    secrets = ["--password=hunter2hunter2", "--api-token", "tokentokentoken", "PGPASSWORD=alsohidden", "postgres://me:in-the-url@db/x",
               "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"]
    # A shell that stays is a parent, and the agent's.
    process = client("/bin/sh", "-c", '"$@"; true', "sh", arguments=["it's", "line\nbreak", *secrets])
    assert ask(process, "select 1") == "done"
    session = known(daemon)
    program = subprocess.run(["readlink", "-f", "/usr/bin/python3"], capture_output=True, text=True).stdout.strip()
    assert session["exe"] == program and session["exe_sha256"] == sha256(program)
    arguments = session["arguments"]
    # Code, and what it was told, may hold anything.
    assert arguments == f"/usr/bin/python3 -c [code, {len(CLIENT.encode())} bytes] [{len(secrets) + 3} arguments]"
    for hidden in ("hunter2", "tokentoken", "alsohidden", "in-the-url", "dozjgNryP4"):
        assert hidden not in arguments, arguments
    shell = subprocess.run(["readlink", "-f", "/bin/sh"], capture_output=True, text=True).stdout.strip()
    # Up to the agent's first process and no further: the test's own are above it.
    assert session["parents"] == f"{shell} ({process.pid})"
    shown = daemon.wayleave("sessions", "show", session["id"]).stdout
    for text in (session["exe_sha256"], f"{shell} ({process.pid})", arguments):
        assert text in shown
    audit = daemon.wayleave("audit", "export").stdout
    assert session["exe_sha256"] in audit and "hunter2" not in audit


def test_people_see_it_before_they_decide(daemon, client):
    # A program of its own name, not an interpreter's.
    process = client("/bin/bash", "-c", 'exec -a tool "$@"', "bash",
                     arguments=["it's", "line\nbreak", "--password=hunter2hunter2", "--token", "unseenunseen", "nightly"])
    process.stdin.write("delete from orders where id = 1000\n")
    process.stdin.flush()
    [review] = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"], what="the review")
    review = daemon.json("reviews", "show", review["id"])
    assert review["program_sha256"] == sha256(review["program"])
    assert review["arguments"].startswith("tool -c '")
    assert review["arguments"].endswith(" 'it'\\''s' 'line\\x0abreak' --password=[hidden] --token [hidden] nightly")
    shown = daemon.wayleave("reviews", "show", review["id"]).stdout
    assert review["program_sha256"] in shown and "--token [hidden] nightly" in shown
    daemon.wayleave("reviews", "approve", review["id"])
    assert process.stdout.readline().strip() == "done"


def test_a_program_is_its_file_and_not_its_name(daemon, client, tmp_path):
    """A file with another's name, replaced while it runs: the hash is of what runs."""
    copy = tmp_path / "python"
    shutil.copy("/usr/bin/python3", copy)
    with open(copy, "ab") as file:
        file.write(b"behind the end")
    own = sha256(copy)
    process = client(python=str(copy))
    wait_for(lambda: str(copy).encode() in executable(process.pid), what="exec")
    new = tmp_path / "new"
    shutil.copy("/usr/bin/true", new)
    new.rename(copy)
    assert ask(process, "select 1") == "done"
    assert known(daemon)["exe_sha256"] == own


def test_a_process_that_became_another(daemon, server, tmp_path):
    """What connected is gone when it is looked at: nothing of the other is said of it."""
    code = ("import os, socket, sys, time\n"
            f"s = socket.create_connection(('127.0.0.1', {server.port}))\n"
            "s.set_inheritable(True)\n"
            "os.execv('/bin/sleep', ['sleep', '600'])\n")
    # The inspector stands still until the process is another one.
    inspector = next(pid for pid in children(daemon.process.pid) if b"inspector" in command(pid))
    inspector_stops(inspector, True)
    try:
        process = daemon.popen("/usr/bin/python3", "-c", code)
        wait_for(lambda: b"sleep" in command(process.pid), what="exec")
        wait_for(lambda: session_of(daemon)["pid"] == process.pid, what="the session")
    finally:
        inspector_stops(inspector, False)
    time.sleep(0.1)
    # Behind it, so that it was looked at.
    assert Psql(daemon, server).rows("select 1") == ["1"]
    sessions = daemon.json("sessions", "list")
    [session] = [s for s in sessions if s["pid"] == process.pid]
    assert not session["arguments"] and not session["exe_sha256"] and not session["parents"]
    process.kill()
    process.wait()


def test_an_inspector_that_ends_is_started_again(daemon, client):
    first = next(pid for pid in children(daemon.process.pid) if b"inspector" in command(pid))
    with open(f"/proc/{first}/status") as file:
        status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    # CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.
    assert int(status["CapEff"], 16) == 1 << 19 | 1 << 2 and status["NoNewPrivs"].strip() == "1"
    subprocess.run(["kill", "-9", str(first)], check=True)
    process = client()
    assert ask(process, "select 1") == "done"

    def works():
        again = client()
        assert ask(again, "select 1") == "done"
        time.sleep(0.5)
        return session_of(daemon)["arguments"]
    wait_for(works, 30, "another inspector")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe").encode()
    except OSError:
        return b""


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def inspector_stops(pid, stops):
    subprocess.run(["kill", "-STOP" if stops else "-CONT", str(pid)], check=True)


