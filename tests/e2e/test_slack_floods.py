# SPDX-License-Identifier: Apache-2.0
"""An agent that asks and leaves, again and again: nobody's channel, disk or decisions suffer from it."""
import json
import subprocess
import time
import urllib.request

import pytest
from harness import slack as slacks
from harness.ports import free_port
from harness.records import audit, records_of
from harness.reviews import pending, state_of
from test_slack import Setting

RATE, TIMES = 20, 40
TOO_MANY = f"too many reviews of this agent were asked for that nobody decided (at most {RATE} in a minute)"
# Each in a connection of its own, which ends when people would be asked: whether they were, or what was said instead.
LEAVE = """
import json, socket, struct, sys
port, times = map(int, sys.argv[1:])
def message(kind, body): return kind + struct.pack("!I", len(body) + 4) + body
def read(s, ends):
    data = b""
    while not any(end in data for end in ends): data += s.recv(65536)
    return data
body = struct.pack("!I", 196608) + b"user\\0app\\0database\\0shop\\0\\0"
for i in range(times):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(struct.pack("!I", len(body) + 4) + body)
        read(s, [b"Z\\0\\0\\0\\5I"])
        s.sendall(message(b"Q", b"delete from orders where item = 'left %d'\\0" % i))
        said = read(s, [b"waiting for approval", b"Z\\0\\0\\0\\5I"])
        print(json.dumps(None if b"waiting for approval" in said else said.decode(errors="replace")), flush=True)
"""


@pytest.fixture(scope="module")
def setting(server, tmp_path_factory):
    s = Setting(tmp_path_factory.mktemp("floods"), server, metrics={"listen": f"127.0.0.1:{free_port()}"})
    s.daemon.config["agents"][0].update(reviews_per_minute=RATE, pending_reviews=10)
    s.reconfigure()
    yield s
    s.close()


@pytest.fixture(scope="module")
def flooded(setting, server):
    """One agent asks and leaves while another one asks: what the first was told, how long that took, and the other's review, with the
    time until it was shown."""
    session, began = setting.session(agent="other"), time.monotonic()
    flood = setting.daemon.popen("/usr/bin/python3", "-c", LEAVE, str(server.port), str(TIMES), stdout=subprocess.PIPE, text=True)
    told, sent = [flood.stdout.readline()], time.monotonic()
    session.send("delete from orders where item = 'calm'")
    ts = setting.slack.wait_message("'calm'")
    shown = time.monotonic() - sent
    told = [json.loads(line) for line in told + flood.communicate(timeout=60)[0].splitlines()]
    review = next(r for r in pending(setting.daemon) if "'calm'" in r["text"])
    return told, time.monotonic() - began, (session, ts, review, shown)


def test_it_is_told_that_it_asks_too_often(setting, flooded):
    told, took, _ = flooded
    refused = [text for text in told if text]
    assert all("42501" in text and TOO_MANY in text for text in refused), refused
    assert len(told) == TIMES and RATE <= TIMES - len(refused) <= RATE + 1 + took * RATE / 60
    metrics = urllib.request.urlopen(f"http://{setting.daemon.config['metrics']['listen']}/metrics").read().decode()
    assert f'wayleave_reviews_refused_total{{agent="demo",limit="rate"}} {len(refused)}\n' in metrics
    assert 'wayleave_reviews_refused_total{agent="other",limit="rate"} 0\n' in metrics
    ends = [r for s in setting.daemon.json("sessions", "list") for r in records_of(setting.daemon, s, "decision")]
    assert sum(r["outcome"] == "cancelled" and r["detail"] == TOO_MANY for r in ends) == len(refused), ends[-1]
    (noted,) = [r for r in audit(setting.daemon) if r.get("event") == "warning" and r["subject"] == "demo"]
    assert noted["detail"] == f"refused to ask for 1 review; the last time: {TOO_MANY}"


def test_others_are_shown_at_once_and_what_was_left_never(setting, flooded):
    session, ts, review, took = flooded[2]
    assert took < 1.5, took
    shown = [slacks.flatten(body) for _, body in setting.slack.requests]
    assert any("'calm'" in text for text in shown) and not any("'left " in text for text in shown)
    assert setting.clicker.click(ts, "approve", "U222") == 200
    session.answer()
    assert state_of(setting.daemon, review) == "approved"
    # All of them are on record.
    assert len([r for r in setting.daemon.json("reviews", "list") if "'left " in r["text"] and r["state"] == "cancelled"]) >= RATE


def test_what_stays_is_shown_within_a_second(setting, flooded):
    session = setting.session(agent="other")
    began = time.monotonic()
    session.send("delete from orders where item = 'stays'")
    setting.slack.wait_message("'stays'")
    assert time.monotonic() - began < 1.5
    setting.wait_known()
    session.process.kill()
