# SPDX-License-Identifier: Apache-2.0
"""Several people decide one review, in Slack and at the command line at once; and what the audit log says of who, how and why."""
import subprocess

import pytest
from harness import slack as slacks
from harness.daemon import BUILD
from harness.records import audit
from harness.reviews import state_of
from test_slack import Setting, at_once

REVIEWERS = {
    "two": {"slack": {"channel": slacks.CHANNEL, "users": ["U222", "U333"]}, "local_users": ["daemon", "games", "bin"], "approvals": 2},
    "dba": {"slack": {"channel": slacks.CHANNEL, "users": ["U222"]}},
    "security": {"slack": {"channel": slacks.OTHER_CHANNEL, "users": ["U555"]}}}
PEOPLE = [{"name": "ann", "slack": "U333", "local": "games"}, {"name": "bob", "slack": "U222"}]
RULES = [{"name": "read", "operations": ["read"], "objects": ["public.orders"], "allow": {}},
         {"name": "updates", "operations": ["update"], "objects": ["public.orders"], "review": {"by": "two", "grant": "10m"}},
         {"name": "deletes", "operations": ["delete"], "objects": ["public.orders"], "review": {"by": "dba"}},
         {"name": "what is lost", "operations": ["delete"], "objects": ["*.*"], "review": {"by": "security"}}]


@pytest.fixture(scope="module")
def setting(server, tmp_path_factory):
    s = Setting(tmp_path_factory.mktemp("people"), server, people=PEOPLE, reviewers=REVIEWERS, rules=RULES)
    s.daemon.folder.parent.chmod(0o755)  # for reviewers that are not root
    yield s
    s.close()


@pytest.fixture
def held(setting):
    yield lambda text, **options: setting.hold(text, **options)
    setting.slack.private.clear()
    setting.clear()


def type_as(setting, user, *words):
    """At the command line."""
    return subprocess.run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", BUILD / "wayleave", "reviews", *words],
                          env=setting.daemon.environment, capture_output=True, text=True)


def noted(setting, review):
    """What the audit log has of the review behind its beginning."""
    entries = [r for r in audit(setting.daemon) if r.get("subject") == review["id"]]
    return [(r["event"], r["detail"]) for r in entries[1:]]


def test_one_clicks_while_another_types(setting, held):
    """Both count, whoever comes first."""
    session, ts, review = held("update orders set amount = amount where id = 901")
    done = []
    at_once(lambda: setting.clicker.click(ts, "approve", "U222"),
            lambda: done.append(type_as(setting, "daemon", "approve", review["id"], "--reason", "looks right")))
    assert not session.answer().get("state") and done[0].returncode == 0, done
    shown = setting.daemon.json("reviews", "show", review["id"])
    assert [v["verdict"] for v in shown["votes"]] == ["approve"] * 2 and {v["by"] for v in shown["votes"]} == {"daemon", "bob (Slack U222)"}
    (vote, counted), (approved, how) = noted(setting, review)
    digest = review["digest"]
    first_typed = f"approved by daemon at the command line; others must approve too: looks right (digest {digest})", \
        f"by daemon, bob (Slack U222) in Slack (agent demo, 1 waiting, digest {digest})"
    first_clicked = f"approved by bob (Slack U222) in Slack; others must approve too (digest {digest})", \
        f"by bob (Slack U222), daemon at the command line: looks right (agent demo, 1 waiting, digest {digest})"
    assert (vote, approved) == ("vote", "approved") and (counted, how) in (first_typed, first_clicked)
    setting.outcome(ts, "approved by")


def test_one_of_two_denies_at_the_same_moment(setting, held):
    """The one who approves may be first, and then only counted."""
    session, ts, review = held("update orders set amount = amount where id = 902")
    done = []
    at_once(lambda: setting.clicker.click(ts, "approve", "U222"),
            lambda: done.append(type_as(setting, "daemon", "deny", review["id"], "--reason", "not now")))
    assert session.answer()["state"] == "42501" and state_of(setting.daemon, review) == "denied" and done[0].returncode == 0
    event, detail = noted(setting, review)[-1]
    assert (event, detail) == ("denied", f"by daemon at the command line: not now (agent demo, 1 waiting, digest {review['digest']})")
    setting.outcome(ts, "denied by daemon")


def test_who_asked_is_none_of_the_two_by_whichever_identity(setting, held):
    """The agent's process is ann's: neither her click nor her command counts; to deny is nobody's privilege."""
    session, ts, review = held("update orders set amount = amount where id = 903", user="games")
    typed = type_as(setting, "games", "approve", review["id"])
    assert typed.returncode == 1 and "nobody approves their own request" in typed.stderr
    assert setting.clicker.click(ts, "approve", "U333") == 200
    setting.slack.wait(lambda: any("nobody approves their own request" in text for text in setting.slack.private))
    assert "others must approve too" in type_as(setting, "daemon", "approve", review["id"]).stdout
    # Twice is still one, and hers come in between.
    assert "others must approve too" in type_as(setting, "daemon", "approve", review["id"]).stdout
    assert type_as(setting, "games", "approve", review["id"]).returncode == 1
    assert session.waits() and state_of(setting.daemon, review) == "pending"
    assert type_as(setting, "bin", "approve", review["id"]).returncode == 0
    assert not session.answer().get("state")
    assert [event for event, _ in noted(setting, review)] == ["vote", "vote", "approved"]
    session, ts, review = held("update orders set amount = amount where id = 904", user="games")
    assert type_as(setting, "games", "deny", review["id"], "--reason", "a mistake of mine").returncode == 0
    assert session.answer()["state"] == "42501"


def test_a_grant_is_as_long_as_both_want(setting, held):
    session, ts, review = held("update orders set amount = amount where id = 905")
    assert "others must approve too" in type_as(setting, "daemon", "approve", review["id"], "--for", "5m").stdout
    assert setting.clicker.click(ts, "approve_time", "U222") == 200
    session.answer()
    (grant,) = setting.daemon.json("grants", "list")
    assert grant["review"] == review["id"] and grant["by"] == "daemon, bob (Slack U222)"
    (granted,) = [r["detail"] for r in audit(setting.daemon) if r.get("subject") == grant["id"]]
    assert granted == f"by daemon, bob (Slack U222), for 300 s, by review {review['id']}"


def test_each_group_is_asked_in_its_channel(setting, held):
    """The messages say the same, whoever clicked where; and who is in one group alone does not count for the other."""
    session, ts, review = held("delete from orders where id = 906")

    def message(channel):
        return next(m for m in setting.slack.messages.values() if m["channel"] == channel and review["id"] in slacks.flatten(m))

    def both(text):
        setting.slack.wait(lambda: all(text in slacks.flatten(message(c)) for c in (slacks.CHANNEL, slacks.OTHER_CHANNEL)))

    both("dba 0 of 1, security 0 of 1")
    other = next(ts for ts, m in setting.slack.messages.items() if m is message(slacks.OTHER_CHANNEL))
    for _ in range(2):
        assert setting.clicker.click(other, "approve", "U222") == 200
    both("dba 1 of 1, security 0 of 1")
    assert state_of(setting.daemon, review) == "pending" and session.waits()
    assert setting.clicker.click(other, "approve", "U555") == 200
    session.answer()
    both("approved by bob (Slack U222), Slack U555")
    assert not any(slacks.buttons(message(c)) for c in (slacks.CHANNEL, slacks.OTHER_CHANNEL))
