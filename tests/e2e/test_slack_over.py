# SPDX-License-Identifier: Apache-2.0
"""Reviews that are over, in Slack: what their messages say, clicks that come too late, and a Slack that says nothing meanwhile."""
import contextlib
import os
import signal
import threading

import pytest
from harness import slack as slacks
from harness.reviews import add, count, state_of, wait_for_pending
from harness.waiting import wait_for
from test_reviews_kept import OTHERS, stopped
from test_slack import RULES, make, setting, shared  # noqa: F401


def shown(setting, ts):  # noqa: F811
    return slacks.flatten(setting.slack.messages[ts])


def as_posted(setting, review):  # noqa: F811
    """The message with its buttons, as somebody may see it for a while longer."""
    return next(body for _, body in setting.slack.requests if review["id"] in slacks.flatten(body) and slacks.buttons(body))


def told(setting, text):  # noqa: F811
    """Only whoever clicked is told."""
    setting.slack.wait(lambda: any(text in sentence for sentence in setting.slack.private))
    setting.slack.private.clear()


def test_a_click_and_a_dialog_that_come_too_late(setting):  # noqa: F811
    session, ts, review = setting.hold("delete from orders where item = 'late'")
    message = as_posted(setting, review)
    setting.slack.views.clear()
    assert setting.clicker.click(ts, "deny", "U222") == 200
    view = setting.slack.wait(lambda: setting.slack.views and setting.slack.views[-1])
    assert setting.daemon.wayleave("reviews", "deny", review["id"], "--reason", "no").returncode == 0
    assert session.answer()["state"] == "42501"
    setting.outcome(ts, "denied by root")
    for action in ("approve", "approve_time"):
        assert setting.clicker.click(ts, action, "U222", message) == 200
        told(setting, f"{review['id']} is not pending any more: denied by root")
    assert setting.clicker.submit(view, "U222", "no, no") == 200
    told(setting, f"{review['id']} is not pending any more: denied by root")
    assert state_of(setting.daemon, review) == "denied" and not setting.daemon.json("grants", "list")
    # Nor does it count for the same statement, sent again.
    session.send("delete from orders where item = 'late'")
    (again,) = wait_for_pending(setting.daemon)
    assert setting.clicker.click(ts, "approve", "U222", message) == 200
    told(setting, "is not pending any more")
    assert state_of(setting.daemon, again) == "pending" and session.waits()


def test_a_click_for_what_expired_or_was_cancelled(setting):  # noqa: F811
    session, ts, review = setting.hold("insert into orders values (1001)")
    setting.outcome(ts, "expired")
    assert "nobody decided in time" in shown(setting, ts)
    setting.clicker.click(ts, "approve", "U222", as_posted(setting, review))
    told(setting, f"{review['id']} is not pending any more: expired")
    assert session.answer()["state"] == "42501"
    session, ts, review = setting.hold("delete from orders where item = 'given up'")
    session.process.kill()
    setting.outcome(ts, "cancelled")
    assert "the agent no longer waits" in shown(setting, ts)
    setting.clicker.click(ts, "approve", "U222", as_posted(setting, review))
    told(setting, f"{review['id']} is not pending any more: cancelled")


def test_how_many_like_it_were_approved_lately(setting):  # noqa: F811
    """Of the same kind, whatever the text; in Slack and at the command line."""
    for number in range(2):
        session, ts, review = setting.hold(f"update orders set item = item where id = {-100 - number}")
        lately = setting.daemon.json("reviews", "show", review["id"])["approved_lately"]
        assert f"lately      {lately} like it approved in the last 24 hours\n" in setting.daemon.wayleave("reviews", "show", review["id"]).stdout
        assert ("Like it, in 24 hours" in shown(setting, ts)) == (lately > 0)
        if number:
            assert lately == before + 1 and f"approved {lately} time" in shown(setting, ts)
        before = lately
        for user in ("U222", "U333"):
            setting.clicker.click(ts, "approve", user)
        session.answer()


@contextlib.contextmanager
def approved_unheard(setting, server, item):  # noqa: F811
    """In Slack it is said; the worker hears of it when the caller is done. The session, and the message."""
    add(server, item)
    session, ts, review = setting.hold(f"delete from orders where item = '{item}'")
    with stopped(*setting.daemon.workers()):
        before = len(setting.slack.messages)
        assert setting.daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        ts = setting.slack.wait(lambda: next((ts for ts, m in setting.slack.messages.items() if review["id"] in slacks.flatten(m)
                                              and "approved by root" in slacks.flatten(m)), None))
        setting.wait_known()
        assert len(setting.slack.messages) - before <= 1
        yield session, ts, review


@pytest.mark.parametrize("mode", ["token", "webhook"])
def test_what_was_approved_and_lost_before_it_ran(make, server, mode):  # noqa: F811
    """Whoever approved takes it for done, as the message says so: it says more, or another one does."""
    setting = make(mode=mode, people=OTHERS)  # noqa: F811
    with approved_unheard(setting, server, f"left: {mode}") as (session, ts, review):
        told = len(setting.slack.messages)
        session.process.kill()
        session.process.wait()
    said = "The approval was not used by 1 of the sessions."
    setting.slack.wait(lambda: said in slacks.flatten(list(setting.slack.messages.values())[-1]))
    assert [s["ran"] for s in setting.daemon.json("reviews", "show", review["id"])["sessions"]] == [False]
    with approved_unheard(setting, server, f"lost: {mode}") as (_, second, review):
        for worker in setting.daemon.workers():
            os.kill(worker, signal.SIGKILL)
    said = "It is not known whether it ran in 1 of the sessions."
    setting.slack.wait(lambda: said in slacks.flatten(list(setting.slack.messages.values())[-1]))
    last = list(setting.slack.messages)[-1]
    assert "approved by root" in shown(setting, last) and review["id"] in shown(setting, last)
    assert (last == second) == (mode == "token") and len(setting.slack.messages) == told + (1 if mode == "token" else 4)
    setting.wait_known()
    assert [s["ran"] for s in setting.daemon.json("reviews", "show", review["id"])["sessions"]] == [None]
    assert count(server, f"item in ('left: {mode}', 'lost: {mode}')") == 2


def test_a_grant_and_its_end(setting):  # noqa: F811
    session, ts, review = setting.hold("delete from orders where item = 'granted'")
    setting.clicker.click(ts, "approve_time", "U222")
    session.answer()
    (grant,) = setting.daemon.json("grants", "list")
    until = grant["end"][:19].replace("T", " ")
    setting.outcome(ts, f"Grant {grant['id']} until {until}")
    assert f"grant       {grant['id']}, until {grant['end']}\n" in setting.daemon.wayleave("reviews", "show", review["id"]).stdout
    setting.wait_known()
    assert setting.daemon.wayleave("grants", "revoke", grant["id"]).returncode == 0
    setting.outcome(ts, f"Grant {grant['id']} revoked by root, ")
    assert "approved by bob" in shown(setting, ts) and "until" not in shown(setting, ts)
    told_whole = setting.daemon.json("reviews", "show", review["id"])
    assert told_whole["grant_revoked_by"] == "root" and told_whole["grant_end"] < grant["end"]
    assert f", revoked by root, {told_whole['grant_end']}\n" in setting.daemon.wayleave("reviews", "show", review["id"]).stdout


def test_a_click_for_a_time_that_the_rule_does_not_give_any_more(make):  # noqa: F811
    """What the button said is what would be approved: not a shorter time, and not this action alone. The message says what can be."""
    setting = make()  # noqa: F811

    def use(grant):
        rules = [{**r, "review": {k: v for k, v in {**r["review"], "grant": grant}.items() if v}} if r["name"] == "deletes" else r for r in RULES]
        setting.daemon.write_rules(rules)
        setting.daemon.reload()

    def offered(text):
        setting.slack.wait(lambda: slacks.buttons(setting.slack.messages[ts]).get("approve_time", {}).get("text", {}).get("text") == text)

    session, ts, review = setting.hold("delete from orders where item = 'for a time'")
    message = as_posted(setting, review)
    offered("Approve for 30 min")
    use("10m")
    setting.clicker.click(ts, "approve_time", "U222", message)
    told(setting, "refused: longer than the rule's grant (600 s)")
    use(None)
    setting.clicker.click(ts, "approve_time", "U222", message)
    told(setting, f"refused: {review['id']} can be approved for this action alone, not for a time")
    assert state_of(setting.daemon, review) == "pending" and session.waits() and not setting.daemon.json("grants", "list")
    # Given again, it is as before.
    use("20m")
    offered("Approve for 20 min")
    setting.clicker.click(ts, "approve_time", "U222")
    session.answer()
    (grant,) = setting.daemon.json("grants", "list")
    assert grant["review"] == review["id"]
    setting.outcome(ts, f"Grant {grant['id']} until ")


def test_a_grant_that_the_configuration_revokes_while_nothing_runs(make):  # noqa: F811
    """What a webhook's message can't say any more another one says; once, whoever else starts."""
    setting = make(mode="webhook", people=[])  # noqa: F811
    session, ts, review = setting.hold("delete from orders where item = 'granted'")
    assert setting.daemon.wayleave("reviews", "approve", review["id"], "--for", "20m").returncode == 0
    session.answer()
    (grant,) = setting.daemon.json("grants", "list")
    setting.slack.wait(lambda: len(setting.slack.messages) == 2)
    setting.wait_known()
    first, second = setting.slack.messages
    assert f"Grant {grant['id']} until " in shown(setting, second)
    setting.daemon.kill()
    setting.daemon.start()
    # The next review is shown behind all that a new broker has to say.
    session, _, _ = setting.hold("insert into orders values (1002)")
    assert len(setting.slack.messages) == 3
    session.process.kill()
    setting.slack.wait(lambda: len(setting.slack.messages) == 4)
    setting.wait_known()
    setting.daemon.stop()
    rules = setting.daemon.policy_file.read_text()
    assert "grant: 30m" in rules
    setting.daemon.policy_file.write_text(rules.replace("grant: 30m", "grant: 10m"))
    setting.daemon.start()
    setting.slack.wait(lambda: len(setting.slack.messages) == 5)
    assert f"Grant {grant['id']} revoked by the configuration, " in shown(setting, list(setting.slack.messages)[-1])
    assert not setting.daemon.json("grants", "list")


def test_a_slack_that_says_nothing_holds_up_nobody(setting):  # noqa: F811
    """Statements of others go on, people decide at the command line, and the status says what is wrong."""
    ended = threading.Event()

    def hang(connection):
        slacks.hang(connection)
        ended.set()

    other = setting.session()
    setting.slack.faults += [hang, (503, {}, b"")]
    session = setting.session()
    session.send("delete from orders where item = 'unseen'")
    (review,) = wait_for_pending(setting.daemon)
    setting.slack.wait(lambda: len(setting.slack.faults) == 1)
    for _ in range(100):
        assert other("select count(*) from orders where id = 1")["count"] == 1
    assert setting.daemon.json("reviews", "show", review["id"])["state"] == "pending" and session.waits()
    assert setting.daemon.wayleave("reviews", "deny", review["id"], "--reason", "no").returncode == 0
    assert session.answer()["state"] == "42501"
    assert not ended.is_set(), "all of this while Slack was asked"
    wait_for(lambda: "PROBLEM: slack: failing since " in setting.daemon.wayleave("status").stdout, 30, "the problem in the status")
    # Nobody knows whether it was shown: how it ended is.
    ts = setting.slack.wait_message(review["id"])
    setting.outcome(ts, "denied by root")
    wait_for(lambda: setting.daemon.status()["slack"]["state"] == "ok", what="a status without a problem")
