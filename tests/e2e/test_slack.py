# SPDX-License-Identifier: Apache-2.0
"""What a review rule fits is shown in a stand-in for Slack, and decided there by clicks."""
import ctypes
import json
import os
import pathlib
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
from conftest import make_config
from harness import certificates, slack as slacks
from harness.broker import HEADER, PLACE, SHOWN
from harness.daemon import BUILD, ROOT, Daemon
from harness.ports import free_port
from harness.records import audit
from harness.reviews import Session, count, pending, state_of, wait_for_pending
from harness.waiting import wait_for

PIDFD_GETFD = 438  # of every architecture
libc = ctypes.CDLL(None, use_errno=True)
REVIEWERS = {
    "dba": {"slack": {"channel": slacks.CHANNEL, "users": ["U111", "U222", "U444"]}, "local_users": ["root"]},
    "two": {"slack": {"channel": slacks.CHANNEL, "users": ["U111", "U222", "U333"]}, "approvals": 2}}
PEOPLE = [{"name": "ann", "slack": "U111", "local": "root"}, {"name": "bob", "slack": "U222"}]
RULES = [
    {"name": "read", "operations": ["read"], "objects": ["public.orders"], "allow": {}},
    {"name": "deletes", "operations": ["delete"], "objects": ["public.orders"],
     "review": {"by": "dba", "within": "10m", "grant": "30m"}},
    {"name": "updates", "operations": ["update"], "objects": ["public.orders"], "review": {"by": "two"}},
    {"name": "inserts", "operations": ["insert"], "objects": ["public.orders"],
     "review": {"by": "dba", "within": "2s"}},
]


class Setting:
    """A daemon, its Slack, and somebody who clicks."""

    def __init__(self, folder, server, mode="token", tls=False, people=PEOPLE, reviewers=REVIEWERS, rules=RULES, **more):
        folder = pathlib.Path(folder)
        self.server, self.slack, self.port = server, slacks.Slack(), free_port()
        self.sessions = []
        secrets = {"signing_secret_file": slacks.SECRET, "bot_token_file": slacks.TOKEN,
                   "webhook_url_file": self.slack.webhook_url}
        self.files = {}
        for name, value in secrets.items():
            file = folder / name
            file.write_text(value + "\n")
            file.chmod(0o600)
            self.files[name] = str(file)
        config = {"listen": f"127.0.0.1:{self.port}", "api_url": self.slack.api_url}
        self.use(config, mode)
        context = None
        if tls:
            context = slacks.trusting(certificates.make_authority(folder))
            certificate, key = certificates.make_leaf(folder, "broker")
            key.chmod(0o600)
            config["tls"] = {"cert_file": str(certificate), "key_file": str(key)}
        self.daemon = Daemon(folder / "daemon", make_config(
            server.port, reviewers=reviewers, people=people, **({"slack": config} if mode else {}), **more), rules)
        self.clicker = slacks.Clicker(self.slack, self.port, context)

    def use(self, config, mode):
        """Has the section of the configuration name the files of this mode alone."""
        for name in self.files:
            config.pop(name, None)
        for name in ("signing_secret_file", "bot_token_file" if mode == "token" else "webhook_url_file"):
            config[name] = self.files[name]

    def session(self, **options):
        self.sessions.append(Session(self.daemon, self.server, **options))
        return self.sessions[-1]

    def hold(self, statement, *arguments, **options):
        """A session that waits with the statement; the session, the message's time, the review."""
        before = {r["id"] for r in pending(self.daemon)}
        session = self.session(**options)
        session.send(statement, *arguments)
        review = next(r for r in wait_for_pending(self.daemon, len(before) + 1) if r["id"] not in before)
        ts = self.slack.wait_message(review["id"])
        self.wait_known()
        return session, ts, review

    def wait_known(self):
        """Until the daemon has heard that Slack shows what it should."""
        deadline = time.monotonic() + 10
        while self.daemon.status()["slack"]["waiting"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def broker(self):
        children = pathlib.Path(f"/proc/{self.daemon.process.pid}/task/{self.daemon.process.pid}/children").read_text()
        return next((int(p) for p in children.split()
                     if b"wayleave-broker" in pathlib.Path(f"/proc/{p}/cmdline").read_bytes()), None)

    def wait_replaced(self, old):
        wait_for(lambda: self.broker() not in (None, old), 30, "a new broker")

    def reconfigure(self, expected="is in force"):
        """Writes the configuration, which is read again by itself."""
        before = self.daemon.text().count(expected)
        self.daemon.write_config()
        self.daemon.wait_for(expected, count=before + 1)

    def outcome(self, ts, text, timeout=15):
        self.slack.wait(lambda: text in slacks.flatten(self.slack.messages[ts])
                        and not slacks.buttons(self.slack.messages[ts]), timeout)

    def clear(self):
        for session in self.sessions:
            session.process.kill()
            session.process.wait()
        self.sessions.clear()
        wait_for_pending(self.daemon, 0)
        for grant in self.daemon.json("grants", "list"):
            self.daemon.wayleave("grants", "revoke", grant["id"])
        self.slack.check()

    def close(self):
        self.daemon.close()
        self.slack.close()


@pytest.fixture(scope="module")
def shared(server, tmp_path_factory):
    s = Setting(tmp_path_factory.mktemp("slack"), server)
    yield s
    s.close()


@pytest.fixture
def setting(shared):
    yield shared
    shared.slack.faults.clear()
    shared.slack.private.clear()
    shared.slack.views.clear()
    shared.clear()


@pytest.fixture
def make(server, tmp_path):
    made = []

    def start(**more):
        made.append(Setting(tmp_path, server, **more))
        return made[-1]

    yield start
    for s in made:
        s.clear()
        s.close()


def test_approved_by_a_click_runs_once(setting, server):
    session, ts, review = setting.hold("delete from orders where id = 1 -- <!channel> `x`")
    text = slacks.flatten(setting.slack.messages[ts])
    python = os.path.realpath("/usr/bin/python3")
    for part in ("demo", "shop", "deletes", "delete", "public.orders", review["digest"], "<!channel> `x`",
                 f"Host  {socket.gethostname()}\n", f"Program  {python} (pid {session.process.pid})\n",
                 f"Decide before  {review['deadline'][:19].replace('T', ' ')}\n"):
        assert part in text, text
    assert setting.clicker.click(ts, "approve", "U222") == 200
    session.answer()
    setting.outcome(ts, "approved by bob")
    assert state_of(setting.daemon, review) == "approved"
    assert count(server, "id = 1") == 0
    session.send("delete from orders where id = 1 -- <!channel> `x`")
    assert wait_for_pending(setting.daemon)[0]["id"] != review["id"]


def test_denied_with_a_reason(setting):
    session, ts, review = setting.hold("delete from orders where id = 2")
    assert setting.clicker.click(ts, "deny", "U222") == 200
    view = setting.slack.wait(lambda: setting.slack.views and setting.slack.views[-1])
    assert state_of(setting.daemon, review) == "pending"
    assert setting.clicker.submit(view, "U222", "not on a Friday") == 200
    assert "not on a Friday" in str(session.answer())
    setting.outcome(ts, "denied by bob")
    assert "not on a Friday" in slacks.flatten(setting.slack.messages[ts])
    (entry,) = [r for r in audit(setting.daemon) if r.get("event") == "denied" and r["subject"] == review["id"]]
    assert entry["detail"] == f"by bob (Slack U222) in Slack: not on a Friday (agent demo, 1 waiting, digest {review['digest']})"


def test_approved_for_a_time(setting, server):
    session, ts, review = setting.hold("delete from orders where id = 3")
    assert setting.clicker.click(ts, "approve_time", "U222") == 200
    session.answer()
    session("delete from orders where id = 3")
    (grant,) = setting.daemon.json("grants", "list")
    assert grant["review"] == review["id"]


def test_only_listed_people_decide(setting):
    session, ts, review = setting.hold("delete from orders where id = 4")
    for user in ("U333", "U999", "root"):
        assert setting.clicker.click(ts, "approve", user) == 200
    setting.slack.wait(lambda: len(setting.slack.private) == 3)
    assert state_of(setting.daemon, review) == "pending" and session.waits()


def test_nobody_approves_their_own_request(setting):
    # The agent runs as root, whom `people` knows as ann.
    session, ts, review = setting.hold("delete from orders where id = 20")
    assert setting.clicker.click(ts, "approve", "U111") == 200
    setting.slack.wait(lambda: setting.slack.private and "their own request" in setting.slack.private[0])
    assert state_of(setting.daemon, review) == "pending" and session.waits()


def test_two_must_approve_and_one_click_twice_is_one(setting):
    session, ts, review = setting.hold("update orders set amount = amount where id = 5")
    assert "approve_time" not in slacks.buttons(setting.slack.messages[ts])
    for _ in range(2):
        assert setting.clicker.click(ts, "approve", "U333") == 200
    setting.slack.wait(lambda: "two 1 of 2" in slacks.flatten(setting.slack.messages[ts]))
    assert state_of(setting.daemon, review) == "pending" and session.waits()
    assert setting.clicker.click(ts, "approve", "U222") == 200
    session.answer()
    setting.outcome(ts, "approved")


def test_two_voters_whom_a_reload_makes_one_person_count_once(make):
    setting = make()
    d = setting.daemon
    d.folder.parent.chmod(0o755)  # for the reviewer that is not root
    d.config["reviewers"] = {**REVIEWERS, "two": {**REVIEWERS["two"], "local_users": ["daemon"], "approvals": 3}}
    d.config["people"] = []
    d.write_config()
    d.reload()
    session, ts, review = setting.hold("update orders set amount = amount where id = 5")
    done = subprocess.run(["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups", BUILD / "wayleave", "reviews", "approve",
                           review["id"]], env=d.environment, capture_output=True, text=True)
    assert "others must approve too" in done.stdout, done
    setting.clicker.click(ts, "approve", "U111")
    setting.slack.wait(lambda: "two 2 of 3" in slacks.flatten(setting.slack.messages[ts]))
    d.config["people"] = [{"name": "ann", "slack": "U111", "local": "daemon"}]
    d.write_config()
    d.reload()
    setting.clicker.click(ts, "approve", "U222")
    setting.slack.wait(lambda: "two 2 of 3" in slacks.flatten(setting.slack.messages[ts]))
    assert session.waits() and state_of(d, review) == "pending"
    setting.clicker.click(ts, "approve", "U333")
    session.answer()
    assert state_of(d, review) == "approved"


@pytest.mark.parametrize("users", [("U222", "U222"), ("U222", "U444")])
def test_two_clicks_at_once(setting, users):
    """Of one person, and of two of whom each may decide."""
    session, ts, review = setting.hold("delete from orders where id = 6")
    payloads = [slacks.encode(setting.clicker.click_payload(ts, "approve", user)) for user in users]
    threads = [threading.Thread(target=setting.clicker.post, args=(p,)) for p in payloads]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    session.answer()
    # One of the two came too late, and is told so.
    setting.slack.wait(lambda: len(setting.slack.private) == 1)
    setting.outcome(ts, "approved by")
    assert state_of(setting.daemon, review) == "approved"


def at_once(*steps):
    """Calls all of them at the same moment."""
    barrier = threading.Barrier(len(steps))

    def run(step):
        barrier.wait()
        step()
    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_one_approves_while_another_denies(setting, server):
    """Different people at once: one of them counts, the other is told that it came too late."""
    for i in range(4):
        item = f"both ways {i}"
        server.sql(f"insert into orders (item) values ('{item}')", database="shop")
        session, ts, review = setting.hold(f"update orders set amount = 77 where item = '{item}'")
        setting.slack.private.clear()
        setting.slack.views.clear()
        assert setting.clicker.click(ts, "approve", "U333") == 200
        setting.slack.wait(lambda ts=ts: "two 1 of 2" in slacks.flatten(setting.slack.messages[ts]))
        assert setting.clicker.click(ts, "deny", "U111") == 200
        view = setting.slack.wait(lambda: setting.slack.views and setting.slack.views[-1])
        # Before either is sent: the message that the denial leaves has no buttons.
        approval = slacks.encode(setting.clicker.click_payload(ts, "approve", "U222"))
        denial = slacks.encode(setting.clicker.submit_payload(view, "U111", "not this one"))
        at_once(lambda body=approval: setting.clicker.post(body), lambda body=denial: setting.clicker.post(body))
        answer, state = session.answer(), state_of(setting.daemon, review)
        assert state in ("approved", "denied") and (answer.get("state") == "42501") == (state == "denied"), (answer, state)
        assert count(server, f"item = '{item}' and amount = 77") == (state == "approved")
        setting.outcome(ts, state)
        setting.slack.wait(lambda: len(setting.slack.private) == 1)


def test_two_of_two_at_once(setting):
    """Each of two different people counts, whoever comes first."""
    session, ts, review = setting.hold("update orders set amount = amount where id = 6")
    at_once(*(lambda user=user: setting.clicker.click(ts, "approve", user) for user in ("U222", "U333")))
    assert not session.answer().get("state")
    votes = setting.daemon.json("reviews", "show", review["id"])["votes"]
    assert {vote["verdict"] for vote in votes} == {"approve"} and len({vote["by"] for vote in votes}) == 2, votes
    setting.outcome(ts, "approved by")


def test_a_click_and_the_command_line_at_once(setting, server):
    """One of them counts, and what happens is what that one said."""
    for i in range(4):
        item = f"at once {i}"
        server.sql(f"insert into orders (item) values ('{item}')", database="shop")
        session, ts, review = setting.hold(f"delete from orders where item = '{item}'")
        said, click = [], slacks.encode(setting.clicker.click_payload(ts, "approve", "U222"))
        at_once(lambda body=click: setting.clicker.post(body),
                lambda: said.append(setting.daemon.wayleave("reviews", "deny", review["id"], "--reason", "no").returncode))
        answer, state = session.answer(), state_of(setting.daemon, review)
        assert state == ("denied" if said == [0] else "approved"), (said, state)
        assert (answer.get("state") == "42501") == (state == "denied"), (answer, state)
        assert count(server, f"item = '{item}'") == (1 if state == "denied" else 0)
        setting.outcome(ts, state)


def test_replays_forgeries_and_late_clicks(setting):
    session, ts, review = setting.hold("delete from orders where id = 7")
    body = slacks.encode(setting.clicker.click_payload(ts, "approve", "U222"))
    now = int(time.time())
    assert setting.clicker.post(body, now, slacks.sign(body, now, "wrong")) == 401
    assert setting.clicker.post(body, now - 301) == 401
    assert state_of(setting.daemon, review) == "pending"
    assert setting.clicker.post(body, now) == 200
    session.answer()
    # The same click can't approve the same statement another time.
    session.send("delete from orders where id = 7")
    (again,) = wait_for_pending(setting.daemon)
    assert setting.clicker.post(body, now) == 409
    assert setting.clicker.post(body, now + 1) == 200
    time.sleep(0.3)
    assert state_of(setting.daemon, again) == "pending"


def test_decided_at_the_command_line(setting):
    _, ts, review = setting.hold("delete from orders where id = 8")
    done = setting.daemon.wayleave("reviews", "deny", review["id"], "--reason", "seen it: <!here>")
    assert done.returncode == 0, done.stderr
    setting.outcome(ts, "seen it: <!here>")


def test_cancelled_and_expired(setting):
    session, ts, _ = setting.hold("delete from orders where id = 9")
    session.process.kill()
    setting.outcome(ts, "cancelled")
    _, ts, _ = setting.hold("insert into orders values (1000)")
    setting.outcome(ts, "expired")


def test_a_pool_asks_once(setting):
    session, ts, _ = setting.hold("delete from orders where id = 10")
    others = [setting.session() for _ in range(4)]
    for other in others:
        other.send("delete from orders where id = 10")
    setting.slack.wait(lambda: "5 sessions" in slacks.flatten(setting.slack.messages[ts]))
    assert len(pending(setting.daemon)) == 1
    setting.clicker.click(ts, "approve", "U222")
    assert sorted(one.answer().get("count") for one in (session, *others)) == [0, 0, 0, 0, 1]


def test_two_megabytes(setting, server):
    text = "delete from orders where item = '" + "x" * (2 << 20) + "' or id = -1"
    server.sql(f"insert into orders (id, item) values (-1, 'x'), (-3, repeat('x', {2 << 20})), (-4, repeat('x', {(2 << 20) - 1}))", database="shop")
    session, ts, review = setting.hold(text)
    shown = slacks.flatten(setting.slack.messages[ts])
    assert "CUT: " in shown and f"of {len(text)}" in shown and "or id = -1" in shown and review["digest"] in shown
    setting.clicker.click(ts, "approve", "U222")
    assert session.answer()["count"] == 2 and count(server, "id in (-1, -3, -4)") == 1


def shown_of_long(setting, session, held):
    """What the message shows of the review, of which something is long."""
    session.send(held)
    (review,) = wait_for_pending(setting.daemon)
    shown = slacks.flatten(setting.slack.messages[setting.slack.wait_message(review["id"])])
    assert re.search(rf"CUT: .* All of it: wayleave reviews show {review['id']}", shown)
    return shown


def test_no_length_hides_what_is_run(setting):
    session = setting.session()
    session("prepare long as delete from orders where item = '" + "x" * 5000 + "' or id = -2")
    shown = shown_of_long(setting, session, "execute long")
    assert "or id = -2" in shown.partition("What it runs")[2].partition("What it would do")[0]


def test_a_pipeline_is_one_message(setting):
    batch = [("P", "", "delete from orders where id = $1"), ("B", "", "", ["-71"]), ("E", ""),
             ("P", "", "delete from orders where id = $1 and item = $2"), ("B", "", "", ["-72", "x"]), ("E", ""), ("S",)]
    p = setting.daemon.popen("/usr/bin/python3", ROOT / "tests" / "harness" / "wire.py", "127.0.0.1", str(setting.server.port), "app", "shop",
                             repr([("batch", batch), ("wait", "Z")]), stdout=subprocess.PIPE, text=True)
    (review,) = wait_for_pending(setting.daemon)
    ts = setting.slack.wait_message(review["id"])
    shown = slacks.flatten(setting.slack.messages[ts])
    assert "and item = $2" in shown and "statement 1, $1 = -71" in shown and "statement 2, $1 = -72" in shown and "statement 2, $2 = x" in shown
    setting.clicker.click(ts, "approve", "U222")
    assert p.communicate(timeout=10)[0].count("DELETE 0") == 2


def test_parameters_are_masked_in_every_form(setting, server):
    """Neither they nor the plan that quotes them have what detectors find, sent as text or in binary format."""
    card = "4111111111111111"
    bits = int(card).to_bytes(8, "big").hex()
    # Numbers in binary format are shown as numbers; the type of the last one nobody but the server told.
    code = "import decimal, psycopg, sys\n" \
           "c, card = psycopg.connect(sys.argv[1], autocommit=True), sys.argv[2]\n" \
           "values = (card, card, psycopg.types.json.Jsonb({'card': card}), 4711, int(card), decimal.Decimal(card + '.50'), [int(card), 5])\n" \
           "c.execute('delete from orders where item in (%t, %b) or to_jsonb(item) = %b or id in (%b, %b, %b) or id = any (%b)', values)\n" \
           "k = c.pgconn\n" \
           "k.prepare(b's', b'delete from orders where id = -1 and id::int8 = $1')\n" \
           "k.describe_prepared(b's')\n" \
           "k.exec_prepared(b's', [int(card).to_bytes(8, 'big')], [1])\n"
    p = setting.daemon.popen("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app", card,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    (review,) = wait_for_pending(setting.daemon)
    ts = setting.slack.wait_message(review["id"])
    told = slacks.flatten(setting.slack.messages[ts])
    shown = setting.daemon.wayleave("reviews", "show", review["id"]).stdout
    full = setting.daemon.json("reviews", "show", review["id"])
    assert "Delete on orders" in full["preview"], full
    for text in (told, shown, json.dumps(full), json.dumps(setting.slack.messages[ts])):
        assert card not in text and card.encode().hex() not in text and bits not in text, text
        assert "************1111" in text, text
    masked, binary, document, number, integer, amount, many = full["parameters"]
    assert masked == binary == integer == {"text": "*" * 12 + "1111", "length": 16}
    assert document["text"] == '\x01{"card": "' + "*" * 12 + '1111"}' and number == {"text": "4711", "length": 4}
    assert amount == {"text": "*" * 12 + "1111.50", "length": 19} and many["binary"][-32:] == "ffffffff" + "00000008" + "0000000000000005"
    setting.clicker.click(ts, "approve", "U222")
    review = wait_for(lambda: next((r for r in pending(setting.daemon) if r["id"] != review["id"]), None), 10, "the next one")
    full = setting.daemon.json("reviews", "show", review["id"])
    assert full["parameters"] == [masked] and "= $1" in full["text"]
    setting.clicker.click(setting.slack.wait_message(review["id"]), "approve", "U222")
    assert p.communicate(timeout=10) == ("", "") and p.returncode == 0


def test_no_length_hides_how_it_is_read(setting, server):
    schemas = [f"schema_{i:02}_{'x' * 30}" for i in range(30)]
    server.sql("".join(f"create schema {name}; grant usage on schema {name} to public;" for name in schemas), database="shop")
    try:
        session = setting.session()
        session("set search_path to " + ", ".join(schemas))
        shown = shown_of_long(setting, session, "delete from public.orders where id = -2")
        # The end of what is cut is what stands behind the path.
        assert schemas[0] in shown and "standard_conforming_strings: on" in shown
    finally:
        server.sql("".join(f"drop schema {name};" for name in schemas), database="shop")


@pytest.mark.parametrize("fault", [(503, {}, b""), (429, {"Retry-After": "1"}, b"")], ids=["down", "limited"])
def test_slack_down_is_said_and_reviews_go_on(setting, fault):
    setting.slack.faults += [fault] * 3
    session = setting.session()
    session.send("delete from orders where id = 11")
    (review,) = wait_for_pending(setting.daemon)
    deadline = time.monotonic() + 10
    while setting.daemon.status()["slack"]["state"] == "ok":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert str(fault[0]) in setting.daemon.wayleave("status").stdout
    assert setting.daemon.wayleave("reviews", "deny", review["id"], "--reason", "no").returncode == 0
    session.answer()
    setting.slack.faults.clear()
    _, ts, _ = setting.hold("delete from orders where id = 12")
    deadline = time.monotonic() + 10
    while setting.daemon.status()["slack"]["state"] != "ok":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_broker_dies(setting):
    session, ts, review = setting.hold("delete from orders where id = 13")
    old = setting.broker()
    os.kill(old, signal.SIGKILL)
    setting.wait_replaced(old)
    time.sleep(1.1)  # what was signed before it began is not for it
    assert setting.clicker.click(ts, "approve", "U222") == 200
    session.answer()
    setting.outcome(ts, "approved by bob")


def test_the_daemon_is_killed(make):
    setting = make()
    _, ts, review = setting.hold("delete from orders where id = 14")
    setting.daemon.kill()
    setting.daemon.start()
    setting.outcome(ts, "cancelled")
    assert state_of(setting.daemon, review) == "cancelled"


def test_webhook(make):
    setting = make(mode="webhook")
    session, ts, _ = setting.hold("delete from orders where id = 15")
    setting.clicker.click(ts, "approve", "U222")
    session.answer()
    setting.outcome(ts, "approved by bob")
    assert len(setting.slack.messages) == 1
    _, ts, review = setting.hold("delete from orders where id = 16")
    setting.daemon.wayleave("reviews", "deny", review["id"], "--reason", "no")
    setting.slack.wait(lambda: len(setting.slack.messages) == 3)
    assert "denied" in slacks.flatten(list(setting.slack.messages.values())[-1])


def test_tls(make):
    setting = make(tls=True)
    session, ts, _ = setting.hold("delete from orders where id = 17")
    assert setting.clicker.click(ts, "approve", "U222") == 200
    session.answer()


def test_another_signing_secret_counts_after_a_reload(make):
    setting = make()
    session, ts, review = setting.hold("delete from orders where id = 18")
    pathlib.Path(setting.daemon.config["slack"]["signing_secret_file"]).write_text("another secret")
    setting.daemon.reload()
    body = slacks.encode(setting.clicker.click_payload(ts, "approve", "U222"))
    now = int(time.time()) + 2
    assert setting.clicker.post(body, now) == 401
    setting.daemon.wait_for("callbacks refused: 1; the last: not signed with the signing secret")
    # The token of the outcome's message is no good any more, which the log says with Slack's word.
    setting.slack.faults.append((200, {}, b'{"ok": false, "error": "invalid_auth"}'))
    assert setting.clicker.post(body, now, slacks.sign(body, now, "another secret")) == 200
    session.answer()
    setting.daemon.wait_for(
        f"slack: review {review['id']} in {slacks.CHANNEL}: Slack says: invalid_auth (1 of the 1 messages that wait)")


def test_the_configuration_of_the_documentation(setting, tmp_path):
    """Its section is taken as it stands, with the files where an admin put them."""
    root = pathlib.Path(__file__).resolve().parents[2]
    (text,) = re.findall(r"```yaml\n(slack:.*?)```", (root / "docs/slack.md").read_text(), re.S)
    authority = tmp_path / "authority"
    authority.mkdir()
    certificates.make_authority(authority)
    certificate, key = certificates.make_leaf(authority, "broker")
    places = {"secrets/slack-bot": "token", "secrets/slack-signing": "secret", "tls/cert.pem": certificate.read_text(),
              "tls/key.pem": key.read_text()}
    for place, content in places.items():
        assert f"/etc/wayleave/{place}" in text
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(content)
        (tmp_path / place).chmod(0o600)
    file = tmp_path / "wayleave.yaml"
    file.write_text(f"policies: []\n{text.replace('/etc/wayleave', str(tmp_path))}")
    done = subprocess.run([BUILD / "wayleaved", "--config", file, "--check"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and not done.stderr, done
    (tmp_path / "secrets/slack-bot").write_text("\n")
    done = subprocess.run([BUILD / "wayleaved", "--config", file, "--check"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and re.search(r"wayleave.yaml:3: .*secrets/slack-bot is empty", done.stderr), done


def test_what_can_not_be_told_now_is_told_later(setting):
    session, ts, review = setting.hold("delete from orders where id = 23")
    monitor = setting.daemon.process.pid
    limits = resource.prlimit(monitor, resource.RLIMIT_NOFILE)
    # No descriptor is left for the review that the broker is to read.
    resource.prlimit(monitor, resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        assert setting.clicker.click(ts, "approve", "U222") == 200
        session.answer()
        setting.daemon.wait_for(f"review {review['id']} can't be shown yet: Too many open files")
    finally:
        resource.prlimit(monitor, resource.RLIMIT_NOFILE, limits)
    setting.outcome(ts, "approved by bob")


def test_what_the_broker_has_no_room_for_is_offered_again(setting):
    _, ts, review = setting.hold("delete from orders where id = 24")
    broker = setting.broker()
    with channel_of(broker) as channel:
        os.kill(broker, signal.SIGSTOP)
        before = len(setting.slack.requests)
        channel.send(HEADER.pack(SHOWN, 0) + PLACE.pack(review["id"].encode(), slacks.CHANNEL.encode(), ts.encode())
                     + struct.pack("=I", 2))
        setting.daemon.wait_for(f"review {review['id']} can't be shown yet: too many others wait")
        os.kill(broker, signal.SIGCONT)
    setting.slack.wait(lambda: setting.slack.requests[before:])
    assert setting.slack.requests[-1][1]["ts"] == ts


def test_slack_comes_and_goes_with_the_configuration(make):
    """What is pending is announced when Slack is there, and by what is there: a webhook's messages are not a token's."""
    setting = make(mode=None)
    session = setting.session()
    session.send("delete from orders where id = 25")
    (review,) = wait_for_pending(setting.daemon)
    config = {"listen": f"127.0.0.1:{setting.port}", "api_url": setting.slack.api_url}
    for mode in ("webhook", "token"):
        setting.use(config, mode)
        setting.daemon.config["slack"] = config
        setting.reconfigure()
        setting.slack.wait(lambda: len(setting.slack.messages) == {"webhook": 1, "token": 2}[mode])
        setting.wait_known()
    first, second = setting.slack.messages
    assert setting.daemon.status()["slack"]["state"] == "ok"
    assert setting.daemon.wayleave("reviews", "deny", review["id"], "--reason", "no").returncode == 0
    setting.outcome(second, "denied")
    setting.wait_known()
    assert len(setting.slack.messages) == 2 and "denied" not in slacks.flatten(setting.slack.messages[first])


def channel_of(pid):
    """The broker's end of its channel, taken from it."""
    process = os.pidfd_open(pid)
    for name in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
            taken = socket.socket(fileno=libc.syscall(PIDFD_GETFD, process, int(name), 0))
            if taken.type == socket.SOCK_SEQPACKET:
                os.close(process)
                return taken
            taken.close()
    raise AssertionError("no channel")


def test_a_broker_that_sends_what_is_no_message_is_ended(setting):
    _, ts, _ = setting.hold("delete from orders where id = 21")
    old = setting.broker()
    with channel_of(old) as channel:
        # It would go on for ever, with its secrets, if only the channel were closed.
        os.kill(old, signal.SIGSTOP)
        channel.send(b"x")
    setting.wait_replaced(old)
    wait_for(lambda: not pathlib.Path(f"/proc/{old}").exists(), what="the old one's end")


def test_the_listener_moves_within_its_port(make):
    setting = make()
    session, ts, review = setting.hold("delete from orders where id = 22")
    # Both are "the port": the new one must be there before the old one goes.
    for address in ("0.0.0.0", "127.0.0.1", "[::]"):
        setting.daemon.config["slack"]["listen"] = f"{address}:{setting.port}"
        setting.reconfigure()
        assert setting.clicker.post(b"", 0) == 401
    # And one that somebody else has is refused; all is as before.
    with socket.create_server(("127.0.0.1", 0)) as other:
        setting.daemon.config["slack"]["listen"] = f"127.0.0.1:{other.getsockname()[1]}"
        setting.reconfigure("the configuration in force stays: slack: can't listen on")
    time.sleep(1.1)  # what was signed before the broker began is not for it
    assert setting.clicker.click(ts, "approve", "U222") == 200
    session.answer()
