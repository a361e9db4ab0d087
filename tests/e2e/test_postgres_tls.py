# SPDX-License-Identifier: Apache-2.0
"""The certificate of a PostgreSQL server, as each setting of `tls` looks at it; a server that isn't trusted is told nothing."""
import contextlib
import json

import pytest
from conftest import ROOT, make_config
from harness import daemon as daemons
from harness.login_server import LoginServer
from harness.tls_server import DAY, Authority

RULES = [{"name": "all", "operations": ["*"], "allow": {}}]
NAME = "hostname mismatch"
# certificate, host, `tls` (`ca_file` besides where it verifies), and why the agent is refused: None where it is let in.
CASES = {
    "full": ("good", "localhost", {"upstream": "verify-full"}, None),
    "full-expired": ("expired", "localhost", {"upstream": "verify-full"}, "certificate has expired"),
    "full-early": ("early", "localhost", {"upstream": "verify-full"}, "certificate is not yet valid"),
    "full-stranger": ("stranger", "localhost", {"upstream": "verify-full"}, "unable to get local issuer certificate"),
    "full-itself": ("itself", "localhost", {"upstream": "verify-full"}, "self-signed certificate"),
    "full-other-name": ("other", "localhost", {"upstream": "verify-full"}, NAME),
    "full-address": ("good", "127.0.0.1", {"upstream": "verify-full"}, "IP address mismatch"),
    "full-named": ("other", "localhost", {"upstream": "verify-full", "server_name": "other.test"}, None),
    "full-named-by-address": ("other", "127.0.0.1", {"upstream": "verify-full", "server_name": "other.test"}, None),
    "full-named-otherwise": ("good", "localhost", {"upstream": "verify-full", "server_name": "other.test"}, NAME),
    "ca": ("good", "localhost", {"upstream": "verify-ca"}, None),
    "ca-other-name": ("other", "localhost", {"upstream": "verify-ca"}, None),
    "ca-address": ("other", "127.0.0.1", {"upstream": "verify-ca"}, None),
    "ca-expired": ("expired", "localhost", {"upstream": "verify-ca"}, "certificate has expired"),
    "ca-stranger": ("stranger", "localhost", {"upstream": "verify-ca"}, "unable to get local issuer certificate"),
    "ca-itself": ("itself", "localhost", {"upstream": "verify-ca"}, "self-signed certificate"),
    "system-store": ("good", "localhost", {"upstream": "verify-full", "ca_file": None}, "unable to get local issuer certificate"),
    "require-stranger": ("stranger", "127.0.0.1", {"upstream": "require"}, None),
    "require-expired": ("expired", "localhost", {"upstream": "require"}, None),
    "off": ("stranger", "localhost", {"upstream": "off"}, None),
    "as-the-agent": ("stranger", "localhost", {}, None),  # in clear
}


class Server(LoginServer):
    """Lets everybody in. `seen` has what they said in their StartupMessage."""

    def log_in(self, connection):
        return True


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    ca = Authority(folder)
    pems = {"good": ca.leaf("good"), "expired": ca.leaf("expired", until=-DAY), "early": ca.leaf("early", since=DAY),
            "other": ca.leaf("other", name="other.test"), "itself": ca.leaf("itself", itself=True),
            "stranger": Authority(folder, "another CA").leaf("stranger")}
    with contextlib.ExitStack() as made:
        servers, resources = {}, []
        for case, (pem, host, tls, _) in CASES.items():
            servers[case] = made.enter_context(Server("", certificate=(pems[pem], pems[pem])))
            tls = {"ca_file": str(ca.pem), **tls} if tls.get("upstream", "").startswith("verify") else tls
            resources.append({"name": case, "protocol": "postgres", "hosts": [f"{host}:{servers[case].port}"],
                              "tls": {key: value for key, value in tls.items() if value}})
        d = daemons.Daemon(folder / "wayleave", {**make_config(1), "workers": 1, "resources": resources}, RULES)
        made.callback(d.close)
        yield d, servers


@pytest.mark.parametrize("case", CASES)
def test_the_servers_certificate(place, case):
    daemon, servers = place
    why = CASES[case][3]
    done = daemon.run("/usr/bin/python3", "-c", "import json, sys; sys.path.insert(0, sys.argv[1]); from harness import wire\n"
                      "c = wire.Connection('127.0.0.1', int(sys.argv[2]), 'app', 'shop', login=False)\n"
                      "c.startup('app', 'shop')\n"
                      "while (m := c.next()) and m[0] not in 'EZ': pass\n"
                      "print(json.dumps(m))", ROOT, servers[case].port)
    assert done.returncode == 0, done.stderr
    kind, said = json.loads(done.stdout)
    if why is None:
        assert (kind, said) == ("Z", "I"), said
        assert servers[case].seen["startup"][b"user"] == b"app"
        return
    assert (kind, said["S"], said["C"]) == ("E", "FATAL", "08006"), said
    assert said["M"].startswith("wayleave: the server's certificate is not trusted: ") and why in said["M"]
    assert servers[case].seen == {}


def test_as_the_agent_did_is_verified_in_full(place):
    daemon, servers = place
    done = daemon.run("psql", "-X", f"host=127.0.0.1 port={servers['as-the-agent'].port} user=tls dbname=shop sslmode=require", "-c", "select 1")
    assert "wayleave: the server's certificate is not trusted: unable to get local issuer certificate" in done.stderr, done.stderr
