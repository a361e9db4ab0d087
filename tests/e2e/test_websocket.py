# SPDX-License-Identifier: Apache-2.0
"""WebSockets through an agent: node's ws on both sides, over HTTP/1.1 and HTTP/2, and Python's websockets."""
import json
import pathlib
import subprocess
import time

import pytest
from conftest import make_config
from harness import certificates
from harness import daemon as daemons
from harness.ports import free_port
from harness.records import last_session, recorded_actions, records_of
from harness.waiting import wait_for

CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"
RULES = [
    {"name": "plain", "operations": ["websocket"], "objects": ["/plain"], "allow": {}},
    {"name": "masked", "operations": ["websocket"], "objects": ["/masked"],
     "allow": {"record": "rows", "mask": [{"detect": ["email"], "with": "redact"}]}},
    {"name": "asked", "operations": ["websocket"], "objects": ["/asked"], "review": {"by": "dba"}},
]
# Says each word, waits for one answer to each, and prints them.
PYTHON_CLIENT = """
import asyncio, json, sys, websockets

async def main():
    async with websockets.connect(sys.argv[1], max_size=None) as socket:
        for word in sys.argv[2:]:
            await socket.send(word)
            print(json.dumps(await socket.recv()))

asyncio.run(main())
"""


class Server:
    def __init__(self, folder):
        self.ca = certificates.make_authority(folder, "websocket CA")
        pem, key = certificates.make_leaf(folder, "server", addresses=("127.0.0.1",))
        self.port, self.tls_port = free_port(), free_port()
        self.process = subprocess.Popen(["node", CLIENTS / "websocket_server.js", str(self.port), str(self.tls_port), pem, key],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def stop(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("server"))
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), {
        **make_config(1), "workers": 1, "loopback": "egress", "reviewers": {"dba": {"local_users": ["root"]}},
        "resources": [{"name": "plain", "protocol": "http", "hosts": [f"127.0.0.1:{server.port}"]},
                      {"name": "secure", "protocol": "http", "hosts": [f"127.0.0.1:{server.tls_port}"],
                       "tls": {"ca_file": str(server.ca)}}]}, RULES)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


@pytest.fixture(scope="module", params=["ws", "wss", "h2+wss"])
def place(request, server):
    return f"{request.param}://127.0.0.1:{server.port if request.param == 'ws' else server.tls_port}"


def node(daemon, url, *words):
    done = daemon.run("node", CLIENTS / "websocket_client.js", url, *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def messages(answers):
    return [a["message"] for a in answers if "message" in a]


def test_both_sides_talk(daemon, place):
    answers = node(daemon, f"{place}/plain", "hello", "extensions", "mail", "ping", "x" * 70000)
    assert messages(answers) == ["hello", "extensions: ", "write to ann@example.com", "pong are you there", "x" * 70000]
    assert answers[-1] == {"code": 1000, "reason": ""}


def test_the_servers_close_arrives(daemon, place):
    assert node(daemon, f"{place}/plain", "bye") == [{"code": 4001, "reason": "as you wish"}]


def test_masks(daemon, place):
    answers = node(daemon, f"{place}/masked", "mail", "fragments", "json", "buffer", "bob@example.com", "long")
    assert messages(answers) == ["write to [masked]", "write to [masked]", '{"mail":"[masked]","n":1}', "write to [masked]",
                                 "[masked]", "x" * 200000 + " [masked] " + "y" * 200000]
    assert [a["binary"] for a in answers[:-1]] == [False, False, False, True, False, False]
    assert answers[-1]["code"] == 1000


def test_pythons_websockets(daemon, server):
    done = daemon.run("/usr/bin/python3", "-c", PYTHON_CLIENT, f"ws://127.0.0.1:{server.port}/masked", "hello", "fragments", "json", "long")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        "hello", "write to [masked]", '{"mail":"[masked]","n":1}', "x" * 200000 + " [masked] " + "y" * 200000]


def test_what_is_recorded(daemon, place):
    mark = place.partition(":")[0]
    node(daemon, f"{place}/masked?{mark}", "hello", "mail")
    session = wait_for(lambda: last_session(daemon, f"/masked?{mark}"))
    data = records_of(daemon, session, "data")
    said = {kind: b"".join(bytes.fromhex(d["data"]) for d in data if d["kind"] == kind) for kind in ("input", "output")}
    assert said == {"input": b"hellomail", "output": b"hellowrite to [masked]"}
    # Without a rule that asks for more, how much it was.
    node(daemon, f"{place}/plain?{mark}", "hello")
    session = wait_for(lambda: last_session(daemon, f"/plain?{mark}"))
    assert records_of(daemon, session, "data") == []
    result = records_of(daemon, session, "result")[-1]
    assert result["bytes"] == 5, result


def test_a_refusal_is_a_response(daemon, place):
    status = node(daemon, f"{place}/other")[0]
    assert status["status"] == 403
    assert json.loads(status["body"])["message"] == "wayleave: denied: no rule allows websocket on /other"


def test_a_frame_that_no_client_may_get(daemon, server):
    answers = node(daemon, f"ws://127.0.0.1:{server.port}/plain", "broken")
    assert answers == [{"code": 1011, "reason": answers[0]["reason"]}]
    assert "reserved bit" in answers[0]["reason"]


def test_people_decide_about_the_upgrade(daemon, server):
    process = daemon.popen("node", CLIENTS / "websocket_client.js", f"ws://127.0.0.1:{server.port}/asked", "hello",
                           stdout=-1, stderr=-1, text=True)
    review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
    assert (review["operations"], review["objects"]) == (["websocket"], ["/asked"])
    daemon.wayleave("reviews", "approve", review["id"])
    out, errors = process.communicate(timeout=60)
    assert json.loads(out.splitlines()[0]) == {"message": "hello", "binary": False}, errors
    assert [a for a in recorded_actions(daemon) if "/asked" in a["text"]]


# Has 64 MiB sent back, and reads no more of it than that it is a WebSocket.
SLOW = """
import socket, struct, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
    s.sendall(b"GET /plain HTTP/1.1\\r\\nHost: 127.0.0.1:" + sys.argv[1].encode() + b"\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n"
              b"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n\\r\\n")
    assert s.recv(12) == b"HTTP/1.1 101"
    for _ in range(64):
        s.sendall(b"\\x82\\xff" + struct.pack(">Q", 1 << 20) + bytes(4 + (1 << 20)))
    print("said", flush=True)
    sys.stdin.readline()
    left = 64 << 20
    while left > 0:
        left -= len(s.recv(1 << 20)) or sys.exit("closed")
    print("heard", flush=True)
"""


def test_who_says_all_before_it_reads(daemon, server):
    """It gets it all, and costs bounded memory: only the server keeps what is not read."""
    def memory():
        text = pathlib.Path(f"/proc/{daemon.workers()[0]}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])

    before = memory()
    with daemon.popen("/usr/bin/python3", "-c", SLOW, server.port, stdin=-1, stdout=-1, text=True) as client:
        assert client.stdout.readline() == "said\n"
        time.sleep(0.5)
        assert memory() - before < 32 << 10
        assert client.communicate("\n", timeout=60)[0] == "heard\n"
