# SPDX-License-Identifier: Apache-2.0
"""The host's CA: in the system's store and out of it again, and in what agents' runtimes listen to."""
import json
import os
import pathlib
import subprocess
import tempfile

import pytest
from conftest import make_config
from harness import daemon as daemons

RULES = [{"name": "read", "resources": ["web"], "operations": ["read"], "allow": {}}]


@pytest.fixture(scope="module")
def daemon(web, tmp_path_factory):
    config = {**make_config(1), "workers": 1, "resources": [
        {"name": "web", "protocol": "http", "hosts": [f"localhost:{web.tls_port}"], "tls": {"ca_file": str(web.ca)}}]}
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config, RULES)
    yield d
    d.close()


# In a mount namespace whose store is a copy: the host's own is untouched.
SCRATCH = """
set -e
mount --make-rprivate /
for place in /etc/ssl /usr/local/share; do
    mkdir -p "$1$place"; mkdir -p "$1$place-work"
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$1$place,workdir=$1$place-work" "$place"
done
# Java's own copy holds the time at which it was made.
mkdir -p "$1/none"; mount --bind "$1/none" /etc/ca-certificates/update.d
list() { find /etc/ssl /usr/local/share/ca-certificates -type f -exec sha256sum {} + | sort; find /etc/ssl -type l -printf '%p %l\\n' | sort; }
update-ca-certificates --fresh >/dev/null 2>&1
list >"$1/before"
folder=$1; shift
"$@" install
list >"$folder/installed"
grep -c "BEGIN CERT" /etc/ssl/certs/ca-certificates.crt >"$folder/count"
"$@" show >"$folder/ca.pem"
openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt "$folder/ca.pem"
"$@" remove
list >"$folder/after"
"""


def test_installed_and_removed(daemon, tmp_path):
    """On tmpfs, which an overlay can be made of."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", scratch], check=True)
    try:
        done = subprocess.run(["unshare", "-m", "sh", "-c", SCRATCH, "sh", scratch, daemons.BUILD / "wayleave", "ca"],
                              env=daemon.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        before, installed, after = ((scratch / n).read_text() for n in ("before", "installed", "after"))
        assert before == after
        assert "wayleave" in installed and before != installed
        assert (scratch / "ca.pem").read_text() == daemon.wayleave("ca", "show").stdout
    finally:
        subprocess.run(["umount", scratch], check=True)


def test_a_usage_error(daemon):
    assert daemon.wayleave("ca", "nonsense").returncode == 2


# What each listens to is set by `wayleave run`; none of them is told anything else.
CLIENTS = {
    "curl": ["curl", "-sS"],
    "urllib": ["/usr/bin/python3", "-c", "import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen(sys.argv[1]).read())"],
    "requests": ["/usr/bin/python3", "-c", "import sys, requests; sys.stdout.write(requests.get(sys.argv[1]).text)"],
    "httpx": ["/usr/bin/python3", "-c", "import sys, httpx; sys.stdout.write(httpx.get(sys.argv[1]).text)"],
    "node": ["node", "-e", "fetch(process.argv[1]).then(r => r.text()).then(t => process.stdout.write(t))"],
    "git": ["git", "-c", "http.version=HTTP/1.1", "ls-remote"],
}


def plain_environment(daemon):
    return {k: v for k, v in daemon.environment.items() if not any(w in k for w in ("CA_", "CERT", "SSL_", "CAINFO"))}


@pytest.mark.parametrize("name", [n for n in CLIENTS if n != "git"])
def test_runtimes_trust_it(daemon, web, name):
    done = subprocess.run(daemon.agent_command(*CLIENTS[name], f"https://localhost:{web.tls_port}/v1/hello"),
                          env=plain_environment(daemon), capture_output=True, text=True, timeout=30)
    assert done.stdout == "hello\n", done.stderr


def test_git_trusts_it(daemon, web):
    """There is no repository, which it learns inside TLS."""
    done = subprocess.run(daemon.agent_command(*CLIENTS["git"], f"https://localhost:{web.tls_port}/v1/absent.git"),
                          env=plain_environment(daemon), capture_output=True, text=True, timeout=30)
    assert "not found" in done.stderr, done.stderr


def test_what_the_user_chose_stays(daemon):
    code = "import json, os; print(json.dumps([os.environ['SSL_CERT_FILE'], os.environ['PIP_CERT']]))"
    environment = {**plain_environment(daemon), "PIP_CERT": "/mine.pem", "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
    done = subprocess.run(daemon.agent_command("/usr/bin/python3", "-c", code), env=environment, capture_output=True, text=True)
    assert json.loads(done.stdout) == [str(daemon.runtime / "trust/ca-bundle.pem"), "/mine.pem"]


def test_the_bundle_is_the_systems_and_ours(daemon):
    bundle = daemon.run("cat", daemon.runtime / "trust/ca-bundle.pem").stdout
    assert bundle.endswith(daemon.wayleave("ca", "show").stdout)
    assert open("/etc/ssl/certs/ca-certificates.crt").read() in bundle
    assert os.stat(daemon.runtime / "trust/ca-bundle.pem").st_mode & 0o777 == 0o644


@pytest.fixture
def store():
    """A file that workers, too, may read."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as f:
        os.chmod(f.name, 0o644)
        yield pathlib.Path(f.name)


def test_a_server_with_our_own_certificate_is_not_trusted(make_daemon, web, store):
    """Where the host's CA is in the system's store, who holds one of its certificates is ourselves."""
    config = {**make_config(1), "workers": 1, "resources": [
        {"name": "web", "protocol": "http", "hosts": [f"localhost:{web.tls_port}"]}]}
    d = make_daemon(config, RULES)
    store.write_text(web.ca.read_text())
    os.environ["SSL_CERT_FILE"], before = str(store), os.environ.get("SSL_CERT_FILE")
    try:
        url = f"https://localhost:{web.tls_port}/v1/hello"
        d.stop()
        d.start()
        assert d.run("curl", "-sSk", url).stdout == "hello\n", "the store is read"
        # The daemon's own CA signs the server, as if an agent's traffic came round to us.
        for name in ("ca.pem", "ca.key"):
            (web.folder / name).write_bytes((d.state / "ca" / name).read_bytes())
        from harness import certificates
        certificates.make_leaf(web.folder, "server", ("localhost",))
        store.write_text((d.state / "ca" / "ca.pem").read_text())
        d.stop()
        d.start()
        web.restart()
        assert "not trusted" in d.run("curl", "-sSk", url).stdout
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before
