# SPDX-License-Identifier: Apache-2.0
"""Held actions, message by message: what is sent behind one that waits, and what either side does meanwhile that no driver would."""
import json
import time

import pytest
from conftest import make_config
from harness import wire
from harness.reviews import (  # noqa: F401
    LINE,
    REVIEWERS,
    RULES,
    Script,
    Z,
    add,
    bound,
    count,
    decide,
    nothing_left,
    pending,
    state_of,
    wait_for_pending,
)
from harness.stalling import stalling  # noqa: F401
from harness.waiting import wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")

MORE = [
    {"name": "copies need a person", "operations": ["copy_in"], "objects": ["public.orders"], "review": {"by": "dba"}},
    {"name": "calls by number need a person", "operations": ["function_call"], "review": {"by": "dba"}},
]
ASKED = ("wait", "N")


@pytest.fixture(scope="module")
def daemon(server, stalling, tmp_path_factory):
    from harness import daemon as daemons
    hosts = [f"127.0.0.1:{port}" for port in (server.port, stalling.port)]
    config = make_config(server.port, reviewers=REVIEWERS, resource={"hosts": hosts, "tls": {"upstream": "off"}})
    d = daemons.Daemon(tmp_path_factory.mktemp("wire"), config, [r for r in RULES if "inserts" not in r["name"]] + MORE)
    yield d
    d.close()


def wait_for_waiters(daemon, *waiters):
    """The reviews for which so many wait."""
    def found():
        reviews = pending(daemon)
        return reviews if sorted(r["waiters"] for r in reviews) == sorted(waiters) else None
    return wait_for(found, what="all to wait")


def delete(item):
    return ("Q", f"delete from orders where item = '{item}'")


COPY = "copy orders (customer, item) from stdin"


def data(item):
    return [("d", f"1\t{item}\n"), ("c",)]


def test_copies_from_the_agent(daemon, server):
    """Whether it sends its data at once or when it is asked for them, in either protocol; and what it sends at once where it is refused."""
    prepared = [*bound(COPY), ("E",)]
    eager = Script(daemon, server, ("batch", [("Q", COPY), *data("eager"), ("Q", "select 1")]), Z, Z)
    patient = Script(daemon, server, ("Q", COPY), ("wait", "G"), ("batch", data("patient")), Z)
    extended = Script(daemon, server, ("batch", [*prepared, *data("extended"), ("S",)]), Z, ("Q", "select 1"), Z)
    flushed = Script(daemon, server, ("batch", [*prepared, ("H",)]), ("wait", "G"), ("batch", [*data("flushed"), ("S",)]), Z)
    reviews = wait_for_waiters(daemon, 2, 2)
    assert [r["operations"] for r in reviews] == [["copy_in"]] * 2 and count(server, "item in ('eager', 'patient', 'extended', 'flushed')") == 0
    for review in reviews:
        decide(daemon, "approve", review)
    assert eager.end() == ["COPY 1", "I", "SELECT 1", "I"] and patient.end() == ["COPY 1", "I"]
    assert extended.end() == ["COPY 1", "I", "SELECT 1", "I"] and flushed.end() == ["COPY 1", "I"]
    assert count(server, "item in ('eager', 'patient', 'extended', 'flushed')") == 4
    eager = Script(daemon, server, ("Q", "begin"), Z, ("batch", [("Q", COPY), *data("refused copy"), ("Q", "rollback")]), Z, Z)
    extended = Script(daemon, server, ("batch", [*prepared, *data("refused copy"), ("S",), ("Q", "select 1")]), Z, Z)
    for review in wait_for_waiters(daemon, 1, 1):
        decide(daemon, "deny", review, "--reason", "no")
    assert eager.end() == ["BEGIN", "T", "42501", "E", "ROLLBACK", "I"] and extended.end() == ["42501", "I", "SELECT 1", "I"]
    assert count(server, "item = 'refused copy'") == 0


def test_a_function_that_is_called_by_its_number(daemon, server):
    script = Script(daemon, server, ("F", 2026), Z, ("F", 2026), Z, ("Q", "select 1"), Z)
    (review,) = wait_for_pending(daemon)
    assert review["operations"] == ["function_call"] and review["text"] == "(function 2026)"
    decide(daemon, "approve", review)
    (again,) = wait_for(lambda: [r for r in pending(daemon) if r["id"] != review["id"]], what="the second call")
    decide(daemon, "deny", again, "--reason", "once is enough")
    assert script.end() == ["I", "42501", "I", "SELECT 1", "I"]


def test_who_says_that_it_leaves_waits_no_more(daemon, server):
    """A Terminate behind what waits, at once or later, although the connection stays open."""
    add(server, "left")
    at_once = Script(daemon, server, ("batch", [delete("left"), ("X",)]), ("eof",))
    later = Script(daemon, server, delete("left"), ASKED, LINE, ("batch", [("Q", "select 1"), ("X",)]), ("eof",))
    later.stopped()
    (review,) = wait_for_pending(daemon)
    later.go_on()
    for script, seen in ((at_once, ["57014", "I"]), (later, ["57014", "I", "SELECT 1", "I"])):
        assert script.end() == seen
    wait_for_pending(daemon, 0)
    assert state_of(daemon, review) == "cancelled" and count(server, "item = 'left'") == 1


def test_who_sends_no_more_is_told_that_it_waits_no_more(daemon, server):
    add(server, "half closed")
    script = Script(daemon, server, delete("half closed"), ASKED, ("shut",), ("eof",))
    batch = Script(daemon, server, ("batch", [*bound("delete from orders where item = 'half closed'"), ("E",), ("S",)]), ASKED, ("shut",), ("eof",))
    assert script.end() == ["57014"] and batch.end() == ["57014"]
    wait_for_pending(daemon, 0)
    assert count(server, "item = 'half closed'") == 1
    assert {r["state"] for r in daemon.json("reviews", "list") if "half closed" in r["text"]} == {"cancelled"}


def test_a_cancel_request_inside_tls(daemon, server):
    add(server, "cancelled in TLS")
    script = Script(daemon, server, delete("cancelled in TLS"), ASKED, ("cancel", "tls"), Z, ("Q", "select 1"), Z)
    assert script.end() == ["57014", "I", "SELECT 1", "I"]
    wait_for_pending(daemon, 0)
    assert count(server, "item = 'cancelled in TLS'") == 1


def test_ends_of_batches_behind_what_waits(daemon, server):
    """Each Sync has its ReadyForQuery, and a Flush what stands before it."""
    held = [*bound("delete from orders where id = -1"), ("E",)]
    scripts = {
        "two Syncs": (Script(daemon, server, ("batch", [*held, ("S",), ("S",)]), Z, Z), ["DELETE 0", "I", "I"]),
        "a Flush": (Script(daemon, server, ("batch", [*held, ("H",)]), ("wait", "C"), ("batch", [("S",)]), Z), ["DELETE 0", "I"]),
        "a Flush before its Execute": (Script(daemon, server, ("batch", [*held[:2], ("H",)]), ("wait", "2"), ("batch", [("E",), ("S",)]), Z),
                                       ["DELETE 0", "I"]),
        "a Sync after its Parse": (Script(daemon, server, ("batch", [held[0], ("S",), *held[1:], ("S",)]), Z, Z), ["I", "DELETE 0", "I"]),
    }
    (review,) = wait_for_waiters(daemon, len(scripts))
    decide(daemon, "approve", review)
    for name, (script, expected) in scripts.items():
        assert script.end() == expected, name


def test_what_the_server_says_meanwhile(daemon, stalling):
    """A status that changes, a notification, and at last that it ends the session."""
    script = Script(daemon, stalling, ("Q", "set idle_in_transaction_session_timeout = '2s'"), Z, ("Q", "begin"), Z, delete("told"), ASKED, ("eof",))
    (review,) = wait_for_pending(daemon)
    stalling.say(wire.message("S", b"TimeZone\0Asia/Tokyo\0") + wire.message("A", b"\0\0\0\1news\0from outside\0"))
    out, err = script.process.communicate(timeout=20)
    seen = [m for m in json.loads(out) if m[0] in "SAE" and "integer_datetimes" not in m[1]]
    assert seen[0] == ["S", "TimeZone\0Asia/Tokyo"] and "from outside" in seen[1][1] and seen[2][1]["C"] == "25P03", (out, err)
    wait_for_pending(daemon, 0)
    assert state_of(daemon, review) == "cancelled"


@pytest.mark.parametrize("begin", [(), (("Q", "begin"), Z)], ids=["outside", "in a transaction"])
def test_a_side_that_breaks_its_connection(daemon, server, stalling, begin):
    """Nobody is asked any more, nothing runs, and the other side's connection ends, which at this point has no words in this protocol."""
    item, before = f"broken {len(begin)}", ["BEGIN", "T"][:len(begin)]
    add(server, item)
    for breaks, place, steps in ((stalling.reset, stalling, [LINE, ("eof",)]), (lambda: None, server, [LINE, ("reset",)])):
        script = Script(daemon, place, *begin, delete(item), ASKED, *steps)
        script.stopped()
        (review,) = wait_for_pending(daemon)
        breaks()
        script.go_on()
        assert script.end() == before, place
        wait_for_pending(daemon, 0)
        assert state_of(daemon, review) == "cancelled" and daemon.wayleave("reviews", "approve", review["id"]).returncode == 1
    wait_for(lambda: server.sql("select count(*) from pg_stat_activity where state like 'idle in transaction%' and usename = 'app'") == "0",
             what="the ends of their sessions")
    assert count(server, f"item = '{item}'") == 1


def test_signs_of_life_of_a_batch_in_a_transaction(daemon, server):
    """The extended protocol's, behind messages that the server has not answered: a notice, and from then on something every second or two."""
    script = Script(daemon, server, ("Q", "begin"), Z, ("batch", [*bound("delete from orders where id = -2"), ("E",), ("S",)]), ASKED,
                    ("line", "ready"), *[("wait", "S")] * 2, LINE, Z, ("Q", "rollback"), Z)
    script.stopped()
    (review,) = wait_for_pending(daemon)
    script.go_on()
    start = time.monotonic()
    script.stopped()
    assert time.monotonic() - start < 4
    decide(daemon, "approve", review)
    script.go_on()
    out, err = script.process.communicate(timeout=20)
    said = [m for m in json.loads(out) if m[0] in "NSECZ"]
    notices = [i for i, m in enumerate(said) if m[0] == "N"]
    assert [said[i][1]["M"] for i in notices] == [f"wayleave: waiting for approval by dba (review {review['id']})"], (out, err)
    behind = [m[1] for m in said[notices[0] + 1:]]
    assert behind[:2] == [behind[0]] * 2 and [m for m in behind if m != behind[0]] == ["DELETE 0", "T", "ROLLBACK", "I"], (out, err)


def test_nobody_is_asked_in_a_failed_transaction(daemon, server):
    """The server fails all but what ends it, whatever people say: several commands in one text, a batch, a call by number, a COPY."""
    before, text = daemon.json("reviews", "list"), "delete from orders where id = -1"
    failed = [("Q", "begin"), Z, ("batch", [("P", "named", text), ("S",)]), Z, ("Q", "select no_such_column from orders"), Z]
    script = Script(daemon, server, *failed, ("Q", f"{text}; rollback; {text}"), Z, ("Q", f"savepoint a; {text}"), Z, ("Q", COPY), Z, ("F", 2026), Z,
                    ("batch", [*bound(text), ("E",), ("S",)]), Z, ("batch", [("B", "", "named"), ("E",), ("S",)]), Z,
                    ("Q", "rollback"), Z)
    assert script.end() == ["BEGIN", "T", "T", "42703", "E", *["25P02", "E"] * 6, "ROLLBACK", "I"]
    assert daemon.json("reviews", "list") == before
    # It has an end inside the text, or the batch: what stands behind that would run.
    ends = Script(daemon, server, *failed, ("Q", f"rollback; {text}"), Z)
    (review,) = wait_for_pending(daemon)
    decide(daemon, "deny", review, "--reason", "no")
    assert ends.end() == ["BEGIN", "T", "T", "42703", "E", "42501", "E"]
    batch = Script(daemon, server, *failed, ("batch", [*bound("rollback"), ("E",), *bound(text), ("E",), ("S",)]), Z)
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review)
    assert batch.end() == ["BEGIN", "T", "T", "42703", "E", "ROLLBACK", "DELETE 0", "I"]
