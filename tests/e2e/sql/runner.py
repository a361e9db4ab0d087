# SPDX-License-Identifier: Apache-2.0
"""Runs cases inside an agent, over the protocol itself, and tells every byte that came back.

    runner.py HOST PORT USER DATABASE [plain|session]

Reads one case per line: a JSON list of steps as harness/wire.py has them, each a message or a batch of messages that
ends in one Sync. Prints one line per case: a JSON list of [type, body in hex]. Cases start in a transaction of their
own, which is rolled back; with "plain" each is a session; with "session" all are one, and nothing is added."""
import json
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from harness import wire  # noqa: E402


class Session(wire.Connection):
    """Messages come as they are."""

    def read(self):
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack("!I", self.buffer[1:5])[0]:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError("closed")
            self.buffer += data
        length = 1 + struct.unpack("!I", self.buffer[1:5])[0]
        kind, body, self.buffer = chr(self.buffer[0]), self.buffer[5:length], self.buffer[length:]
        return kind, body

    def ask(self, steps):
        """One message, or several and a Sync: all that comes up to ReadyForQuery."""
        self.send(*steps)
        seen = []
        while True:
            kind, body = self.read()
            seen.append([kind, body.hex()])
            if kind == "G":
                self.send(("f", "no data"))
                if steps[-1][0] == "S":
                    self.send(("S",))
            if kind == "Z":
                return seen


def run_steps(session, steps):
    seen = []
    for step in steps:
        seen += session.ask([tuple(s) for s in step] if isinstance(step[0], list) else [tuple(step)])
    return seen


def run_case(session, steps):
    session.ask([("Q", "begin; set local statement_timeout = '2s'")])
    seen = run_steps(session, steps)
    session.ask([("Q", "rollback")])
    end = session.ask([("Q", "deallocate all")])
    # Else an answer was left over, and would be taken for the next one's.
    assert bytes.fromhex(end[-2][1]) == b"DEALLOCATE ALL\0", end
    return seen


def run_plain(session, steps):
    seen = run_steps(session, steps)
    session.socket.close()
    return seen


def main():
    host, port, user, database = sys.argv[1:5]
    mode = sys.argv[5] if len(sys.argv) > 5 else "case"
    run = {"case": run_case, "plain": run_plain, "session": run_steps}[mode]
    session = None
    for line in sys.stdin:
        try:
            session = session or Session(host, int(port), user, database)
            seen = run(session, json.loads(line))
            session = None if mode == "plain" else session
        except (EOFError, ConnectionError) as error:
            # What the session was told before its end is not lost: an error is a message of its own.
            seen, session = [["closed", str(error)]], None
        print(json.dumps(seen), flush=True)


main()
