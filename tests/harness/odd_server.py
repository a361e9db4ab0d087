# SPDX-License-Identifier: Apache-2.0
"""A server that says what it is told to, byte for byte, and ends its connections in several ways; in clear and in TLS."""
import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import threading

from harness.waiting import wait_for


class Odd:
    """`answers`: by path, the bytes of its answer and how its connection ends: "close" in order; "reset", once the client's kernel has
    all; "cut" as TLS without its close, which in clear is as "close"; "open" not, as long as the client does not. `asked`: the requests'
    heads as they came; `ended`: how clients ended those that were left open."""

    def __init__(self, answers, pem=None, key=None):
        self.answers, self.asked, self.ended = answers, [], []
        self.context = None
        if pem:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(pem, key)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer, contextlib.suppress(OSError):
            secure = self.context.wrap_socket(peer, server_side=True) if self.context else peer
            with secure, contextlib.suppress(OSError):
                self.answer(secure)

    def answer(self, peer):
        head = b""
        while b"\r\n\r\n" not in head:
            data = peer.recv(65536)
            if not data:
                return
            head += data
        self.asked.append(head)
        answer, ending = self.answers[head.split(b" ", 2)[1].decode().strip("/")]
        peer.sendall(answer)
        if ending == "reset":
            wait_for(lambda: struct.unpack("i", fcntl.ioctl(peer, termios.TIOCOUTQ, bytes(4))) == (0,))
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif ending == "close" and self.context:
            peer.unwrap()
        elif ending == "open":
            try:
                while peer.recv(65536):
                    pass
                self.ended.append("in order")
            except ConnectionResetError:
                self.ended.append("reset")

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
