# SPDX-License-Identifier: Apache-2.0
"""Random queries of many forms. What is masked does not show, whatever is asked; where all is allowed an agent gets what the
server gives; and what a statement reads and writes, by the server's own word, stands among the objects that it is judged by.

WAYLEAVE_SQL_SEED and WAYLEAVE_SQL_SECONDS run others of them, longer: `make queries`."""
import collections
import copy
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "sql"))

import commands  # noqa: E402
import comparable  # noqa: E402
import tables  # noqa: E402
import twins  # noqa: E402
from harness import records  # noqa: E402

SEED = int(os.environ.get("WAYLEAVE_SQL_SEED", "1"))
SECONDS = float(os.environ.get("WAYLEAVE_SQL_SECONDS", "2"))
LEAST = 80  # statements of each test, however slow the machine is
MASKED = ["first", "second"]
RULES = [
    {"name": "rows", "resources": list(MASKED), "operations": ["read", "write", "cursor", "lock"], "objects": ["public.*", "other.*", "pg_temp.*"],
     "allow": {"mask": copy.deepcopy(tables.MASKS)}},
    {"name": "own tables", "resources": list(MASKED), "operations": ["create"], "objects": ["pg_temp.*"], "allow": {"mask": copy.deepcopy(tables.MASKS)}},
    # Masked values may decide there, and are masked all the same.
    {"name": "filters", "resources": ["filters"], "operations": ["read", "write", "cursor", "lock", "create"], "objects": ["public.*", "other.*", "pg_temp.*"],
     "allow": {"mask": [{**mask, "filter": "allow"} for mask in copy.deepcopy(tables.MASKS)]}},
    {"name": "anything", "resources": ["open"], "operations": ["*"], "allow": {}},
    # What a deny asks for must be known of each text, so it is understood as a whole, and its names are looked up.
    {"name": "needs facts", "resources": ["open"], "operations": ["copy_program"], "objects": ["never.*"], "deny": {}},
]
# What a statement names itself: what a function's body depends on. Views and tables with children stand for what is in them.
NAMED = """select distinct n.nspname || '.' || c.relname from pg_depend d join pg_class c on c.oid = d.refobjid join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm') and d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_class'::regclass and d.objid = 'pg_temp.truth'::regproc"""
# And what is locked for it, at any depth.
LOCKED = """select n.nspname || '.' || c.relname, bool_or(l.mode = 'RowExclusiveLock') from pg_locks l join pg_class c on c.oid = l.relation
    join pg_namespace n on n.oid = c.relnamespace where l.pid = pg_backend_pid() and c.relkind in ('r', 'p', 'v', 'm') and n.nspname not like 'pg\\_%'
    group by 1"""
# In what is each relation: views and tables with children.
BEHIND = """select n.nspname || '.' || c.relname, m.nspname || '.' || p.relname from
    (select inhrelid as inner, inhparent as outer from pg_inherits
     union select d.refobjid, r.ev_class from pg_depend d join pg_rewrite r on r.oid = d.objid
         where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class) as e
    join pg_class c on c.oid = e.inner join pg_namespace n on n.oid = c.relnamespace join pg_class p on p.oid = e.outer join pg_namespace m on m.oid = p.relnamespace
    where n.nspname not like 'pg\\_%' and m.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' and m.nspname <> 'information_schema'"""
WRITES = {"insert", "update", "delete", "merge"}
START = "begin; set local statement_timeout = '2s'"


class Servers(twins.Twins):
    """Two that differ in masked values; and of the first one a copy that is asked directly, and one under a rule that allows all."""
    schema, rules = "queries.sql", RULES
    settings = (*twins.Twins.settings, "listen_addresses = '127.0.0.1,127.0.0.2,::1'")
    secrets = ({"SECRET": "quokka-7731", "TIMES": "1"}, {"SECRET": "aardvarks-52", "TIMES": "5"})

    def resources(self):
        return [*super().resources(), {"name": "filters", "protocol": "postgres", "hosts": [f"127.0.0.2:{self.servers[0].port}"]},
                {"name": "open", "protocol": "postgres", "hosts": [f"[::1]:{self.servers[0].port}"]}]

    def start(self):
        super().start()
        server = self.servers[0]
        self.first = comparable.first(server)
        for name in ("direct", "open"):
            server.sql(f"create database {name} template postgres")
        command = ["/usr/bin/python3", str(HERE / "sql" / "runner.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.direct = subprocess.Popen([*command, "127.0.0.1", str(server.port), "postgres", "direct"], **pipes)
        self.runners.append(self.direct)
        self.open = self.daemon.popen(*command, "::1", server.port, "postgres", "open", **pipes)
        self.runners.append(self.open)
        self.filters = self.daemon.popen(*command, "127.0.0.2", server.port, "postgres", "postgres", **pipes)
        self.runners.append(self.filters)

    def ask(self, steps):
        return [[(kind, comparable.message(self.first, kind, body) if kind == "T" else body) for kind, body in answer]
                for answer in self.ask_all(self.runners[:2], steps)]

    def ask_all(self, runners, steps):
        for runner in runners:
            runner.stdin.write(json.dumps(steps) + "\n")
            runner.stdin.flush()
        lines = [runner.stdout.readline() for runner in runners]
        assert all(lines), (steps, self.daemon.text()[-2000:])
        return [[(kind, bytes.fromhex(body) if kind != "closed" else body.encode()) for kind, body in json.loads(line)] for line in lines]

    def same(self, steps):
        """What is given directly, which is what an agent has to get."""
        direct, through = ([(kind, comparable.message(self.first, kind, body)) for kind, body in answer]
                           for answer in self.ask_all([self.direct, self.open], steps))
        if not any(b"statement timeout" in body for answer in (direct, through) for kind, body in answer if kind == "E"):
            end = next((i for i, (kind, _) in enumerate(direct) if kind == "E"), len(direct)) + 1
            # What a name stands for that was not given is refused before the server says that its transaction has failed.
            assert direct[:end] == through[:end], f"{steps}: direct\n{twins.shorten(direct)}\n{twins.shorten(through)}"
            assert [m for m in direct if m[0] == "Z"] == [m for m in through if m[0] == "Z"], steps
        return direct

    def rows(self, text):
        answer = self.ask_all([self.direct], [["Q", text]])[0]
        return rows_of(answer)

    def truth(self, text):
        """What the statement itself names, and what was locked (for writing); None where the server refuses it."""
        locked = self.ask_all([self.direct], [["Q", f"explain {text}"], ["Q", LOCKED]])[0]
        named = self.ask_all([self.direct], [["Q", f"create function pg_temp.truth() returns void begin atomic {text}; end"], ["Q", NAMED]])[0]
        if any(kind == "E" for kind, _ in locked + named):
            return None
        locks = [row for row in rows_of(locked) if len(row) == 2]
        return {row[0] for row in rows_of(named)}, {row[0] for row in locks}, {row[0] for row in locks if row[1] == "t"}


def rows_of(answer):
    rows = []
    for kind, body in answer:
        if kind == "D":
            at, row = 2, []
            for _ in range(int.from_bytes(body[:2], "big")):
                length = int.from_bytes(body[at:at + 4], "big", signed=True)
                row.append(None if length < 0 else body[at + 4:at + 4 + length].decode(errors="replace"))
                at += 4 + max(length, 0)
            rows.append(row)
    return rows


@pytest.fixture(scope="module")
def servers():
    s = Servers()
    yield s
    s.stop()


def cases(seed, masked=0.7, decide=0.04):
    """For as long as is asked for. `masked`: how many may ask for what is masked."""
    made, end, number = commands.Commands(random.Random(seed)), time.monotonic() + SECONDS, 0
    while number < LEAST or time.monotonic() < end:
        number += 1
        made.start(made.chance(masked))
        made.decide = decide
        yield made, *made.steps()


def words_of(answers):
    """Of the first refusal."""
    error = next(body for answer in answers for kind, body in answer if kind == "E" and b"wayleave" in body)
    return {field[:1]: field[1:].decode() for field in error.split(b"\0") if field}


def test_what_is_masked_does_not_show(servers):
    """And little of what has nothing to do with it is refused: views of a UNION, or of WITH, are masked as a whole, and a name that
    the server did not take stands for nothing."""
    counts, refused = collections.Counter(), collections.Counter()
    for made, way, text, steps in cases(SEED):
        result = servers.check(steps)
        counts[result, "masked" if made.touched else "harmless"] += 1
        if result == "refused":
            words = words_of(servers.ask(steps))
            assert words[b"C"] == "42501", (steps, words)
            if not made.touched:
                refused[words[b"M"]] += 1
                print(way, text)
    print(counts, refused)
    # One whose statements all fail or are all refused would prove nothing.
    assert counts["rows", "masked"] > 3 and counts["refused", "masked"] > 3 and counts["rows", "harmless"] > 20, counts
    assert counts["failed", "masked"] + counts["failed", "harmless"] < sum(counts.values()) / 2, counts
    assert sum(refused.values()) < counts["rows", "harmless"] / 4, refused


def test_what_may_decide_does_not_show_either(servers):
    counts = collections.Counter()
    for made, way, text, steps in cases(SEED + 3, masked=1, decide=0.6):
        answer = servers.ask_all([servers.filters], steps)[0]
        twins.assert_hidden(steps, answer, servers.forms[0])
        errors = [body for kind, body in answer if kind == "E"]
        counts["refused" if any(b"wayleave" in body for body in errors) else "failed" if errors else "rows"] += 1
    print(counts)
    assert counts["rows"] > 20, counts


def test_where_all_is_allowed_an_agent_gets_what_the_server_gives(servers):
    counts = collections.Counter()
    for _, way, _, steps in cases(SEED + 1):
        direct = servers.same(steps)
        counts["error" if any(kind == "E" for kind, _ in direct) else "rows"] += 1
    print(counts)
    assert counts["rows"] > 20 and counts["error"] > 3, counts


def reached(named, edges):
    """And what is behind them."""
    found, todo = set(named), list(named)
    while todo:
        name = todo.pop()
        more = {inner for inner, outer in edges if outer == name} - found
        found |= more
        todo += more
    return found


def test_what_is_read_and_written_is_judged(servers):
    edges = [tuple(row) for row in servers.rows(BEHIND)]
    known = []
    for _, _, text, steps in cases(SEED + 2):
        truth = servers.truth(text)
        if truth:
            answer = servers.ask_all([servers.open], steps)[0]
            known.append((text, *truth, any(kind == "E" for kind, _ in answer)))
    judged = judged_since(servers, len(known))
    assert len(known) > 20 and len(judged) == len(known), (len(known), len(judged))
    for (text, named, locked, written, failed), pairs in zip(known, judged):
        objects = {name for _, name in pairs if name}
        # What failed early may not have come to be judged as what it says.
        if failed and not named <= objects:
            continue
        assert named <= objects, f"{text}\nnames {named}, judged by {pairs}"
        assert locked <= reached(objects, edges), f"{text}\nlocks {locked}, judged by {pairs}"
        targets = {name for operation, name in pairs if operation in WRITES}
        if not all(operation == "explain" for operation, _ in pairs):
            assert written <= reached(targets, edges), f"{text}\nwrites {written}, judged by {pairs}"
        assert objects - named <= {"kept", "pg_temp.kept"}, f"{text}\nnames {named}, judged by {pairs}"


def judged_since(servers, count):
    """Operations and objects of each of the last `count` cases, in the order in which they were asked for."""
    sessions = sorted((s for s in servers.daemon.json("sessions", "list") if s["resource"] == "open"), key=lambda s: s["start"])
    cases = []
    for action in (action for session in sessions for action in records.records_of(servers.daemon, session)):
        if action["text"].startswith(START):
            cases.append([])
        elif cases and action["text"] not in ("rollback", "deallocate all"):
            cases[-1] += [(pair["operation"], pair.get("object")) for pair in action.get("pairs", [])]
    return cases[-count:]


def test_nothing_was_stored_by_any_of_it_and_no_worker_ended(servers):
    assert servers.contents() == servers.tables
    workers = servers.daemon.status()["workers"]
    assert workers and not any(worker["failures"] for worker in workers), workers
