# SPDX-License-Identifier: Apache-2.0
"""Calls of gRPC, one after the other on one connection: PLACE CA CALL…, without TLS where CA is empty. Prints what came of each, a line of
JSON, the same with each library (grpc_calls.js, grpc_calls.go): the code, the message, and what the kind of call makes of it."""
import json
import queue
import sys

import grpc

place, ca, *calls = sys.argv[1:]
options = [("grpc.max_receive_message_length", 8 << 20), ("grpc.keepalive_time_ms", 200), ("grpc.keepalive_timeout_ms", 2000),
           ("grpc.http2.max_pings_without_data", 0), ("grpc.http2.min_time_between_pings_ms", 200)]
channel = (grpc.secure_channel(place, grpc.ssl_channel_credentials(open(ca, "rb").read()), options) if ca
           else grpc.insecure_channel(place, options))
LARGE = b"x" * (5 << 20)


def path(name):
    return "/shop.Orders/" + name


def said(call, *more):
    return [call.code().value[0], call.details(), *more]


def unary(name, message, seconds=60):
    """The call once it is over, and its answer, if there is one."""
    call = channel.unary_unary(path(name)).future(message, timeout=seconds)
    return call, None if call.exception() else call.result()


def last(call, name):
    return dict(call.trailing_metadata()).get(name)


def one(name, message=b"hello"):
    call, answer = unary(name, message)
    if answer is None:
        return said(call)
    return said(call, answer.decode(), dict(call.initial_metadata()).get("x-first"), last(call, "x-last"), last(call, "x-last-bin").hex())


def large(name):
    call, answer = unary(name, LARGE)
    return said(call) if answer is None else said(call, answer == LARGE.upper())


def fail():
    call, _ = unary("Fail", b"")
    return said(call, last(call, "grpc-status-details-bin").hex())


def down(name, message):
    call = channel.unary_stream(path(name))(message, timeout=60)
    answers = []
    try:
        for answer in call:
            answers.append(answer.decode())
    except grpc.RpcError:
        pass
    return said(call, answers)


def up(name, messages):
    call = channel.stream_unary(path(name)).future(messages, timeout=60)
    return said(call) if call.exception() else said(call, len(call.result()))


def both():
    words = queue.Queue()
    call = channel.stream_stream(path("Both"))(iter(words.get, None), timeout=60)
    answers = []
    for word in (b"one", b"two", b"three"):
        words.put(word)
        answers.append(next(call).decode())
    words.put(None)
    rest = list(call)
    return said(call, answers, len(rest))


def stays_open(name, seconds):
    """A call that is over before its client has ended it."""
    words = queue.Queue()
    words.put(b"x")
    call = channel.stream_stream(path(name))(iter(words.get, None), timeout=seconds)
    try:
        next(call)
    except grpc.RpcError:
        pass
    words.put(None)
    return said(call)


def watch():
    call = channel.unary_stream(path("Watch"))(b"first")
    answer = next(call)
    call.cancel()
    return [call.code().value[0], answer.decode()]


WAYS = {
    "Down": lambda: down("Down", b"a b c"), "Break": lambda: down("Break", b"first"), "Both": both, "Fail": fail, "Watch": watch,
    "DeleteBoth": lambda: stays_open("DeleteBoth", 60),
    "AskedBoth": lambda: stays_open("AskedBoth", 0.5)[:1],
    "Large": lambda: large("One"), "AskedLarge": lambda: large("Asked"),
    "Up": lambda: up("Up", iter([b"x", b"y" * 200000, b"z"])),
    "DeleteUp": lambda: up("DeleteUp", (b"y" * 100000 for _ in range(40))),
    "Slow": lambda: [unary("Slow", b"", 0.5)[0].code().value[0]],
    "Soon": lambda: [unary("Asked", b"again", 0.5)[0].code().value[0]],
    "Again": lambda: one("Asked", b"again"),
}
for name in calls:
    print(json.dumps(WAYS.get(name, lambda: one(name))()), flush=True)
