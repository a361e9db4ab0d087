# SPDX-License-Identifier: Apache-2.0
"""A stand-in for models' APIs: what OpenAI and Anthropic publish of theirs, as their libraries read it, in TLS and HTTP/1.1.

What a request's last message says decides about the answer: "hello", "mail", "tool", "break" (an error behind the first piece),
"wrong" (one in place of an answer). The first part of the path is not looked at: rules tell requests apart by it."""
import http.server
import json
import ssl
import threading

PIECES = {"hello": ["Hello", " there", ", you", "."], "mail": ["write to a", "nn@exa", "mple.com", ", please"], "break": ["one ", "two"],
          "tool": ['{"to": "a', "nn@exa", 'mple.com", "n', '": 1}']}
TOOL = "send_mail"


def openai_whole(word):
    text = "".join(PIECES[word])
    call = {"id": "call_1", "type": "function", "function": {"name": TOOL, "arguments": text}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]} if word == "tool" else {"role": "assistant", "content": text}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "usage": {"total_tokens": 3},
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if word == "tool" else "stop"}]}


def openai_events(word):
    def chunk(delta, reason=None):
        return None, {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                      "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield chunk({"role": "assistant", "content": ""})
    if word == "tool":
        yield chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": TOOL, "arguments": ""}}]})
    for piece in PIECES[word]:
        yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} if word == "tool" else {"content": piece})
        if word == "break":
            yield None, {"error": {"message": "overloaded", "type": "server_error", "code": "overloaded", "param": None}}
            return
    yield chunk({}, "tool_calls" if word == "tool" else "stop")
    yield None, "[DONE]"


def responses_whole(word):
    part = {"type": "output_text", "text": "".join(PIECES[word]), "annotations": []}
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": TOOL, "arguments": "".join(PIECES[word]), "status": "completed"}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    return {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [call if word == "tool" else message]}


def responses_events(word):
    where = {"item_id": "fc_1" if word == "tool" else "msg_1", "output_index": 0}
    name = "response.function_call_arguments" if word == "tool" else "response.output_text"
    where |= {} if word == "tool" else {"content_index": 0}
    done = {"arguments" if word == "tool" else "text": "".join(PIECES[word])}
    events = [("response.created", {"response": {**responses_whole(word), "status": "in_progress", "output": []}})]
    for piece in PIECES[word]:
        events.append((f"{name}.delta", {**where, "delta": piece}))
        if word == "break":
            events.append(("error", {"code": "overloaded", "message": "overloaded", "param": None}))
            break
    else:
        events += [(f"{name}.done", {**where, **done}), ("response.completed", {"response": responses_whole(word)})]
    for number, (kind, event) in enumerate(events):
        yield kind, {"type": kind, "sequence_number": number, **event}


def anthropic_whole(word):
    text = "".join(PIECES[word])
    content = {"type": "tool_use", "id": "toolu_1", "name": TOOL, "input": json.loads(text)} if word == "tool" else {"type": "text", "text": text}
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [content], "stop_sequence": None,
            "stop_reason": "tool_use" if word == "tool" else "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2}}


def anthropic_events(word):
    tool = word == "tool"
    block = {"type": "tool_use", "id": "toolu_1", "name": TOOL, "input": {}} if tool else {"type": "text", "text": ""}
    events = [{"type": "message_start", "message": {**anthropic_whole(word), "content": [], "stop_reason": None}},
              {"type": "content_block_start", "index": 0, "content_block": block}, {"type": "ping"}]
    for piece in PIECES[word]:
        delta = {"type": "input_json_delta", "partial_json": piece} if tool else {"type": "text_delta", "text": piece}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
        if word == "break":
            events.append({"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}})
            break
    else:
        events += [{"type": "content_block_stop", "index": 0},
                   {"type": "message_delta", "delta": {"stop_reason": "tool_use" if tool else "end_turn"}, "usage": {"output_tokens": 2}},
                   {"type": "message_stop"}]
    for event in events:
        yield event["type"], event


APIS = {"chat/completions": (openai_whole, openai_events), "responses": (responses_whole, responses_events),
        "messages": (anthropic_whole, anthropic_events)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        word = body["input"] if "input" in body else body["messages"][-1]["content"]
        whole, events = APIS[self.path.partition("/v1/")[2]]
        if word == "wrong":
            self.answer(400, {"type": "error", "error": {"type": "invalid_request_error", "message": "no such model", "code": None, "param": None}})
        elif body.get("stream"):
            self.stream(events(word))
        else:
            self.answer(200, whole(word))

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for kind, event in events:
            text = (f"event: {kind}\n" if kind else "") + f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n"
            self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())
            if any(piece in text for piece in self.server.waits_behind):
                self.server.goes_on.wait(20)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


class Models(http.server.ThreadingHTTPServer):
    """On `port` of 127.0.0.1. `asked`: paths, headers and bodies of the requests; behind an event with a text of `waits_behind`, none comes
    until `goes_on` is set."""
    daemon_threads = True

    def __init__(self, pem, key):
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem, key)
        self.port = self.server_address[1]
        self.asked, self.waits_behind, self.goes_on = [], [], threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        with self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request, client_address):
        """Clients that give up are no errors."""

    def stop(self):
        self.shutdown()
        self.server_close()
