# SPDX-License-Identifier: Apache-2.0
"""scp's own protocol and rsync: commands whose direction and paths rules can name."""
import concurrent.futures
import hashlib
import os
import time

import pytest
from harness.records import assert_verified, records_of
from harness.ssh_gate import OPTIONS, ended, gate, last, run, server  # noqa: F401
from harness.waiting import wait_for


def rules(folder):
    return [
        {"name": "out", "operations": ["scp_read", "rsync_read"], "objects": [f"{folder}/out", f"{folder}/out/*"], "allow": {}},
        {"name": "in", "operations": ["scp_write", "rsync_write"], "objects": [f"{folder}/in/*"], "allow": {}},
        {"name": "shut", "operations": ["scp_read", "rsync_read"], "objects": ["*.key"], "deny": {"message": "not keys"}},
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name in ("out", "in", "shut"):
        (folder / name).mkdir()
    (folder / "out/a").write_bytes(os.urandom(300_000))
    (folder / "out/b.key").write_bytes(b"key")
    (folder / "shut/a").write_bytes(b"shut")
    return folder


@pytest.fixture(scope="module")
def daemon(server, files, tmp_path_factory):
    def change(config):
        cgroup = config["agents"][0]["cgroup"].rpartition("/")[0]
        config["agents"].append({"name": "narrow", "cgroup": f"{cgroup}/narrow", "limits": {"bandwidth": "1M"}})

    with gate(tmp_path_factory.mktemp("ssh"), server, rules(files), change) as d:
        yield d


def scp(daemon, server, *words, **more):
    return daemon.run("scp", "-O", "-q", *OPTIONS, "-P", server.port, *words, **more)


def rsync(daemon, server, *words):
    return daemon.run("rsync", "-e", f"ssh {' '.join(OPTIONS)} -p {server.port}", *words)


def pairs(daemon):
    """Of the last session's commands."""
    return [(p["operation"], p["object"]) for a in records_of(daemon, ended(daemon)) for p in a["pairs"] if p["operation"] != "connect"]


def test_both_directions_by_path_alone(daemon, server, files, tmp_path):
    place = f"root@127.0.0.1:{files}"
    for copy, name in ((scp, "scp"), (rsync, "rsync")):
        assert copy(daemon, server, f"{place}/out/a", tmp_path / name).returncode == 0
        assert (tmp_path / name).read_bytes() == (files / "out/a").read_bytes()
        assert pairs(daemon)[-1] == (f"{name}_read", f"{files}/out/a")
        assert copy(daemon, server, tmp_path / name, f"{place}/in/{name}").returncode == 0
        assert (files / f"in/{name}").read_bytes() == (files / "out/a").read_bytes()
        assert pairs(daemon)[-1] == (f"{name}_write", f"{files}/in/{name}")
        sizes = records_of(daemon, last(daemon), "result")[-1]
        assert last(daemon)["bytes_to_server"] > 300_000 and sizes["tag"] == "exit 0"
    assert_verified(daemon)


def notes(daemon):
    return [r["detail"] for r in records_of(daemon, ended(daemon), "note")]


def test_files_of_scp_are_recorded_with_size_and_digest(daemon, server, files, tmp_path):
    data = (files / "out/a").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/a").write_bytes(data)
    (tmp_path / "tree/empty").write_bytes(b"")
    assert scp(daemon, server, f"root@127.0.0.1:{files}/out/a", tmp_path / "b").returncode == 0
    assert notes(daemon) == [f"read 300000 bytes, sha256 {digest}: a"]
    assert scp(daemon, server, "-r", tmp_path / "tree", f"root@127.0.0.1:{files}/in/new").returncode == 0
    assert sorted(notes(daemon)) == [f"wrote 0 bytes, sha256 {hashlib.sha256().hexdigest()}: tree/empty", f"wrote 300000 bytes, sha256 {digest}: tree/sub/a"]
    assert (files / "in/new/sub/a").read_bytes() == data


@pytest.mark.parametrize("path, why", [("shut/a", "no rule allows exec"), ("in/x", "no rule allows exec"), ("out/../shut/a", 'by rule "shut"')])
def test_what_no_rule_names_is_no_command_either(daemon, server, files, tmp_path, path, why):
    for copy in (scp, rsync):
        done = copy(daemon, server, f"root@127.0.0.1:{files}/{path}", tmp_path / "x")
        assert done.returncode != 0 and "wayleave: denied" in done.stderr and why in done.stderr, done
    assert not (tmp_path / "x").exists()


def test_a_deny_below_a_folder_counts(daemon, server, files, tmp_path):
    for words in (("-r", f"root@127.0.0.1:{files}/out", tmp_path / "all"), (f"root@127.0.0.1:{files}/out/b.key", tmp_path / "all")):
        done = scp(daemon, server, *words)
        assert done.returncode != 0 and 'wayleave: denied by rule "shut": not keys' in done.stderr, done
    assert not (tmp_path / "all").exists()


def test_nothing_else_is_run(daemon, server, files):
    for line in (f"scp -f {files}/out/a; id", f"scp -f {files}/out/a $(id)", f"/tmp/scp -f {files}/out/a", f"rsync --server --sender -e.L --config=/x . {files}/out/a"):
        done = run(daemon, server, line)
        assert done.returncode == 126 and "wayleave: denied" in done.stderr, done


def test_what_an_agent_may_move_in_a_second(daemon, server, files, tmp_path):
    """Both ways, and of all its sessions together: a second's worth at once, and no more than that in each; nothing is lost."""
    data = os.urandom(2 << 20)
    (files / "out/large").write_bytes(data)
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(scp, daemon, server, f"root@127.0.0.1:{files}/out/large", tmp_path / "first", agent="narrow", timeout=60)
        second = pool.submit(scp, daemon, server, files / "out/large", f"root@127.0.0.1:{files}/in/second", agent="narrow", timeout=60)
        # Nobody else waits for it.
        assert scp(daemon, server, f"root@127.0.0.1:{files}/out/large", tmp_path / "other").returncode == 0
        assert not first.done() and not second.done()
        assert first.result().returncode == second.result().returncode == 0
    # Not sooner, however fast the host is.
    took = time.monotonic() - begin
    assert 2.9 < took, took
    assert (tmp_path / "first").read_bytes() == (files / "in/second").read_bytes() == (tmp_path / "other").read_bytes() == data
    for session in daemon.json("sessions", "list")[:3]:
        assert session["reason"] == "none", session


def test_a_limit_that_comes_during_a_transfer(daemon, server, files, tmp_path):
    """It counts from then on, however little else there is to say between the two, and ends nothing."""
    size, rate, target = 160 << 20, 32 << 20, tmp_path / "huge"
    with open(files / "out/huge", "wb") as f:
        f.truncate(size)
    daemon.config["agents"][1]["limits"] = {"bandwidth": "32M"}
    daemon.write_config()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        transfer = pool.submit(scp, daemon, server, f"root@127.0.0.1:{files}/out/huge", target, agent="other", timeout=60)
        wait_for(lambda: target.exists() and target.stat().st_size)
        daemon.reload()
        begin, left = time.monotonic(), size - target.stat().st_size
        done = transfer.result()
    took = time.monotonic() - begin
    assert done.returncode == 0 and target.stat().st_size == size, done
    # A second's worth at once, and what was under way.
    assert left > 2 * rate and took > (left - rate) / rate - 0.5, (left, took)
    assert ended(daemon)["reason"] == "none"
