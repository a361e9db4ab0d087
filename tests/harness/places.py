# SPDX-License-Identifier: Apache-2.0
"""Small servers of this host at which forwards end."""
import contextlib
import http.server
import socketserver
import threading

import pytest


class Echo(socketserver.ThreadingTCPServer):
    """Says `greeting`, then what it is told, until the end of that, and then "bye"."""
    allow_reuse_address = daemon_threads = True

    def __init__(self, greeting=b""):
        super().__init__(("127.0.0.1", 0), None)
        self.greeting, self.heard = greeting, b""
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        request.sendall(self.greeting)
        with contextlib.suppress(OSError):
            while data := request.recv(65536):
                self.heard += data
                request.sendall(data)
            request.sendall(b"bye")


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"a page")

    def log_message(self, *words):
        self.server.paths.append(self.path)


@pytest.fixture(scope="module")
def echo():
    with Echo() as e:
        yield e
        e.shutdown()


@pytest.fixture(scope="module")
def page():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as s:
        s.paths = []
        threading.Thread(target=s.serve_forever, daemon=True).start()
        yield s
        s.shutdown()
