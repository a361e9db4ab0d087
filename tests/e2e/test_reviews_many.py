# SPDX-License-Identifier: Apache-2.0
"""More held at once than a worker says something to in each second, in clear and in TLS: all see life, all are released, each by its own
decision, and none takes much memory. tests/bench/reviews does it with a thousand."""
import contextlib
import json
import subprocess
import time

import pytest
from conftest import make_config, make_shop
from harness import daemon as daemons
from harness import memory
from harness import slack as slacks
from harness.control import Control
from harness.reviews import REVIEWERS, lookups_blocked
from harness.waiting import wait_for
from test_reviews_kept import stopped
from test_slack import Setting

HELD, SHARED = 300, 100  # the latter are one action
APPROVED = 20
UNSHOWN = 200
AT_ONCE = 3  # seconds, for all of them
SILENCE = 2.0  # seconds, besides those in which nobody hears anything: a machine may stand still
RULES = [{"name": "updates need a person", "operations": ["update", "select"], "objects": ["public.held"], "review": {"by": "dba"}}]
OTHERS = {"name": "others", "operations": ["delete"], "objects": ["public.others"], "allow": {}}
READS = {"name": "reads", "operations": ["select"], "objects": ["public.others"], "allow": {}}
DENIED = {"name": "no updates now", "operations": ["update"], "objects": ["public.held"], "deny": {"message": "not now"}}
# Asks on each of many connections, each tenth in TLS; says how long nothing came at all, and how long the longest silence of each was, as its
# reader sees it, how many signs of life and notices each got, when it is told to, and then what came of it.
CLIENT = """
import json, selectors, socket, ssl, struct, sys, time
port, count, shared = map(int, sys.argv[1:])
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
def message(kind, body): return kind + struct.pack("!I", len(body) + 4) + body
class Connection:
    def __init__(self, number):
        s = socket.create_connection(("127.0.0.1", port))
        if number % 10 == 0:
            s.sendall(struct.pack("!II", 8, 80877103))
            assert s.recv(1) == b"S"
            s = context.wrap_socket(s)
        body = struct.pack("!I", 196608) + b"user\\0app\\0database\\0shop\\0\\0"
        s.sendall(struct.pack("!I", len(body) + 4) + body)
        data = b""
        while data[-6:-1] != b"Z\\0\\0\\0\\5": data += s.recv(65536)
        which = 0 if number < shared else number
        s.sendall(message(b"Q", b"update held set n = n + 1 where id = %d\\0" % which))
        self.socket, self.seen, self.kinds, self.longest, self.last = s, b"", {}, 0.0, None
    def read(self):
        self.seen += self.socket.recv(65536)
        while isinstance(self.socket, ssl.SSLSocket) and self.socket.pending(): self.seen += self.socket.recv(65536)
        while len(self.seen) > 4 and len(self.seen) > (length := struct.unpack("!I", self.seen[1:5])[0]):
            kind, self.seen = self.seen[:1].decode(), self.seen[length + 1:]
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            if kind in "NS":
                now = time.monotonic()
                self.longest = max(self.longest, now - (self.last or now))
                self.last = now
connections = [Connection(i) for i in range(count)]
selector = selectors.DefaultSelector()
for c in connections: selector.register(c.socket, selectors.EVENT_READ, c)
selector.register(sys.stdin, selectors.EVENT_READ, None)
print("asked", flush=True)
woken, still = time.monotonic(), 0.0
while any("Z" not in c.kinds for c in connections):
    ready = selector.select()
    still, woken = max(still, time.monotonic() - woken), time.monotonic()
    for key, _ in ready:
        if key.data: key.data.read()
        elif sys.stdin.readline():
            print(json.dumps([still, [[c.longest, c.kinds.get("S", 0), c.kinds.get("N", 0)] for c in connections]]), flush=True)
print(json.dumps([c.kinds for c in connections]), flush=True)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    server = make_shop(tmp_path_factory.mktemp("pg"), settings=[f"max_connections = {HELD + 20}"])
    server.sql(f"create table held (id int primary key, n int); insert into held select i, 0 from generate_series(0, {HELD}) i;"
               "grant all on held to app", database="shop")
    config = make_config(server.port, reviewers=REVIEWERS, workers=1, resource={"tls": {"upstream": "off"}})
    config["agents"][0]["pending_reviews"] = HELD
    d = daemons.Daemon(tmp_path_factory.mktemp("many"), config, RULES)
    yield server, d
    d.close()
    server.stop()


def test_hundreds_are_held_and_released(place):
    server, d = place
    control = Control(d)
    d.run("psql", "-X", f"host=127.0.0.1 port={server.port} dbname=shop user=app", "-c", "select 1")
    before = memory.own(d.workers())
    agent = d.popen("/usr/bin/python3", "-c", CLIENT, server.port, HELD, SHARED, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with agent:
        assert agent.stdout.readline() == "asked\n"
        reviews = wait_for(lambda: [r for r in [control.reviews()] if sum(x["waiters"] for x in r) == HELD], 60, "all to be held")[0]
        assert len(reviews) == HELD - SHARED + 1 and max(r["waiters"] for r in reviews) == SHARED
        each = (memory.own(d.workers()) - before) / HELD
        assert each <= 64, f"{each} KiB"

        # Other rules for others: all is judged again, and nothing of it has changed.
        d.write_rules([*RULES, OTHERS])
        d.reload()

        def heard():
            agent.stdin.write("\n")
            agent.stdin.flush()
            still, found = json.loads(agent.stdout.readline())
            return (still, found) if min(count for _, count, _ in found) >= 3 else None
        still, found = wait_for(heard, 60, "three signs of life for each")
        assert max(longest for longest, _, _ in found) < still + SILENCE
        assert {r["id"]: r["waiters"] for r in control.reviews()} == {r["id"]: r["waiters"] for r in reviews}
        for review in reviews:
            control.approve(review["id"])
        kinds = json.loads(agent.stdout.readline())
    assert all(k.get("C") == 1 and k.get("N", 0) >= 1 and "E" not in k for k in kinds), kinds
    # Once for each that waited.
    assert server.sql(f"select n, count(*) from held where id > {SHARED - 1} or id = 0 group by n order by n", database="shop") == (
        f"0|1\n1|{HELD - SHARED}\n{SHARED}|1")
    assert control.reviews() == []
    control.close()


def test_hundreds_end_by_new_rules(place):
    """Promptly, whatever keeps their server from saying what names mean; and what is approved meanwhile is judged by the new rules, too."""
    server, d = place
    control = Control(d)
    d.write_rules(RULES)
    d.reload()
    before = server.sql("select sum(n) from held", database="shop")
    agent = d.popen("/usr/bin/python3", "-c", CLIENT, server.port, HELD, SHARED, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with agent:
        assert agent.stdout.readline() == "asked\n"
        reviews = wait_for(lambda: [r for r in [control.reviews()] if sum(x["waiters"] for x in r) == HELD], 60, "all to be held")[0]
        with lookups_blocked(server):
            d.write_rules([*RULES, DENIED])
            d.reload()
            for review in reviews[-APPROVED:]:
                with contextlib.suppress(AssertionError):  # it may be over
                    control.approve(review["id"])
            # One now and then asks for all whether names have changed.
            left = "select count(*) from pg_stat_activity where usename = 'app' and query not like 'wayleave_denied%'"
            wait_for(lambda: int(server.sql(left)) <= 2 * APPROVED, 30, "the end of nearly all")
        kinds = json.loads(agent.stdout.readline())
    assert all(k.get("E") == 1 and "C" not in k for k in kinds), kinds
    assert server.sql("select sum(n) from held", database="shop") == before and control.reviews() == []
    control.close()


def test_a_broker_that_stands_still_holds_up_nobody(place, tmp_path):
    """Its channel takes what fits in, and hundreds are asked about: each is told so at once and decided at the command line, and others go on."""
    server, _ = place
    setting = Setting(tmp_path, server, people=[], rules=[*RULES, READS], workers=1, resource={"tls": {"upstream": "off"}})
    d, control = setting.daemon, None
    try:
        d.config["agents"][0].update(pending_reviews=UNSHOWN, reviews_per_minute=10 * UNSHOWN)
        setting.reconfigure()
        control = Control(d)
        server.sql("update held set n = 0", database="shop")
        with stopped(setting.broker()):
            agent = d.popen("/usr/bin/python3", "-c", CLIENT, server.port, UNSHOWN, 0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            with agent:
                assert agent.stdout.readline() == "asked\n"
                began = time.monotonic()

                def noticed():
                    agent.stdin.write("\n")
                    agent.stdin.flush()
                    return min(notices for _, _, notices in json.loads(agent.stdout.readline())[1]) >= 1
                wait_for(noticed, AT_ONCE, "a notice for each")
                reviews = control.reviews()
                assert len(reviews) == UNSHOWN
                time.sleep(max(0, began + 1 - time.monotonic()))  # by now the broker would have been told
                began = time.monotonic()
                done = d.run("psql", "-X", "-A", "-t", f"host=127.0.0.1 port={server.port} dbname=shop user=app", "-c", "select 42")
                assert done.stdout == "42\n" and time.monotonic() - began < AT_ONCE
                began = time.monotonic()
                for review in reviews:
                    control.approve(review["id"])
                kinds = json.loads(agent.stdout.readline())
                assert time.monotonic() - began < 2 * AT_ONCE
        assert all(k.get("C") == 1 and "E" not in k for k in kinds), kinds
        assert server.sql("select n, count(*) from held group by n order by n", database="shop") == f"0|{HELD + 1 - UNSHOWN}\n1|{UNSHOWN}"
        # What it was told before it can't show as something to be decided.
        setting.wait_known()
        assert not any(slacks.buttons(message) for message in setting.slack.messages.values())
        setting.slack.check()
    finally:
        if control:
            control.close()
        setting.close()
