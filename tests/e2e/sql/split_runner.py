# SPDX-License-Identifier: Apache-2.0
"""Speaks the protocol in pieces of random sizes, and tells all that comes back.

    split_runner.py HOST PORT USER DATABASE

Reads one session per line: a JSON list of a seed for the sizes, and of steps: each a list of messages as harness/wire.py has
them, that ends in a Query or a Sync. Prints one line per session: a JSON list of [type, body in hex]. Data for COPY is sent
when the server asks for it: a step may have it as its first element, ["data", text…]."""
import json
import pathlib
import random
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from harness import wire  # noqa: E402


class Session(wire.Connection):
    def __init__(self, seed, *where):
        super().__init__(*where)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.random = random.Random(seed)

    def send_split(self, *messages):
        data = b"".join(wire.BUILD[m[0]](*m[1:]) for m in messages)
        most = self.random.choice([1, 3, 7, 40, len(data)])
        while data:
            size = self.random.randint(1, max(1, most))
            self.socket.sendall(data[:size])
            data = data[size:]

    def read(self):
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack("!I", self.buffer[1:5])[0]:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("closed")
            self.buffer += more
        length = 1 + struct.unpack("!I", self.buffer[1:5])[0]
        kind, body, self.buffer = chr(self.buffer[0]), self.buffer[5:length], self.buffer[length:]
        return kind, body

    def step(self, messages):
        data = messages.pop(0)[1:] if messages[0][0] == "data" else ["no data"]
        self.send_split(*messages)
        seen = []
        while True:
            kind, body = self.read()
            seen.append([kind, body.hex()])
            if kind == "G":
                self.send_split(*[("d", part) for part in data], ("c",), *([("S",)] if messages[-1][0] == "S" else []))
            if kind == "Z":
                return seen


def main():
    host, port, user, database = sys.argv[1:5]
    for line in sys.stdin:
        seed, *steps = json.loads(line)
        seen = []
        try:
            session = Session(seed, host, int(port), user, database)
            for step in steps:
                seen += session.step(step)
            session.socket.close()
        except (EOFError, OSError) as error:
            seen.append(["closed", str(error).encode().hex()])
        print(json.dumps(seen), flush=True)


main()
