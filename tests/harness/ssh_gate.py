# SPDX-License-Identifier: Apache-2.0
"""A host that speaks SSH, a daemon in front of it, and an agent that goes there: what tests of SSH share."""
import contextlib
import itertools
import os
import re
import subprocess

import pytest
from harness import daemon as daemons
from harness import ssh
from harness.terminal import at_terminal
from harness.waiting import wait_for

OPTIONS = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR"]
numbers = itertools.count()


@pytest.fixture(scope="module")
def server(request, tmp_path_factory):
    """With the module's SETTINGS, if it has any: more lines of sshd_config."""
    s = ssh.Server(tmp_path_factory.mktemp("sshd"), settings=getattr(request.module, "SETTINGS", ()))
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(request, server, tmp_path_factory):
    """With the module's RULES."""
    with gate(tmp_path_factory.mktemp("ssh"), server, request.module.RULES) as d:
        yield d


def config_for(server, known, **credentials):
    slice_name = f"wayleave-test-{os.getpid()}-ssh{next(numbers)}.slice"
    return {
        "agents": [{"name": name, "cgroup": f"{slice_name}/{name}"} for name in ("demo", "other")],
        "reviewers": {"ops": {"local_users": ["root"]}},
        "resources": [{"name": "box", "protocol": "ssh", "hosts": [f"127.0.0.1:{server.port}"], "host_keys": str(known),
                       "credentials": {"user": "root", **(credentials or {"key_file": str(server.user_key)})}}],
    }


@contextlib.contextmanager
def gate(folder, server, rules, change=None, **credentials):
    """A daemon that lets agents to the server; `change`: of its configuration."""
    (folder / "known").write_text(server.known(server.host_keys[0]))
    config = config_for(server, folder / "known", **credentials)
    if change:
        change(config)
    d = daemons.Daemon(folder / "d", config, rules)
    try:
        yield d
    finally:
        d.close()
    # What the agent wanted may be over by then, so that no test would see it.
    assert "session was killed" not in d.text()


def environment(server):
    """For git."""
    return {"GIT_SSH_COMMAND": f"ssh {' '.join(OPTIONS)} -p {server.port}"}


def run(daemon, server, *words, options=(), **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    return daemon.run("ssh", *OPTIONS, *options, "-p", server.port, "root@127.0.0.1", *words, **more)


def shell(daemon, server, *words, **options):
    """A shell, or a command, at a terminal: as at_terminal()."""
    return at_terminal(daemon, "ssh", *OPTIONS, "-tt", "-p", str(server.port), "root@127.0.0.1", *words, **options)


def fingerprints(daemon, server):
    """Of the keys by which an agent knows the server, as libraries want them that read no file."""
    shown = daemon.run("ssh-keygen", "-l", "-F", f"[127.0.0.1]:{server.port}", "-f", "/etc/ssh/ssh_known_hosts", stdin=subprocess.DEVNULL)
    return re.findall(r"SHA256:(\S+)", shown.stdout)


def last(daemon):
    return next(iter(daemon.json("sessions", "list")), {"actions": 0, "end": None})


def ended(daemon):
    """The last session, when it is over."""
    return wait_for(lambda: last(daemon)["end"] and last(daemon))


def pending(daemon):
    """The review that waits; there is one, or there will be."""
    return wait_for(lambda: [r for r in daemon.json("reviews") if r["state"] == "pending"])[0]
