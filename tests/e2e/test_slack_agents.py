# SPDX-License-Identifier: Apache-2.0
"""Where people decide no agent takes part: whatever of this host it may dial, and whoever it is."""
import json
import socket
import subprocess
import threading
import time

import pytest
from harness import slack as slacks
from harness.reviews import state_of
from harness.waiting import wait_for
from test_slack import make  # noqa: F401

# For each address what came of a click there that is signed as it should be; what of the broker's can be read; what the daemon says to who
# decides.
TRY = """
import glob, json, os, socket, struct, sys
addresses, ports, request, broker, control, review = json.loads(sys.argv[1])
def dial(address, port):
    try:
        with socket.create_connection((address, port), 5) as s:
            s.sendall(bytes.fromhex(request))
            return s.recv(100).decode()[:20] or "closed"
    except OSError as e:
        return type(e).__name__
def look(name):
    path = f"/proc/{broker}/{name}"
    try:
        return "seen" if open(path, "rb").read(1) else "empty"
    except OSError:
        return "hidden"
def decide():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        s.connect(control)
    except OSError as e:
        return "no socket"
    s.send(struct.pack("=IiQII", 9, 0, 0, 1, len(review)) + review.encode())
    return s.recv(1000)[8:].decode()
descriptors = [os.path.relpath(d, f"/proc/{broker}") for d in glob.glob(f"/proc/{broker}/fd/*")]
print(json.dumps({"dialled": [[dial(a, p) for a in addresses] for p in ports], "control": decide(),
                  "broker": [look(n) for n in ("environ", "mem", "maps", *descriptors)]}))
"""


def own_addresses():
    """Of this host, by which others know it."""
    links = json.loads(subprocess.run(["ip", "-j", "address"], capture_output=True, text=True, check=True).stdout)
    return [a["local"] for link in links for a in link["addr_info"] if a["scope"] == "global"][:2]


@pytest.fixture
def bystander():
    """Somebody else's listener: what it answers says that dialling this host would be possible."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        def serve():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(10000)
                    peer.sendall(b"HTTP/1.1 200 bystand")
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture
def attempts(make, bystander):  # noqa: F811
    """A review, its message, and what comes of dialling the listener from inside the agent by each address, with a click that counts."""
    setting = make()
    setting.daemon.config["slack"]["listen"] = f"[::]:{setting.port}"
    setting.reconfigure()
    _, ts, review = setting.hold("delete from orders where id = 19")
    addresses = ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "0.0.0.0", *own_addresses()]
    message = setting.slack.messages[ts]
    time.sleep(1.1)  # what was signed before the broker began is not for it

    def attempt(user, **more):
        if any(setting.daemon.config.get(key) != value for key, value in more.items()):
            setting.daemon.config.update(more)
            setting.reconfigure()
        body, now = slacks.encode(setting.clicker.click_payload(ts, "approve", "U222", message)), int(time.time())
        head = f"POST /slack HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n" \
               f"X-Slack-Request-Timestamp: {now}\r\nX-Slack-Signature: {slacks.sign(body, now)}\r\n\r\n"
        asked = [addresses, [setting.port, bystander], (head.encode() + body).hex(), setting.broker(), str(setting.daemon.socket),
                 review["id"]]
        done = setting.daemon.run("/usr/bin/python3", "-c", TRY, json.dumps(asked), user=user, timeout=120)
        assert done.returncode == 0, done
        return json.loads(done.stdout)
    return setting, ts, review, attempt


def test_no_agent_decides(attempts):
    setting, ts, review, attempt = attempts
    for more in ({"loopback": "own", "egress": "deny"}, {"loopback": "direct", "egress": "allow"}, {"loopback": "egress", "egress": "allow"}):
        for user in ("nobody", None):
            seen = attempt(user, **more)
            assert set(seen["dialled"][0]) == {"ConnectionRefusedError"}, (more, user, seen)
            # What is somebody else's here can be dialled where that is said.
            assert more["loopback"] != "direct" or set(seen["dialled"][1]) == {"HTTP/1.1 200 bystand"}, (user, seen)
            assert set(seen["broker"]) == {"hidden"}, (more, user, seen)
            assert seen["control"] in ("no socket", "refused: the request comes from inside an agent"), (more, user, seen)
    assert state_of(setting.daemon, review) == "pending"
    # The same from outside: the listener is there, and takes it.
    assert setting.clicker.click(ts, "approve", "U222") == 200
    wait_for(lambda: state_of(setting.daemon, review) == "approved")
    # Where nothing is refused, that is.
    seen = attempt(None, loopback="direct", egress="allow", mode="observe")
    assert set(seen["dialled"][0]) == {"ConnectionRefusedError"} and set(seen["dialled"][1]) == {"HTTP/1.1 200 bystand"}, seen
