# SPDX-License-Identifier: Apache-2.0
"""exec and what is like it by kubectl over both of its transports, and by @kubernetes/client-node, against a stand-in that
runs the commands."""
import json
import os
import pathlib
import random
import re
import socket
import time
import urllib.error
import urllib.request

import pytest
from conftest import make_config
from harness import cluster as clusters
from harness import kubectl as kubectls
from harness.cluster_gate import gate, of_cluster
from harness.ports import listening
from harness.records import last_session, recorded_actions, records_of
from harness.terminal import at_terminal, read_until, resize
from harness.waiting import wait_for

CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"
RULES = [
    {"name": "read", "operations": ["read"], "objects": ["prod/*/*"], "allow": {}},
    {"name": "open", "operations": ["exec", "portforward"], "objects": ["prod/pods/open"], "allow": {}},
    {"name": "masked", "operations": ["exec", "attach", "logs"], "objects": ["prod/pods/masked"],
     "allow": {"mask": [{"detect": ["email", "credit_card"], "with": "redact"}]}},
    {"name": "files", "operations": ["exec"], "objects": ["prod/pods/files"],
     "allow": {"mask": [{"detect": ["email", "credit_card"], "with": "redact", "binary": "pass"}]}},
    {"name": "no archives", "operations": ["exec"], "objects": ["prod/pods/texts"],
     "allow": {"mask": [{"detect": ["email", "credit_card"], "with": "redact", "binary": "refuse"}]}},
    {"name": "asked", "operations": ["exec", "attach", "portforward"], "objects": ["prod/pods/asked", "prod/pods/old"], "review": {"by": "dba"}},
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
    for name in ("open", "masked", "files", "texts", "asked", "old", "closed"):
        c.put("pods", "prod", name, POD)
    yield c
    c.stop()
    assert c.problems == []


@pytest.fixture(scope="module")
def daemon(cluster, tmp_path_factory):
    with gate(tmp_path_factory.mktemp("wayleave"), cluster, {**make_config(1), "loopback": "egress"}, RULES, of_cluster(cluster)) as d:
        yield d


@pytest.fixture(scope="module", params=kubectls.TRANSPORTS)
def transport(request):
    kubectls.needed(request.param)
    return request.param


def environment(daemon, transport):
    return {"KUBECONFIG": str(daemon.kubeconfig), "HOME": str(daemon.folder),
            **dict.fromkeys(("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "KUBECTL_PORT_FORWARD_WEBSOCKETS"),
                            "true" if transport == "websocket" else "false")}


def kubectl(daemon, transport, *words, **options):
    return daemon.run(kubectls.speaking(transport), *words, env=environment(daemon, transport), **options)


def test_whose_kubectl_it_is(transport):
    """Debian's is too old for WebSocket; where the other one is the only one here, it speaks SPDY when it is told to."""
    program = kubectls.needed(transport)
    if transport == "SPDY" and program != str(kubectls.UNPACKED) and kubectls.minor(program) >= kubectls.SPEAKS_WEBSOCKET:
        pytest.skip("kubectl of Debian 12 is not unpacked here")
    assert (kubectls.minor(program) >= kubectls.SPEAKS_WEBSOCKET) == (transport == "websocket")


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


def memory(daemon):
    return sum(int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) for pid in daemon.workers())


def test_a_slow_reader_costs_bounded_memory(daemon, transport, tmp_path):
    """What the program says waits for who reads it."""
    before, script = memory(daemon), f"head -c 400M /dev/zero; touch {tmp_path}/all"
    with daemon.popen(kubectls.speaking(transport), "exec", "open", "--", "sh", "-c", script, env=environment(daemon, transport),
                      stdout=-1, stderr=-1) as process:
        try:
            assert process.stdout.read(1) == b"\0"
            time.sleep(1.5)
            assert memory(daemon) - before < 32 << 10
            assert process.poll() is None and not (tmp_path / "all").exists()
        finally:
            process.kill()


def said_in(daemon, session):
    data = records_of(daemon, session, "data")
    return {kind: b"".join(bytes.fromhex(d["data"]) for d in data if d["kind"] == kind).decode() for kind in ("input", "output", "error")}


def test_what_is_recorded(daemon, transport):
    mark = f"recorded-{transport}"
    done = kubectl(daemon, transport, "exec", "-i", "masked", "--", "sh", "-c", f"cat; echo {mark}; echo e@example.com >&2; exit 5",
                   input="ann@example.com\n")
    assert done.returncode == 5
    session = wait_for(lambda: last_session(daemon, mark))
    assert said_in(daemon, session) == {"input": "ann@example.com\n", "output": f"[masked]\n{mark}\n", "error": "[masked]\n"}
    assert records_of(daemon, session, "result")[-1]["tag"] == "exit 5"
    cast = daemon.wayleave("sessions", "replay", session["id"], "--asciicast").stdout.splitlines()
    assert any(mark in json.loads(line)[2] for line in cast[1:])


def last_action(daemon, text):
    action = [a for a in recorded_actions(daemon) if text in a["text"]][-1]
    return [(p["operation"], p["object"]) for p in action["pairs"]], action["text"].splitlines()[1:]


def test_attach(daemon, transport):
    done = kubectl(daemon, transport, "attach", "masked", "-c", "app", "-i", input=f"bob@example.com by {transport}\n")
    assert (done.returncode, done.stdout) == (0, f"the main program\n[masked] by {transport}\n"), done.stderr
    assert "of [masked]" in done.stderr and "ann@" not in done.stderr
    assert last_action(daemon, "/attach") == ([("attach", "prod/pods/masked")], ["container: app"])
    session = wait_for(lambda: last_session(daemon, "/attach"))
    assert said_in(daemon, session) == {"input": f"bob@example.com by {transport}\n", "error": "of [masked]\n",
                                        "output": f"the main program\n[masked] by {transport}\n"}


def test_a_terminal(daemon, transport):
    """What is typed is echoed there, sizes are the client's, and the recording has both."""
    mark = f"terminal-{transport}"
    script = ("until [ \"$(stty size)\" = '30 90' ]; do sleep 0.02; done; echo ready; read line; echo \"got $line\"; "
              f"until [ \"$(stty size)\" = '41 101' ]; do sleep 0.02; done; echo {mark}; exit 4")
    words = [kubectls.speaking(transport), "exec", "-it", "masked", "--", "sh", "-c", script]
    with at_terminal(daemon, *words, size=(30, 90), env=environment(daemon, transport)) as (process, main):
        read_until(main, b"ready")
        os.write(main, b"to ann@example.com\r")
        shown = read_until(main, b"got to ")
        resize(main, 41, 101)
        shown += read_until(main, mark.encode())
        assert process.wait(30) == 4 and b"got to [masked]" in shown, shown
    session = wait_for(lambda: last_session(daemon, mark))
    cast = [json.loads(line) for line in daemon.wayleave("sessions", "replay", session["id"], "--asciicast").stdout.splitlines()]
    assert (cast[0]["width"], cast[0]["height"]) == (90, 30)
    assert [event[2] for event in cast[1:] if event[1] == "r"][-1] == "101x41"
    assert "to ann@example.com\r" in "".join(event[2] for event in cast[1:] if event[1] == "i")
    assert "got to [masked]" in "".join(event[2] for event in cast[1:] if event[1] == "o")


def test_cp(daemon, transport, tmp_path):
    """Both ways; where something is masked, an archive arrives as it is, or not."""
    data, there = random.Random(1).randbytes(300_000), tmp_path / "pod"
    there.mkdir()
    (tmp_path / "up").write_bytes(data)
    for words in (["cp", tmp_path / "up", f"prod/masked:{there}/got"], ["cp", f"prod/masked:{there}/got", tmp_path / "back"]):
        done = kubectl(daemon, transport, *words)
        assert done.returncode == 0, done.stderr
    assert (there / "got").read_bytes() == (tmp_path / "back").read_bytes() == data
    assert [pairs for pairs, text in [last_action(daemon, "command=tar")]] == [[("exec", "prod/pods/masked")]]
    # What would have to be masked in it doesn't arrive, unless the rule lets what is binary pass.
    cards = "a card: 4111 1111 1111 1111\n" * 10
    (tmp_path / "cards").write_text(cards)
    done = kubectl(daemon, transport, "cp", tmp_path / "cards", f"prod/masked:{there}/cards")
    assert (there / "cards").read_text() == cards, done.stderr
    for pod, why in (("masked", "the archive holds what is masked"), ("texts", "an archive is binary, which the rule refuses")):
        done = kubectl(daemon, transport, "cp", f"prod/{pod}:{there}/cards", tmp_path / pod)
        assert done.returncode and why in done.stderr, done.stderr
        assert not (tmp_path / pod).exists() or "1111" not in (tmp_path / pod).read_text()
    for pod in ("files", "open"):
        done = kubectl(daemon, transport, "cp", f"prod/{pod}:{there}/cards", tmp_path / pod)
        assert (tmp_path / pod).read_text() == cards, done.stderr
    session = wait_for(lambda: last_session(daemon, "files/exec"))
    assert "an archive is binary, and passes unmasked" in [n.get("detail") for n in records_of(daemon, session, "note")]
    assert kubectl(daemon, transport, "exec", "files", "--", "cat", there / "cards").stdout == "a card: [masked]\n" * 10


def test_a_log_that_goes_on(daemon, cluster):
    """Each line when it is written, and masked."""
    with daemon.popen("kubectl", "logs", "-f", "masked", env=environment(daemon, ""), stdout=-1, stderr=-1, text=True) as process:
        assert [process.stdout.readline() for _ in range(2)] == ["log of masked\n", "password=hunter2-log\n"]
        for number in range(3):
            cluster.log("masked", f"{number} is ann@example.com\n")
            assert process.stdout.readline() == f"{number} is [masked]\n"
        cluster.log("masked", None)
        assert process.wait(30) == 0
    assert last_action(daemon, "/log?")[0] == [("logs", "prod/pods/masked")]


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_kubectl_proxy(daemon, cluster, transport):
    """What it passes on is judged as any request; Host, which some pass on of their clients, is the cluster's."""
    with daemon.popen(kubectls.speaking(transport), "proxy", "--port=0", env=environment(daemon, ""), stdout=-1, text=True) as process:
        url = "http://" + process.stdout.readline().split()[-1] + "/api/v1/namespaces"
        status, body = fetch(url + "/prod/pods/open")
        assert (status, body["metadata"].get("name")) == (200, "open"), body
        assert cluster.requests[-1][2]["Host"] == f"{cluster.address}:{cluster.port}"
        status, body = fetch(url + "/dev/pods/open")
        assert (status, body["kind"], body["reason"]) == (403, "Status", "Forbidden") and "get on dev/pods/open" in body["message"]
        process.terminate()


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
        with daemon.popen(kubectls.speaking(transport), "port-forward", "open", f":{port}", env=environment(daemon, transport),
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


@pytest.mark.parametrize("words", [["exec", "closed", "--", "id"], ["exec", "-it", "closed", "--", "sh"], ["attach", "closed"],
                                   ["cp", "/etc/hostname", "closed:/tmp/x"], ["cp", "closed:/etc/hostname", "/dev/null"],
                                   ["port-forward", "closed", ":80"]], ids=" ".join)
def test_a_refusal_is_the_servers_own(daemon, transport, words):
    operation = {"cp": "exec", "port-forward": "portforward"}.get(words[0], words[0])
    done = kubectl(daemon, transport, *words)
    assert done.returncode and f"wayleave: denied: no rule allows {operation} on prod/pods/closed" in done.stderr, done.stderr
    assert "Forbidden" in done.stderr or words[0] == "port-forward", done.stderr


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_people_decide_once(daemon, cluster, transport, decision):
    """kubectl asks again over the other transport when it was refused: nobody is asked twice."""
    mark = f"asked-{transport}-{decision}"
    process = daemon.popen(kubectls.speaking(transport), "exec", "asked", "--", "echo", mark, env=environment(daemon, transport),
                           stdout=-1, stderr=-1, text=True)
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


@pytest.mark.parametrize("words", [["attach", "asked"], ["port-forward", "asked", ":80"]], ids=" ".join)
def test_people_refuse_once(daemon, cluster, transport, words):
    before = len(daemon.json("reviews", "list"))
    process = daemon.popen(kubectls.speaking(transport), *words, env=environment(daemon, transport), stdout=-1, stderr=-1, text=True)
    review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
    daemon.wayleave("reviews", "deny", review["id"], "--reason", "because")
    assert "because" in process.communicate(timeout=60)[1]
    assert len(daemon.json("reviews", "list")) == before + 1
    assert not [path for _, path, _, _ in cluster.requests if "/asked/attach" in path or "/asked/portforward" in path]


@pytest.fixture
def retries(daemon, cluster):
    """An API server without WebSockets refuses kubectl's first attempt, which people approved; the second is what they approved. What is
    given back waits for the next review about that pod, approves it, and gives it back."""
    kubectls.needed("websocket")
    cluster.no_websockets = True

    def approve():
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        assert review["objects"] == ["prod/pods/old"]
        daemon.wayleave("reviews", "approve", review["id"])
        return review

    begin, asked = len(cluster.requests), len(daemon.json("reviews", "list"))
    approve.upgrades = lambda: [headers["Upgrade"] for _, path, headers, _ in cluster.requests[begin:] if "/pods/old/" in path]
    approve.reviews = lambda: len(daemon.json("reviews", "list")) - asked
    yield approve
    cluster.no_websockets = False


def begins(daemon, *words, **options):
    return daemon.popen(kubectls.speaking("websocket"), *words, env=environment(daemon, "websocket"), stdin=-1, stdout=-1, stderr=-1, text=True,
                        **options)


BOTH = ["websocket", "SPDY/3.1"]


def test_an_approval_serves_the_transport_that_the_server_has(daemon, cluster, retries):
    process = begins(daemon, "exec", "old", "--", "echo", "old-server")
    approved = retries()
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "old-server\n"), errors
    assert (retries.upgrades(), retries.reviews()) == (BOTH, 1)
    sessions = daemon.json("reviews", "show", approved["id"])["sessions"]
    assert [s.get("ran", "went on") for s in sessions] == [False, "went on"], "the server refused the first"
    # It ran once: who asks anew, asks people.
    process = begins(daemon, "exec", "old", "--", "echo", "old-server")
    review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
    daemon.wayleave("reviews", "deny", review["id"], "--reason", "because")
    assert "because" in process.communicate(timeout=60)[1]


def test_an_approved_attach(daemon, cluster, retries):
    process = begins(daemon, "attach", "old", "-c", "app", "-i")
    retries()
    out, errors = process.communicate("by hand\n", timeout=60)
    assert (process.returncode, out) == (0, "the main program\nby hand\n"), errors
    assert (retries.upgrades(), retries.reviews()) == (BOTH, 1)


def test_an_approved_port_forward(daemon, cluster, retries):
    with listening(shout) as (port, _):
        with begins(daemon, "port-forward", "old", f":{port}") as process:
            retries()
            local = int(process.stdout.readline().split(":")[1].split()[0])
            assert [ask(local, b"hello"), ask(local, b"again")] == [b"HELLO", b"AGAIN"]
            process.terminate()
    assert (retries.upgrades(), retries.reviews()) == (BOTH, 1)


def test_an_approved_cp(daemon, cluster, retries, tmp_path):
    """It looks whether the file is a folder first: each of the two commands is asked for once, and runs once."""
    (tmp_path / "up").write_text("a file\n")
    process = begins(daemon, "cp", tmp_path / "up", f"prod/old:{tmp_path}/got")
    commands = [re.search(r"^command: (\w+)", retries()["text"], re.M)[1] for _ in range(2)]
    assert (process.wait(60), commands) == (0, ["test", "tar"]), process.stderr.read()
    assert (tmp_path / "got").read_text() == "a file\n"
    assert (retries.upgrades(), retries.reviews()) == (2 * BOTH, 2)


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
