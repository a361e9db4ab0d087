# SPDX-License-Identifier: Apache-2.0
"""Messages of hundreds of megabytes, either way: what needs not be judged whole goes through in pieces, and the worker stays small."""
import hashlib
import pathlib

import pytest

from conftest import make_config
from harness import daemon as daemons

SIZE = 128 << 20
RULES = [{"name": "large", "operations": ["read", "insert", "copy_in", "copy_out"], "objects": ["public.large"], "allow": {}},
         {"name": "nothing", "operations": ["delete"], "deny": {"message": "facts are needed"}}]
SCHEMA = "create table large (id int, b bytea); grant all on large to app"
DIGEST = "select octet_length(b), encode(sha256(b), 'hex') from large"

CLIENT = f"""
import sys
sys.path.insert(0, {str(pathlib.Path(__file__).resolve().parents[1])!r})
import hashlib, struct
from harness import wire
SIZE = {SIZE}
port, way = int(sys.argv[1]), sys.argv[2]
block = bytes(range(256)) * 4096
c = wire.Connection("127.0.0.1", port, "app", "shop")
c.socket.settimeout(200)

def put(kind, head, tail=b""):
    # One message, whose middle is SIZE bytes.
    c.socket.sendall(kind + struct.pack("!I", 4 + len(head) + SIZE + len(tail)) + head)
    for _ in range(SIZE // len(block)):
        c.socket.sendall(block)
    c.socket.sendall(tail)

def take(kind, skip):
    # The digest of one message's body behind `skip` bytes, without keeping it; those before it are skipped.
    while True:
        head = exactly(5)
        left = struct.unpack("!I", head[1:])[0] - 4
        assert head[:1] != b"E", exactly(left)
        if head[:1] == kind:
            break
        exactly(left)
    exactly(skip)
    digest, left = hashlib.sha256(), left - skip
    while left:
        data = c.socket.recv(min(left, 1 << 20))
        assert data
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()

def exactly(n):
    data = b""
    while len(data) < n:
        more = c.socket.recv(n - len(data))
        assert more
        data += more
    return data

if way == "bind":
    c.send(("P", "", "insert into large values (1, $1)"))
    put(b"B", b"\\0\\0" + struct.pack("!HHHI", 1, 1, 1, SIZE), struct.pack("!H", 0))
    c.send(("E", ""), ("S",))
    c.wait("Z")
elif way == "copy in":
    c.send(("Q", "copy large from stdin (format binary)"))
    c.wait("G")
    signature = b"PGCOPY\\n\\xff\\r\\n\\0" + bytes(8)
    put(b"d", signature + struct.pack("!hIII", 2, 4, 1, SIZE), struct.pack("!h", -1))
    c.send(("c",))
    c.wait("Z")
elif way == "select":
    c.send(("P", "", "select b from large"), ("B", "", "", [], [], [1]), ("E", ""), ("S",))
    print(take(b"D", 6))
    c.wait("Z")
elif way == "copy out":
    c.send(("Q", "copy (select b from large) to stdout (format binary)"))
    # The header comes with the first row.
    print(take(b"d", 19 + 6))
    c.wait("Z")
assert not [m for m in c.seen if m[0] == "E"], c.seen
"""


@pytest.fixture(scope="module")
def place(server, tmp_path_factory):
    server.sql(SCHEMA, database="shop")
    d = daemons.Daemon(tmp_path_factory.mktemp("large"), make_config(server.port, workers=1), RULES)
    yield d
    d.close()
    server.sql("drop table large", database="shop")


def client(place, server, way):
    done = place.run("/usr/bin/python3", "-c", CLIENT, str(server.port), way, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def most_memory(place):
    """KiB, of the worker, ever."""
    lines = pathlib.Path(f"/proc/{place.workers()[0]}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize("there, back", [("bind", "select"), ("copy in", "copy out")])
def test_there_and_back(place, server, there, back):
    expected = hashlib.sha256(bytes(range(256)) * (SIZE // 256)).hexdigest()
    server.sql("truncate large", database="shop")
    client(place, server, there)
    assert server.sql(DIGEST, database="shop") == f"{SIZE}|{expected}"
    assert client(place, server, back) == expected
    assert most_memory(place) < 64 << 10, f"{most_memory(place)} KiB"
