# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's protocol 3 by hand, for what drivers don't do. Run as a program inside an agent:

    wire.py HOST PORT USER DATABASE SCRIPT

SCRIPT is a Python expression: a list of steps. A step is a message ("Q", "select 1"), or ("wait", "Z") to read up to and
including a message of that type, or ("sleep", seconds), ("raw", hex), ("close",), ("eof",) to read to the end, or ("line", text) to print that and
wait for a line, or ("cancel",) for a cancel request, ("cancel", "tls") for one inside TLS, or ("shut",) to send no more, or
("reset",) to break the connection. Prints what came as a JSON list of [type, fields…]."""
import ast
import json
import socket
import ssl
import struct
import sys
import time


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def text(s):
    return s.encode() + b"\0" if isinstance(s, str) else s + b"\0"


def parse(name, sql, types=()):
    return message("P", text(name) + text(sql) + struct.pack("!H", len(types)) + b"".join(struct.pack("!I", t) for t in types))


def bind(portal, name, values=(), formats=(), results=()):
    body = text(portal) + text(name) + struct.pack("!H", len(formats)) + b"".join(struct.pack("!H", f) for f in formats)
    body += struct.pack("!H", len(values))
    for value in values:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            value = value.encode() if isinstance(value, str) else value
            body += struct.pack("!I", len(value)) + value
    return message("B", body + struct.pack("!H", len(results)) + b"".join(struct.pack("!H", r) for r in results))


BUILD = {
    "Q": lambda sql: message("Q", text(sql)),
    "P": parse,
    "B": bind,
    "D": lambda kind, name: message("D", kind.encode() + text(name)),
    "E": lambda name="", most=0: message("E", text(name) + struct.pack("!I", most)),
    "C": lambda kind, name: message("C", kind.encode() + text(name)),
    "S": lambda: message("S"),
    "H": lambda: message("H"),
    "X": lambda: message("X"),
    "F": lambda oid: message("F", struct.pack("!IHHH", oid, 0, 0, 0)),
    "d": lambda data: message("d", data if isinstance(data, bytes) else data.encode()),
    "c": lambda: message("c"),
    "f": lambda why="": message("f", text(why)),
}


def error_fields(body):
    fields = {}
    for part in body.split(b"\0"):
        if part:
            fields[chr(part[0])] = part[1:].decode(errors="replace")
    return fields


def decode(kind, body):
    if kind in "EN":
        return [kind, error_fields(body)]
    if kind == "D":
        count, at, values = struct.unpack("!H", body[:2])[0], 2, []
        for _ in range(count):
            length = struct.unpack("!i", body[at:at + 4])[0]
            at += 4
            values.append(None if length < 0 else body[at:at + length].decode(errors="backslashreplace"))
            at += max(length, 0)
        return [kind, values]
    if kind == "T":
        count, at, names = struct.unpack("!H", body[:2])[0], 2, []
        for _ in range(count):
            end = body.index(b"\0", at)
            names.append([body[at:end].decode(), *struct.unpack("!IhIhih", body[end + 1:end + 19])])
            at = end + 19
        return [kind, names]
    if kind in "CSAZ":
        return [kind, body.decode(errors="backslashreplace").rstrip("\0")]
    return [kind, body.hex()]


class Connection:
    decode = staticmethod(decode)

    def __init__(self, host, port, user, database, parameters=(), login=True, minor=0):
        self.socket = socket.create_connection((host, port))
        self.socket.settimeout(30)
        self.buffer = b""
        self.seen = []
        self.key = None
        if login:
            self.startup(user, database, parameters, minor)
            self.wait("Z")

    def startup(self, user, database, parameters=(), minor=0):
        body = struct.pack("!HH", 3, minor)
        for name, value in [("user", user), ("database", database), *parameters]:
            body += text(name) + text(value)
        body += b"\0"
        self.socket.sendall(struct.pack("!I", len(body) + 4) + body)

    def send(self, *steps):
        self.socket.sendall(b"".join(BUILD[s[0]](*s[1:]) for s in steps))

    def next(self):
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack("!I", self.buffer[1:5])[0]:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.buffer += data
        length = 1 + struct.unpack("!I", self.buffer[1:5])[0]
        kind, body, self.buffer = chr(self.buffer[0]), self.buffer[5:length], self.buffer[length:]
        if kind == "K":
            self.key = body
        decoded = self.decode(kind, body)
        self.seen.append(decoded)
        return decoded

    def wait(self, kind):
        while True:
            m = self.next()
            if m is None:
                raise EOFError(f"closed while waiting for {kind}: {self.seen[-3:]}")
            if m[0] == kind:
                return m


def cancel(host, port, key, way="clear"):
    """Asks for what the session with that key does to be given up; returns when that was received."""
    with socket.create_connection((host, port)) as s:
        if way == "tls":
            s.sendall(struct.pack("!II", 8, 80877103))
            assert s.recv(1) == b"S"
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            s = context.wrap_socket(s)
        s.sendall(struct.pack("!II", 8 + len(key), 80877102) + key)
        s.recv(1)


def run(host, port, user, database, script, parameters=()):
    c = Connection(host, port, user, database, parameters)
    c.seen.clear()
    for step in script:
        if step[0] == "wait":
            c.wait(step[1])
        elif step[0] == "sleep":
            time.sleep(step[1])
        elif step[0] == "line":
            print(step[1], flush=True)
            sys.stdin.readline()
        elif step[0] == "cancel":
            cancel(host, port, c.key, *step[1:])
        elif step[0] == "shut":
            c.socket.shutdown(socket.SHUT_WR)
        elif step[0] == "reset":
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.socket.close()
        elif step[0] == "raw":
            c.socket.sendall(bytes.fromhex(step[1]))
        elif step[0] == "eof":
            while c.next() is not None:
                pass
        elif step[0] == "close":
            c.socket.close()
        elif step[0] == "batch":
            c.send(*step[1])
        else:
            c.send(step)
    return c.seen


if __name__ == "__main__":
    host, port, user, database, script = sys.argv[1:6]
    parameters = ast.literal_eval(sys.argv[6]) if len(sys.argv) > 6 else ()
    print(json.dumps(run(host, int(port), user, database, ast.literal_eval(script), parameters)))
