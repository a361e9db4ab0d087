# SPDX-License-Identifier: Apache-2.0
"""A connection's first bytes, few, odd or too many, and then nothing: each waits or is refused, costs no time, and is gone when
its agent is."""
import json
import pathlib
import subprocess
import time

import pytest
from conftest import RULES, Psql, make_config
from harness.waiting import wait_for

SSL = "0000000804d2162f"
GSS = "0000000804d21630"
CANCEL = "0000001004d2162e"
STARTUP = "0000002000030000" + b"user\0app\0database\0shop\0\0".hex()
CLIENT_HELLO = "16030100"

# Sends, waits, says what came, waits to be told, and leaves.
DIAL = """
import json, socket, sys
s = socket.create_connection(("127.0.0.1", %d))
s.settimeout(0.4)
heard, open_ = b"", True
for part in json.loads(sys.argv[1]):
    try:
        if part == "shut":
            s.shutdown(socket.SHUT_WR)
        else:
            s.sendall(bytes.fromhex(part))
        while open_:
            data = s.recv(4096)
            heard, open_ = heard + data, bool(data)
    except TimeoutError:
        pass
    except ConnectionError:
        open_ = False
print(json.dumps([heard.hex(), open_]), flush=True)
sys.stdin.readline()
"""

WAITS = {
    "SSLRequest, then one byte of a handshake": [SSL, "16"],
    "SSLRequest, then a handshake that stops": [SSL, CLIENT_HELLO + "ff01"],
    "GSSENCRequest and nothing": [GSS],
    "GSSENCRequest, SSLRequest, and nothing": [GSS, SSL],
    "one byte": ["00"],
    "a length": ["00000008"],
    "a startup message without its last byte": [STARTUP[:-2]],
    "a handshake without being asked": [CLIENT_HELLO],
    "a CancelRequest without its key": [CANCEL],
}
REFUSED = {
    # Sent before the answer: whoever is in the middle could have put it there (CVE-2021-23214).
    "SSLRequest and one more byte": [SSL + "16"],
    "SSLRequest and half a startup message": [SSL + STARTUP[:20]],
    "no length": ["00000000"],
    "a length of seven": ["0000000704d2162f"],
    "a length of two gigabytes": ["7fffffff00030000"],
    "a negative length": ["ffffffff00030000"],
    "an unknown protocol": ["0000000800040000"],
    "SSLRequest twice": [SSL, SSL],
    "a plain startup message where TLS was agreed on": [SSL, STARTUP],
    "a CancelRequest without a key, and no more": [CANCEL, "shut"],
    "half a startup message, and the end": [STARTUP[:20], "shut"],
}
# Where there is no TLS, the first is answered with N, and the second is what comes then.
UNDER_TLS = ("SSLRequest twice", "a plain startup message where TLS was agreed on")


@pytest.fixture(scope="module", params=["with TLS", "without TLS"])
def place(request, server, tmp_path_factory):
    """A server, and a daemon in front of it."""
    from harness import daemon as daemons
    from harness import postgres
    tls = request.param == "with TLS"
    folder = tmp_path_factory.mktemp("first-bytes")
    own = postgres.Server(folder / "server", tls=True) if tls else server
    config = make_config(own.port, workers=1, **({"resource": {"tls": {"ca_file": str(own.ca)}}} if tls else {}))
    d = daemons.Daemon(folder / "wayleave", config, RULES)
    d.tls = tls
    yield d, own
    d.close()
    if tls:
        own.stop()


def cpu_ticks(pid):
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(words[11]) + int(words[12])


def try_bytes(place, parts):
    """What came back, and whether the connection was still there a while later."""
    daemon, server = place
    worker = daemon.workers()[0]
    agent = daemon.popen("/usr/bin/python3", "-c", DIAL % server.port, json.dumps(parts), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    heard, is_open = json.loads(agent.stdout.readline())
    before = cpu_ticks(worker)
    time.sleep(0.5)
    assert cpu_ticks(worker) - before <= 10, "the worker is busy with nothing"
    assert Psql(daemon, server)("select 1", database="postgres", user="postgres").stdout == "1\n", "others are served"
    agent.communicate("\n", timeout=10)
    wait_for(lambda: daemon.status()["sessions"] == 0, what="the session's end")
    assert daemon.workers() == [worker]
    return bytes.fromhex(heard), is_open


@pytest.mark.parametrize("name", WAITS)
def test_it_waits(place, name):
    heard, is_open = try_bytes(place, WAITS[name])
    answer = b"" if SSL not in WAITS[name] else b"S" if place[0].tls else b"N"
    if GSS in WAITS[name]:
        answer = b"N" + answer
    assert is_open and heard == answer


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(place, name):
    heard, is_open = try_bytes(place, REFUSED[name])
    assert is_open == (name in UNDER_TLS and not place[0].tls), heard
