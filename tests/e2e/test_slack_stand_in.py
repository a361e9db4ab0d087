# SPDX-License-Identifier: Apache-2.0
"""The stand-in for Slack finds what Slack would refuse: each limit and rule is broken once."""
import copy
import json

import pytest
from harness import slack as slacks

JSON = "application/json; charset=utf-8"
BEARER = {"Content-Type": JSON, "Authorization": f"Bearer {slacks.TOKEN}"}
PLAIN = {"Content-Type": JSON}


def text(content, **more):
    return {"type": "plain_text", "text": content, **more}


def button(name):
    return {"type": "button", "action_id": name, "value": "r-7Q2K", "text": text("Approve once", emoji=False), "style": "primary"}


def rich(*elements, kind="rich_text_section"):
    return {"type": "rich_text", "elements": [{"type": kind, "elements": list(elements)}]}


MESSAGE = {"text": "Approval wanted", "unfurl_links": False, "unfurl_media": False, "blocks": [
    {"type": "header", "block_id": "one", "text": text("x" * 150)},
    rich({"type": "text", "text": "x" * 3000, "style": {"bold": True}}, {"type": "date", "timestamp": 1, "format": "{date} at {time}"}),
    {**rich({"type": "text", "text": "select 1"}, kind="rich_text_preformatted"), "block_id": "two"},
    {"type": "actions", "elements": [button("approve"), button("deny")]}]}
VIEW = {"type": "modal", "callback_id": "deny", "private_metadata": "x" * 3000, "title": text("x" * 24), "submit": text("Deny"),
        "close": text("Back"), "blocks": [{"type": "input", "block_id": "reason", "label": text("Why?"),
                                           "element": {"type": "plain_text_input", "action_id": "reason", "max_length": 500}}]}


@pytest.fixture
def slack():
    s = slacks.Slack()
    yield s
    s.close()


def send(slack, path, body, headers=PLAIN):
    """What Slack answers, and what the stand-in says of it."""
    del slack.violations[:]
    return slack.answer(path, headers, json.dumps(body).encode()), list(slack.violations)


def place(value, steps):
    """The container of what the steps lead to, and its name there."""
    for step in steps[:-1]:
        value = value[step]
    return value, steps[-1]


def changed(original, steps, value):
    """A copy, with `value` at the end of the steps; None: without what stands there."""
    made = copy.deepcopy(original)
    container, name = place(made, steps)
    if value is None:
        del container[name]
    else:
        container[name] = value
    return made


def briefly(value):
    return str(value)[:40]


TEXT, APPROVE = ("blocks", 1, "elements", 0, "elements", 0), ("blocks", 3, "elements", 0)


@pytest.mark.parametrize("steps, value", [
    (("text",), None), (("text",), ""), (("text",), "x" * 4001), (("text",), "<!channel>"), (("text",), "a & b"), (("more",), 1),
    (("unfurl_links",), "no"), (("blocks",), []), (("blocks",), [{"type": "divider"}]), (("blocks",), [MESSAGE["blocks"][0]] * 51),
    (("blocks", 0, "block_id"), "x" * 256), (("blocks", 0, "block_id"), ""), (("blocks", 0, "block_id"), "two"),
    (("blocks", 0, "text", "text"), "x" * 151), (("blocks", 0, "text", "type"), "mrkdwn"), (("blocks", 0, "text", "text"), "\x1b"),
    ((*TEXT, "text"), "x" * 3001), ((*TEXT, "text"), ""), ((*TEXT, "type"), "link"), ((*TEXT, "style"), {}), ((*TEXT, "style"), {"bold": 1}),
    (("blocks", 1, "elements", 0, "elements"), []), (("blocks", 1, "elements", 0, "elements", 1, "format"), "{when}"),
    (("blocks", 1, "elements", 0, "elements", 1, "timestamp"), "1"), (("blocks", 2, "elements", 0, "elements", 0, "style"), {"bold": True}),
    ((*APPROVE, "text", "text"), "x" * 76), ((*APPROVE, "value"), "x" * 2001), ((*APPROVE, "action_id"), "x" * 256),
    ((*APPROVE, "action_id"), ""), ((*APPROVE, "action_id"), "deny"), ((*APPROVE, "style"), "red"), ((*APPROVE, "url"), "https://x"),
    (("blocks", 3, "elements"), []), (("blocks", 3, "elements"), [button(str(i)) for i in range(26)]),
    (("blocks", 1), {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "x" * 3000}] * 5}]}),
], ids=briefly)
def test_messages(slack, steps, value):
    good, found = send(slack, slacks.WEBHOOK, MESSAGE)
    assert good[0] == 200 and not found
    assert send(slack, slacks.WEBHOOK, changed(MESSAGE, steps, value))[1] and len(slack.messages) == 1


@pytest.mark.parametrize("steps, value", [
    (("title", "text"), "x" * 25), (("submit", "text"), "x" * 25), (("close", "text"), "x" * 25), (("title",), None), (("submit",), None),
    (("private_metadata",), "x" * 3001), (("callback_id",), "x" * 256), (("type",), "home"), (("blocks",), []),
    (("blocks",), [changed(VIEW["blocks"][0], ("block_id",), str(i)) for i in range(101)]), (("blocks",), VIEW["blocks"] * 2),
    (("blocks", 0, "element", "max_length"), 3001), (("blocks", 0, "element", "action_id"), "x" * 256), (("blocks", 0, "label", "text"), ""),
], ids=briefly)
def test_dialogs(slack, steps, value):
    def ask(view):
        slack.triggers["1.2"] = slack.clock()
        return send(slack, "/api/views.open", {"trigger_id": "1.2", "view": view}, BEARER)[1]

    assert not ask(VIEW)
    assert ask(changed(VIEW, steps, value)) and len(slack.views) == 1


def test_a_trigger_opens_one_dialog_at_once(slack):
    def ask(trigger):
        return send(slack, "/api/views.open", {"trigger_id": trigger, "view": VIEW}, BEARER)[1]

    slack.triggers["1.2"] = slack.triggers["1.3"] = slack.clock()
    assert not ask("1.2") and ask("1.2") and ask("1.4")
    now = slack.clock()
    slack.clock = lambda: now + 3.5
    assert ask("1.3")


def test_a_response_url_is_good_for_five_times_and_half_an_hour(slack):
    answer = {"text": "no", "response_type": "ephemeral", "replace_original": False}
    slack.response_urls["/actions/1"] = ["1.1", 0, slack.clock()]
    assert not any(send(slack, "/actions/1", answer)[1] for _ in range(5))
    assert send(slack, "/actions/1", answer)[1] and send(slack, "/actions/2", answer)[1]
    slack.response_urls["/actions/3"] = ["1.1", 0, slack.clock()]
    for wrong in ({**answer, "response_type": "x"}, {**answer, "replace_original": "no"}, {**answer, "text": "<!here>"}, {"text": "no"}):
        assert send(slack, "/actions/3", wrong)[1], wrong
    now = slack.clock()
    slack.clock = lambda: now + 30 * 60 + 1
    assert send(slack, "/actions/3", answer)[1] and len(slack.private) == 5


def test_an_update_is_of_a_message_of_the_bots(slack):
    bare = {key: MESSAGE[key] for key in ("text", "blocks")}
    posted = json.loads(send(slack, "/api/chat.postMessage", {**MESSAGE, "channel": slacks.CHANNEL}, BEARER)[0][2])
    send(slack, slacks.WEBHOOK, MESSAGE)
    by_webhook = list(slack.messages)[-1]
    good = {**bare, "channel": slacks.CHANNEL, "ts": posted["ts"]}
    assert not send(slack, "/api/chat.update", good, BEARER)[1]
    for wrong in ({"ts": "1.1"}, {"ts": by_webhook}, {"channel": "C1"}, {"unfurl_links": False}):
        assert send(slack, "/api/chat.update", {**good, **wrong}, BEARER)[1], wrong
    assert send(slack, "/api/chat.postMessage", {**MESSAGE, "channel": "C1"}, BEARER)[1]


@pytest.mark.parametrize("headers", [
    {}, {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}, {"Authorization": "Bearer another"},
    {"Authorization": slacks.TOKEN}], ids=briefly)
def test_headers(slack, headers):
    class Headers(dict):
        """As http.client has them: what is not there is None."""

        def __missing__(self, key):
            return None

    body = {**MESSAGE, "channel": slacks.CHANNEL}
    assert not send(slack, "/api/chat.postMessage", body, Headers(BEARER))[1]
    wrong = {**BEARER, **headers} if headers else {"Content-Type": JSON}
    assert send(slack, "/api/chat.postMessage", body, Headers(wrong))[1]
    assert send(slack, slacks.WEBHOOK, MESSAGE, Headers(BEARER))[1] and send(slack, "/api/chat.delete", body, Headers(BEARER))[1]
