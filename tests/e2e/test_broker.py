# SPDX-License-Identifier: Apache-2.0
"""The broker between a stand-in for Slack and a stand-in for the monitor."""
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import time

import pytest

from harness import certificates, slack as slacks
from harness.broker import Broker, Decision, Shown, State
from harness.ports import free_port
from harness.waiting import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
MINUTE = 60 * 10**9


def make_review(number="r-7Q2K", state="pending", **more):
    return {"id": number, "state": state, "agent": "demo", "principal": "bot@acme.com", "resource": "orders",
            "rule": "writes need a person", "operations": ["delete"], "objects": ["public.orders"],
            "text": "delete from orders", "digest": "ab" * 32, "waiters": 1, "database": "shop", "user": "app",
            "program": "/usr/bin/psql", "pid": 4711, "settings": "search_path=public", "preview": None,
            "groups": [{"name": "dba", "needed": 2, "given": 1}, {"name": "security", "needed": 1, "given": 0}],
            "deadline": "2026-01-31T12:00:00.000Z", "parameters": [], "parameters_total": 0, **more}


@pytest.fixture
def slack():
    s = slacks.Slack()
    yield s
    s.close()
    s.check()


@pytest.fixture
def make(slack):
    made = []

    def start(mode="token", tls=None, interactive=True, **more):
        texts = {"api_url": slack.api_url, "signing_secret": slacks.SECRET, **more}
        if mode == "token":
            texts["bot_token"] = slacks.TOKEN
        else:
            texts["webhook_url"] = slack.webhook_url
        if tls:
            texts["certificate"], texts["key"] = (pathlib.Path(f).read_text() for f in tls)
        listener = socket.create_server(("127.0.0.1", 0)) if interactive else None
        broker = Broker(listener, **texts)
        broker.port = listener.getsockname()[1] if listener else None
        if listener:
            listener.close()
        made.append(broker)
        return broker

    yield start
    for broker in made:
        assert broker.close() == 0


@pytest.fixture
def broker(make):
    return make()


@pytest.fixture
def clicker(slack, broker):
    return slacks.Clicker(slack, broker.port)


def post(broker, slack, grant=0, **more):
    """Shows a review; the message's time."""
    review = make_review(**more)
    broker.show(review, slacks.CHANNEL, grant=grant)
    return broker.wait(Shown, lambda shown: shown.review == review["id"]).time


# --- what is shown


def test_a_review_is_posted_and_its_outcome_replaces_the_buttons(slack, broker):
    ts = post(broker, slack, grant=30 * MINUTE)
    message = slack.messages[ts]
    assert [b["text"]["text"] for b in slacks.buttons(message).values()] == ["Approve once", "Approve for 30 min", "Deny"]
    text = slacks.flatten(message)
    for part in ("r-7Q2K", "demo", "bot@acme.com", "orders", "shop", "/usr/bin/psql", "4711", "writes need a person",
                 "delete from orders", "ab" * 32, socket.gethostname(), "no preview", "search_path=public", "1 session",
                 "dba 1 of 2, security 0 of 1", "Decide before  2026-01-31 12:00:00\n"):
        assert part in text, text
    broker.show(make_review(state="approved", decided_by="ann (Slack U111)", decided="2026-01-31T11:00:00.000Z",
                            reason="ticket 7"), slacks.CHANNEL, ts)
    assert broker.wait(Shown, lambda shown: shown.closed).time == ts
    message = slack.messages[ts]
    assert not slacks.buttons(message) and len(slack.messages) == 1
    assert "approved by ann (Slack U111), 2026-01-31 11:00:00: ticket 7" in slacks.flatten(message)
    assert "Decide before" not in slacks.flatten(message)


def test_no_button_for_a_time_without_a_grant(slack, broker):
    assert list(slacks.buttons(slack.messages[post(broker, slack)])) == ["approve", "deny"]


def test_more_waiters_are_shown_in_the_same_message(slack, broker):
    ts = post(broker, slack)
    for waiters in range(2, 12):
        broker.show(make_review(waiters=waiters), slacks.CHANNEL, ts)
    slack.wait(lambda: "11 sessions" in slacks.flatten(slack.messages[ts]))
    # Ten changes are no ten requests.
    assert len(slack.requests) <= 3


def test_a_message_of_an_earlier_broker_is_updated(slack, make):
    first = make()
    ts = post(first, slack)
    second = make()
    second.show(make_review(state="cancelled", reason="Wayleave restarted"), slacks.CHANNEL, ts, posted=2)
    assert second.wait(Shown).closed
    assert "Wayleave restarted" in slacks.flatten(slack.messages[ts])


def test_an_outcome_is_told_where_nobody_knows_whether_it_was_shown(slack, broker):
    broker.show(make_review(state="cancelled"), slacks.CHANNEL, posted=1)
    ts = broker.wait(Shown).time
    assert "cancelled" in slacks.flatten(slack.messages[ts]) and not slacks.buttons(slack.messages[ts])


def test_a_deleted_message_is_posted_anew(slack, broker):
    ts = post(broker, slack)
    slack.faults.append((200, {}, b'{"ok": false, "error": "message_not_found"}'))
    broker.show(make_review(state="denied", decided_by="ann"), slacks.CHANNEL, ts)
    assert broker.wait(Shown, lambda shown: shown.closed).time != ts


def test_decided_before_it_was_shown(slack, broker):
    slack.faults += [(429, {"Retry-After": "1"}, b"")] * 1
    broker.show(make_review(), slacks.CHANNEL)
    broker.wait(State, lambda state: state.failing)
    broker.show(make_review(state="denied"), slacks.CHANNEL)
    assert broker.wait(Shown).closed
    time.sleep(1.5)
    assert not slack.messages


# --- the webhook


def test_webhook_is_followed_up_by_a_second_message(slack, make):
    broker = make("webhook", interactive=False)
    broker.show(make_review())
    assert not broker.wait(Shown).closed
    (first,) = slack.messages.values()
    assert not slacks.buttons(first) and "wayleave reviews approve r-7Q2K" in slacks.flatten(first)
    broker.show(make_review(waiters=5))
    broker.show(make_review(state="denied", decided_by="ann", reason="no"))
    assert broker.wait(Shown).closed
    assert [("denied by ann: no" in slacks.flatten(m)) for m in slack.messages.values()] == [False, True]


def test_webhook_is_replaced_through_a_click(slack, make):
    broker = make("webhook")
    broker.show(make_review())
    broker.wait(Shown)
    (ts,) = slack.messages
    assert slacks.Clicker(slack, broker.port).click(ts, "deny", "U111") == 200
    # Without a token there is no dialog: denied at once.
    decision = broker.wait(Decision)
    assert not decision.approve and decision.reason == ""
    broker.decided(decision)
    broker.show(make_review(state="denied", decided_by="ann"))
    assert broker.wait(Shown).closed
    assert len(slack.messages) == 1 and "denied by ann" in slacks.flatten(slack.messages[ts])


# --- clicks


def test_a_click_reaches_the_monitor_once(slack, broker, clicker):
    ts = post(broker, slack, grant=30 * MINUTE)
    started = time.monotonic()
    assert clicker.click(ts, "approve", "U111") == 200
    decision = broker.wait(Decision)
    assert time.monotonic() - started < 3
    assert decision[1:] == ("r-7Q2K", "U111", True, 0, "")
    assert clicker.click(ts, "approve_time", "U222") == 200
    assert broker.wait(Decision)[1:] == ("r-7Q2K", "U222", True, 30 * MINUTE, "")


def test_deny_asks_for_a_reason(slack, broker, clicker):
    ts = post(broker, slack)
    assert clicker.click(ts, "deny", "U111") == 200
    view = slack.wait(lambda: slack.views and slack.views[0])
    assert broker.nothing(Decision)
    assert clicker.submit(view, "U111", "not today: ça & <so>") == 200
    decision = broker.wait(Decision)
    assert decision[1:] == ("r-7Q2K", "U111", False, 0, "not today: ça & <so>")
    broker.decided(decision, -1, "This is not yours to decide.")
    slack.wait(lambda: slack.private == ["This is not yours to decide."])


def test_a_dialog_that_can_not_be_opened(slack, broker, clicker):
    ts = post(broker, slack)
    slack.faults.append((200, {}, b'{"ok": false, "error": "expired_trigger_id"}'))
    assert clicker.click(ts, "deny", "U111") == 200
    slack.wait(lambda: slack.private and "expired_trigger_id" in slack.private[0])


def test_who_clicked_is_told_why_it_did_not_count(slack, broker, clicker):
    ts = post(broker, slack)
    clicker.click(ts, "approve", "U999")
    broker.decided(broker.wait(Decision), -1, "U999 is not in <!channel> & dba")
    slack.wait(lambda: slack.private == ["U999 is not in &lt;!channel&gt; &amp; dba"])


def test_replays(slack, broker, clicker):
    ts = post(broker, slack)
    payload = clicker.click_payload(ts, "approve", "U111")
    body, now = slacks.encode(payload), int(time.time())
    assert clicker.post(body, now) == 200
    broker.wait(Decision)
    assert clicker.post(body, now) == 409
    # The same click signed again, as by a second delivery.
    assert clicker.post(body, now + 1) == 200
    assert broker.nothing(Decision)


def test_two_clicks_are_two_actions(slack, broker, clicker):
    ts = post(broker, slack)
    for _ in range(2):
        assert clicker.click(ts, "approve", "U111") == 200
    assert broker.wait(Decision).id != broker.wait(Decision).id


def test_forged_and_late_callbacks(slack, broker, clicker):
    ts = post(broker, slack)
    body, now = slacks.encode(clicker.click_payload(ts, "approve", "U111")), int(time.time())
    good = slacks.sign(body, now)
    forged = [
        {"signature": slacks.sign(body, now, "another secret")}, {"signature": "v0=" + "0" * 64}, {"signature": "v0="},
        {"signature": good[3:]}, {"signature": "v1=" + good[3:]}, {"signature": good + "0"}, {"signature": good[:-1]},
        {"timestamp": now + 1, "signature": good}, {"timestamp": now - 301}, {"timestamp": now + 302},
        {"timestamp": -now}, {"timestamp": f"{now} "}, {"timestamp": 2**70}]
    for more in forged:
        if not isinstance(more.get("timestamp", 0), int):
            more["signature"] = good
        assert clicker.post(body, **{"timestamp": now, **more}) == 401, more
    assert clicker.post(body + b"&x=1", now, good) == 401
    assert broker.nothing(Decision)


def test_signed_before_this_broker_began(slack, make):
    broker = make()
    ts = post(broker, slack)
    clicker = slacks.Clicker(slack, broker.port)
    body = slacks.encode(clicker.click_payload(ts, "approve", "U111"))
    assert clicker.post(body, int(time.time()) - 60) == 401
    assert broker.nothing(Decision)


def test_signed_nonsense(slack, broker, clicker):
    ts = post(broker, slack)
    good = clicker.click_payload(ts, "approve", "U111")
    action = good["actions"][0]
    wrong = [
        b"", b"payload=", b"payload=%7", b"payload=%zz", b"payload={", b"payload=[]", b"payload=%00", b"payload=1",
        b"payload=" + b"[" * 5000, slacks.encode(good) + b"&" + slacks.encode(good), b"other=1",
        slacks.encode({**good, "user": {}}), slacks.encode({**good, "user": {"id": "U" * 40}}),
        slacks.encode({**good, "actions": []}), slacks.encode({**good, "actions": [action, action]}),
        slacks.encode({**good, "actions": [{**action, "value": "r-../../x"}]}),
        slacks.encode({**good, "actions": [{**action, "value": "r-7Q2K 1800000000000"}]}),
        slacks.encode({**good, "actions": [{**action, "action_id": "approve_time"}]}),
        slacks.encode({**good, "actions": [{**action, "value": "g-7Q2K"}]}),
        slacks.encode({**good, "response_url": "https://hooks.slack.com/" + "x" * 600})]
    for body in wrong:
        assert clicker.post(body) == 400, body[:100]
    assert clicker.post(slacks.encode({**good, "type": "shortcut"})) == 200
    assert clicker.post(b"payload=" + b"x" * (256 << 10)) == 413
    assert clicker.post(slacks.encode(good), method="PUT") == 405
    assert clicker.post(b"", method="GET") == 405
    assert broker.nothing(Decision)
    assert clicker.click(ts, "approve", "U111") == 200


def test_answers_go_to_slack_alone(slack, broker, clicker):
    """A click counts wherever it wants its answer, and gets none at another origin: another port, a name or a user that looks like Slack's."""
    ts = post(broker, slack)
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(1)
        place, port = f"127.0.0.1:{other.getsockname()[1]}", other.getsockname()[1]
        for url in (f"http://{place}/x", f"{slack.url}@{place}/x", f"http://hooks.slack.com@{place}/x", f"http://hooks.slack.com:{port}/x",
                    f"http://{place}/{slack.url}/x", f"{slack.url[:-1]}/x", "file:///etc/passwd", ""):
            payload = {**clicker.click_payload(ts, "approve", "U111"), "response_url": url}
            assert clicker.post(slacks.encode(payload)) == 200, url
            broker.decided(broker.wait(Decision), -1, "no")
        with pytest.raises(TimeoutError):
            other.accept()
    assert not slack.private


def test_slow_connections_keep_nobody_out(slack, broker, clicker):
    ts = post(broker, slack)
    slow = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(100)]
    for s in slow:
        s.send(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n")
    assert clicker.click(ts, "approve", "U111") == 200
    deadline = time.monotonic() + 25
    slow[0].setblocking(False)
    while time.monotonic() < deadline:
        # Never idle, and yet ended.
        try:
            slow[0].send(b"X: y\r\n")
            if slow[0].recv(100) == b"":
                break
        except BlockingIOError:
            time.sleep(0.5)
        except OSError:
            break
    else:
        raise AssertionError("a slow connection lives on")
    for s in slow:
        s.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_many_connections_keep_nobody_out(slack, make, tmp_path, tls):
    ca = certificates.make_authority(tmp_path)
    broker = make(tls=certificates.make_leaf(tmp_path, "broker") if tls else None)
    ts = post(broker, slack)
    clicker = slacks.Clicker(slack, broker.port, slacks.trusting(ca) if tls else None)
    body = slacks.encode(clicker.click_payload(ts, "approve", "U222"))
    lines = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nX-Slack-Signature: "
    with contextlib.ExitStack() as stack:
        def connect(address):
            connection = socket.create_connection(("127.0.0.1", broker.port), 5, (address, 0))
            return stack.enter_context(connection)

        # Who has one connection keeps it, however slow; who has many loses the oldest.
        slow = connect("127.0.0.3")
        if tls:
            slow = slacks.trusting(ca).wrap_socket(slow, server_hostname="127.0.0.1")
        slow.send(lines.encode())
        many = [connect("127.0.0.2") for _ in range(400)]
        started = time.monotonic()
        assert clicker.click(ts, "approve", "U111") == 200
        assert time.monotonic() - started < 3 and broker.wait(Decision).user == "U111"
        assert many[0].recv(1) == b""
        many[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            many[-1].recv(1)
        now = int(time.time())
        slow.send(f"{slacks.sign(body, now)}\r\nX-Slack-Request-Timestamp: {now}\r\n\r\n".encode() + body)
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
        assert broker.wait(Decision).user == "U222"


def test_behind_the_proxy_of_the_documentation(slack, broker, tmp_path):
    (block,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/slack.md").read_text(), re.S)
    assert "127.0.0.1:8443" in block
    port = free_port()
    file = tmp_path / "nginx.conf"
    file.write_text(f"""daemon off; user root; pid {tmp_path}/pid; error_log stderr; events {{}}
        http {{ access_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
               fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
               server {{ listen 127.0.0.1:{port}; {block.replace("8443", str(broker.port))} }} }}""")
    proxy = subprocess.Popen(["nginx", "-c", str(file)])
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, what="nginx")
        clicker = slacks.Clicker(slack, port)
        ts = post(broker, slack, text="select 'ü€ + & = %'")
        assert clicker.click(ts, "approve", "U111") == 200
        assert broker.wait(Decision).user == "U111"
        # A body as long as any that we take.
        assert clicker.post(b"x" * (256 << 10)) == 400
    finally:
        proxy.terminate()
        proxy.wait(10)


def test_tls(slack, make, tmp_path):
    ca = certificates.make_authority(tmp_path)
    broker = make(tls=certificates.make_leaf(tmp_path, "broker"))
    ts = post(broker, slack)
    assert slacks.Clicker(slack, broker.port, slacks.trusting(ca)).click(ts, "approve", "U111") == 200
    assert broker.wait(Decision).user == "U111"


# --- Slack in trouble


@pytest.mark.parametrize("fault", [(500, {}, b"oops"), (503, {}, b""), None, (200, {}, b"<html>"),
                                   (200, {}, b'{"ok": false, "error": "internal_error"}')],
                         ids=["500", "503", "cut", "html", "internal_error"])
def test_failures_are_tried_again(slack, broker, fault):
    slack.faults += [fault]
    if fault == (200, {}, b"<html>"):
        # What is no answer of Slack's comes from a proxy, perhaps; it is said, and tried less often.
        broker.show(make_review(), slacks.CHANNEL)
        assert "no answer of Slack's" in broker.wait(State, lambda state: state.failing).why
        return
    post(broker, slack)
    state = broker.wait(State, lambda state: state.failing)
    assert state.waiting == 1 and state.why
    broker.wait(State, lambda state: not state.failing and not state.waiting)


def test_what_is_no_answer_at_all(slack, broker, clicker):
    """It holds up neither clicks nor other messages, takes no memory, and is tried again."""
    known = post(broker, slack, number="r-0000")
    faults = [slacks.hang, slacks.drip, slacks.flood, slacks.flood_headers, slacks.garbage]
    slack.faults += faults
    for i in range(len(faults)):
        broker.show(make_review(f"r-000{i + 1}"), slacks.CHANNEL)
    slack.wait(lambda: not slack.faults)
    assert clicker.click(known, "approve", "U111") == 200 and broker.wait(Decision).user == "U111"
    post(broker, slack, number="r-AAAA")
    # Some are known for what they are at once, others in time.
    slack.wait(lambda: len(slack.messages) == 5)
    broker.wait(State, lambda state: state.count == 2 and "timed out" in state.why, timeout=20)
    slack.wait(lambda: len(slack.messages) == 7)
    status = pathlib.Path(f"/proc/{broker.process.pid}/status").read_text()
    assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 100 << 10


def test_nobody_leads_it_elsewhere(slack, broker):
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(1)
        slack.faults.append((302, {"Location": f"http://127.0.0.1:{other.getsockname()[1]}/x"}, b""))
        broker.show(make_review(), slacks.CHANNEL)
        assert "HTTP status 302" in broker.wait(State, lambda state: state.failing).why
        with pytest.raises(TimeoutError):
            other.accept()


def test_rate_limit_holds_everything(slack, broker):
    slack.faults.append((429, {"Retry-After": "2"}, b""))
    broker.show(make_review("r-AAAA"), slacks.CHANNEL)
    assert "429" in broker.wait(State, lambda state: state.failing).why
    started = time.monotonic()
    broker.show(make_review("r-BBBB"), slacks.CHANNEL)
    broker.wait(Shown)
    assert time.monotonic() - started > 1.8
    broker.wait(Shown)
    assert len(slack.requests) == 3


def test_what_slack_refuses_is_said(slack, broker):
    slack.faults.append((200, {}, b'{"ok": false, "error": "not_in_channel"}'))
    broker.show(make_review(), slacks.CHANNEL)
    assert "not_in_channel" in broker.wait(State, lambda state: state.failing).why


def test_no_slack_at_all(slack, make):
    broker = make()
    slack.server.socket.close()
    broker.show(make_review(), slacks.CHANNEL)
    state = broker.wait(State, lambda state: state.failing)
    assert abs(state.failing / 1e9 - time.time()) < 20 and "connect" in state.why.lower()


def test_a_slow_slack_does_not_hold_up_clicks(slack, broker, clicker):
    ts = post(broker, slack)
    slack.delay = 5
    broker.show(make_review("r-AAAA"), slacks.CHANNEL)
    started = time.monotonic()
    assert clicker.click(ts, "approve", "U111") == 200
    broker.wait(Decision)
    assert time.monotonic() - started < 3


@pytest.fixture
def silent_resolver(tmp_path):
    """What makes a program ask a name server that answers nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((f"127.{os.getpid() >> 16 & 255}.{os.getpid() >> 8 & 255}.{os.getpid() & 255 | 1}", 53))
        file = tmp_path / "resolv.conf"
        file.write_text(f"nameserver {server.getsockname()[0]}\noptions timeout:30 attempts:1\n")
        yield ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(file)]


def test_a_slow_name_server_does_not_hold_up_clicks(make, silent_resolver):
    broker = make(wrapper=silent_resolver, api_url="http://slack.test/api")
    clicker = slacks.Clicker(None, broker.port)
    broker.show(make_review(), slacks.CHANNEL)
    # Beyond the time that a connection may take: what is given up is not waited for either.
    failed, deadline = None, time.monotonic() + 15
    while not failed:
        started = time.monotonic()
        assert started < deadline and clicker.post(b"", method="GET") == 405
        assert time.monotonic() - started < 3
        try:
            failed = broker.wait(State, lambda state: state.failing, timeout=0.3)
        except TimeoutError:
            pass
    assert "tim" in failed.why
    started = time.monotonic()
    assert clicker.post(b"", method="GET") == 405 and time.monotonic() - started < 3


def test_one_that_fails_is_named_and_others_are_shown(slack, broker):
    slack.faults.append((200, {}, b'{"ok": false, "error": "msg_blocks_too_long"}'))
    broker.show(make_review("r-AAAA"), slacks.CHANNEL)
    broker.wait(State, lambda state: state.failing)
    post(broker, slack, number="r-BBBB")
    broker.show(make_review("r-CCCC"), slacks.CHANNEL)
    state = broker.wait(State, lambda state: state.waiting == 2)
    assert state.failing and state.count == 1
    assert state.why == f"review r-AAAA in {slacks.CHANNEL}: Slack says: msg_blocks_too_long"


def test_what_there_is_no_room_for_is_given_back(slack, broker):
    slack.faults.append((429, {"Retry-After": "600"}, b""))
    broker.show(make_review("r-0000"), slacks.CHANNEL)
    broker.wait(State, lambda state: state.failing)
    for i in range(1, 1025):
        broker.show(make_review(f"r-{i:04}"), slacks.CHANNEL)
    assert broker.wait(Shown)[0::4] == ("r-1024", True)


def test_what_is_shown_is_known_even_if_it_is_heard_late(slack, make):
    broker = make(room=4608)
    for i in range(40):
        broker.show(make_review(f"r-{i:04}"), slacks.CHANNEL)
    slack.wait(lambda: len(slack.messages) >= 5)
    time.sleep(1)
    assert {broker.wait(Shown).review for _ in range(40)} == {f"r-{i:04}" for i in range(40)}


def test_answers_that_never_come_do_not_close_the_door(slack, broker, clicker):
    ts = post(broker, slack)
    for _ in range(256):
        assert clicker.click(ts, "approve", "U111") == 200
        broker.wait(Decision)
    clicker.click(ts, "approve", "U222")
    slack.wait(lambda: any("busy" in text for text in slack.private))
    slack.wait(lambda: any("did not answer" in text for text in slack.private))
    clicker.click(ts, "approve", "U222")
    assert broker.wait(Decision).user == "U222"


# --- hostile texts

END = " -- the end"
RUNS = "What it runs"
HOSTILE = [
    "select 1 /* <!channel> <@U111> <https://evil.example|click> @here #general */",
    "select 1 -- ```\n*Approved* by ann\n```",
    "select 1 -- &lt;!here&gt; &amp; &#60;",
    "select '\u202egnirts' || '\u200b' || '\u2066x\u2069' || '\ufeff' || '\u00ad' || '\U000e0041' || '\u3164'",
    "select '\x1b[2J\x07' \r\n-- \x7f",
    ":rotating_light: :white_check_mark: approved",
    "\n" * 3000 + "drop table orders",
    " " * 9000 + "drop table orders",
    "select " + "ü€𝄞" * 3000,
    "\u202e" * 5000 + "drop table orders",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_an_agent_can_not_forge_or_hide(slack, broker, text):
    text += END
    ts = post(broker, slack, text=text, objects=["public." + text[:200]] * 30, program="/tmp/" + text[:100],
              database=text[:300], user=text[:50], settings=text, preview=text, runs=text,
              parameters=[{"text": text, "length": len(text)}] * 64, parameters_total=70)
    message = slack.messages[ts]
    shown = slacks.flatten(message)
    for c in "\u202e\u200b\u2066\u2069\ufeff\u00ad\U000e0041\u3164\x1b\x07\x7f\r":
        assert c not in shown
    # Its texts stand in literal text alone, which the stand-in checks to have no other kinds of element.
    sections = slacks.sections(message)
    parameters, note = sections.pop("Parameters")
    assert parameters[0].count("$") == 20 and "CUT: 50 more are not shown here. " in note
    assert list(sections) == ["", RUNS, "What it would do", "Settings"]
    for parts, note in sections.values():
        assert parts[-1].endswith(END) and "CUT" not in "".join(parts)
        assert bool(note) == (len(parts) > 1)
        assert not note or re.fullmatch(
            rf"CUT: [0-9]+ bytes of {len(text.encode())} are not shown here. All of it: wayleave reviews show r-7Q2K", note)
    assert (len(sections[""][0]) > 1) == (len(text) > 2000) == (len(sections[RUNS][0]) > 1)
    assert list(slacks.buttons(message)) == ["approve", "deny"]
    assert message["text"] == "Approval wanted: review r-7Q2K, agent demo on orders"


def cut_note(text, parts):
    """Where all of what is shown stands for itself."""
    count = len(text.encode())
    missing = count - sum(len(part.encode()) for part in parts)
    return f"CUT: {missing} bytes of {count} are not shown here. All of it: wayleave reviews show r-7Q2K"


@pytest.mark.parametrize("member, label", [("runs", RUNS), ("settings", "Settings"), ("preview", "What it would do")])
def test_what_is_cut_is_said_and_its_end_is_shown(slack, broker, member, label):
    text = "x = 'harmless" + " " * 3000 + "'; drop table orders"
    ts = post(broker, slack, **{member: text})
    parts, note = slacks.sections(slack.messages[ts])[label]
    assert parts[0].startswith("x = 'harmless") and parts[1].endswith("; drop table orders")
    assert note == cut_note(text, parts)


@pytest.mark.parametrize("character", ["x", '"', "\u202e", "\U0001f389", "\x01"])
def test_nothing_keeps_a_review_from_being_shown(slack, broker, character):
    """Slack refuses what is too long, and a reviewer would see nothing."""
    text = character * 10000 + END
    ts = post(broker, slack, text=text, runs=text, settings=text, preview=text, agent=text, principal=text, resource=text,
              rule=text, database=text, user=text, program=text, objects=[text] * 30, unknown=["text", "object", "effect"],
              operations=["select", "insert", "update", "delete", "merge", "truncate", "execute_unknown", "call"] * 2,
              parameters=[{"text": text, "length": len(text)}] * 64, parameters_total=70)
    message = slack.messages[ts]
    assert [parts[-1].endswith(END) for parts, _ in slacks.sections(message).values()] == [True, True, False, True, True]
    assert "ab" * 32 in slacks.flatten(message) and len(slacks.buttons(message)) == 2


def test_long_parameters_are_said_to_be_cut(slack, broker):
    values = [{"text": "x" * 3000, "length": 3000}, {"text": "abc", "length": 4000}, {"binary": "00" * 90, "length": 90},
              {"text": None, "length": 0}, {"text": "y" * 100, "length": 100}, {"binary": "ab", "length": 1}]
    ts = post(broker, slack, parameters=values, parameters_total=len(values))
    (lines,), note = slacks.sections(slack.messages[ts])["Parameters"]
    assert lines.split("\n") == [f"$1 = {'x' * 100}… (3000 bytes)", "$2 = abc (4000 bytes)", f"$3 = {'00' * 50}… (90 bytes)",
                                 "$4 = NULL", f"$5 = {'y' * 100}", "$6 = ab"]
    assert note == "CUT: of what is long only the beginning. All of it: wayleave reviews show r-7Q2K"
    ts = post(broker, slack, number="r-BBBB", parameters=values[3:], parameters_total=3)
    assert slacks.sections(slack.messages[ts])["Parameters"][1] == ""


def test_a_statement_of_two_megabytes(slack, broker):
    text = "select '" + "x" * (2 << 20) + "'; drop table orders"
    ts = post(broker, slack, text=text)
    parts = slacks.preformatted(slack.messages[ts])
    assert parts[0].startswith("select 'xxx") and parts[1].endswith("drop table orders")
    assert f"{len(text) - len(parts[0]) - len(parts[1])} bytes of {len(text)}" in slacks.flatten(slack.messages[ts])


# --- the process


def test_it_has_no_privileges_and_ends_with_its_monitor(slack, make):
    broker = make()
    post(broker, slack)
    status = dict(line.split(":\t") for line in
                  pathlib.Path(f"/proc/{broker.process.pid}/status").read_text().splitlines())
    assert status["Uid"].split()[0] != "0" and status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert all(int(status[f"Cap{kind}"], 16) == 0 for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"))


def test_a_broken_monitor_message_changes_nothing(slack, broker):
    for body in (b"\0" * 8, b"\1\0\0\0\0\0\0\0short", b"\2\0\0\0\0\0\0\0" + b"\xff" * 16,
                 b"\x63\0\0\0\0\0\0\0"):
        broker.channel.send(body)
    post(broker, slack)
