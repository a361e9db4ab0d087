# SPDX-License-Identifier: Apache-2.0
"""The control socket and the commands that use it: who may ask what, and what they are told."""
import json
import os
import socket
import struct
import subprocess

import pytest
from harness.daemon import BUILD, cgroup_root

STATUS, RUN, POLICY, RECORDINGS, KILL, CA, REVIEWS, REVIEW, DECIDE, GRANTS, REVOKE, AGENTS, SUSPEND, RESUME, CANARY = range(1, 16)
VERBS = ["run", "status", "doctor", "reviews", "grants", "agents", "sessions", "audit", "policy", "ca", "known-hosts"]

ASK = """
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(10)
s.connect(sys.argv[1])
for kind in range(1, 16):
    s.send(struct.pack("=Ii", kind, 0) + (b"s-7Q2KM4XT" if kind == 5 else b""))
    data = s.recv(1 << 18)
    print(kind, struct.unpack("=Ii", data[:8])[1], data[8:80].decode(errors="replace").replace(chr(10), " "))
"""


def connect(daemon):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(str(daemon.socket))
    s.settimeout(10)
    return s


def answer(s):
    data = s.recv(1 << 18)
    kind, status = struct.unpack("=Ii", data[:8])
    return kind, status, data[8:].decode(errors="replace")


def test_an_agent_is_told_of_itself_and_nothing_else(wayleave):
    """The launcher hides the socket; this is what holds where somebody hands it in."""
    slice_name = [a["cgroup"] for a in wayleave.config["agents"] if a["name"] == "demo"][0]
    procs = str(cgroup_root() / slice_name / "cgroup.procs")
    done = subprocess.run(["/usr/bin/python3", "-c", f"open({procs!r}, 'w').write('0')\n" + ASK, str(wayleave.socket)], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 15, done.stderr
    assert lines[0].startswith("1 0 ")
    for line in lines[1:]:
        assert line.split()[1] == "-1" and "refused: the request comes from inside an agent" in line, line
    code = f"open({procs!r}, 'w').write('0')\nimport os\nos.execv({str(BUILD / 'wayleave')!r}, ['wayleave', '--json', 'status'])"
    done = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, text=True, env=wayleave.environment)
    seen = json.loads(done.stdout)
    assert [a["name"] for a in seen["agents"]] == ["demo"] and "sessions" not in seen and "workers" not in seen


def test_inside_an_agent_the_socket_is_not_even_there(wayleave):
    done = wayleave.run(BUILD / "wayleave", "sessions", "list")
    assert done.returncode in (1, 126, 127), done.stdout


def test_other_users_get_a_clear_refusal(wayleave):
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", ASK, str(wayleave.socket)],
                          capture_output=True, text=True)
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert len(lines) == 15, done.stderr
    assert lines["1"].split()[1] == "0" and lines["6"].split()[1] == "0" and "BEGIN CERTIFICATE" in lines["6"]
    for kind in ("3", "4", "5", "12", "13", "14", "15"):
        assert "refused: only root may ask for that" in lines[kind]
    assert lines["2"].split()[1] != "0"
    for kind, text in (("7", "not a request for reviews"), ("8", "is no review's ID"), ("9", "not a decision"), ("11", "is no grant's ID")):
        assert lines[kind].split()[1] != "0" and text in lines[kind]
    assert lines["10"].split()[1] == "0"


def test_malformed_messages_are_answered_or_cut_off_and_harm_nobody(wayleave):
    for payload in [b"", b"x", b"1234567", struct.pack("=Ii", 0, 0), struct.pack("=Ii", 4711, 0), struct.pack("=Ii", 0xffffffff, -1),
                    struct.pack("=Ii", KILL, 0), struct.pack("=Ii", KILL, 0) + b"s-" + b"A" * 1000, struct.pack("=Ii", RUN, 0),
                    struct.pack("=Ii", REVIEWS, 0) + b"x" * 7, struct.pack("=Ii", REVIEW, 0), struct.pack("=Ii", REVIEW, 0) + b"r-" + b"%n" * 40000,
                    struct.pack("=Ii", DECIDE, 0) + b"\xff" * 100, struct.pack("=IiQII", DECIDE, 0, 0, 2, 0), struct.pack("=IiQII", DECIDE, 0, 0, 1, 7),
                    struct.pack("=IiQII", DECIDE, 0, 0, 1, 6) + b"r-7Q2K" + b"x" * 3000, struct.pack("=Ii", GRANTS, 0) + b"x", struct.pack("=Ii", REVOKE, 0),
                    struct.pack("=Ii", RUN, 0) + b"demo", struct.pack("=Ii", RUN, 0) + b"\0" * 100, struct.pack("=Ii", STATUS, 0) + b"x" * 131072,
                    struct.pack("=Ii", STATUS, 0) + b"x" * 150000, os.urandom(300)]:
        with connect(wayleave) as s:
            s.send(payload)
            try:
                data = s.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if data and struct.unpack("=Ii", data[:8])[0] not in (STATUS,):
                assert struct.unpack("=Ii", data[:8])[1] < 0 and len(data) > 12, payload[:20]
    with connect(wayleave) as s:
        s.send(struct.pack("=Ii", 4711, 0))
        assert answer(s)[2] == "this daemon does not know that request"
    assert wayleave.status()["agents"]


def test_descriptors_that_nobody_asked_for_are_closed(wayleave):
    before = len(os.listdir(f"/proc/{wayleave.process.pid}/fd"))
    for _ in range(20):
        with connect(wayleave) as s:
            socket.send_fds(s, [struct.pack("=Ii", STATUS, 0)], [0, 0, 0])
            assert answer(s)[1] == 0
    assert len(os.listdir(f"/proc/{wayleave.process.pid}/fd")) <= before + 2


def test_many_connections_keep_nobody_out(wayleave):
    held = []
    for _ in range(600):
        s = connect(wayleave)
        held.append(s)
    assert wayleave.status()["agents"]
    for s in held:
        s.close()
    assert wayleave.status()["agents"]


# --- commands

def test_status_for_people_and_for_programs(wayleave):
    status = wayleave.status()
    assert status["mode"] == "enforce" and all(w["ready"] for w in status["workers"]) and {a["name"] for a in status["agents"]} == {"demo", "other"}
    assert len(status["workers"]) == len(os.sched_getaffinity(0)), "one for each core, where the configuration says nothing"
    text = wayleave.wayleave("status").stdout
    assert f"{len(status['workers'])} of {len(status['workers'])} workers ready" in text and "agent demo  (cgroup " in text


def test_the_authority_is_a_certificate(wayleave):
    shown = wayleave.wayleave("ca", "show")
    done = subprocess.run(["openssl", "x509", "-noout", "-text"], input=shown.stdout, capture_output=True, text=True)
    assert done.returncode == 0 and "CA:TRUE" in done.stdout
    assert wayleave.json("ca", "show")["certificate"] == shown.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(wayleave, verb):
    done = wayleave.wayleave(verb, "--help")
    assert done.returncode == 0 and f"usage: wayleave {verb}" in done.stdout and done.stderr == "", done


@pytest.mark.parametrize("words", [[], ["nosuch"], ["status", "now"], ["sessions", "nosuch"], ["sessions", "show"], ["sessions", "show", "x"],
                                   ["sessions", "list", "--since", "whenever"], ["sessions", "replay", "s-7Q2KM4XT", "--speed", "fast"],
                                   ["reviews", "nosuch"], ["reviews", "show"], ["reviews", "deny", "r-7Q2K"], ["reviews", "approve", "r-7Q2K", "--for", "long"],
                                   ["reviews", "approve", "r-7Q2K", "--for"], ["reviews", "show", "r-7Q2K", "--reason", "x"], ["reviews", "deny", "r-7Q2K", "--reason", ""],
                                   ["grants", "nosuch"], ["grants", "revoke"], ["audit", "nosuch"], ["policy", "nosuch"], ["ca"], ["ca", "nosuch"], ["--socket"]])
def test_mistakes_in_a_command_are_status_2_with_a_text(wayleave, words):
    done = wayleave.wayleave(*words)
    assert done.returncode == (1 if "replay" in words else 2) and done.stdout == "" and ("usage" in done.stderr or "wayleave " in done.stderr), done


@pytest.mark.parametrize("words,text", [(["sessions", "show", "s-AAAAAAAA"], "there is no session s-AAAAAAAA"),
                                        (["sessions", "kill", "s-AAAAAAAA"], "there is no session s-AAAAAAAA"),
                                        (["reviews", "show", "r-7q2k"], "there is no review r-7Q2K"), (["reviews", "show", "x"], "is no review's ID"),
                                        (["reviews", "approve", "r-7Q2K"], "there is no review r-7Q2K"),
                                        (["grants", "revoke", "g-7Q2K"], "no grant g-7Q2K is in force")])
def test_what_is_not_there_is_status_1(wayleave, words, text):
    done = wayleave.wayleave(*words)
    assert done.returncode == 1 and text in done.stderr, done


@pytest.mark.parametrize("words", [["status"], ["reviews"], ["reviews", "--watch"], ["grants"], ["sessions"], ["audit", "verify"], ["ca", "show"], ["known-hosts", "install"]])
def test_without_a_daemon_the_error_names_the_socket(wayleave, words):
    done = wayleave.wayleave("--socket", "/nowhere/control.sock", *words)
    assert done.returncode == 1 and "no daemon at /nowhere/control.sock" in done.stderr, done


def test_run_reports_its_own_failures_as_125(wayleave):
    done = wayleave.wayleave("run", "--agent", "nosuch", "--", "true")
    assert done.returncode == 125 and "nosuch" in done.stderr
    assert wayleave.run("/nonexistent").returncode == 127
    assert wayleave.run("/etc/passwd").returncode == 126
    assert wayleave.run("sh", "-c", "exit 7").returncode == 7
    assert wayleave.wayleave("run").returncode == 125
