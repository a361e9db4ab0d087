# SPDX-License-Identifier: Apache-2.0
"""gRPC through an agent: its own library on both ends, in TLS and in clear."""
import json
import pathlib
import subprocess

import pytest
from conftest import make_config
from harness import certificates
from harness import daemon as daemons
from harness.ports import free_port
from harness.waiting import wait_for

PYTHON = "/usr/bin/python3"
SERVER = """
import concurrent.futures, grpc, pathlib, sys
folder, clear, secure = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def seen(context):
    with open(folder / "calls", "a") as f:
        f.write(dict(context.invocation_metadata()).get("x-who", "") + "\\n")

def one(message, context):
    seen(context)
    context.send_initial_metadata([("x-first", "yes")])
    context.set_trailing_metadata([("x-last", "too")])
    return message.upper()

def down(message, context):
    seen(context)
    for word in message.split():
        yield word

def up(messages, context):
    seen(context)
    return b" ".join(messages)

def both(messages, context):
    seen(context)
    for message in messages:
        yield message[::-1]

def fail(message, context):
    seen(context)
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: 100% \\u00fc")

calls = {"One": grpc.unary_unary_rpc_method_handler(one), "Delete": grpc.unary_unary_rpc_method_handler(one),
         "Asked": grpc.unary_unary_rpc_method_handler(one), "Fail": grpc.unary_unary_rpc_method_handler(fail),
         "Down": grpc.unary_stream_rpc_method_handler(down), "Up": grpc.stream_unary_rpc_method_handler(up),
         "Both": grpc.stream_stream_rpc_method_handler(both)}
server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", calls),))
server.add_insecure_port(f"127.0.0.1:{clear}")
server.add_secure_port(f"127.0.0.1:{secure}", grpc.ssl_server_credentials(
    [((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())]))
server.start()
(folder / "ready").touch()
server.wait_for_termination()
"""
CLIENT = """
import grpc, json, queue, sys
place, ca, what = sys.argv[1:4]
channel = grpc.secure_channel(place, grpc.ssl_channel_credentials(open(ca, "rb").read())) if ca else grpc.insecure_channel(place)
who = [("x-who", "me")]

def say(call, *more):
    print(json.dumps([call.code().name, call.details(), *more]), flush=True)

def one(name, message):
    try:
        answer, call = channel.unary_unary("/shop.Orders/" + name).with_call(message, metadata=who, timeout=60)
        say(call, answer.decode(), dict(call.initial_metadata()).get("x-first"), dict(call.trailing_metadata()).get("x-last"))
    except grpc.RpcError as e:
        say(e)

if what == "Down":
    call = channel.unary_stream("/shop.Orders/Down")(b"a b c", metadata=who, timeout=60)
    answers = [m.decode() for m in call]
    say(call, answers)
elif what == "Up":
    answer, call = channel.stream_unary("/shop.Orders/Up").with_call(iter([b"x", b"y" * 200000, b"z"]), metadata=who, timeout=60)
    say(call, len(answer))
elif what == "Both":
    words = queue.Queue()
    call = channel.stream_stream("/shop.Orders/Both")(iter(words.get, None), metadata=who, timeout=60)
    answers = []
    for word in (b"one", b"two", b"three"):
        words.put(word)
        answers.append(next(call).decode())
    words.put(None)
    say(call, answers, list(call))
elif what == "denied twice":
    one("Delete", b"x")
    one("One", b"x")
else:
    one(what, b"hello")
"""
RULES = [
    {"name": "calls", "operations": ["POST"], "objects": ["/shop.Orders/*"], "allow": {}},
    {"name": "no deletes", "operations": ["POST"], "objects": ["/shop.Orders/Delete"], "deny": {"message": "100 % never\u2026"}},
    {"name": "people", "operations": ["POST"], "objects": ["/shop.Orders/Asked"], "review": {"by": "dba"}},
]


class Server:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ca = certificates.make_authority(self.folder)
        certificates.make_leaf(self.folder, "server", ("localhost",))
        self.ports = {"clear": free_port(), "TLS": free_port()}
        self.process = subprocess.Popen([PYTHON, "-c", SERVER, str(self.folder), *map(str, self.ports.values())])
        wait_for((self.folder / "ready").exists)

    def calls(self):
        file = self.folder / "calls"
        return file.read_text().count("me\n") if file.exists() else 0

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("grpc"))
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), {
        **make_config(1), "workers": 1, "reviewers": {"dba": {"local_users": ["root"]}},
        "resources": [{"name": "clear", "protocol": "http", "hosts": [f"127.0.0.1:{server.ports['clear']}"]},
                      {"name": "TLS", "protocol": "http", "hosts": [f"localhost:{server.ports['TLS']}"],
                       "tls": {"ca_file": str(server.ca)}}]}, RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


@pytest.fixture(params=["clear", "TLS"])
def place(request, daemon, server):
    ca = str(daemon.folder / "host-ca.pem") if request.param == "TLS" else ""
    return [PYTHON, "-c", CLIENT, f"{'localhost' if ca else '127.0.0.1'}:{server.ports[request.param]}", ca]


def call(daemon, place, what):
    done = daemon.run(*place, what)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_calls_of_all_four_kinds(daemon, place):
    assert call(daemon, place, "One") == [["OK", "", "HELLO", "yes", "too"]]
    assert call(daemon, place, "Down") == [["OK", "", ["a", "b", "c"]]]
    assert call(daemon, place, "Up") == [["OK", "", 200_004]]
    # Each answer comes before the next message is sent.
    assert call(daemon, place, "Both") == [["OK", "", ["eno", "owt", "eerht"], []]]


def test_a_servers_status_passes(daemon, place):
    assert call(daemon, place, "Fail") == [["FAILED_PRECONDITION", "not today: 100% \u00fc"]]


def test_a_denial_is_a_status(daemon, server, place):
    """With its message, and the connection lives on."""
    before = server.calls()
    assert call(daemon, place, "denied twice") == [
        ["PERMISSION_DENIED", 'wayleave: denied by rule "no deletes": 100 % never\u2026'], ["OK", "", "X", "yes", "too"]]
    assert server.calls() == before + 1


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_people_decide(daemon, server, place, decision):
    before = server.calls()
    with daemon.popen(*place, "Asked", stdout=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        assert review["objects"] == ["/shop.Orders/Asked"] and server.calls() == before
        assert "    | a message, 5 bytes\n    | hello\n" in daemon.wayleave("reviews", "show", review["id"]).stdout
        daemon.wayleave("reviews", decision, review["id"], *([] if decision == "approve" else ["--reason", "not now"]))
        said = json.loads(p.stdout.readline())
    if decision == "approve":
        assert said == ["OK", "", "HELLO", "yes", "too"]
    else:
        assert said[0] == "PERMISSION_DENIED" and "not now" in said[1], said
    assert server.calls() == before + (decision == "approve")


def test_it_is_recorded(daemon, place):
    call(daemon, place, "One")
    shown = daemon.wayleave("sessions", "show", daemon.json("sessions", "list")[0]["id"]).stdout
    assert "/shop.Orders/One" in shown


def test_a_server_that_is_gone(make_daemon):
    port = free_port()
    d = make_daemon({**make_config(1), "workers": 1,
                     "resources": [{"name": "gone", "protocol": "http", "hosts": [f"127.0.0.1:{port}"]}]},
                    RULES[:2])
    said = call(d, [PYTHON, "-c", CLIENT, f"127.0.0.1:{port}", ""], "One")
    assert said[0][0] == "UNAVAILABLE" and "wayleave: cannot reach" in said[0][1], said
