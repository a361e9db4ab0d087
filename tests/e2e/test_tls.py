# SPDX-License-Identifier: Apache-2.0
"""TLS on both legs: bad certificates of servers, versions, resumption, and the certificates that agents get."""
import contextlib
import json
import os
import pathlib
import ssl
import subprocess

import pytest
from conftest import make_config
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from harness import daemon as daemons
from harness import memory
from harness.records import audit
from harness.tls_server import DAY, Authority, TlsServer
from test_clock import Daemon

PYTHON = "/usr/bin/python3"
HOUR = 3600
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
RULES = [{"name": "read", "operations": ["read"], "allow": {}}]
# What is wrong with each, as the agent reads it.
WRONG = {
    "expired": "certificate has expired",
    "early": "certificate is not yet valid",
    "name": "hostname mismatch",
    "itself": "self-signed certificate",
    "stranger": "unable to get local issuer certificate",
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers")
    ca = Authority(folder)
    pems = {
        "expired": ca.leaf("expired", until=-DAY), "early": ca.leaf("early", since=DAY), "name": ca.leaf("name", name="other.test"),
        "itself": ca.leaf("itself", itself=True), "stranger": Authority(folder, "another CA").leaf("stranger"), "good": ca.leaf("good")}
    made = {name: TlsServer(pem) for name, pem in pems.items()}
    made["old"] = TlsServer(pems["good"], newest=V12)
    made["ca"] = ca.pem
    yield made
    for server in made.values():
        if isinstance(server, TlsServer):
            server.close()


@pytest.fixture(scope="module")
def daemon(servers, tmp_path_factory):
    resources = [{"name": name, "protocol": "http", "hosts": [f"localhost:{server.port}"], "tls": {"ca_file": str(servers["ca"])}}
                 for name, server in servers.items() if name != "ca"]
    d = Daemon(tmp_path_factory.mktemp("tls"), {**make_config(1), "workers": 1, "resources": resources}, RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    d.close()


# One connection for each of a list of {port, version, name, again}; `again`: with the session of the one before.
CLIENT = """
import json, socket, ssl, sys
ca, wanted = sys.argv[1], json.loads(sys.argv[2])
session, answers, contexts = None, [], {}
for w in wanted:
    key = (w["version"], w["verify"], w["name"] is None)
    if key not in contexts:
        contexts[key] = context = ssl.create_default_context(cafile=ca)
        context.check_hostname = bool(w["name"]) and w["verify"]
        if not w["verify"]:
            context.verify_mode = ssl.CERT_NONE
        if w["version"] == "TLSv1_1":
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion[w["version"]]
    try:
        with contexts[key].wrap_socket(socket.create_connection(("127.0.0.1", w["port"])), server_hostname=w["name"],
                                       session=session if w["again"] else None) as s:
            s.sendall(b"GET /v1 HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
            text = s.recv(4096).decode()
            answers.append({"version": s.version(), "reused": s.session_reused, "said": text.split("\\r\\n")[-1],
                            "names": s.getpeercert().get("subjectAltName"), "leaf": s.getpeercert(True).hex()})
            session = s.session
    except OSError as e:
        answers.append({"error": str(e)})
print(json.dumps(answers))
"""


def connect(daemon, *wanted):
    filled = [{"version": "TLSv1_3", "name": "localhost", "verify": True, "again": False, **w} for w in wanted]
    done = daemon.run(PYTHON, "-c", CLIENT, daemon.folder / "host-ca.pem", json.dumps(filled))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("what", WRONG)
def test_a_bad_certificate_of_a_server_is_told_and_nothing_is_sent(daemon, servers, what):
    done = daemon.run("curl", "-sSk", "-w", "\n%{http_code}", f"https://localhost:{servers[what].port}/v1")
    body, code = done.stdout.rsplit("\n", 1)
    assert code == "502", done.stderr
    assert f"the server's certificate is not trusted: {WRONG[what]}" in json.loads(body)["message"]
    assert servers[what].requests == 0


@pytest.mark.parametrize("server, theirs", [("good", "TLSv1.3"), ("old", "TLSv1.2")])
@pytest.mark.parametrize("version, ours", [("TLSv1_3", "TLSv1.3"), ("TLSv1_2", "TLSv1.2")])
def test_versions_and_resumption_on_both_legs(daemon, servers, server, theirs, version, ours):
    """Each leg has its own."""
    port = servers[server].port
    answers = connect(daemon, *[{"port": port, "version": version, "again": i > 0} for i in range(4)])
    assert [a.get("version") for a in answers] == [ours] * 4, answers
    assert [a["said"].split()[0] for a in answers] == [theirs] * 4
    assert [a["reused"] for a in answers] == [False, True, True, True], answers
    assert "reused" in answers[-1]["said"], answers


def test_older_versions_are_refused(daemon, servers):
    (answer,) = connect(daemon, {"port": servers["good"].port, "version": "TLSv1_1"})
    assert "error" in answer and "version" in answer["error"].lower(), answer


def test_without_sni_the_certificate_is_for_the_address(daemon, servers):
    by_name, by_address = connect(daemon, {"port": servers["good"].port}, {"port": servers["good"].port, "name": None})
    assert by_name["names"] == [["DNS", "localhost"]] and by_address["names"] == [["IP Address", "127.0.0.1"]]


def leaf_of(answer):
    return x509.load_der_x509_certificate(bytes.fromhex(answer["leaf"]))


def test_a_name_keeps_its_certificate_and_gets_another_before_it_ends(daemon, servers):
    """Also where the clock was set, or the machine slept: the client's own clock is what it is checked with."""
    def ask(*names):
        return [leaf_of(a) for a in connect(daemon, *[{"port": servers["good"].port, "name": n, "verify": False} for n in names])]

    first, again, other = ask("localhost", "localhost", "other.test")
    assert first.serial_number == again.serial_number != other.serial_number
    made = first
    try:
        for hours, renewed in ((11, False), (13, True), (40, True), (45, False), (-5, True)):
            daemon.set_clock(hours * HOUR)
            (leaf,) = ask("localhost")
            assert (leaf.serial_number != made.serial_number) is renewed, hours
            ahead = (leaf.not_valid_before - first.not_valid_before).total_seconds()
            assert not renewed or abs(ahead - hours * HOUR) < 60, (hours, ahead)
            made = leaf
    finally:
        daemon.set_clock(0)


def processes_of(daemon):
    """All that the monitor has started, and what these have."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
    found, new = set(), {daemon.process.pid}
    while new:
        found |= new
        new = {pid for pid, parent in parents.items() if parent in found} - found
    return found - {daemon.process.pid}


def test_the_cas_key_is_the_monitors_alone(daemon, servers):
    connect(daemon, {"port": servers["good"].port})
    path = daemon.state / "ca" / "ca.key"
    secret = serialization.load_pem_private_key(path.read_bytes(), None).private_numbers().private_value.to_bytes(32, "big")
    forms = (secret, secret[::-1])  # as it is written, and as OpenSSL computes with it
    assert memory.holds(daemon.process.pid, *forms), "else this would find nothing anywhere"
    assert processes_of(daemon) > set(daemon.workers())
    for pid in processes_of(daemon):
        assert not memory.holds(pid, *forms), pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    for pid in daemon.workers():
        with open(f"/proc/{pid}/status") as status:
            uid = next(line for line in status if line.startswith("Uid:")).split()[1]
        done = subprocess.run(["setpriv", f"--reuid={uid}", "--clear-groups", "cat", path], capture_output=True, text=True)
        assert done.returncode == 1 and "Permission denied" in done.stderr


# --- ca: { names: […] }

@pytest.fixture(scope="module")
def limited(servers, tmp_path_factory):
    port = servers["good"].port
    d = daemons.Daemon(tmp_path_factory.mktemp("limited"), {
        **make_config(1), "workers": 1, "ca": {"names": ["localhost", "fd00::/8"]}, "resources": [
            {"name": "good", "protocol": "http", "hosts": [f"localhost:{port}"], "tls": {"ca_file": str(servers["ca"])}}]}, RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    d.close()


def test_a_limited_ca_is_for_its_names(limited, servers):
    """To a client that verifies; openssl(1) sees the limits as critical."""
    port = servers["good"].port
    done = limited.run("curl", "-sS", "--cacert", limited.folder / "host-ca.pem", f"https://localhost:{port}/v1")
    assert done.stdout.startswith("TLSv1.3"), done.stderr
    (answer,) = connect(limited, {"port": port})
    leaf = limited.folder / "leaf.pem"
    leaf.write_bytes(leaf_of(answer).public_bytes(serialization.Encoding.PEM))
    words = ["openssl", "verify", "-x509_strict", "-CAfile", str(limited.folder / "host-ca.pem"), "-verify_hostname", "localhost", str(leaf)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = subprocess.run(["openssl", "x509", "-in", limited.folder / "host-ca.pem", "-noout", "-text"], capture_output=True, text=True).stdout
    assert "X509v3 Name Constraints: critical" in text and "DNS:localhost" in text


@pytest.mark.parametrize("name, said", [("other.test", "other.test"), (None, "127.0.0.1")])
def test_outside_of_its_names_no_certificate_is_made(limited, servers, name, said):
    before = servers["good"].requests
    (answer,) = connect(limited, {"port": servers["good"].port, "name": name, "verify": False})
    assert "unrecognized name" in answer["error"].lower(), answer
    sentence = f'the host\'s CA is not for {said}: see "names" of "ca" in the configuration'
    assert sentence in limited.text()
    session = limited.json("sessions", "list")[0]["id"]
    assert sentence in limited.wayleave("sessions", "show", session).stdout
    assert servers["good"].requests == before


def test_other_names_than_the_ca_was_made_for_are_told(limited):
    right = limited.config["ca"]
    wrong = "was made for localhost, fd00::/8"
    try:
        limited.config["ca"] = {"names": ["localhost"]}
        limited.write_config()
        done = subprocess.run(limited.daemon_command("--check"), capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and wrong in done.stderr and f"{limited.config_file}:" in done.stderr
        limited.reload()
        assert "1 errors" in limited.status()["reload_problem"] and wrong in limited.text()
        limited.stop()
        with pytest.raises(RuntimeError, match="was made for"):
            limited.start()
    finally:
        limited.config["ca"] = right
        limited.write_config()
        limited.stop()
        limited.start()
    assert [r for r in audit(limited) if r.get("event") == "configured"]
    assert os.stat(limited.state / "ca/ca.key").st_mode & 0o777 == 0o600
