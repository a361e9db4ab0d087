# SPDX-License-Identifier: Apache-2.0
"""The wall clock is set back and forward under a daemon: what people granted ends when they said, and nothing is lost."""
import time

import pytest
from conftest import Psql, make_config
from harness import daemon as daemons
from harness import issuer as issuers
from harness.records import assert_verified, audit, recorded_texts
from harness.reviews import REVIEWERS, decide, session, wait_for_pending  # noqa: F401
from harness.waiting import wait_for

HOUR = 3600
RULES = [
    {"name": "read", "operations": ["read"], "objects": ["public.orders"], "allow": {}},
    {"name": "deletes need a person", "operations": ["delete"], "objects": ["public.orders"],
     "review": {"by": "dba", "within": "10m", "grant": "30m"}},
    {"name": "updates too", "operations": ["update"], "objects": ["public.orders"],
     "review": {"by": "dba", "within": "10m", "grant": "30m"}},
]
COUNT = "select count(*) from orders where id <= 20"


class Daemon(daemons.Daemon):
    """With a clock of its own."""

    def __init__(self, folder, config, rules):
        folder.mkdir(parents=True, exist_ok=True)
        self.clock = folder / "clock"
        self.set_clock(0)
        super().__init__(folder, config, rules, wrapper=[
            "env", f"LD_PRELOAD={daemons.BUILD.parent / 'tests/set_clock.so'}", f"SET_CLOCK={self.clock}"])

    def set_clock(self, seconds):
        """That much ahead of the host's."""
        with open(self.clock, "r+b" if self.clock.exists() else "wb", buffering=0) as f:
            f.write((seconds * 10**9).to_bytes(8, "little", signed=True))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    made = issuers.Issuer(tmp_path_factory.mktemp("issuer"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def daemon(server, issuer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clock")
    config = make_config(server.port, workers=1, reviewers=REVIEWERS, retention={"days": 1},
                         issuers={"idp": {"url": issuer.url, "audience": issuers.AUDIENCE, "ca_file": str(issuer.ca)}})
    config["agents"][1]["identity"] = {"issuer": "idp", "token_file": str(folder / "token")}
    (folder / "token").write_text(issuer.token(groups=["ai-agents"]))
    d = Daemon(folder, config, RULES)
    yield d
    d.close()


@pytest.fixture(autouse=True)
def right_again(daemon):
    yield
    daemon.set_clock(0)


def was_set(daemon, words):
    wait_for(lambda: [r for r in audit(daemon) if r["record"] == "host" and words in str(r.get("detail"))], what=words)


def compressed(daemon):
    return len([r for r in audit(daemon) if r.get("event") == "compressed"])


def test_back_no_grant_lives_longer(daemon, server, session):
    s = session()
    s.send("delete from orders where item = 'a'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--for", "6s")
    assert "error" not in s.answer()
    granted = time.monotonic()
    daemon.set_clock(-HOUR)
    was_set(daemon, f"back by {HOUR} s")
    # By the new clock its end lies an hour away; it is over when it was said to be.
    wait_for(lambda: not daemon.json("grants", "list"), 60, "the end of the grant")
    assert time.monotonic() - granted < HOUR / 2
    s.send("delete from orders where item = 'a'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "deny", review, "--reason", "enough")
    assert s.answer()["state"] == "42501"
    assert s(COUNT)["rows"] == [["20"]]
    assert_verified(daemon)


def test_forward_nothing_is_taken_away(daemon, server, session):
    s, other = session(), session()
    s.send("update orders set amount = amount where item = 'b'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--for", "30m")
    assert "error" not in s.answer()
    other.send("delete from orders where item = 'b'")
    (held,) = wait_for_pending(daemon)
    daemon.set_clock(24 * HOUR)
    was_set(daemon, f"forward by {24 * HOUR} s")
    # What is in force and what waits go on, and so does who comes now.
    assert "error" not in s("update orders set amount = amount where item = 'b'")
    assert [r["id"] for r in wait_for_pending(daemon)] == [held["id"]]
    decide(daemon, "approve", held)
    assert "error" not in other.answer()
    assert Psql(daemon, server).rows(COUNT) == ["20"]
    assert_verified(daemon)
    [grant] = daemon.json("grants", "list")
    assert daemon.wayleave("grants", "revoke", grant["id"]).returncode == 0


def test_forward_no_recording_is_deleted(daemon, server):
    """By a clock that is wrong everything is old. Another day is another segment, and the one before is finished."""
    text = "select count(*) from orders where id <= 19"
    assert Psql(daemon, server).rows(text) == ["19"]
    daemon.set_clock(48 * HOUR)
    was_set(daemon, f"forward by {48 * HOUR} s")
    done = compressed(daemon)
    assert Psql(daemon, server).rows(text) == ["19"]
    wait_for(lambda: compressed(daemon) > done, 60, "the housekeeping")
    assert text in recorded_texts(daemon)
    assert not [r for r in audit(daemon) if r.get("event") == "deleted"]


def test_forward_a_restart_finds_what_there_was(daemon, server, session):
    """What was moved with the clock is kept so; and what it was set by while no daemon ran is known."""
    text = "delete from orders where item = 'd'"
    s = session()
    s.send(text)
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--for", "30m")
    assert "error" not in s.answer()
    daemon.set_clock(24 * HOUR)
    was_set(daemon, f"forward by {24 * HOUR} s")
    done = compressed(daemon)
    daemon.kill()
    daemon.set_clock(120 * HOUR)
    daemon.start()
    was_set(daemon, f"forward by {96 * HOUR} s")
    [grant] = daemon.json("grants", "list")
    assert "error" not in session()(text)
    assert daemon.wayleave("grants", "revoke", grant["id"]).returncode == 0
    # The clock alone made all of it old.
    wait_for(lambda: compressed(daemon) > done, 60, "the housekeeping")
    assert text in recorded_texts(daemon)
    assert not [r for r in audit(daemon) if r.get("event") == "deleted"]


def identity(daemon):
    return next(a["identity"] for a in daemon.json("agents", "list") if a["name"] == "other")


def test_a_token_lives_no_longer_and_a_new_one_counts(daemon, issuer):
    file = daemon.folder / "token"

    def swap(token):
        (daemon.folder / "new").write_text(token)
        (daemon.folder / "new").rename(file)
    wait_for(lambda: identity(daemon) == "known", 30, "a token")
    # Not behind the host's clock, by which the issuer's certificate is not valid yet.
    daemon.set_clock(HOUR)
    # 60 s of leeway: it ends some seconds from now.
    short = issuer.token(groups=["short"], iat=int(time.time()) - HOUR, exp=int(time.time()) + HOUR - 50)
    swap(short)
    wait_for(lambda: [a for a in daemon.json("agents", "list") if a["groups"] == ["short"]], 30, "the short one")
    daemon.set_clock(0)
    wait_for(lambda: identity(daemon) == "ended", 60, "its end")
    # As an editor saves it: the same token, of which the clock says that it has an hour left.
    swap(short + "\n")
    for _ in range(20):
        assert identity(daemon) == "ended"
        time.sleep(0.05)
    swap(issuer.token(groups=["ai-agents"], iat=int(time.time()) - HOUR))
    wait_for(lambda: identity(daemon) == "known", 30, "a new token")
    daemon.set_clock(24 * HOUR)
    # Or refused, once it was looked at anew: by that clock the issuer's certificate and keys are old, too.
    wait_for(lambda: identity(daemon) in ("ended", "refused"), 30, "its end by the clock")
    daemon.set_clock(0)
