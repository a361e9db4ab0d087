# SPDX-License-Identifier: Apache-2.0
"""Several rules ask other people about one action: all of the groups must approve, one of them may refuse, and the shortest times count."""
import datetime
import json
import pwd
import subprocess

import pytest
from conftest import make_config
from harness.daemon import BUILD
from harness.reviews import add, count, pending, session, state_of, wait_for_pending  # noqa: F401

# Users that every Debian has.
DBA, SECURITY, STRANGER = "games", "news", "nobody"
REVIEWERS = {"dba": {"local_users": [DBA]}, "security": {"local_users": [SECURITY]}, "others": {"local_users": [STRANGER]}}
RULES = [
    {"name": "read", "operations": ["read"], "objects": ["public.orders"], "allow": {}},
    {"name": "deletes", "operations": ["delete"], "objects": ["public.orders"], "review": {"by": "dba", "within": "10m", "grant": "30m"}},
    {"name": "what is lost", "operations": ["delete", "truncate"], "objects": ["public.*"], "review": {"by": "security", "within": "5m", "grant": "4m"}},
    {"name": "updates", "operations": ["update"], "objects": ["public.orders"], "review": {"by": "dba", "grant": "30m"}},
    {"name": "all that is written", "operations": ["update"], "objects": ["*.*"], "review": {"by": "security"}},
]


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    from harness import daemon as daemons
    d = daemons.Daemon(tmp_path_factory.mktemp("groups"), make_config(server.port, reviewers=REVIEWERS), RULES)
    yield d
    d.close()


def as_user(daemon, user, *words):
    who = pwd.getpwnam(user)
    return subprocess.run(["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups", BUILD / "wayleave", *words],
                          env=daemon.environment, capture_output=True, text=True, timeout=30)


def approve(daemon, user, review, *more):
    return as_user(daemon, user, "reviews", "approve", review["id"], *more)


def times(review):
    return [datetime.datetime.fromisoformat(review[name]) for name in ("created", "deadline")]


def given(review):
    return {g["name"]: (g["given"], g["needed"]) for g in review["groups"]}


def test_each_group_approves(daemon, server, session):  # noqa: F811
    add(server, "both")
    s = session()
    s.send("delete from orders where item = 'both'")
    (review,) = wait_for_pending(daemon)
    assert review["rules"] == ["deletes", "what is lost"] and given(review) == {"dba": (0, 1), "security": (0, 1)}
    created, deadline = times(review)
    assert 299 <= (deadline - created).total_seconds() <= 300 and review["grant_limit"] == 240
    # Whose business it is none of sees nothing, and decides nothing; root sees it, and is no member.
    assert json.loads(as_user(daemon, STRANGER, "--json", "reviews").stdout) == []
    for user in (STRANGER, "root"):
        assert approve(daemon, user, review).returncode == 1
    first = approve(daemon, DBA, review)
    assert first.returncode == 0 and state_of(daemon, review) == "pending" and s.waits(), first
    (review,) = pending(daemon)
    assert given(review) == {"dba": (1, 1), "security": (0, 1)}
    shown = as_user(daemon, SECURITY, "reviews", "show", review["id"]).stdout
    assert "dba: 1 of 1 have approved" in shown and "security: 0 of 1 have approved" in shown, shown
    approve(daemon, DBA, review)
    assert s.waits() and count(server, "item = 'both'") == 1, "the same again is not the other group's"
    assert approve(daemon, SECURITY, review).returncode == 0
    got = s.answer()
    assert got["count"] == 1
    assert got["notices"] == [f"NOTICE:  wayleave: waiting for approval by dba and security (review {review['id']})\n"]
    decided = daemon.json("reviews", "show", review["id"])
    assert decided["state"] == "approved" and DBA in str(decided["votes"]) and SECURITY in str(decided["votes"])


def test_one_of_them_refuses(daemon, server, session):  # noqa: F811
    s = session()
    s.send("delete from orders where item = 'refused'")
    (review,) = wait_for_pending(daemon)
    assert approve(daemon, DBA, review).returncode == 0
    assert as_user(daemon, SECURITY, "reviews", "deny", review["id"], "--reason", "evidence").returncode == 0
    got = s.answer()
    assert got["state"] == "42501" and f"denied by {SECURITY}" in got["error"] and "evidence" in got["error"]
    assert approve(daemon, DBA, review).returncode == 1


def test_a_grant_is_as_long_as_all_of_them_allow(daemon, server, session):  # noqa: F811
    s = session()
    s.send("delete from orders where item = 'granted'")
    (review,) = wait_for_pending(daemon)
    assert approve(daemon, DBA, review, "--for", "5m").returncode == 1, "the other rule gives four minutes"
    assert approve(daemon, DBA, review, "--for", "4m").returncode == 0
    assert approve(daemon, SECURITY, review, "--for", "1m").returncode == 0
    assert s.answer()["count"] == 0
    (grant,) = daemon.json("grants", "list")
    length = datetime.datetime.fromisoformat(grant["end"]) - datetime.datetime.fromisoformat(grant["created"])
    assert 59 <= length.total_seconds() <= 60
    assert s("delete from orders where item = 'granted too'")["count"] == 0
    # By a reviewer of its groups, and in force no more in the session that is open.
    assert as_user(daemon, STRANGER, "grants", "revoke", grant["id"]).returncode == 1
    assert as_user(daemon, SECURITY, "grants", "revoke", grant["id"]).returncode == 0
    s.send("delete from orders where item = 'granted no more'")
    (review,) = wait_for_pending(daemon)
    as_user(daemon, DBA, "reviews", "deny", review["id"], "--reason", "no")
    assert s.answer()["state"] == "42501"


def test_a_rule_that_gives_none_rules_it_out(daemon, session):  # noqa: F811
    s = session()
    s.send("update orders set amount = 0 where item = 'never'")
    (review,) = wait_for_pending(daemon)
    assert review["grant_limit"] is None
    done = approve(daemon, DBA, review, "--for", "1m")
    assert done.returncode == 1 and state_of(daemon, review) == "pending", done
    assert approve(daemon, DBA, review).returncode == 0 and approve(daemon, SECURITY, review).returncode == 0
    assert s.answer()["count"] == 0
    assert daemon.json("grants", "list") == []
