# SPDX-License-Identifier: Apache-2.0
"""Identity by a real OpenID provider: node's oidc-provider."""
import json
import pathlib
import subprocess

import pytest
from conftest import Psql, make_config
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from harness import certificates, issuer as issuers
from harness.daemon import readable
from harness.ports import free_port
from harness.waiting import wait_for

PROGRAM = pathlib.Path(__file__).parent / "provider" / "provider.mjs"
RULES = [{"name": f"robot {client}", "groups": [f"of {client}"], "operations": ["read"], "objects": [table], "allow": {}}
         for client, table in (("by-secret", "public.orders"), ("by-key", "public.secrets"))]


def private_jwk(name, key):
    n = key.private_numbers()
    number = issuers._number
    if isinstance(key, rsa.RSAPrivateKey):
        parts = {"n": n.public_numbers.n, "e": n.public_numbers.e, "d": n.d, "p": n.p, "q": n.q, "dp": n.dmp1, "dq": n.dmq1, "qi": n.iqmp}
        return {"kty": "RSA", "kid": name, "alg": "RS256", "use": "sig", **{k: number(v) for k, v in parts.items()}}
    return {"kty": "EC", "crv": "P-256", "kid": name, "alg": "ES256", "use": "sig", "d": number(n.private_value, 32),
            "x": number(n.public_numbers.x, 32), "y": number(n.public_numbers.y, 32)}


class Provider:
    def __init__(self, folder, lifetime):
        folder.mkdir()
        self.folder, self.lifetime, self.port = folder, lifetime, free_port()
        self.ca = certificates.make_authority(folder)
        self.certificate = certificates.make_leaf(folder, "provider")
        self.url = f"https://localhost:{self.port}"
        client = ec.generate_private_key(ec.SECP256R1())
        self.client_key = folder / "client.pem"
        self.client_key.write_bytes(client.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                         serialization.NoEncryption()))
        self.client_key.chmod(0o600)
        public = {n: v for n, v in private_jwk("client", client).items() if n != "d"}
        (folder / "keys.json.client").write_text(json.dumps(public))
        self.secret = folder / "secret"
        self.secret.write_text("provider secret\n")
        self.secret.chmod(0o600)
        self.process = None

    def start(self, *keys):
        self.stop()
        file = self.folder / "keys.json"
        file.write_text(json.dumps({"keys": list(keys)}))
        self.process = subprocess.Popen(["node", str(PROGRAM), str(self.port), *map(str, self.certificate), str(file), str(self.lifetime)],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert readable(self.process.stdout, 30) and self.process.stdout.readline() == b"ready\n"

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        self.process = None


@pytest.fixture
def provider(tmp_path):
    made = Provider(tmp_path / "provider", lifetime=6)
    made.start(private_jwk("first", rsa.generate_private_key(65537, 2048)))
    yield made
    made.stop()


def test_agents_of_a_real_provider(provider, make_daemon, server):
    config = make_config(server.port, workers=1)
    config["issuers"] = {"idp": {"url": provider.url, "audience": issuers.AUDIENCE, "ca_file": str(provider.ca),
                                 "groups_claim": "realm_access.roles", "token_type": "at+jwt"}}
    by_secret, by_key = config["agents"]
    by_secret["identity"] = {"issuer": "idp", "client_id": "by-secret", "client_secret_file": str(provider.secret), "client": "by-secret"}
    by_key["identity"] = {"issuer": "idp", "client_id": "by-key", "private_key_file": str(provider.client_key), "client": "by-key", "scope": "shop"}
    daemon = make_daemon(config, RULES)
    demo, other = Psql(daemon, server), Psql(daemon, server, agent="other")
    assert demo.rows("select count(*) from orders") == ["20"]
    assert "no rule allows" in demo.error("select * from secrets")
    assert other.rows("select value from secrets") == ["top secret"]
    assert "no rule allows" in other.error("select count(*) from orders")
    [first] = [a for a in daemon.json("agents", "list") if a["name"] == "demo"]
    assert first["principal"] == "by-secret" and first["groups"] == ["robots", "of by-secret"]

    # The provider's key is another one from now on: tokens signed with it are taken, and nobody notices.
    provider.start(private_jwk("second", rsa.generate_private_key(65537, 2048)))

    def renewed():
        agents = {a["name"]: a for a in daemon.json("agents", "list")}
        return all(a["identity"] == "known" and a["expires"] > first["expires"] for a in agents.values())
    wait_for(renewed, 30, "tokens of the new key")
    wait_for(lambda: daemon.status()["issuers"][0]["keys"] == 1, what="the new key")
    assert demo.rows("select count(*) from orders") == ["20"]
    assert other.rows("select value from secrets") == ["top secret"]
