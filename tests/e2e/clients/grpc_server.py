# SPDX-License-Identifier: Apache-2.0
"""A server of gRPC: FOLDER CLEAR-PORT TLS-PORT, with FOLDER/server.pem and .key. Of each call it writes a line of JSON to FOLDER/calls: which, by
which connection, and how many seconds its client waits; and of one that waits for it, that the client gave it up."""
import concurrent.futures
import json
import os
import pathlib
import sys
import threading

import grpc

folder, clear, secure = pathlib.Path(sys.argv[1]), *sys.argv[2:4]
# google.rpc.Status, as a server's library would make it: a code, a message, and a detail of some type.
DETAIL = b"\x0a\x2ftype.googleapis.com/google.protobuf.StringValue\x12\x07\x0a\x05later"
WHY = "not today: 100% \u00fc"
STATUS = b"\x08\x09\x12" + bytes([len(WHY.encode())]) + WHY.encode() + b"\x1a" + bytes([len(DETAIL)]) + DETAIL


def note(**what):
    with open(folder / "calls", "a") as f:
        f.write(json.dumps(what) + "\n")


def wait_until_gone(name, context):
    gone = threading.Event()
    if not context.add_callback(gone.set):
        gone.set()
    note(gone=name, after=gone.wait(20))


def one(message, context):
    context.send_initial_metadata([("x-first", "yes")])
    context.set_trailing_metadata([("x-last", "too"), ("x-last-bin", b"\x00\xff")])
    return message.upper()


def fail(message, context):
    context.set_trailing_metadata([("grpc-status-details-bin", STATUS)])
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, WHY)


def down(message, context):
    yield from message.split()


def up(messages, context):
    return b" ".join(messages)


def both(messages, context):
    for message in messages:
        yield message[::-1]


def slow(message, context):
    wait_until_gone("Slow", context)
    return message


def watch(message, context):
    yield message
    wait_until_gone("Watch", context)


def leave(message, context):
    yield message
    # Not before that has left.
    threading.Event().wait(0.2)
    os._exit(1)


def handler(make, name, work):
    def noted(message, context):
        note(call=name, peer=context.peer(), waits=context.time_remaining())
        return work(message, context)
    return make(noted)


CALLS = {
    grpc.unary_unary_rpc_method_handler: {"One": one, "Delete": one, "Asked": one, "Fail": fail, "Slow": slow},
    grpc.unary_stream_rpc_method_handler: {"Down": down, "Watch": watch, "Break": leave},
    grpc.stream_unary_rpc_method_handler: {"Up": up, "DeleteUp": up},
    grpc.stream_stream_rpc_method_handler: {"Both": both, "DeleteBoth": both, "AskedBoth": both},
}
calls = {name: handler(make, name, work) for make, of_kind in CALLS.items() for name, work in of_kind.items()}
# It asks whether the connection is alive, and ends it where nobody answers.
options = [("grpc.max_receive_message_length", 8 << 20), ("grpc.keepalive_time_ms", 200), ("grpc.keepalive_timeout_ms", 2000),
           ("grpc.http2.max_pings_without_data", 0), ("grpc.keepalive_permit_without_calls", 1)]
server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=options)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", calls),))
server.add_insecure_port(f"127.0.0.1:{clear}")
server.add_secure_port(f"127.0.0.1:{secure}", grpc.ssl_server_credentials(
    [((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())]))
server.start()
(folder / f"ready-{secure}").touch()
server.wait_for_termination()
