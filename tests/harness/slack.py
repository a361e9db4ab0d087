# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Slack: its API, an incoming webhook and response URLs on one local port, and the callbacks that it
sends. Every payload is checked against Slack's published limits and field rules (docs.slack.dev/reference/block-kit);
what breaks one is kept in `violations`, and `check()` fails the test by it."""
import contextlib
import hashlib
import hmac
import http.client
import http.server
import itertools
import json
import re
import ssl
import threading
import time
import urllib.parse

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TOKEN = "xoxb-stand-in"
CHANNEL, OTHER_CHANNEL = "C012AB3CD", "C0SECURITY"
WEBHOOK = "/services/T0/B0/XX"
URL_USES, URL_TIME = 5, 30 * 60  # of a response_url
ANSWER_TIME = 3  # seconds: for our answer to a callback, and for which a trigger_id is good


class Violation(Exception):
    pass


def need(condition, text):
    if not condition:
        raise Violation(text)


def check_keys(value, path, required, optional=()):
    need(isinstance(value, dict), f"{path}: expected an object")
    for key in required:
        need(key in value, f"{path}: no {key!r}")
    for key in value:
        need(key in required or key in optional, f"{path}: unknown {key!r}")


def check_string(value, path, most, least=1):
    need(isinstance(value, str), f"{path}: expected a string")
    need(least <= len(value) <= most, f"{path}: {len(value)} characters, expected {least} to {most}")
    for c in value:
        need(ord(c) >= 0x20 or c in "\n\t", f"{path}: the control character {c!r}")


def check_plain_text(value, path, most):
    check_keys(value, path, ("type", "text"), ("emoji",))
    need(value["type"] == "plain_text", f"{path}: expected plain_text")
    check_string(value["text"], path, most)


def check_button(value, path):
    check_keys(value, path, ("type", "text", "action_id"), ("value", "style"))
    check_plain_text(value["text"], f"{path}.text", 75)
    check_string(value["action_id"], f"{path}.action_id", 255)
    check_string(value.get("value", "-"), f"{path}.value", 2000)
    need(value.get("style", "primary") in ("primary", "danger"), f"{path}.style: {value.get('style')!r}")


def check_style(value, path):
    check_keys(value, path, (), ("bold", "italic", "strike", "code"))
    need(value and all(v is True or v is False for v in value.values()), f"{path}: expected booleans")


def check_rich_element(value, path, preformatted):
    kind = value.get("type")
    if kind == "text":
        check_keys(value, path, ("type", "text"), ("style",))
        check_string(value["text"], path, 3000)
        if "style" in value:
            need(not preformatted, f"{path}: style in preformatted text")
            check_style(value["style"], f"{path}.style")
    elif kind == "date" and not preformatted:
        check_keys(value, path, ("type", "timestamp", "format"), ("fallback", "url", "timezone", "style"))
        need(isinstance(value["timestamp"], int), f"{path}: timestamp")
        check_string(value.get("fallback", "-"), f"{path}.fallback", 3000)
        tokens = re.findall(r"\{(\w+)\}", value["format"])
        known = {"date", "date_num", "date_slash", "date_long", "date_long_full", "date_long_pretty", "date_pretty",
                 "date_short", "date_short_pretty", "time", "time_secs", "ago", "day_divider_pretty"}
        need(tokens and set(tokens) <= known, f"{path}: format {value['format']!r}")
    else:
        raise Violation(f"{path}: {kind!r} is nothing that we should send")


def check_rich_text(block, path):
    check_keys(block, path, ("type", "elements"), ("block_id",))
    need(block["elements"], f"{path}: no elements")
    for i, part in enumerate(block["elements"]):
        check_keys(part, f"{path}[{i}]", ("type", "elements"), ("border",))
        need(part["type"] in ("rich_text_section", "rich_text_preformatted"), f"{path}[{i}]: {part['type']!r}")
        need(part["elements"], f"{path}[{i}]: no elements")
        for j, element in enumerate(part["elements"]):
            check_rich_element(element, f"{path}[{i}][{j}]", part["type"] == "rich_text_preformatted")


def check_header(block, path):
    check_keys(block, path, ("type", "text"), ("block_id",))
    check_plain_text(block["text"], path, 150)


def check_actions(block, path):
    check_keys(block, path, ("type", "elements"), ("block_id",))
    need(1 <= len(block["elements"]) <= 25, f"{path}: {len(block['elements'])} elements")
    names = [element["action_id"] for element in block["elements"]]
    need(len(set(names)) == len(names), f"{path}: an action_id twice")
    for i, element in enumerate(block["elements"]):
        need(element.get("type") == "button", f"{path}[{i}]: expected a button")
        check_button(element, f"{path}[{i}]")


def check_input(block, path):
    check_keys(block, path, ("type", "label", "element"), ("block_id", "hint", "optional", "dispatch_action"))
    check_plain_text(block["label"], f"{path}.label", 2000)
    element = block["element"]
    check_keys(element, f"{path}.element", ("type", "action_id"), ("multiline", "min_length", "max_length"))
    need(element["type"] == "plain_text_input", f"{path}.element: {element['type']!r}")
    check_string(element["action_id"], f"{path}.element.action_id", 255)
    need(0 <= element.get("min_length", 0) <= element.get("max_length", 3000) <= 3000, f"{path}.element: lengths")


BLOCKS = {"header": check_header, "rich_text": check_rich_text, "actions": check_actions, "input": check_input}


def check_blocks(blocks, most=50):
    need(isinstance(blocks, list) and 1 <= len(blocks) <= most, "blocks: expected a list of 1 to %d" % most)
    for i, block in enumerate(blocks):
        kind = block.get("type")
        need(kind in BLOCKS, f"blocks[{i}]: {kind!r}")
        if "block_id" in block:
            check_string(block["block_id"], f"blocks[{i}].block_id", 255)
        BLOCKS[kind](block, f"blocks[{i}]")
    names = [block["block_id"] for block in blocks if "block_id" in block]
    need(len(set(names)) == len(names), "blocks: a block_id twice")
    # Slack's limit on all blocks (msg_blocks_too_long) is some 13,000 characters, counted as nobody knows.
    size = len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":")))
    need(size <= 13000, f"blocks: {size} characters of JSON are too many to be sure")


def check_fallback(body):
    check_string(body.get("text"), "text", 4000)
    need("<" not in body["text"] and ">" not in body["text"], "text: something that Slack would parse")
    need(not re.search(r"&(?!amp;|lt;|gt;)", body["text"]), "text: & that is no entity")


def check_message(body, required=(), optional=("unfurl_links", "unfurl_media")):
    check_keys(body, "message", ("text", "blocks", *required), optional)
    check_fallback(body)
    check_blocks(body["blocks"])
    need(all(isinstance(body.get(key, True), bool) for key in optional), "message: expected booleans")


def check_view(body):
    check_keys(body, "views.open", ("trigger_id", "view"))
    view = body["view"]
    check_keys(view, "view", ("type", "title", "blocks"), ("callback_id", "private_metadata", "submit", "close"))
    need(view["type"] == "modal", "view: expected a modal")
    for name in ("title", "submit", "close"):
        check_plain_text(view.get(name, {"type": "plain_text", "text": "-"}), f"view.{name}", 24)
    check_string(view["callback_id"], "view.callback_id", 255)
    check_string(view["private_metadata"], "view.private_metadata", 3000, least=0)
    check_blocks(view["blocks"], most=100)
    need("submit" in view or not any(block["type"] == "input" for block in view["blocks"]), "view: an input and no submit")


def check_response(body):
    """To a response_url: a message that replaces the original, or one that only the clicker sees."""
    check_keys(body, "response", ("text",), ("blocks", "replace_original", "response_type", "delete_original"))
    check_fallback(body)
    if "blocks" in body:
        check_blocks(body["blocks"])
    need(body.get("response_type", "ephemeral") in ("ephemeral", "in_channel"), "response: response_type")
    need(all(isinstance(body.get(key, True), bool) for key in ("replace_original", "delete_original")), "response: expected booleans")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, body = self.server.slack.answer(self.path, self.headers, raw)
        if status is None or callable(status):
            self.close_connection = True
            if status:
                with contextlib.suppress(OSError):
                    status(self.connection)
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A broker that is killed leaves connections behind."""


class Slack:
    """`messages`: what the channel shows, by its time; `requests`: all (place, body) that came, in order."""

    def __init__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.slack = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.api_url, self.webhook_url = self.url + "/api", self.url + WEBHOOK
        self.messages, self.requests, self.violations, self.views, self.private = {}, [], [], [], []
        # Answers to give instead: (status, headers, body), None for none at all, or one of those below that are called.
        self.faults = []
        self.response_urls = {}  # path → [the message, uses, when it was made]
        self.triggers = {}  # trigger_id → when it was made
        self.clock = time.monotonic
        self.delay = 0
        self.numbers = itertools.count(1)
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    # --- what comes in

    def answer(self, path, headers, raw):
        arrived = self.clock()
        time.sleep(self.delay)
        with self.changed:
            try:
                return self.serve(path, headers, raw, arrived)
            except (Violation, ValueError, KeyError, TypeError) as e:
                self.violations.append(f"{path}: {e!r}")
                return 200, {}, b'{"ok": false, "error": "invalid_blocks"}'
            finally:
                self.changed.notify_all()

    def serve(self, path, headers, raw, arrived):
        # Without the charset Slack takes it, with a warning ("missing_charset").
        need(headers["Content-Type"] == "application/json; charset=utf-8", "expected JSON in UTF-8, and that it is said")
        body = json.loads(raw)
        self.requests.append((path, body))
        if self.faults:
            fault = self.faults.pop(0)
            return (fault, {}, b"") if callable(fault) or not fault else fault
        if path.startswith("/api/"):
            need(headers["Authorization"] == f"Bearer {TOKEN}", "no token")
            method = getattr(self, "api_" + path[5:].replace(".", "_"), None)
            need(method, "an unknown method")
            return 200, {"Content-Type": "application/json"}, json.dumps({"ok": True, **method(body, arrived)}).encode()
        need("Authorization" not in headers, "a token where none belongs")
        if path == WEBHOOK:
            check_message(body)
            self.messages[self.new_time()] = body
        else:
            self.respond(path, body, arrived)
        return 200, {}, b"ok"

    def new_time(self):
        return f"{int(time.time())}.{next(self.numbers):06d}"

    def api_chat_postMessage(self, body, _):
        check_message(body, ("channel",))
        need(body["channel"] in (CHANNEL, OTHER_CHANNEL), "an unknown channel")
        ts = self.new_time()
        self.messages[ts] = body
        return {"channel": body["channel"], "ts": ts, "message": body}

    def api_chat_update(self, body, _):
        check_message(body, ("channel", "ts"), ())
        # A message of a webhook is not the bot's to change.
        need(self.messages.get(body["ts"], {}).get("channel") == body["channel"], "no message of the bot's in this channel")
        self.messages[body["ts"]] = body
        return {"channel": body["channel"], "ts": body["ts"], "text": body["text"]}

    def api_views_open(self, body, arrived):
        check_view(body)
        made = self.triggers.pop(body["trigger_id"], None)
        need(made is not None, "a trigger_id that nobody made, or that was used before")
        need(arrived - made <= ANSWER_TIME, "a trigger_id that is too old")
        self.views.append(body["view"])
        return {"view": {"id": f"V{next(self.numbers)}"}}

    def respond(self, path, body, arrived):
        need(path in self.response_urls, "an unknown response_url")
        check_response(body)
        url = self.response_urls[path]
        ts, uses, made = url
        need(uses < URL_USES, "a response_url used more than five times")
        need(arrived - made <= URL_TIME, "a response_url that is too old")
        url[1] += 1
        if body.get("replace_original"):
            self.messages[ts] = body
        else:
            need(body.get("response_type") == "ephemeral", "expected an answer for the clicker alone")
            self.private.append(body["text"])

    # --- waiting and looking

    def wait(self, condition, timeout=15):
        """Until `condition()` is true, under the lock; its value."""
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise TimeoutError(f"violations {self.violations}, requests {[p for p, _ in self.requests][-5:]}")
            return condition()

    def wait_message(self, containing, timeout=15):
        """The time of the message that shows this text somewhere."""
        return self.wait(lambda: next((ts for ts, m in self.messages.items() if containing in flatten(m)), None),
                         timeout)

    def check(self):
        with self.changed:
            assert not self.violations, self.violations


# --- what is no answer: each gets the connection, and ends when the other side has had enough


def hang(connection):
    """Took the request, and says nothing."""
    connection.recv(1)


def drip(connection):
    """An answer that always goes on."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.2)


def flood(connection):
    """One without an end."""
    connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n{"ok": true,')
    while True:
        connection.sendall(b" " * 65524 + b"\r\n10000\r\n" + b" " * 12)


def flood_headers(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: " + b"x" * 8000 + b"\r\n")


def garbage(connection):
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28" * 100)


def flatten(message):
    """All texts of a message's blocks, as a reader sees them."""
    texts = []

    def walk(value):
        if isinstance(value, dict):
            if value.get("type") in ("text", "plain_text"):
                texts.append(value["text"] if isinstance(value.get("text"), str) else "")
            elif value.get("type") == "date":
                texts.append(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(value["timestamp"])))
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            if texts and texts[-1] != "\n":
                texts.append("\n")
            for child in value:
                walk(child)

    walk(message.get("blocks", []))
    return "".join(texts)


def buttons(message):
    return {e["action_id"]: e for b in message.get("blocks", []) if b["type"] == "actions" for e in b["elements"]}


def preformatted(message):
    return ["".join(e["text"] for e in part["elements"]) for b in message["blocks"] if b["type"] == "rich_text"
            for part in b["elements"] if part["type"] == "rich_text_preformatted"]


def sections(message):
    """The blocks with preformatted text by their labels ("" for the statement): their texts, and the note between."""
    found = {}
    for block in message["blocks"]:
        texts = preformatted({"blocks": [block]})
        if texts:
            words = [flatten({"blocks": [part]}) for part in block["elements"] if part["type"] == "rich_text_section"]
            label = words.pop(0) if block["elements"][0]["type"] == "rich_text_section" else ""
            found[label] = (texts, "".join(words))
    return found


# --- callbacks


def sign(body, timestamp, secret=SECRET):
    return "v0=" + hmac.new(secret.encode(), b"v0:%d:" % timestamp + body, hashlib.sha256).hexdigest()


def encode(payload):
    return urllib.parse.urlencode({"payload": json.dumps(payload)}).encode()


class Clicker:
    """Somebody's Slack client: sends callbacks to our listener."""

    def __init__(self, slack, port, tls=None):
        self.slack, self.port, self.tls = slack, port, tls

    def post(self, body, timestamp=None, signature=None, method="POST", headers=None):
        timestamp = int(time.time()) if timestamp is None else timestamp
        if self.tls:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.tls)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        started = time.monotonic()
        connection.request(method, "/slack", body, {
            "Content-Type": "application/x-www-form-urlencoded", "X-Slack-Request-Timestamp": str(timestamp),
            "X-Slack-Signature": signature or sign(body, timestamp), **(headers or {})})
        response = connection.getresponse()
        # To a dialog that was sent Slack takes nothing, or a "response_action"; to a click nothing counts.
        assert response.read() == b"" or response.status >= 400
        assert time.monotonic() - started <= ANSWER_TIME, "Slack shows an error to whoever clicked"
        connection.close()
        return response.status

    def click_payload(self, ts, action, user, message=None):
        """`message`: as the clicker still sees it."""
        number = next(self.slack.numbers)
        path, trigger = f"/actions/T0/{number}/YY", f"1.2.{number}"
        self.slack.response_urls[path] = [ts, 0, self.slack.clock()]
        self.slack.triggers[trigger] = self.slack.clock()
        message = message or self.slack.messages[ts]
        channel = message.get("channel", CHANNEL)
        return {"type": "block_actions", "user": {"id": user, "username": "x", "team_id": "T0"}, "trigger_id": trigger,
                "api_app_id": "A0", "team": {"id": "T0", "domain": "acme"}, "is_enterprise_install": False,
                "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": False},
                "channel": {"id": channel, "name": "reviews"},
                "response_url": self.slack.url + path, "message": {"type": "message", "ts": ts, "blocks": message["blocks"]},
                "actions": [{"type": "button", "action_id": action, "action_ts": f"{time.time():.6f}",
                             "block_id": "b", "value": buttons(message)[action]["value"]}]}

    def click(self, ts, action, user, message=None):
        return self.post(encode(self.click_payload(ts, action, user, message)))

    def submit_payload(self, view, user, reason):
        block = next(b for b in view["blocks"] if b["type"] == "input")
        return {
            "type": "view_submission", "user": {"id": user}, "view": {
                "id": f"V{next(self.slack.numbers)}", "callback_id": view["callback_id"],
                "private_metadata": view["private_metadata"], "state": {"values": {
                    block["block_id"]: {block["element"]["action_id"]: {
                        "type": "plain_text_input", "value": reason}}}}}}

    def submit(self, view, user, reason):
        """Sends the dialog that was opened."""
        return self.post(encode(self.submit_payload(view, user, reason)))


def trusting(ca_file):
    return ssl.create_default_context(cafile=str(ca_file))
