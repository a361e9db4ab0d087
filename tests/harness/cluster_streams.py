# SPDX-License-Identifier: Apache-2.0
"""exec, attach and port-forward of the stand-in for a Kubernetes API server, over WebSocket and over SPDY/3.1: the
command really runs, and the port is, on this host, as whoever runs the tests."""
import base64
import fcntl
import hashlib
import json
import os
import pathlib
import pty
import re
import socket
import struct
import subprocess
import termios
import threading
import zlib

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
DICTIONARY_FILE = pathlib.Path(__file__).resolve().parents[2] / "userspace/protocol/spdy/dictionary.inc"


def dictionary():
    """What SPDY's compressors begin with. Clients that understand our headers prove that it is the right one."""
    whole = b""
    for kind, text in re.findall(r'^(WORD|TEXT)\("(.*)"\)$', DICTIONARY_FILE.read_text(), re.M):
        whole += (struct.pack(">I", len(text)) if kind == "WORD" else b"") + text.encode()
    return whole


# What a pod runs by itself, which is attached to.
MAIN = ["sh", "-c", "echo the main program; echo of ann@example.com >&2; exec cat"]


def is_asked(query, name):
    return query.get(name, ["false"])[0] in ("true", "1")


class Program:
    """A command whose outputs go to `send(channel, bytes)`, from a terminal where one is asked for."""

    def __init__(self, query, send, done):
        self.send, self.done, self.terminal = send, done, None
        command = query.get("command", MAIN)
        if is_asked(query, "tty"):
            self.terminal, end = pty.openpty()
            self.process = subprocess.Popen(["setsid", "-c", "-w", *command], stdin=end, stdout=end, stderr=end)
            os.close(end)
            outputs = [(STDOUT, self.terminal)]
        else:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
            outputs = [(STDOUT, self.process.stdout.fileno()), (STDERR, self.process.stderr.fileno())]
        self.copies = [threading.Thread(target=self.copy, args=pair, daemon=True) for pair in outputs]
        for thread in self.copies:
            thread.start()
        if not is_asked(query, "stdin"):
            self.close_input()
        threading.Thread(target=self.finish, daemon=True).start()

    def copy(self, channel, fd):
        try:
            while data := os.read(fd, 8192):
                self.send(channel, data)
        except OSError:
            pass  # nobody has the terminal any more

    def finish(self):
        code = self.process.wait()
        for thread in self.copies:
            thread.join()
        status = {"metadata": {}, "status": "Success"}
        if code:
            status = {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "code": 500,
                      "message": f"command terminated with non-zero exit code: {code}",
                      "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]}}
        self.send(ERROR, json.dumps(status).encode())
        self.done()

    def take(self, channel, data):
        if channel == STDIN and self.terminal is not None:
            os.write(self.terminal, data)
        elif channel == STDIN and not self.process.stdin.closed:
            self.process.stdin.write(data)
        elif channel == RESIZE:
            for size in (json.loads(line) for line in data.splitlines() if line):
                fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size["Height"], size["Width"], 0, 0))

    def close_input(self):
        if self.terminal is None:
            self.process.stdin.close()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()


class Connection:
    """Frames, whole, from several threads."""

    def __init__(self, handler):
        self.handler, self.lock = handler, threading.Lock()

    def read(self, count):
        data = self.handler.rfile.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def write(self, data):
        with self.lock:
            try:
                self.handler.wfile.write(data)
            except OSError:
                pass  # who is gone is told nothing


# --- over WebSocket


def websocket_frame(opcode, payload):
    length = len(payload)
    head = bytes([length]) if length < 126 else b"\x7e" + struct.pack(">H", length) if length < 65536 else b"\x7f" + struct.pack(">Q", length)
    return bytes([0x80 | opcode]) + head + payload


def read_websocket(connection):
    """(opcode, payload) of a message, or a control frame."""
    message, first = b"", None
    while True:
        head = connection.read(2)
        assert head[1] & 0x80 and not head[0] & 0x70, "a frame that no client sends"
        length = head[1] & 0x7f
        if length > 125:
            length = int.from_bytes(connection.read(2 if length == 126 else 8), "big")
        key, data = connection.read(4), connection.read(length)
        data = bytes(byte ^ key[i % 4] for i, byte in enumerate(data))
        if head[0] & 0x0f >= 8:
            return head[0] & 0x0f, data
        first, message = first if first is not None else head[0] & 0x0f, message + data
        if head[0] & 0x80:
            return first, message


def switch_to_messages(handler, form):
    key = handler.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    switch(handler, {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Protocol": form,
                     "Sec-WebSocket-Accept": base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()})


def switch(handler, headers):
    handler.send_response(101)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


def serve_messages(handler, query):
    connection = Connection(handler)
    offered = [p.strip() for p in handler.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    form = next(p for p in ("v5.channel.k8s.io", "v4.channel.k8s.io") if p in offered)
    assert "Sec-WebSocket-Extensions" not in handler.headers
    switch_to_messages(handler, form)

    def send(channel, data):
        connection.write(websocket_frame(2, bytes([channel]) + data))

    send(STDOUT, b"")  # as the API server says that the stream stands
    program = Program(query, send, lambda: connection.write(websocket_frame(8, struct.pack(">H", 1000))))
    try:
        while True:
            opcode, data = read_websocket(connection)
            if opcode == 8:
                break
            if opcode == 9:
                connection.write(websocket_frame(10, data))
            elif opcode < 8 and data[0] == CLOSE:
                assert form.startswith("v5") and data[1:] == b"\0"
                program.close_input()
            elif opcode < 8:
                program.take(data[0], data[1:])
    except EOFError:
        pass
    program.kill()
    return program


# --- over SPDY


class Spdy(Connection):
    def __init__(self, handler):
        super().__init__(handler)
        self.inflater = zlib.decompressobj(zdict=dictionary())
        self.deflater = zlib.compressobj(zdict=dictionary())
        self.streams = {}  # channel → number

    def frame(self):
        head = self.read(8)
        flags, length = head[4], int.from_bytes(head[5:8], "big")
        body = self.read(length)
        if head[0] & 0x80:
            return int.from_bytes(head[2:4], "big"), flags, int.from_bytes(body[:4], "big") & 0x7fffffff, body
        return 0, flags, int.from_bytes(head[:4], "big"), body

    def headers(self, compressed):
        text = self.inflater.decompress(compressed)
        found, at = {}, 4
        for _ in range(int.from_bytes(text[:4], "big")):
            pair = []
            for _ in range(2):
                length = int.from_bytes(text[at:at + 4], "big")
                pair.append(text[at + 4:at + 4 + length].decode())
                at += 4 + length
            found[pair[0]] = pair[1]
        return found

    def control(self, kind, body, flags=0):
        self.write(struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body)

    def reply(self, stream):
        block = self.deflater.compress(struct.pack(">I", 0)) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        self.control(2, struct.pack(">I", stream) + block)

    def send(self, channel, data, finishes=False):
        self.write(struct.pack(">II", self.streams[channel], finishes << 24 | len(data)) + data)

    def done(self):
        """As the API server: the streams are reset, and nothing more comes."""
        for channel in (STDOUT, STDERR, ERROR):
            if channel in self.streams:
                self.control(3, struct.pack(">II", self.streams[channel], 5))
        self.control(7, struct.pack(">II", max(self.streams.values()), 0))


TYPES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}


def expected_streams(query):
    """What a client opens; without a terminal there is an own stream for errors."""
    wanted = {ERROR} | {channel for name, channel in TYPES.items() if channel < ERROR and is_asked(query, name)}
    return wanted | ({RESIZE} if is_asked(query, "tty") else set())


def serve_spdy(handler, query):
    spdy = Spdy(handler)
    switch(handler, {"Upgrade": "SPDY/3.1", "Connection": "Upgrade", "X-Stream-Protocol-Version": "v4.channel.k8s.io"})
    program, wanted, known = None, expected_streams(query), {}
    try:
        while True:
            kind, flags, stream, body = spdy.frame()
            if kind == 1:
                channel = TYPES[spdy.headers(body[10:])["streamtype"]]
                spdy.streams[channel], known[stream] = stream, channel
                spdy.reply(stream)
                if wanted <= set(spdy.streams) and not program:
                    program = Program(query, spdy.send, spdy.done)
            elif kind == 6:
                spdy.control(6, body)
            elif kind == 0 and known[stream] in (STDIN, RESIZE):
                program.take(known[stream], body)
                if flags & 1 and known[stream] == STDIN:
                    program.close_input()
    except EOFError:
        pass
    if program:
        program.kill()
    return program


# --- port-forward


class Tunnel(Spdy):
    """SPDY whose bytes are in messages of a WebSocket, cut anywhere."""

    def __init__(self, handler):
        super().__init__(handler)
        self.outer, self.came = Connection(handler), b""

    def read(self, count):
        while len(self.came) < count:
            opcode, data = read_websocket(self.outer)
            if opcode == 8:
                raise EOFError
            self.came += data if opcode < 8 else b""
        data, self.came = self.came[:count], self.came[count:]
        return data

    def write(self, data):
        for part in (data[:5], data[5:]):
            self.outer.write(websocket_frame(2, part))


def copy_port(spdy, stream, peer):
    while data := peer.recv(65536):
        spdy.write(struct.pack(">II", stream, len(data)) + data)
    spdy.write(struct.pack(">II", stream, 1 << 24))


def serve_channels(handler, query):
    """A port in the channels of a WebSocket: 0 is its bytes, 1 what went wrong; each begins with the port."""
    connection, port = Connection(handler), int(query["ports"][0])
    switch_to_messages(handler, "v4.channel.k8s.io")
    peer = socket.create_connection(("127.0.0.1", port))
    for channel in (0, 1):
        connection.write(websocket_frame(2, bytes([channel]) + struct.pack("<H", port)))

    def copy():
        while data := peer.recv(65536):
            connection.write(websocket_frame(2, b"\0" + data))

    threading.Thread(target=copy, daemon=True).start()
    try:
        while True:
            opcode, data = read_websocket(connection)
            if opcode == 8:
                connection.write(websocket_frame(8, data))
                break
            if opcode < 8:
                assert data[0] == 0
                peer.sendall(data[1:])
    except EOFError:
        pass
    peer.close()


def serve_forward(handler, tunnelled):
    if tunnelled:
        switch_to_messages(handler, "SPDY/3.1+portforward.k8s.io")
    else:
        switch(handler, {"Upgrade": "SPDY/3.1", "Connection": "Upgrade", "X-Stream-Protocol-Version": "portforward.k8s.io"})
    spdy, peers = (Tunnel if tunnelled else Spdy)(handler), {}
    try:
        while True:
            kind, flags, stream, body = spdy.frame()
            if kind == 1:
                headers = spdy.headers(body[10:])
                spdy.reply(stream)
                if headers["streamtype"] == "data":
                    peers[stream] = socket.create_connection(("127.0.0.1", int(headers["port"])))
                    threading.Thread(target=copy_port, args=(spdy, stream, peers[stream]), daemon=True).start()
                else:
                    spdy.write(struct.pack(">II", stream, 1 << 24))
            elif kind == 6:
                spdy.control(6, body)
            elif kind == 0 and stream in peers:
                peers[stream].sendall(body)
                if flags & 1:
                    peers[stream].shutdown(socket.SHUT_WR)
    except (EOFError, OSError):
        pass
    for peer in peers.values():
        peer.close()


def serve_backend(handler):
    """What a pod behind `proxy` speaks: it answers a message of a WebSocket, or bytes of what is SPDY to nobody but itself."""
    upgrade = handler.headers.get("Upgrade", "").lower()
    if upgrade not in ("websocket", "spdy/3.1"):
        return False
    handler.close_connection = True
    connection = Connection(handler)
    if upgrade == "websocket":
        switch_to_messages(handler, "chat")
        _, said = read_websocket(connection)
        connection.write(websocket_frame(1, b"ann@example.com says " + said) + websocket_frame(8, struct.pack(">H", 1000)))
    else:
        switch(handler, {"Upgrade": "SPDY/3.1", "Connection": "Upgrade"})
        connection.write(b"you said " + connection.read(5))
    return True


def serve(handler, query):
    """Runs the command, or reaches the port, over the transport that was asked for. False: none was."""
    if "/portforward" in handler.path and "Upgrade" in handler.headers:
        handler.close_connection = True
        if "channel.k8s.io" in handler.headers.get("Sec-WebSocket-Protocol", ""):
            serve_channels(handler, query)
        else:
            serve_forward(handler, handler.headers["Upgrade"].lower() == "websocket")
        return True
    transports = {"websocket": serve_messages, "spdy/3.1": serve_spdy}
    transport = transports.get(handler.headers.get("Upgrade", "").lower())
    if not transport:
        return False
    handler.close_connection = True
    transport(handler, query)
    return True
