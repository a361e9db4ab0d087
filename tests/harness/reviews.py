# SPDX-License-Identifier: Apache-2.0
"""Rules that ask people, sessions of an agent that wait for them, and the people: what tests of reviews share."""
import contextlib
import json
import subprocess
import time

import psycopg2
import pytest
from harness.daemon import ROOT, readable

SESSION = ROOT / "tests" / "e2e" / "clients" / "session.py"
REVIEWERS = {"dba": {"local_users": ["root"]}}
RULES = [
    {"name": "read", "operations": ["read"], "objects": ["public.orders"], "allow": {}},
    {"name": "deletes need a person", "operations": ["delete", "update"], "objects": ["public.orders"],
     "review": {"by": "dba", "within": "10m", "grant": "30m"}},
    {"name": "inserts need a person at once", "operations": ["insert"], "objects": ["public.orders"],
     "review": {"by": "dba", "within": "2s"}},
    {"name": "secrets need a person", "operations": ["select"], "objects": ["public.customers"],
     "review": {"by": "dba", "grant": "10m", "mask": [{"columns": ["public.customers.ssn"], "with": "redact"}]}},
    {"name": "temporary tables", "operations": ["create", "insert"], "objects": ["pg_temp.*"], "allow": {}},
    {"name": "news", "operations": ["listen"], "objects": ["news"], "allow": {}},
]


class Session:
    """A session of the agent whose statements are sent without waiting for them."""

    def __init__(self, daemon, server, more="", **options):
        self.process = daemon.popen("/usr/bin/python3", SESSION, f"host=127.0.0.1 port={server.port} dbname=shop user=app {more}",
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.pid = json.loads(self.process.stdout.readline() or json.dumps({"pid": self.process.stderr.read()}))["pid"]

    def send(self, statement, *arguments):
        self.process.stdin.write(json.dumps([statement, arguments or None]) + "\n")
        self.process.stdin.flush()

    def answer(self, timeout=15):
        assert readable(self.process.stdout, timeout), "no answer"
        return json.loads(self.process.stdout.readline())

    def __call__(self, statement, *arguments):
        self.send(statement, *arguments)
        return self.answer()

    def waits(self):
        return not readable(self.process.stdout, 0.3)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture
def session(daemon, server):
    made = []

    def make(more=""):
        made.append(Session(daemon, server, more))
        return made[-1]

    yield make
    for s in made:
        s.process.kill()
        s.process.wait()
    deny_the_rest(daemon)
    for grant in daemon.json("grants", "list"):
        daemon.wayleave("grants", "revoke", grant["id"])


def deny_the_rest(daemon):
    """Whatever a failed test left."""
    for review in pending(daemon):
        daemon.wayleave("reviews", "deny", review["id"], "--reason", "the test is over")


@pytest.fixture
def nothing_left(daemon):
    yield
    deny_the_rest(daemon)


def start(daemon, server, *steps, **options):
    """The protocol by hand, inside the agent."""
    return daemon.popen("/usr/bin/python3", ROOT / "tests" / "harness" / "wire.py", "127.0.0.1", str(server.port), "app", "shop",
                        repr(list(steps)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def pending(daemon):
    return [r for r in daemon.json("reviews", "list") if r["state"] == "pending"]


def wait_for_pending(daemon, count=1, timeout=10):
    deadline = time.monotonic() + timeout
    while len(found := pending(daemon)) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def state_of(daemon, review):
    return daemon.json("reviews", "show", review["id"])["state"]


def decide(daemon, verb, review, *more):
    done = daemon.wayleave("reviews", verb, review["id"], *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def count(server, condition="true"):
    return int(server.sql(f"select count(*) from orders where {condition}", database="shop").strip())


def add(server, item):
    server.sql(f"insert into orders (customer, item, amount) values (1, '{item}', 1)", database="shop")


@contextlib.contextmanager
def lookups_blocked(server):
    """What the names mean can't be read meanwhile."""
    with contextlib.closing(psycopg2.connect(host=server.data, port=server.port, user="postgres", dbname="shop")) as blocker:
        blocker.cursor().execute("lock table pg_catalog.pg_auth_members in access exclusive mode")
        yield
        blocker.rollback()


# --- the protocol by hand, step by step ---

LINE, Z = ("line", "ready"), ("wait", "Z")


class Script:
    """A script of the protocol inside the agent that stops where it has a line, until it is let go on."""

    def __init__(self, daemon, server, *steps):
        self.process = start(daemon, server, *steps, ("close",), stdin=subprocess.PIPE)

    def stopped(self):
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()

    def go_on(self):
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()

    def end(self):
        """Tags, errors, and the transaction's state at each end of a batch."""
        out, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, err
        return [m[1]["C"] if m[0] == "E" else m[1] for m in json.loads(out) if m[0] in "CEZ"]


def bound(text, portal="", statement="", values=()):
    return [("P", statement, text), ("B", portal, statement, list(values))]
