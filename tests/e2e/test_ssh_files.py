# SPDX-License-Identifier: Apache-2.0
"""Files by sftp: each operation is an action, with real clients and OpenSSH's own server."""
import hashlib
import os
import subprocess

import pytest
from harness.records import assert_verified, records_of
from harness.ssh_gate import OPTIONS, ended, gate, last, pending, server  # noqa: F401
from harness.waiting import wait_for


def rules(folder):
    return [
        {"name": "channel", "resources": ["box"], "operations": ["subsystem"], "allow": {}},
        {"name": "look", "resources": ["box"], "operations": ["sftp_list"], "objects": [f"{folder}*"], "allow": {}},
        {"name": "files", "resources": ["box"], "operations": ["read", "write"], "objects": [f"{folder}/open*"], "allow": {}},
        {"name": "out", "resources": ["box"], "operations": ["sftp_read"], "objects": [f"{folder}/out/*"], "allow": {}},
        {"name": "in", "resources": ["box"], "operations": ["sftp_write"], "objects": [f"{folder}/in/*"], "allow": {}},
        {"name": "no keys", "resources": ["box"], "operations": ["read", "write"], "objects": ["*.key"], "deny": {"message": "not keys"}},
        {"name": "asked", "resources": ["box"], "operations": ["sftp_remove"], "objects": [f"{folder}/asked/*"], "review": {"by": "ops", "within": "1m"}},
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name in ("open", "out", "in", "asked", "shut"):
        (folder / name).mkdir()
    (folder / "out/a").write_bytes(b"out")
    (folder / "shut/a").write_bytes(b"shut")
    (folder / "open/secret.key").write_bytes(b"key")
    (folder / "open/link").symlink_to("../shut/a")
    (folder / "open/way").symlink_to("../shut")
    return folder


@pytest.fixture(scope="module")
def daemon(server, files, tmp_path_factory):
    with gate(tmp_path_factory.mktemp("ssh"), server, rules(files)) as d:
        yield d


def sftp(daemon, server, *lines, **more):
    return daemon.run("sftp", "-q", "-b", "-", *OPTIONS, "-P", server.port, "root@127.0.0.1", input="".join(f"{line}\n" for line in lines), **more)


def verdicts(daemon):
    return {a["text"]: a["verdict"] for a in records_of(daemon, ended(daemon))}


def test_on_a_terminal_it_is_not_understood(daemon, server):
    done = daemon.run("ssh", "-tt", *OPTIONS, "-p", server.port, "-s", "root@127.0.0.1", "sftp", input="")
    assert done.returncode == 126 and "sftp on a terminal, which changes its bytes" in done.stdout + done.stderr, done


def test_transfers_are_recorded_with_path_size_and_digest(daemon, server, files, tmp_path):
    data = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(data)
    place = f"root@127.0.0.1:{files}/open"
    assert daemon.run("scp", "-q", *OPTIONS, "-P", server.port, tmp_path / "a", f"{place}/b").returncode == 0
    session = ended(daemon)
    digest = hashlib.sha256(data).hexdigest()
    tags = [r["tag"] for r in records_of(daemon, session, "result")]
    assert f"wrote {len(data)} bytes, sha256 {digest}" in tags, tags
    assert any(text.startswith("open write create") and text.endswith(f" {files}/open/b") for text in verdicts(daemon))
    assert daemon.run("scp", "-q", *OPTIONS, "-P", server.port, f"{place}/b", tmp_path / "c").returncode == 0
    tags = [r["tag"] for r in records_of(daemon, ended(daemon), "result")]
    assert f"read {len(data)} bytes, sha256 {digest}" in tags, tags
    assert (tmp_path / "c").read_bytes() == data
    assert_verified(daemon)


def test_what_a_rule_does_not_name_is_denied_and_the_session_lives(daemon, server, files, tmp_path):
    (tmp_path / "n").write_bytes(b"new")
    done = sftp(daemon, server, f"-get {files}/shut/a {tmp_path}/x", f"-put {tmp_path}/n {files}/out/n", f"-get {files}/in/x {tmp_path}/x",
                f"-rm {files}/out/a", f"-get {files}/open/secret.key {tmp_path}/x", f"get {files}/out/a {tmp_path}/got",
                f"put {tmp_path}/n {files}/in/n")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "got").read_bytes() == b"out" and (files / "in/n").read_bytes() == b"new"
    assert not (tmp_path / "x").exists() and not (files / "out/n").exists() and (files / "out/a").exists()
    assert f"wayleave: denied: no rule allows sftp_read on {files}/shut/a" in done.stderr
    assert f"wayleave: denied: no rule allows sftp_remove on {files}/out/a" in done.stderr
    assert 'wayleave: denied by rule "no keys": not keys' in done.stderr
    assert last(daemon)["denied"] >= 4


@pytest.mark.parametrize("path", ["open/link", "open/way/a", "open/../shut/a", "open//./../shut/a", "open/way/../shut/a", "open/way/../out/../shut/a"])
def test_no_way_around_a_path(daemon, server, files, tmp_path, path):
    done = sftp(daemon, server, f"get {files}/{path} {tmp_path}/x", f"put {files}/out/a {files}/{path}")
    assert done.returncode != 0 and "denied" in done.stderr, done
    assert not (tmp_path / "x").exists() and (files / "shut/a").read_bytes() == b"shut"


def test_each_operation_has_its_own_name(daemon, server, files):
    done = sftp(daemon, server, f"mkdir {files}/open/d", f"chmod 700 {files}/open/d", f"ln -s ../out/a {files}/open/s2",
                f"rename {files}/open/d {files}/open/e", f"rmdir {files}/open/e", f"ls -l {files}/open", f"df {files}/open")
    # The link leads to what may only be read.
    assert done.returncode != 0 and f"no rule allows sftp_write on {files}/out/a" in done.stderr
    assert not (files / "open/s2").is_symlink()
    done = sftp(daemon, server, f"mkdir {files}/open/e", f"chmod 700 {files}/open/e", f"ln -s b2 {files}/open/s", f"ln {files}/open/s {files}/open/h",
                f"rename {files}/open/e {files}/open/f", f"rmdir {files}/open/f", f"rm {files}/open/h", f"ls -l {files}/open", f"df {files}/open")
    assert done.returncode == 0, done.stderr
    asked = verdicts(daemon)
    wanted = ["mkdir mode 0777 {}/e", "setstat mode 0700 {}/e", "symlink {}/s {}/b2", "rename replace {}/e {}/f", "rmdir {}/f", "hardlink {}/s {}/h",
              "remove {}/h", "list {}", "statvfs {}"]
    for text in wanted:
        assert asked.get(text.replace("{}", f"{files}/open")) == "allow", (text, asked)
    operations = {pair["operation"] for a in records_of(daemon, last(daemon)) for pair in a["pairs"]}
    assert {"sftp_mkdir", "sftp_setattr", "sftp_rename", "sftp_remove", "sftp_list"} <= operations, operations
    assert (files / "open/s").is_symlink()


def test_a_removal_waits_for_people(daemon, server, files):
    for answer, word in (("approve", "gone"), ("deny", "kept")):
        victim = files / "asked" / answer
        victim.write_bytes(b"x")
        process = daemon.popen("sftp", "-q", "-b", "-", *OPTIONS, "-P", str(server.port), "root@127.0.0.1", stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdin.write(f"rm {victim}\n-ls {files}/open\n")
        process.stdin.close()
        review = pending(daemon)
        assert review["text"] == f"remove {victim}" and victim.exists()
        assert daemon.wayleave("reviews", answer, review["id"], "--reason", "so be it").returncode == 0
        code = process.wait(20)
        errors = process.stderr.read()
        assert f"waiting for approval by ops (review {review['id']})" in errors
        assert (code == 0) == (word == "gone") == (not victim.exists()), errors
        if word == "kept":
            assert "so be it" in errors


def test_a_name_that_leads_elsewhere_by_then_is_decided_anew(daemon, server, files):
    (files / "asked/one").mkdir()
    (files / "asked/two").mkdir()
    (files / "asked/way").symlink_to("one")
    for name in ("one", "two"):
        (files / "asked" / name / "x").write_bytes(b"x")
    process = daemon.popen("sftp", "-q", "-b", "-", *OPTIONS, "-P", str(server.port), "root@127.0.0.1", stdin=subprocess.PIPE,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    process.stdin.write(f"rm {files}/asked/way/x\n")
    process.stdin.close()
    review = pending(daemon)
    assert review["text"] == f"remove {files}/asked/one/x"
    (files / "asked/way").unlink()
    (files / "asked/way").symlink_to("two")
    assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
    again = wait_for(lambda: [r for r in daemon.json("reviews") if r["state"] == "pending" and r["id"] != review["id"]])[0]
    assert again["text"] == f"remove {files}/asked/two/x"
    assert (files / "asked/one/x").exists() and (files / "asked/two/x").exists()
    assert daemon.wayleave("reviews", "approve", again["id"]).returncode == 0
    assert process.wait(20) == 0, process.stderr.read()
    process.stderr.close()
    assert (files / "asked/one/x").exists() and not (files / "asked/two/x").exists()


def test_links_hold_what_was_judged(daemon, server, files):
    (files / "open/sub").mkdir()
    (files / "open/to").symlink_to("sub")
    done = sftp(daemon, server, f"ln -s ../b3 {files}/open/sub/up", f"ln -s to/x {files}/open/through")
    assert done.returncode == 0, done.stderr
    assert os.readlink(files / "open/sub/up") == "../b3"
    assert os.readlink(files / "open/through") == f"{files}/open/sub/x"


PARAMIKO = """
import paramiko, sys, io
t = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
t.connect(username="root", password="whatever")
f = paramiko.SFTPClient.from_transport(t)
data = bytes(range(256)) * 8192
f.putfo(io.BytesIO(data), sys.argv[2] + "/open/p")
back = io.BytesIO()
f.getfo(sys.argv[2] + "/open/p", back)
print(back.getvalue() == data)
for name in ("shut/a", "open/link"):
    try:
        f.open(sys.argv[2] + "/" + name).read()
    except IOError as e:
        print(e.errno, str(e))
h = f.open(sys.argv[2] + "/out/a")
for act in (lambda: h.write(b"x"), lambda: h.chmod(0o777), lambda: f.truncate(sys.argv[2] + "/out/a", 0)):
    try:
        act()
        print("did")
    except IOError as e:
        print(str(e)[:21])
print(f.normalize("."), sorted(f.listdir(sys.argv[2] + "/out")))
f.chdir(sys.argv[2] + "/open")
print(f.stat("p").st_size)
f.remove("p")
t.close()
"""


def test_paramiko(daemon, server, files):
    done = daemon.run("/usr/bin/python3", "-c", PARAMIKO, server.port, files)
    lines = done.stdout.splitlines()
    assert lines[0] == "True", done
    assert lines[1].startswith("13 ") and f"no rule allows sftp_read on {files}/shut/a" in lines[1], lines
    assert lines[2].startswith("13 ") and f"no rule allows sftp_read on {files}/shut/a" in lines[2], lines
    assert all(line.startswith(("[Errno 13]", "File not open")) for line in lines[3:6]), lines
    assert lines[6].endswith("['a']") and lines[7] == str(256 * 8192)
    assert (files / "out/a").read_bytes() == b"out" and not (files / "open/p").exists()
