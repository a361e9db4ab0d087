# SPDX-License-Identifier: Apache-2.0
"""What people decided is on disk, or did not happen; and whatever dies at whatever point of a review's life, nothing runs twice,
nothing runs that nobody approved, and nothing that was asked is lost."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

import psycopg2
import pytest
from harness import faulty
from harness import slack as slacks
from harness.records import assert_verified, audit
from harness.reviews import add, count, state_of, wait_for_pending
from harness.waiting import wait_for
from test_slack import PEOPLE, Setting

# Who the agent runs as is no person here, and may decide.
OTHERS = [person for person in PEOPLE if "local" not in person]
REFUSED = r"it could not be kept: (Input/output|disk I/O) error"


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    d = faulty.Disk(tmp_path_factory.mktemp("faulty"))
    yield d
    d.close()


@pytest.fixture(scope="module")
def kept(server, disk, tmp_path_factory):
    """Its state is on that disk."""
    s = Setting(tmp_path_factory.mktemp("kept"), server, people=OTHERS, state_dir=str(disk.path / "state"))
    s.daemon.state = disk.path / "state"
    yield s
    s.close()


@pytest.fixture
def setting(kept, disk):
    yield kept
    if disk.faults.exists():
        disk.heal()
    kept.slack.faults.clear()
    kept.slack.private.clear()
    kept.clear()


def kill(setting):
    """The daemon, and with it all of its processes."""
    workers, broker = setting.daemon.workers(), setting.broker()
    setting.daemon.kill()
    wait_for(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in (*workers, broker)), what="their end")


def restart(setting):
    kill(setting)
    setting.daemon.start()


def held(setting, server, item):
    """A delete of this item that waits: as Setting.hold()."""
    add(server, item)
    return setting.hold(f"delete from orders where item = '{item}'")


def wait_over(server, session):
    """Its server process is told of the end later."""
    wait_for(lambda: server.sql(f"select count(*) from pg_stat_activity where pid = {session.pid}") == "0", what="the session's end")


@contextlib.contextmanager
def stopped(*processes):
    """They do nothing meanwhile."""
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_what_the_disk_does_not_take_is_not_decided(setting, server, disk, call):
    item = f"not on disk: {call}"
    session, ts, review = held(setting, server, item)
    disk.fail(call, below="/approval.db")
    done = setting.daemon.wayleave("reviews", "approve", review["id"])
    assert done.returncode == 1 and re.search(REFUSED, done.stderr) and not done.stdout, done
    assert setting.clicker.click(ts, "approve", "U222") == 200
    setting.slack.wait(lambda: setting.slack.private)
    assert re.fullmatch(REFUSED, setting.slack.private[0])
    assert re.search("PROBLEM: reviews: .* error", setting.daemon.wayleave("status").stdout)
    assert state_of(setting.daemon, review) == "pending" and session.waits() and count(server, f"item = '{item}'") == 1
    disk.heal()
    # The audit log had it already.
    told = [(r["event"], r["detail"]) for r in audit(setting.daemon) if r.get("subject") == review["id"] and r["event"] != "review"]
    assert [event for event, _ in told] == ["approved", "warning"] and "it did not happen" in told[1][1]
    assert setting.clicker.click(ts, "approve", "U222") == 200
    assert session.answer()["count"] == 1 and count(server, f"item = '{item}'") == 0
    setting.outcome(ts, "approved by bob")
    assert "PROBLEM" not in setting.daemon.wayleave("status").stdout
    assert_verified(setting.daemon)


def test_what_was_refused_is_not_decided_after_a_crash(setting, server, disk):
    session, ts, review = held(setting, server, "refused")
    disk.fail("fsync", below="/approval.db")
    done = setting.daemon.wayleave("reviews", "approve", review["id"], "--for", "10m")
    assert done.returncode == 1 and re.search(REFUSED, done.stderr)
    kill(setting)
    disk.heal()
    setting.daemon.start()
    assert state_of(setting.daemon, review) == "cancelled" and not setting.daemon.json("grants", "list")
    wait_over(server, session)
    assert count(server, "item = 'refused'") == 1
    setting.outcome(ts, "cancelled")
    assert "Wayleave restarted" in slacks.flatten(setting.slack.messages[ts])


def test_killed_before_the_review_is_kept(setting, server):
    """Nobody has heard of it."""
    add(server, "unheard")
    session, reviews = setting.session(), setting.daemon.json("reviews", "list")
    with stopped(setting.daemon.process.pid):
        session.send("delete from orders where item = 'unheard'")
        assert session.waits()
        setting.daemon.process.kill()
    setting.daemon.kill()
    setting.daemon.start()
    wait_over(server, session)
    assert setting.daemon.json("reviews", "list") == reviews and count(server, "item = 'unheard'") == 1


def test_killed_while_the_server_is_asked_what_it_would_do(setting, server):
    """Nobody has heard of it, nor will."""
    add(server, "unplanned")
    session, reviews = setting.session(), setting.daemon.json("reviews", "list")
    with contextlib.closing(psycopg2.connect(host=server.data, port=server.port, user="postgres", dbname="shop")) as blocker:
        blocker.cursor().execute("lock table orders in access exclusive mode")
        session.send("delete from orders where item = 'unplanned'")
        wait_for(lambda: server.sql(f"select wait_event_type from pg_stat_activity where pid = {session.pid}") == "Lock", what="its preview")
        restart(setting)
        blocker.rollback()
    wait_over(server, session)
    assert setting.daemon.json("reviews", "list") == reviews and count(server, "item = 'unplanned'") == 1
    setting.wait_known()
    assert not any("unplanned" in slacks.flatten(message) for message in setting.slack.messages.values())


def test_killed_before_it_is_in_slack(setting, server):
    """Nobody knows whether it was shown: how it ended is, without buttons."""
    add(server, "unseen")
    session = setting.session()
    with stopped(setting.broker()):
        session.send("delete from orders where item = 'unseen'")
        (review,) = wait_for_pending(setting.daemon)
        time.sleep(0.9)  # the broker would be told by now
        kill(setting)
    setting.daemon.start()
    assert state_of(setting.daemon, review) == "cancelled"
    setting.outcome(setting.slack.wait_message(review["id"]), "cancelled")
    wait_over(server, session)
    assert count(server, "item = 'unseen'") == 1


@contextlib.contextmanager
def locked(server, item):
    """What concerns this row waits in the server meanwhile."""
    with contextlib.closing(psycopg2.connect(host=server.data, port=server.port, user="postgres", dbname="shop")) as blocker:
        blocker.cursor().execute("select from orders where item = %s for update", (item,))
        yield
        blocker.rollback()


def test_killed_in_between(setting, server):
    """With a dialog open, with one of two approvals given, and while what was approved is running: three reviews, one death."""
    asked, ts, dialog = held(setting, server, "dialog")
    message = setting.slack.messages[ts]
    setting.slack.views.clear()
    assert setting.clicker.click(ts, "deny", "U222") == 200
    view = setting.slack.wait(lambda: setting.slack.views and setting.slack.views[-1])
    add(server, "half")
    halved, half_ts, half = setting.hold("update orders set amount = 78 where item = 'half'")
    assert setting.clicker.click(half_ts, "approve", "U222") == 200
    setting.slack.wait(lambda: "two 1 of 2" in slacks.flatten(setting.slack.messages[half_ts]))
    ran, ran_ts, running = held(setting, server, "running")
    with locked(server, "running"):
        assert setting.clicker.click(ran_ts, "approve", "U222") == 200
        wait_for(lambda: server.sql(f"select wait_event_type from pg_stat_activity where pid = {ran.pid}") == "Lock", what="its running")
        restart(setting)
        assert [state_of(setting.daemon, r) for r in (dialog, half, running)] == ["cancelled", "cancelled", "approved"]
        # As without us, the server goes on with what it has.
        assert count(server, "item = 'running'") == 1
    wait_for(lambda: count(server, "item = 'running'") == 0, what="its end")
    for session in (asked, halved, ran):
        wait_over(server, session)
    for place, outcome in ((ts, "cancelled"), (half_ts, "cancelled"), (ran_ts, "approved by bob")):
        setting.outcome(place, outcome)
    time.sleep(1.1)  # what was signed before the broker began is not for it
    setting.slack.private.clear()
    assert setting.clicker.submit(view, "U222", "too late") == 200
    assert setting.clicker.click(ts, "approve", "U222", message) == 200
    told = f"{dialog['id']} is not pending any more: cancelled"
    setting.slack.wait(lambda: setting.slack.private == [told, told])
    assert count(server, "item = 'dialog'") == 1 and count(server, "item = 'half' and amount = 78") == 0
    # Who approved the one has not approved the next one of these words.
    votes = setting.daemon.json("reviews", "show", half["id"])["votes"]
    assert [(v["by"], v["verdict"]) for v in votes] == [("bob (Slack U222)", "approve")], votes
    _, _, again = setting.hold("update orders set amount = 78 where item = 'half'")
    assert setting.daemon.json("reviews", "show", again["id"])["votes"] == [] and again["digest"] == half["digest"]


def test_stopped_while_it_waits(setting, server):
    """In order: the agent gets an error that says why, Slack's message says so before the daemon is gone, the record too; once."""
    add(server, "stopped")
    psql = setting.daemon.popen("psql", "-X", "-v", "VERBOSITY=verbose", f"host=127.0.0.1 port={server.port} dbname=shop user=app",
                                "-c", "delete from orders where item = 'stopped'", stderr=subprocess.PIPE, text=True)
    (review,) = wait_for_pending(setting.daemon)
    ts = setting.slack.wait_message(review["id"])
    setting.wait_known()
    setting.daemon.stop()
    _, said = psql.communicate(timeout=15)
    assert "FATAL:  57P01: wayleave: wayleave is stopping\n" in said, said
    text = slacks.flatten(setting.slack.messages[ts])
    assert "cancelled" in text and "Wayleave stopped" in text and not slacks.buttons(setting.slack.messages[ts]), text
    told = len(setting.slack.requests)
    setting.daemon.start()
    shown = setting.daemon.json("reviews", "show", review["id"])
    assert (shown["state"], shown["reason"], shown["decided_by"]) == ("cancelled", "Wayleave stopped", None), shown
    entries = [r["event"] for r in audit(setting.daemon) if r.get("subject") == review["id"]]
    assert entries == ["review", "cancelled"] and count(server, "item = 'stopped'") == 1
    setting.hold("delete from orders where item = 'stopped'")
    assert [body for _, body in setting.slack.requests[told:] if review["id"] in slacks.flatten(body)] == []


@pytest.mark.parametrize("slack", ["has it", "is not told"])
def test_killed_between_the_approval_and_the_release(setting, server, slack):
    """The reviewer was told that it is approved, and the record says so; it ran never, rather than twice."""
    item = f"approved: {slack}"
    session, ts, review = held(setting, server, item)
    with stopped(*setting.daemon.workers(), *([setting.broker()] if slack == "is not told" else [])):
        assert setting.daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        if slack == "has it":
            setting.outcome(ts, "approved by root")
            setting.wait_known()
        kill(setting)
    setting.daemon.start()
    shown = setting.daemon.json("reviews", "show", review["id"])
    assert (shown["state"], [s["ran"] for s in shown["sessions"]]) == ("approved", [None]), shown
    assert "(not known to have run)" in setting.daemon.wayleave("reviews", "show", review["id"]).stdout
    setting.outcome(ts, "approved by root")
    setting.outcome(ts, "not known whether it ran")
    wait_over(server, session)
    assert count(server, f"item = '{item}'") == 1
    # Nor does it run for who sends it again.
    again, _, second = setting.hold(f"delete from orders where item = '{item}'")
    assert second["id"] != review["id"] and again.waits()


def test_killed_between_the_release_and_what_slack_says(setting, server):
    session, ts, review = held(setting, server, "released")
    setting.slack.faults += [(503, {}, b"")] * 100
    time.sleep(1.1)  # what was signed before the broker began is not for it
    assert setting.clicker.click(ts, "approve", "U222") == 200
    assert session.answer()["count"] == 1
    restart(setting)
    setting.slack.faults.clear()
    setting.outcome(ts, "approved by bob")
    assert state_of(setting.daemon, review) == "approved" and len([r for r in audit(setting.daemon) if r.get("event") == "approved"
                                                                  and r["subject"] == review["id"]]) == 1


def test_a_webhook_is_followed_up_after_a_restart(server, tmp_path):
    """Its message can't be changed: another one says how each review ended, once."""
    setting = Setting(tmp_path, server, mode="webhook", people=OTHERS)
    try:
        session, first, cancelled = setting.hold("delete from orders where item = 'cancelled'")
        session, second, approved = setting.hold("delete from orders where item = 'approved'")
        setting.slack.faults += [(503, {}, b"")] * 100
        assert setting.daemon.wayleave("reviews", "approve", approved["id"]).returncode == 0
        session.answer()
        restart(setting)
        setting.slack.faults.clear()
        setting.slack.wait(lambda: len(setting.slack.messages) == 4)
        setting.wait_known()
        texts = [slacks.flatten(m) for ts, m in setting.slack.messages.items() if ts not in (first, second)]
        for review, outcome in ((cancelled, "cancelled"), (approved, "approved by root")):
            assert [f"Review {review['id']} of demo on shop: {outcome}" in text for text in texts].count(True) == 1, texts
        restart(setting)
        setting.hold("delete from orders where item = 'another'")
        assert len(setting.slack.messages) == 5
    finally:
        setting.clear()
        setting.close()
