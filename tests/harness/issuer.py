# SPDX-License-Identifier: Apache-2.0
"""An issuer of tokens over HTTPS, which can be made to misbehave: OpenID discovery, keys, client credentials."""
import base64
import contextlib
import http.server
import json
import ssl
import threading
import time
import urllib.parse

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from harness import certificates

AUDIENCE = "api://wayleave"


def _number(value, length=None):
    raw = value.to_bytes(length or (value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Key:
    def __init__(self, name, kind="RS256"):
        self.name, self.kind = name, kind
        self.private = rsa.generate_private_key(65537, 2048) if kind.startswith("RS") else ec.generate_private_key(ec.SECP256R1())

    def public(self):
        n = self.private.public_key().public_numbers()
        if self.kind.startswith("RS"):
            return {"kty": "RSA", "kid": self.name, "use": "sig", "n": _number(n.n), "e": _number(n.e)}
        return {"kty": "EC", "kid": self.name, "crv": "P-256", "x": _number(n.x, 32), "y": _number(n.y, 32)}


class Issuer:
    """`behave`: path → function(handler) that answers instead, e.g. for "/keys"."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = certificates.make_authority(folder)
        self.certificate, self.key_file = certificates.make_leaf(folder, "issuer")
        self.key = Key("first")
        self.keys = [self.key.public()]
        self.behave = {}
        self.requests = []
        self.clients = {}  # id → secret
        self.lifetime = 300
        self.server = None
        self.start(0)
        self.port = self.server.server_address[1]
        self.url = f"https://localhost:{self.port}/realm"

    def start(self, port):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.answer(self, "")

            def do_POST(self):
                issuer.answer(self, self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def finish_request(self, request, address):
                with contextlib.suppress(OSError):
                    super().finish_request(context.wrap_socket(request, server_side=True), address)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key_file)
        self.server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        self.server = None

    def again(self):
        """After stop(): at the same place."""
        self.start(self.port)

    def answer(self, handler, body):
        path = handler.path.removeprefix("/realm")
        self.requests.append(path)
        other = self.behave.get(path)
        if other:
            other(handler)
        elif path == "/.well-known/openid-configuration":
            send(handler, {"issuer": self.url, "jwks_uri": f"{self.url}/keys", "token_endpoint": f"{self.url}/token",
                           "device_authorization_endpoint": f"{self.url}/device"})
        elif path == "/keys":
            send(handler, {"keys": self.keys})
        elif path == "/token":
            self.grant(handler, dict(urllib.parse.parse_qsl(body)))
        else:
            send(handler, {}, 404)

    def grant(self, handler, form):
        scheme, _, pair = handler.headers.get("Authorization", "").partition(" ")
        name, _, secret = base64.b64decode(pair).decode().partition(":") if scheme == "Basic" else ("", "", "")
        name, secret = urllib.parse.unquote(name), urllib.parse.unquote(secret)
        if form.get("grant_type") != "client_credentials" or not name or self.clients.get(name) != secret:
            send(handler, {"error": "invalid_client"}, 401)
        else:
            send(handler, {"access_token": self.token(name, groups=["robots"], client_id=name), "token_type": "Bearer"})

    def token(self, subject="bot@acme.com", key=None, headers=None, algorithm=None, **claims):
        key = key or self.key
        now = int(time.time())
        body = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + self.lifetime, **claims}
        return jwt.encode({n: v for n, v in body.items() if v is not None}, key.private, algorithm=algorithm or key.kind,
                          headers={"kid": key.name, **(headers or {})})


def send(handler, body, status=200, headers=()):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(raw)))
    for name, value in headers:
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(raw)
