# SPDX-License-Identifier: Apache-2.0
"""`wayleave doctor` says of this host's runtimes what they do inside an agent, and of ones that would not trust the CA what helps."""
import json
import shutil
import subprocess

import pytest
from conftest import make_config
from harness import daemon as daemons

RULES = [{"name": "read", "resources": ["web"], "operations": ["read"], "allow": {}}]
JAVA = """
import java.net.*; import java.net.http.*;
public class Get { public static void main(String[] a) throws Exception {
    System.out.print(HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(a[0])).build(), HttpResponse.BodyHandlers.ofString()).body());
} }
"""
# Programs that nobody may run, in a place that only this mount namespace has.
MADE_UP = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /opt
for program in old/bin/node jdk/bin/java; do
    mkdir -p "/opt/${program%/*}"
    printf '#!/bin/sh\\ntouch "$0.was-run" "%s"\\n' "$1" > "/opt/$program"
    chmod 755 "/opt/$program"
done
mkdir -p /opt/old/include/node /opt/jdk/lib/security
printf '#define NODE_MAJOR_VERSION 6\\n#define NODE_MINOR_VERSION 17\\n' > /opt/old/include/node/node_version.h
printf 'a store of others' > /opt/jdk/lib/security/cacerts
for folder in "$(printf 'a\\033]0;x\\007\\033[2J')" "$(printf 'b\\nok       keys             all is well')"; do
    mkdir -p "/opt/$folder/bin"
    cp /opt/old/bin/node "/opt/$folder/bin/node"
done
shift
exec "$@"
"""


@pytest.fixture(scope="module")
def daemon(web, tmp_path_factory):
    config = {**make_config(1), "workers": 1, "resources": [
        {"name": "web", "protocol": "http", "hosts": [f"localhost:{web.tls_port}"], "tls": {"ca_file": str(web.ca)}}]}
    config["agents"][0]["users"] = ["nobody", "no-such-user"]
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config, RULES)
    yield d
    d.close()


def words(daemon, *more):
    """No daemon is asked: what it tries is not what this is about."""
    return [str(daemons.BUILD / "wayleave"), "--socket", "/nonexistent", *more, "doctor", "--config", str(daemon.config_file)]


@pytest.fixture(scope="module")
def told(daemon):
    done = subprocess.run(words(daemon, "--json"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, "there is no daemon there"
    return {(r["name"], r["path"]): r for r in json.loads(done.stdout)["runtimes"]}


@pytest.mark.parametrize("name, path, by", [
    ("node", "/usr/bin/node", "NODE_EXTRA_CA_CERTS"), ("curl", "/usr/bin/curl", "CURL_CA_BUNDLE"), ("git", "/usr/bin/git", "GIT_SSL_CAINFO"),
    ("python3", "/usr/bin/python3", "SSL_CERT_FILE"), ("certifi", "/usr/lib/python3/dist-packages/certifi", "REQUESTS_CA_BUNDLE")])
def test_what_trusts_by_a_variable(told, name, path, by):
    """That they do, test_ca.py tries."""
    assert (told[name, path]["trusts"], told[name, path]["by"]) == (True, by)


def test_java_reads_a_store_without_it(daemon, told, web, tmp_path):
    answer = told["java", "/usr/bin/java"]
    assert (answer["trusts"], answer["by"]) == (False, None) and "has not got it" in answer["text"]
    (tmp_path / "Get.java").write_text(JAVA)
    done = daemon.run("java", tmp_path / "Get.java", f"https://localhost:{web.tls_port}/v1/hello", timeout=60)
    assert done.returncode != 0 and "unable to find valid certification path" in done.stderr


def test_java_trusts_a_store_that_it_is_told_of(daemon, web, tmp_path):
    """As the pages say it. It tells so on stderr each time, for which reason nobody is told by us."""
    (tmp_path / "Get.java").write_text(JAVA)
    (tmp_path / "host-ca.pem").write_text(daemon.wayleave("ca", "show").stdout)
    store = tmp_path / "java-cas"
    shutil.copy("/etc/ssl/certs/java/cacerts", store)
    store.chmod(0o644)
    subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "wayleave", "-file", tmp_path / "host-ca.pem", "-keystore", store,
                    "-storepass", "changeit"], check=True, capture_output=True, timeout=60)
    options = f"-Djavax.net.ssl.trustStore={store}"
    done = daemon.run("java", tmp_path / "Get.java", f"https://localhost:{web.tls_port}/v1/hello", env={"JAVA_TOOL_OPTIONS": options}, timeout=60)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    assert f"Picked up JAVA_TOOL_OPTIONS: {options}" in done.stderr


# In a mount namespace whose store is a copy, on tmpfs, which an overlay can be made of.
INSTALLED = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
for place in /etc/ssl /usr/local/share; do
    mkdir -p "$1$place" "$1$place-work"
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$1$place,workdir=$1$place-work" "$place"
done
"$2" ca install >&2
"$2" --json --socket /nonexistent doctor --config "$3" || true
echo
shift 3
exec "$@"
"""


def test_java_and_what_reads_the_systems_store_trust_it_once_installed(daemon, web, tmp_path):
    """Debian's Java has a store of its own, which its package keeps as the system's."""
    (tmp_path / "Get.java").write_text(JAVA)
    (tmp_path / "store").mkdir()
    url = f"https://localhost:{web.tls_port}/v1/hello"
    both = 'java "$1" "$2" && wget -qO- "$2"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", INSTALLED, "sh", tmp_path / "store", daemons.BUILD / "wayleave", daemon.config_file,
                           *daemon.agent_command("sh", "-c", both, "sh", tmp_path / "Get.java", url)],
                          env=daemon.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told, _, got = done.stdout.partition("\n\n")
    assert got == "hello\nhello\n"
    runtimes = {(r["name"], r["path"]): r for r in json.loads(told)["runtimes"]}
    assert runtimes["java", "/usr/bin/java"]["trusts"] and runtimes["wget", "/usr/bin/wget"]["trusts"]


def test_wget_reads_the_systems_store_alone(daemon, told, web):
    answer = told["wget", "/usr/bin/wget"]
    done = daemon.run("wget", "-qO-", f"https://localhost:{web.tls_port}/v1/hello")
    assert answer["trusts"] is (done.returncode == 0) is False
    assert "wayleave ca install" in answer["text"]


def test_what_would_not_trust_it_is_named_and_not_run(daemon, tmp_path):
    traces = tmp_path / "was-run"
    command = ["unshare", "-m", "sh", "-c", MADE_UP, "sh", str(traces)]
    done = subprocess.run([*command, *words(daemon)], capture_output=True, text=True, timeout=60)
    lines = {line.split()[1] + " " + line.split()[2]: line for line in done.stdout.splitlines() if line.startswith(("NOT", "trusts"))}
    assert lines["node /opt/old/bin/node:"].startswith("NOT") and "6.17 listens to no variable" in lines["node /opt/old/bin/node:"]
    assert lines["java /opt/jdk/bin/java:"].startswith("NOT") and "keytool -importcert" in lines["java /opt/jdk/bin/java:"]
    assert lines["node /usr/bin/node:"].startswith("trusts")
    assert not traces.exists()
    # Folders that an agent named write nothing on root's terminal but their line.
    assert all(c >= " " or c == "\n" for c in done.stdout), done.stdout
    assert lines["node /opt/a\\x1b]0;x\\x07\\x1b[2J/bin/node:"].startswith("trusts")
    runtimes = done.stdout.split("trusts the host's CA:\n")[1].split("\n\n")[0].splitlines()
    assert all(line.startswith(("NOT ", "trusts ")) for line in runtimes)
    assert sum("/opt/b\\nok       keys             all is well/bin/node: " in line for line in runtimes) == 1
