# SPDX-License-Identifier: Apache-2.0
"""Signals: that an agent sends to what runs at the host, and that ended it. OpenSSH's client sends none."""
import json
import pathlib
import subprocess

import pytest
from harness import daemon as daemons
from harness import ssh
from harness.records import records_of
from harness.ssh_gate import config_for, ended, fingerprints, gate
from test_ssh import Asking

CLIENT = pathlib.Path(__file__).with_name("clients") / "ssh2.js"
RULES = [{"name": "all", "resources": ["box"], "operations": ["exec"], "allow": {}}]
CAUGHT = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """It knows a user of its own, as OpenSSH's sends signals to nothing that root runs."""
    folder = tmp_path_factory.mktemp("sshd")
    (folder / "passwd").write_text(pathlib.Path("/etc/passwd").read_text() + "deploy:x:65534:65534::/:/bin/sh\n")
    (folder / "shadow").write_text("deploy:*:20000:0:99999:7:::\n")
    mounts = "".join(f"mount --bind {folder}/{name} /etc/{name} && " for name in ("passwd", "shadow"))
    s = ssh.Server(folder, wrapper=["unshare", "-m", "sh", "-c", f'{mounts} exec "$@"', "sh"], settings=[
        "AuthorizedKeysFile none", f"AuthorizedKeysCommand /bin/cat {folder}/authorized", "AuthorizedKeysCommandUser root"])
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    with gate(tmp_path_factory.mktemp("ssh"), server, RULES, user="deploy", key_file=str(server.user_key)) as d:
        yield d


def node(daemon, server, *words):
    done = daemon.run("node", CLIENT, server.port, ",".join(fingerprints(daemon, server)), "-", *words, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_what_runs_gets_the_agents_signal(daemon, server):
    seen = node(daemon, server, CAUGHT, "TERM")
    assert (seen["out"], seen["status"], seen.get("signal")) == ("ready\ncaught\n", 5, None), seen
    # The library waits for the answer to what it asked for first.
    asked, ran = records_of(daemon, ended(daemon))[-2:]
    assert (asked["text"], asked["verdict"], ran["text"]) == ("agent", "deny", CAUGHT)


def test_what_has_no_trap_is_ended_by_it(daemon, server):
    seen = node(daemon, server, "echo ready; exec sleep 30", "KILL")
    assert seen["signal"] == "SIGKILL" and not seen.get("message"), seen
    assert records_of(daemon, ended(daemon), "result")[-1]["tag"] == "signal KILL"


def test_what_the_host_says_of_a_signal_is_told(tmp_path):
    """The message only where nothing is masked: nobody reads it for values."""
    asked = Asking(tmp_path, "password")
    config = config_for(asked, tmp_path / "known", user="deploy", password_file=str(tmp_path / "password"))
    mask = {"mask": [{"detect": ["email"], "with": "redact"}]}
    try:
        for number, (allow, message) in enumerate([({}, "it fell over"), (mask, "")]):
            d = daemons.Daemon(tmp_path / f"d{number}", config, [{"name": "all", "operations": ["exec"], "allow": allow}])
            try:
                seen = node(d, asked, "signal")
            finally:
                d.close()
            assert seen == {"out": "signal\n", "err": "", "status": None, "signal": "SIGSEGV", "dumped": True, "message": message}
    finally:
        asked.stop()
