# SPDX-License-Identifier: Apache-2.0
"""A server that knows PostgreSQL's login and nothing else, and lies where it is told to."""
import base64
import hashlib
import hmac
import os
import ssl
import struct

from .listener import Listener
from .wire import message, text

PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"


def receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def authentication(code, rest=b""):
    return message("R", struct.pack("!I", code) + rest)


def error(state, words):
    return message("E", b"SFATAL\0VFATAL\0C" + text(state) + b"M" + text(words) + b"\0")


class LoginServer(Listener):
    """`method`: scram, password or md5; `mechanisms`: what it offers; `iterations`: what it asks for; `lies`: its signature
    is wrong; `interrupts`: it sends what is not legal while it is owed a proof; `certificate`: (certificate, key), for TLS.
    `seen` gets what clients said, by name."""

    def __init__(self, password, method="scram", mechanisms=(PLAIN,), iterations=4096, lies=False, interrupts=False,
                 certificate=None):
        self.password, self.method, self.mechanisms, self.iterations = password, method, mechanisms, iterations
        self.lies, self.interrupts, self.certificate = lies, interrupts, certificate
        self.seen = {}
        self.connections = []
        super().__init__()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        for connection in self.connections:
            connection.close()

    def serve(self, connection):
        self.connections.append(connection)
        try:
            connection = self.first_packets(connection)
            if not self.log_in(connection):
                return
            connection.sendall(authentication(0))
            for name, value in [("server_version", "15.1"), ("client_encoding", "UTF8"), ("standard_conforming_strings", "on")]:
                connection.sendall(message("S", text(name) + text(value)))
            connection.sendall(message("K", struct.pack("!II", 1, 2)) + message("Z", b"I"))
            if receive(connection, 1) != b"X":
                connection.sendall(error("0A000", "all that is here is a login"))
        except (EOFError, OSError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def first_packets(self, connection):
        while True:
            length, code = struct.unpack("!II", receive(connection, 8))
            rest = receive(connection, length - 8)
            if code == 80877103 and self.certificate:
                connection.sendall(b"S")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*map(str, self.certificate))
                connection = context.wrap_socket(connection, server_side=True)
                self.connections.append(connection)
            elif code in (80877103, 80877104):
                connection.sendall(b"N")
            else:
                words = rest.split(b"\0")
                self.seen["startup"] = dict(zip(words[0:-2:2], words[1:-1:2]))
                return connection

    def read_message(self, connection):
        assert receive(connection, 1) == b"p"
        return receive(connection, struct.unpack("!I", receive(connection, 4))[0] - 4)

    def log_in(self, connection):
        if self.method == "scram":
            return self.scram(connection)
        connection.sendall(authentication(3) if self.method == "password" else authentication(5, b"salt"))
        self.seen["password"] = self.read_message(connection).rstrip(b"\0").decode()
        return True

    def channel(self, mechanism):
        """What the client must have said in c=, in clear."""
        if mechanism == PLUS:
            der = ssl.PEM_cert_to_DER_cert(self.certificate[0].read_text())
            return b"p=tls-server-end-point,," + hashlib.sha256(der).digest()
        return b"y,," if self.certificate else b"n,,"

    def scram(self, connection):
        connection.sendall(authentication(10, b"".join(map(text, self.mechanisms)) + b"\0"))
        mechanism, rest = self.read_message(connection).split(b"\0", 1)
        self.seen["mechanism"] = mechanism = mechanism.decode()
        first = rest[4:].decode()
        self.seen["flag"] = first.split(",")[0]
        bare = first.split(",", 2)[2]
        nonce = bare.split("r=")[1] + base64.b64encode(os.urandom(12)).decode()
        salt = os.urandom(16)
        server_first = f"r={nonce},s={base64.b64encode(salt).decode()},i={self.iterations}"
        connection.sendall(authentication(11, server_first.encode()))
        if self.interrupts:
            connection.sendall(authentication(12, b"v=too soon"))
        final = self.read_message(connection).decode()
        without_proof, proof = final.rsplit(",p=", 1)
        assert base64.b64decode(without_proof.split(",")[0][2:]) == self.channel(mechanism), "another channel"
        signed = ",".join([bare, server_first, without_proof]).encode()
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), salt, self.iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        if base64.b64decode(proof) != bytes(a ^ b for a, b in zip(client_key, signature)):
            connection.sendall(error("28P01", "password authentication failed"))
            return False
        self.seen["proven"] = True
        answer = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        if self.lies:
            answer = bytes([answer[0] ^ 1]) + answer[1:]
        connection.sendall(authentication(12, b"v=" + base64.b64encode(answer)))
        return True
