# SPDX-License-Identifier: Apache-2.0
"""Texts that are long, deep, or both: each is answered, and whoever else the same worker serves is answered meanwhile."""
import json
import pathlib

import pytest
from conftest import RULES, make_config
from harness import daemon as daemons

CLIENT = r"""
import json, os, select, sys, time
sys.path.insert(0, sys.argv[1])
from harness import wire

def connect():
    c = wire.Connection("127.0.0.1", int(sys.argv[2]), "app", "shop")
    c.socket.settimeout(25)
    return c

def ask(c, text):
    c.seen.clear()
    c.send(("Q", text))
    c.wait("Z")
    return c.seen

def neighbour(ends):
    # Asks for a row again and again, and tells when it had each.
    c, answered = connect(), [time.monotonic()]
    while not select.select([ends], [], [], 0)[0]:
        seen = ask(c, "select item from orders where id = 1")
        assert ["D", ["item1"]] in seen, seen
        answered.append(time.monotonic())
        time.sleep(0.002)
    return answered

TEXTS = {
    # Refused unseen by the server: all of their time is ours. Several times, so that it is not over too soon.
    "many values, refused": lambda: "delete from secrets where id in (" + ",".join(map(str, range(480000))) + ")",
    "many rows, refused": lambda: "insert into secrets values " + ",".join(["(1,'a')"] * 190000),
    # The server finds something to do, or to say.
    "many values": lambda: "select count(*) from customers where id in (" + ",".join(map(str, range(150000))) + ")",
    "a large literal": lambda: "select length('" + "x" * 4000000 + "')",
    "many statements": lambda: ";".join(["select id from orders where false"] * 3000),
    "many tokens": lambda: "select array_length(array[" + ",".join(["1"] * 400000) + "], 1)",
    "more tokens than are read": lambda: "select 1" + "+1" * 1900000,
    "many levels": lambda: "select 1" + "+1" * 100000,
    "brackets": lambda: "select " + "(" * 1500000 + "1" + ")" * 1500000,
    "arrays": lambda: "select " + "array[" * 300000 + "1" + "]" * 300000,
    "calls over a masked column": lambda: "select " + "upper(" * 4000 + "ssn" + ")" * 4000 + " from customers",
    "cases": lambda: "select " + "case when true then " * 3000 + "ssn" + " end" * 3000 + " from customers",
    "unions": lambda: " union all ".join(["select ssn from customers where false"] * 1000),
    "joins": lambda: "select a0.ssn from customers a0" + "".join(f" cross join customers a{i}" for i in range(1, 400)) + " where false",
    "derived tables": lambda: "select * from (" * 700 + "select ssn from customers" + ") x" * 700,
    "subselects": lambda: "select " + "(select " * 1500 + "ssn from customers limit 1" + ")" * 1500,
    "no SQL at all": lambda: "x" * 4000000,
    "words": lambda: "x " * 1500000,
    "comments": lambda: "/*" * 3000 + "*/" * 3000 + "select 1",
}
mine, theirs = os.pipe()
result, told = os.pipe()
if os.fork() == 0:
    os.close(theirs)
    answered = neighbour(mine)
    with os.fdopen(told, "w") as out:
        json.dump(answered, out)
    os._exit(0)
os.close(told)
c, times = connect(), {}
# What the server makes of them is not what is looked at.
ask(c, "set statement_timeout = '1s'")
for name, make in TEXTS.items():
    text = make()
    began = time.monotonic()
    for _ in range(6 if "refused" in name else 1):
        seen = ask(c, text)
    times[name] = [began, time.monotonic(), [m[1] if m[0] == "C" else m[1]["C"] + " " + m[1]["M"] for m in seen if m[0] in "CE"][-1][:200]]
os.write(theirs, b"x")
print(json.dumps([times, json.load(os.fdopen(result))]))
"""
# While a text takes longer than this, others are answered at least so often.
LONG, OFTEN = 0.5, 25


@pytest.fixture(scope="module")
def place(server, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("long"), make_config(server.port, workers=1), RULES)
    yield d
    d.close()


def test_no_text_stalls_a_worker(place, server):
    workers = place.workers()
    done = place.run("/usr/bin/python3", "-c", CLIENT, str(pathlib.Path(__file__).resolve().parents[1]), str(server.port), timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    times, answered = json.loads(done.stdout)
    assert place.workers() == workers, "the worker that began is the one that is there"
    rows = []
    for name, (began, ended, answer) in times.items():
        within = sum(began < at < ended for at in answered)
        gap = max((b - a for a, b in zip(answered, answered[1:]) if b > began and a < ended), default=0)
        rows.append((name, round(ended - began, 2), within, round(gap, 3), answer))
    print(*rows, sep="\n")
    slow = [row for row in rows if row[1] > LONG]
    assert any("no rule allows" in row[4] for row in slow), rows
    assert all(row[2] >= OFTEN for row in slow), slow
