# SPDX-License-Identifier: Apache-2.0
"""What waits for people: the connection lives on, and each kind of request ends as its client expects."""
import contextlib
import subprocess
import time

import pytest
from harness.ssh_gate import OPTIONS, daemon, pending, server  # noqa: F401


def asked():
    return {"by": "ops", "within": "1m"}


RULES = [
    {"name": "asked", "resources": ["box"], "operations": ["shell", "subsystem"], "review": asked()},
    # Not those that OpenSSH's client sends by itself.
    {"name": "named", "resources": ["box"], "operations": ["env"], "objects": ["WAYLEAVE_*"], "review": asked()},
    {"name": "touched", "resources": ["box"], "operations": ["exec"], "objects": ["touch *"], "review": asked()},
    {"name": "commands", "resources": ["box"], "operations": ["exec"], "objects": ["env"], "allow": {}},
    {"name": "files", "resources": ["box"], "operations": ["read"], "allow": {}},
]
# It gives up an agent that does not answer for a second.
SETTINGS = ["ClientAliveInterval 1", "ClientAliveCountMax 1"]
DENIED = 126


REASON = "so be it " + 900 * "ü"  # whole, however long it is


def held(daemon, server, answer, *words, options=(), wait=0, input=None, first=0, env=None):
    """A client whose question was answered after `wait` seconds: its status and output, and the review. Its input ends when
    the output has had its `first` characters."""
    process = daemon.popen("ssh", *OPTIONS, *options, "-p", str(server.port), "root@127.0.0.1", *words, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        review = pending(daemon)
        time.sleep(wait)
        assert process.poll() is None
        assert daemon.wayleave("reviews", answer, review["id"], "--reason", REASON).returncode == 0
        begin = ""
        if first:
            with contextlib.suppress(BrokenPipeError):  # refused, it may have ended
                process.stdin.write(input)
                process.stdin.flush()
            begin, input = process.stdout.read(first), None
        out, errors = process.communicate(input, timeout=30)
    finally:
        process.kill()
        process.wait(10)
    assert f"wayleave: waiting for approval by ops (review {review['id']})" in errors
    return process.returncode, begin + out, errors, review


def test_both_ends_are_kept_alive(daemon, server, tmp_path):
    """Client and server each ask every second whether somebody is there, and give up after the first that is not answered."""
    options = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1"]
    code, _, errors, _ = held(daemon, server, "approve", f"touch {tmp_path}/there", options=options, wait=4)
    assert code == 0 and (tmp_path / "there").exists(), errors


@pytest.mark.parametrize("answer", ["approve", "deny"])
def test_a_shell(daemon, server, answer):
    code, out, errors, review = held(daemon, server, answer, options=["-tt"], input="echo mark$((1+1)); exit 5\n")
    assert review["operations"] == ["shell"]
    if answer == "approve":
        assert code == 5 and "mark2" in out
    else:
        assert code == DENIED and "mark" not in out and REASON in errors


@pytest.mark.parametrize("answer", ["approve", "deny"])
def test_a_subsystem(daemon, server, answer):
    """The first message of SFTP is answered, or none is."""
    code, out, errors, review = held(daemon, server, answer, "sftp", options=["-s"], input="\0\0\0\5\1\0\0\0\3", first=5)
    assert (review["operations"], review["text"]) == (["subsystem"], "sftp")
    if answer == "approve":
        assert (code, out[4:5]) == (0, "\2"), (out, errors)
    else:
        assert (code, out) == (DENIED, "") and REASON in errors


@pytest.mark.parametrize("answer", ["approve", "deny"])
def test_a_variable(daemon, server, answer):
    """A command that was denied one runs without."""
    code, out, _, review = held(daemon, server, answer, "env", options=["-o", "SendEnv=WAYLEAVE_A"], env={"WAYLEAVE_A": "yes"})
    assert (review["operations"], review["text"]) == (["env"], "WAYLEAVE_A=yes")
    assert code == 0 and "HOME=" in out
    assert ("WAYLEAVE_A=yes" in out) == (answer == "approve")
