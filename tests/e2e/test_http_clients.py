# SPDX-License-Identifier: Apache-2.0
"""Java's and Go's own clients of HTTP, in TLS, over HTTP/2 and HTTP/1.1: a read, an upload, a refusal, and a read on what is left."""
import pathlib
import subprocess

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import golang

HERE = pathlib.Path(__file__).resolve().parent / "drivers"
RULES = [
    {"name": "read", "operations": ["read"], "objects": ["/v1/**"], "allow": {}},
    {"name": "upload", "operations": ["POST"], "objects": ["/v1/take"], "allow": {}},
    {"name": "no deletes", "operations": ["DELETE"], "deny": {"message": "never"}},
]
REFUSED = '{"error": "denied_by_rule", "rule": "no deletes", "message": "wayleave: denied by rule \\"no deletes\\": never", "review": null}'


@pytest.fixture(scope="module")
def daemon(web, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), {
        **make_config(1), "workers": 1,
        "resources": [{"name": "web", "protocol": "http", "hosts": [f"localhost:{web.h2_port}"], "tls": {"ca_file": str(web.ca)}}]}, RULES)
    d.ca = d.folder / "host-ca.pem"
    d.ca.write_text(d.wayleave("ca", "show").stdout)
    d.place = f"https://localhost:{web.h2_port}"
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


def lines(version):
    return [f"{version} 200 hello", f"{version} 200 got it", f"{version} 403 {REFUSED}", f"{version} 200 hello"]


def test_java(daemon, tmp_path):
    store = tmp_path / "trust.p12"
    subprocess.run(["javac", "-d", tmp_path, HERE / "Fetch.java"], check=True, timeout=120)
    subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "host", "-file", daemon.ca, "-keystore", store, "-storepass", "changeit"],
                   check=True, timeout=120, capture_output=True)
    trust = [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"]
    done = daemon.run("java", *trust, "-cp", tmp_path, "Fetch", daemon.place, "HTTP_2", "HTTP_1_1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*lines("HTTP_2"), *lines("HTTP_1_1")]


def test_go(daemon):
    program = golang.build(HERE / "fetch.go")
    for version, setting in (("HTTP/2.0", ""), ("HTTP/1.1", "http2client=0")):
        done = daemon.run(program, daemon.place, env={"SSL_CERT_FILE": str(daemon.ca), "GODEBUG": setting})
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == lines(version)
