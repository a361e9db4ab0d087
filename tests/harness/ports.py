# SPDX-License-Identifier: Apache-2.0
"""Ports that are free now, and servers on some that are."""
import contextlib
import socket
import threading


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def listening(handler, host="127.0.0.1"):
    """A server that hands each connection to `handler`; yields its port and what it got."""
    got = []
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    c, _ = s.accept()
                    threading.Thread(target=one, args=(c,), daemon=True).start()

        def one(c):
            with c, contextlib.suppress(OSError):
                handler(c, got)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield s.getsockname()[1], got
        finally:
            s.shutdown(socket.SHUT_RDWR)


def echo(c, got):
    """Sends back what comes."""
    while data := c.recv(65536):
        got.append(data)
        c.sendall(data)
