# SPDX-License-Identifier: Apache-2.0
"""Scripts that a shell reads from what the agent sends, judged before a byte of them leaves; shells on terminals."""
import subprocess

import pytest
from harness.ssh_gate import OPTIONS, daemon, pending, run, server  # noqa: F401
from harness.waiting import wait_for

RULES = [
    {"name": "some commands", "agents": ["demo"], "resources": ["box"], "operations": ["exec"],
     "objects": ["sh", "bash -s*", "sh -s *", "fish", "set -e", "echo *", "mkdir *", "cat", "cat *", "touch *asked*"], "allow": {}},
    {"name": "asked", "agents": ["demo"], "resources": ["box"], "operations": ["exec"], "objects": ["touch *asked*"],
     "review": {"by": "ops", "within": "2m"}},
    {"name": "no removing", "agents": ["demo"], "resources": ["box"], "operations": ["exec"], "objects": ["rm *"], "deny": {"message": "ask first"}},
    {"name": "any command", "agents": ["other"], "resources": ["box"], "operations": ["exec"], "allow": {}},
]


def script(daemon, server, text, *words, **more):
    return run(daemon, server, *(words or ["sh"]), stdin=None, input=text, **more)


def test_a_script_of_allowed_commands_runs(daemon, server, tmp_path):
    text = f"#!/bin/sh\n# what it does\nset -e\nmkdir {tmp_path}/made  # a folder\necho done with \\\n  'all of it'\ncat\nand this is read by cat\n"
    done = script(daemon, server, text.split("cat\n")[0] + "cat\n")
    assert (done.returncode, done.stdout) == (0, "done with all of it\n"), done.stderr
    assert (tmp_path / "made").is_dir()
    done = script(daemon, server, "echo here\n", "bash", "-s", "--", "a", "b")
    assert (done.returncode, done.stdout) == (0, "here\n"), done.stderr


@pytest.mark.parametrize("text,why", [
    ("mkdir {0}/made\nuname -a\n", "no rule allows exec on uname -a"),
    ("mkdir {0}/made\nrm -rf {0}/x\n", "ask first"),
    ("mkdir {0}/made\necho $HOME\n", ""),
    ("mkdir {0}/made\nif true; then echo x; fi\n", ""),
    # cat would read what is behind it, and the shell begin where it stops.
    ("mkdir {0}/made\ncat\necho x\n", ""),
    ("mkdir {0}/made\n" + "# much\n" * 30000, ""),
    ("mkdir {0}/made\n" + "echo x\n" * 300, ""),
])
def test_nothing_of_another_script_runs(daemon, server, tmp_path, text, why):
    done = script(daemon, server, text.format(tmp_path))
    assert (done.returncode, done.stdout) == (126, ""), done
    assert "wayleave: denied" in done.stderr and why in done.stderr
    assert not (tmp_path / "made").exists()


def test_other_shells_and_logins_read_scripts_too(daemon, server):
    assert script(daemon, server, "echo x\n", "fish").returncode == 126
    done = run(daemon, server, stdin=None, input="uname -a\n", options=["-T"])
    assert done.returncode == 126 and done.stdout == "", done


def test_who_may_run_anything_may_send_any_script(daemon, server, tmp_path):
    text = "# much\n" * 200000 + f"for i in 1 2; do echo $((i + 1)); done; touch {tmp_path}/it\n"
    done = script(daemon, server, text, agent="other")
    assert (done.returncode, done.stdout) == (0, "2\n3\n"), done.stderr
    assert (tmp_path / "it").exists()


def test_a_script_is_reviewed_whole(daemon, server, tmp_path):
    text = f"echo first\ntouch {tmp_path}/asked\n"
    command = daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", "sh", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    try:
        command.stdin.write(text)
        command.stdin.close()
        review = pending(daemon)
        assert review["text"] == f"sh\n{text}" and not (tmp_path / "asked").exists()
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert command.stdout.read() == "first\n" and command.wait(30) == 0 and (tmp_path / "asked").exists()
    finally:
        command.kill()
        command.wait(10)
    # The approval was for those bytes alone.
    other = daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", "sh", stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        other.stdin.write(text + "# and\n")
        other.stdin.close()
        assert pending(daemon)["id"] != review["id"]
    finally:
        other.kill()
        other.wait(10)
    wait_for(lambda: all(r["state"] != "pending" for r in daemon.json("reviews")))


def test_a_shell_that_is_fed_line_by_line(daemon, server):
    """No end comes, so nobody can tell what it will run: only who may run anything may do that."""
    def feed(agent):
        return daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", "bash", "-s", agent=agent, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    process = feed("other")
    try:
        process.stdin.write("echo one\n")
        assert process.stdout.readline() == "one\n"
        process.stdin.write("echo two; exit 4\n")
        assert process.stdout.readline() == "two\n" and process.wait(30) == 4
    finally:
        process.kill()
        process.wait(10)
    process = feed("demo")
    try:
        process.stdin.write("echo one\n")
        assert process.wait(30) == 126 and process.stdout.read() == ""
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize("words", [[], ["sh"], ["sudo -n bash"], ["cat; sh"]])
def test_shells_can_be_refused_where_commands_are_allowed(daemon, server, words):
    """Whoever may run any command may not have a terminal with a shell."""
    done = run(daemon, server, *words, options=["-tt"], agent="other")
    assert done.returncode == 126 and "no rule allows shell" in done.stderr + done.stdout, done
    assert run(daemon, server, "echo x", options=["-tt"], agent="other").stdout.strip() == "x"


AFTER_ITS_END = """
import paramiko, sys
t = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
t.connect(username="root", password="any")
c = t.open_session()
c.exec_command("sh")
c.sendall(sys.argv[2])
c.shutdown_write()
c.recv_stderr(1) # it waits
c.eof_sent = False
c.sendall("touch " + sys.argv[3] + chr(10))
print(c.makefile().read().decode(), end="")
t.close()
"""


def test_what_is_sent_behind_the_end_is_not_run(daemon, server, tmp_path):
    """Nobody judged it (RFC 4254, 5.3: nothing is sent behind an end of file)."""
    text = f"touch {tmp_path}/asked\necho made\n"
    process = daemon.popen("/usr/bin/python3", "-c", AFTER_ITS_END, str(server.port), text, str(tmp_path / "more"), stdout=subprocess.PIPE, text=True)
    try:
        review = pending(daemon)
        assert review["text"] == f"sh\n{text}"
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert process.stdout.read() == "made\n" and process.wait(30) == 0
    finally:
        process.kill()
        process.wait(10)
    assert (tmp_path / "asked").exists() and not (tmp_path / "more").exists()
