# SPDX-License-Identifier: Apache-2.0
"""exec by kubectl over both of its transports, and by @kubernetes/client-node, against a stand-in that runs the commands."""
import json
import pathlib
import socket

import pytest
from conftest import make_config
from harness import cluster as clusters
from harness.cluster_gate import gate, of_cluster
from harness.ports import listening
from harness.records import last_session, recorded_actions, records_of
from harness.waiting import wait_for

CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"
RULES = [
    {"name": "read", "operations": ["read"], "objects": ["prod/*/*"], "allow": {}},
    {"name": "open", "operations": ["exec", "portforward"], "objects": ["prod/pods/open"], "allow": {}},
    {"name": "masked", "operations": ["exec"], "objects": ["prod/pods/masked"],
     "allow": {"mask": [{"detect": ["email", "credit_card"], "with": "redact"}]}},
    {"name": "asked", "operations": ["exec"], "objects": ["prod/pods/asked"], "review": {"by": "dba"}},
    {"name": "proxied", "operations": ["proxy"], "objects": ["prod/pods/masked"],
     "allow": {"record": "rows", "mask": [{"detect": ["email"], "with": "redact"}]}},
    {"name": "proxied plain", "operations": ["proxy"], "objects": ["prod/pods/asked"], "allow": {}},
    {"name": "proxied unread", "operations": ["proxy", "proxy_spdy"], "objects": ["prod/pods/open"], "allow": {}},
]
# `proxy` to a pod: the file of the CA, the port, the pod, what to go on in, and what is said then.
PROXY = """
import asyncio, socket, ssl, sys, websockets
ca, port, pod, upgrade, said = sys.argv[1:]
context, path = ssl.create_default_context(cafile=ca), f"/api/v1/namespaces/prod/pods/{pod}/proxy/chat"
async def talk():
    async with websockets.connect(f"wss://127.0.0.1:{port}{path}", ssl=context, subprotocols=["chat"]) as s:
        await s.send(said)
        return await s.recv()
if upgrade == "websocket":
    sys.exit(print(asyncio.run(talk())))
s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname="127.0.0.1")
s.sendall(f"POST {path} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\nConnection: Upgrade\\r\\nUpgrade: {upgrade}\\r\\n\\r\\n".encode())
got = s.recv(4096)
while b"\\r\\n\\r\\n" not in got:
    got += s.recv(4096) or sys.exit(got)
if got.startswith(b"HTTP/1.1 101 "):
    s.sendall(said.encode())
    while said.encode() not in got:
        got += s.recv(4096) or sys.exit(got)
else:
    while not got.rstrip().endswith(b"}"):
        got += s.recv(4096) or sys.exit(got)
print(got.decode())
"""
POD = {"spec": {"containers": [{"name": "app", "image": "web:1"}]}, "status": {"phase": "Running"}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    c = clusters.Cluster(tmp_path_factory.mktemp("cluster"))
    for name in ("open", "masked", "asked"):
        c.put("pods", "prod", name, POD)
    yield c
    c.stop()
    assert c.problems == []


@pytest.fixture(scope="module")
def daemon(cluster, tmp_path_factory):
    with gate(tmp_path_factory.mktemp("wayleave"), cluster, {**make_config(1), "loopback": "egress"}, RULES, of_cluster(cluster)) as d:
        yield d


@pytest.fixture(scope="module", params=["websocket", "SPDY"])
def transport(request):
    return request.param


def environment(daemon, transport):
    return {"KUBECONFIG": str(daemon.kubeconfig), "HOME": str(daemon.folder),
            **dict.fromkeys(("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "KUBECTL_PORT_FORWARD_WEBSOCKETS"),
                            "true" if transport == "websocket" else "false")}


def kubectl(daemon, transport, *words, **options):
    return daemon.run("kubectl", *words, env=environment(daemon, transport), **options)


def last_upgrade(cluster):
    return [headers["Upgrade"] for _, path, headers, _ in cluster.requests if "/exec?" in path][-1]


def test_a_program_and_what_came_of_it(daemon, cluster, transport):
    done = kubectl(daemon, transport, "exec", "open", "--", "sh", "-c", "echo to ann@example.com; echo wrong >&2; exit 3")
    assert (done.returncode, done.stdout) == (3, "to ann@example.com\n"), done.stderr
    assert "wrong" in done.stderr
    assert last_upgrade(cluster) == ("websocket" if transport == "websocket" else "SPDY/3.1")


def test_input(daemon, transport):
    text = "a line\n" * 20000
    done = kubectl(daemon, transport, "exec", "-i", "open", "--", "cat", input=text)
    assert (done.returncode, done.stdout) == (0, text), done.stderr


def test_masks(daemon, transport):
    script = "printf 'to ann@ex'; sleep 0.2; printf 'ample.com\\n4111 1111 '; sleep 0.2; echo 1111 1111; echo bob@example.com >&2; exit 4"
    done = kubectl(daemon, transport, "exec", "masked", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (4, "to [masked]\n[masked]\n"), done.stderr
    assert "[masked]" in done.stderr and "bob" not in done.stderr
    # Much of it, in pieces of the server's.
    done = kubectl(daemon, transport, "exec", "masked", "--", "sh", "-c", "seq -f 'user%06g@example.com is there' 1 6000")
    assert done.stdout == "[masked] is there\n" * 6000, done.stderr


def test_what_is_recorded(daemon, transport):
    mark = f"recorded-{transport}"
    done = kubectl(daemon, transport, "exec", "-i", "masked", "--", "sh", "-c", f"cat; echo {mark}; echo e@example.com >&2; exit 5",
                   input="ann@example.com\n")
    assert done.returncode == 5
    session = wait_for(lambda: last_session(daemon, mark))
    data = records_of(daemon, session, "data")
    said = {kind: b"".join(bytes.fromhex(d["data"]) for d in data if d["kind"] == kind).decode() for kind in ("input", "output", "error")}
    assert said == {"input": "ann@example.com\n", "output": f"[masked]\n{mark}\n", "error": "[masked]\n"}
    assert records_of(daemon, session, "result")[-1]["tag"] == "exit 5"
    cast = daemon.wayleave("sessions", "replay", session["id"], "--asciicast").stdout.splitlines()
    assert any(mark in json.loads(line)[2] for line in cast[1:])


def node(daemon, *words):
    done = daemon.run("node", CLIENTS / "kubernetes_exec.mjs", *words, env=environment(daemon, "websocket"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_client_node(daemon, cluster):
    got = node(daemon, "prod", "masked", "", "", "sh", "-c", "echo to ann@example.com; echo wrong >&2; exit 3")
    assert (got["out"], got["errors"]) == ("to [masked]\n", "wrong\n")
    assert got["status"]["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    got = node(daemon, "prod", "open", "", "hello\n", "head", "-n1")
    assert (got["out"], got["status"]["status"]) == ("hello\n", "Success")
    assert "403" in node(daemon, "dev", "open", "", "", "id")["refused"]


def shout(peer, _):
    while data := peer.recv(1000):
        peer.sendall(data.upper())


def ask(port, text):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: s.recv(1000), b""))


def test_port_forward(daemon, cluster, transport):
    mark = f"port-forward {transport}"
    with listening(shout) as (port, _):
        with daemon.popen("kubectl", "port-forward", "open", f":{port}", env=environment(daemon, transport),
                          stdout=-1, stderr=-1, text=True) as p:
            line = p.stdout.readline()
            assert "Forwarding" in line
            local = int(line.split(":")[1].split()[0])
            assert [ask(local, b"hello"), ask(local, mark.encode())] == [b"HELLO", mark.upper().encode()]
            p.terminate()
    session = wait_for(lambda: last_session(daemon, "portforward"))
    notes = "; ".join(n["detail"] for n in records_of(daemon, session, "note"))
    for number, count in ((1, 5), (2, len(mark))):
        assert f"port-forward {number}: {count} bytes to port {port}, {count} from it" in notes


def test_a_refusal_is_the_servers_own(daemon, transport):
    done = kubectl(daemon, transport, "exec", "-n", "dev", "open", "--", "id")
    assert done.returncode == 1 and "Forbidden" in done.stderr, done.stderr


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_people_decide_once(daemon, cluster, transport, decision):
    """kubectl asks again over the other transport when it was refused: nobody is asked twice."""
    mark = f"asked-{transport}-{decision}"
    process = daemon.popen("kubectl", "exec", "asked", "--", "echo", mark, env=environment(daemon, transport), stdout=-1, stderr=-1, text=True)
    review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
    assert (review["operations"], review["objects"]) == (["exec"], ["prod/pods/asked"])
    assert f"command: echo {mark}" in review["text"]
    daemon.wayleave("reviews", decision, review["id"], "--reason", "because")
    out, errors = process.communicate(timeout=60)
    ran = [path for _, path, _, _ in cluster.requests if f"command={mark}" in path]
    if decision == "approve":
        assert (process.returncode, out, len(ran)) == (0, mark + "\n", 1), errors
    else:
        assert process.returncode == 1 and "because" in errors and not ran, errors
    assert len([r for r in daemon.json("reviews", "list") if mark in r["text"]]) == 1
    assert [a for a in recorded_actions(daemon) if mark in a["text"]]


def test_an_approval_serves_the_transport_that_the_server_has(daemon, cluster):
    """An API server without WebSockets refuses kubectl's first attempt, which people approved; the second is what they approved."""
    process = daemon.popen("kubectl", "exec", "asked", "--", "echo", "old-server", env=environment(daemon, "websocket"),
                           stdout=-1, stderr=-1, text=True)
    review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
    cluster.no_websockets = True
    try:
        daemon.wayleave("reviews", "approve", review["id"])
        out, errors = process.communicate(timeout=60)
    finally:
        cluster.no_websockets = False
    assert (process.returncode, out) == (0, "old-server\n"), errors
    assert last_upgrade(cluster) == "SPDY/3.1"
    assert len([r for r in daemon.json("reviews", "list") if "old-server" in r["text"]]) == 1
    # It ran once: who asks anew, asks people.
    process = daemon.popen("kubectl", "exec", "asked", "--", "echo", "old-server", env=environment(daemon, "websocket"),
                           stdout=-1, stderr=-1, text=True)
    review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
    daemon.wayleave("reviews", "deny", review["id"], "--reason", "because")
    assert "because" in process.communicate(timeout=60)[1]


def proxy(daemon, cluster, pod, upgrade, said):
    done = daemon.run("/usr/bin/python3", "-c", PROXY, daemon.folder / "host-ca.pem", cluster.port, pod, upgrade, said)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_websocket_of_a_proxied_pod(daemon, cluster):
    assert proxy(daemon, cluster, "masked", "websocket", "a remark").strip() == "[masked] says a remark"
    session = wait_for(lambda: last_session(daemon, "masked/proxy/chat"))
    said = {d["kind"]: bytes.fromhex(d["data"]).decode() for d in records_of(daemon, session, "data")}
    assert said == {"input": "a remark", "output": "[masked] says a remark"}


def test_spdy_of_a_proxied_pod(daemon, cluster):
    """Nobody knows what it says: a rule has to name it, and nothing of it may have to be masked."""
    asked = len(cluster.requests)
    for pod, why in (("asked", "no rule allows proxy_spdy on prod/pods/asked"), ("masked", "no rule allows proxy_spdy on prod/pods/masked")):
        head, _, body = proxy(daemon, cluster, pod, "SPDY/3.1", "hello").partition("\n\n")
        assert head.startswith("HTTP/1.1 403 ")
        status = json.loads(body)
        assert (status["kind"], status["reason"]) == ("Status", "Forbidden") and why in status["message"]
    assert len(cluster.requests) == asked
    assert "you said hello" in proxy(daemon, cluster, "open", "SPDY/3.1", "hello")
    session = wait_for(lambda: last_session(daemon, "open/proxy/chat"))
    assert "relayed unread" in daemon.wayleave("sessions", "show", session["id"]).stdout
