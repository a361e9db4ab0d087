# SPDX-License-Identifier: Apache-2.0
"""Servers that speak HTTP/1.1 inside TLS and say how: "TLSv1.3 reused"; and certificates of every kind for them."""
import datetime
import pathlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .listener import Listener

DAY = datetime.timedelta(days=1)


class Authority:
    """`pem`: its certificate."""

    def __init__(self, folder, name="test CA"):
        self.folder, self.key = pathlib.Path(folder), ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.utcnow()
        self.certificate = (
            x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - 400 * DAY).not_valid_after(now + 4000 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(self.key, hashes.SHA256()))
        self.pem = self.folder / f"{name.replace(' ', '-')}.pem"
        self.pem.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def leaf(self, file, name="localhost", since=-300 * DAY, until=3000 * DAY, itself=False):
        """FOLDER/FILE.pem with certificate and key, valid from `since` to `until` from now; `itself`: signed by its own key."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.utcnow()
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject if itself else self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now + since).not_valid_after(now + until)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key if itself else self.key, hashes.SHA256()))
        path = self.folder / f"{file}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return path


class TlsServer(Listener):
    """On a port of 127.0.0.1, with the certificate and key of `pem`, up to version `newest`. `requests` counts."""

    def __init__(self, pem, newest=ssl.TLSVersion.TLSv1_3):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.context.maximum_version = newest
        self.requests = 0
        super().__init__()

    def serve(self, connection):
        try:
            connection.settimeout(30)
            with self.context.wrap_socket(connection, server_side=True) as s:
                self.answer(s)
        except OSError:
            connection.close()

    def answer(self, s):
        text = b""
        while data := s.recv(4096):
            text += data
            while b"\r\n\r\n" in text:
                text = text.split(b"\r\n\r\n", 1)[1]
                self.requests += 1
                body = f"{s.version()} {'reused' if s.session_reused else 'new'}".encode()
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
