# SPDX-License-Identifier: Apache-2.0
"""A server that says nothing for a while, or what it would not: what stands between it and its clients keeps back what it says, or adds to it."""
import contextlib
import socket
import struct
import threading

import pytest


class Stalling:
    """`port` is where to connect instead of to the server's."""

    def __init__(self, port):
        self.server_port, self.words, self.speaks = port, None, threading.Event()
        self.speaks.set()
        self.client = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def stall(self, words):
        """From when a client says that, in one piece, the server is not heard."""
        self.words = words

    def go_on(self):
        self.words = None
        self.speaks.set()

    def say(self, data):
        """To the last client, which nothing is being said to at the moment."""
        self.client.sendall(data)

    def reset(self):
        """The last client's connection breaks, without a word."""
        # Not the copiers' any more, which would end it in order; that one of them reads keeps it open until it is woken up.
        with socket.socket(fileno=self.client.detach()) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.shutdown(socket.SHUT_RD)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.client = client
                server = socket.create_connection(("127.0.0.1", self.server_port))
                threading.Thread(target=self.copy, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self.copy, args=(server, client, False), daemon=True).start()

    def copy(self, source, target, is_client):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_client and self.words and self.words in data:
                    self.speaks.clear()
                if not is_client:
                    self.speaks.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self.go_on()
        self.listener.close()


@pytest.fixture(scope="module")
def stalling(server):
    """Before the module's server."""
    s = Stalling(server.port)
    yield s
    s.close()
