# SPDX-License-Identifier: Apache-2.0
"""Where everything is allowed and nothing masked, an agent gets what it would get without Wayleave, to the byte: rows, errors
with their fields, command tags, transaction states. Random sessions, asked of three databases that are copies of one: directly,
under a rule that asks nothing of a text, and under rules for which each text must be understood and its names looked up.

WAYLEAVE_SQL_SEED and WAYLEAVE_SQL_SECONDS run others of them, longer: `make sessions`."""
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import pytest
from harness import daemon as daemons
from harness import postgres

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "sql"))

import comparable  # noqa: E402
import sessions as sessions_module  # noqa: E402

SEED = int(os.environ.get("WAYLEAVE_SQL_SEED", "1"))
SECONDS = float(os.environ.get("WAYLEAVE_SQL_SECONDS", "8"))
# What a deny asks for must be known of each text, so it is understood as a whole, and its names are looked up.
RULES = [{"name": "anything", "operations": ["*"], "allow": {}},
         {"name": "needs facts", "resources": ["facts"], "operations": ["copy_program"], "objects": ["never.*"], "deny": {}}]
PLACES = {"direct": "127.0.0.1", "plain": "127.0.0.1", "facts": "::1"}


class Three:
    def __init__(self, folder):
        self.daemon, self.runners = None, {}
        self.server = postgres.Server(folder / "server", settings=("autovacuum = off", "log_statement = none"))
        try:
            self.start(folder)
        except BaseException:
            self.close()
            raise

    def start(self, folder):
        self.server.sql(sessions_module.SCHEMA)
        for name in PLACES:
            self.server.sql(f"create database {name} template postgres")
        self.first = comparable.first(self.server)
        port = self.server.port
        self.daemon = daemons.Daemon(folder / "wayleave", {
            "agents": [{"name": "demo", "cgroup": f"wayleave-through-{os.getpid()}.slice/demo"}],
            "resources": [{"name": "plain", "protocol": "postgres", "hosts": [f"127.0.0.1:{port}"]},
                          {"name": "facts", "protocol": "postgres", "hosts": [f"[::1]:{port}"]}]}, RULES)
        for name, address in PLACES.items():
            command = ["/usr/bin/python3", str(HERE / "sql" / "split_runner.py"), address, str(port), "postgres", name]
            start = subprocess.Popen if name == "direct" else lambda words, **options: self.daemon.popen(*words, **options)
            self.runners[name] = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, session):
        for runner in self.runners.values():
            runner.stdin.write(json.dumps(session) + "\n")
            runner.stdin.flush()
        answers = {}
        for name, runner in self.runners.items():
            line = runner.stdout.readline()
            assert line, (name, session, self.daemon.text()[-2000:])
            answers[name] = self.ended([[kind, comparable.message(self.first, kind, bytes.fromhex(body))] for kind, body in json.loads(line)])
        return answers

    @staticmethod
    def ended(seen):
        """Who breaks the protocol (a statement among COPY's data) is closed upon, and may not get to read what was said of it."""
        if seen[-1][0] == "closed":
            while seen and seen[-1][0] in ("closed", "E", "G"):
                seen.pop()
            seen.append(["closed", b""])
        return seen

    def close(self):
        for runner in self.runners.values():
            runner.stdin.close()
            runner.wait(10)
            runner.stdout.close()
        if self.daemon:
            self.daemon.close()
        self.server.stop()


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    t = Three(tmp_path_factory.mktemp("through"))
    yield t
    t.close()


def test_texts_are_looked_at_where_rules_need_facts(three):
    """Else the rest would show nothing of it: a setting that changes how text is read is refused there, and only there."""
    seen = three.ask([1, [["Q", "set standard_conforming_strings = off"]]])
    assert seen["plain"] == seen["direct"] and b"wayleave: denied" in seen["facts"][0][1], seen


def test_finding_out_what_is_wrong_leaves_the_transaction_as_it_is(three):
    seen = three.ask([1, [["Q", "begin"]], [["Q", "select 'first'; select * from no_table"]], [["Q", "rollback"]]])
    assert seen["facts"] == seen["plain"] == seen["direct"] and [kind for kind, _ in seen["direct"]][2:] == list("TDCEZCZ"), seen


def answers_of(seen):
    """What came up to each ReadyForQuery."""
    parts = [[]]
    for message in seen:
        parts[-1].append(message)
        if message[0] == "Z":
            parts.append([])
    return [part for part in parts if part]


def is_same(direct, through):
    """What a name stands for that nobody gave is not known, so a deny refuses it, a little before the server finds that it has no such
    name, or something else that is wrong with it."""
    if direct == through:
        return True
    before = next((i for i, (kind, body) in enumerate(through) if kind == "E" and b"wayleave: denied" in body), len(through))
    fails = any(kind == "E" for kind, _ in direct)
    return fails and before < len(through) and direct[:before] == through[:before] and direct[-1] == through[-1]


def first_difference(one, other):
    for i, (a, b) in enumerate(itertools.zip_longest(answers_of(one), answers_of(other), fillvalue=[])):
        if not is_same(a, b):
            at = next((j for j, (x, y) in enumerate(itertools.zip_longest(a, b)) if x != y), 0)
            return f"answer {i}, message {at}: {str(a[at:at + 2])[:400]} / {str(b[at:at + 2])[:400]}"
    return None


def test_an_agent_gets_what_the_server_gives(three):
    made = sessions_module.Sessions(random.Random(SEED))
    counts, end, number = {}, time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        session, number = made.session(), number + 1
        answers = three.ask(session)
        for name in ("plain", "facts"):
            difference = first_difference(answers["direct"], answers[name])
            assert not difference, f"session {number} of seed {SEED}, {name}: {difference}\n{json.dumps(session)}"
        for kind, _ in answers["direct"]:
            counts[kind] = counts.get(kind, 0) + 1
    print(number, counts)
    # Sessions that only fail, or never do, would prove little.
    assert counts["D"] > 20 and counts["E"] > 20 and counts["C"] > 50, counts
