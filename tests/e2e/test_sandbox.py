# SPDX-License-Identifier: Apache-2.0
"""What a worker that was taken over could do: the same sandbox tried from inside, and the live workers as the kernel shows them."""
import ctypes
import os
import pathlib
import signal
import subprocess

import pytest
from harness.daemon import BUILD, Daemon, cgroup_root

PROBE = BUILD.parent / "tests" / "sandbox_probe"
ALLOWED = ["append", "tcp-socket", "stop-recording", "unread", "unfiltered-dial"]
KILLED = ["truncate", "allocate", "pwrite", "pwritev2", "set-flags", "exec", "fork", "ptrace", "kill", "signal-thread", "root",
          "unix-socket", "netlink-socket", "udp-socket", "raw-socket", "code", "bpf", "second-ring"]
# By Landlock, whose version says what it knows.
SHUT = {"unfiltered-open": ("EACCES", 1), "unfiltered-create": ("EACCES", 1), "unfiltered-exec": ("EACCES", 1),
        "unfiltered-bind": ("EACCES", 4), "unfiltered-signal": ("EPERM", 6)}
REFUSED = ["open", "device", "ring-open", "ring-write", "ring-truncate", "ring-socket", "ring-flags"]


def probe(what):
    return subprocess.run([PROBE, "worker", what], capture_output=True, text=True, timeout=20)


def test_the_probe_knows_no_more_than_is_tried_here():
    assert sorted(subprocess.run([PROBE, "worker"], capture_output=True, text=True).stdout.split()) == sorted(ALLOWED + KILLED + REFUSED + list(SHUT))


@pytest.mark.parametrize("what", ALLOWED)
def test_what_a_worker_needs_works(what):
    done = probe(what)
    assert done.stdout == "allowed", (done.returncode, done.stderr)


@pytest.mark.parametrize("what", KILLED)
def test_system_calls_that_are_not_on_the_list_end_the_worker(what):
    done = probe(what)
    assert done.returncode == -signal.SIGSYS and done.stdout == "", (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("what", REFUSED)
def test_opening_files_and_whatever_else_the_ring_could_do_is_refused(what):
    done = probe(what)
    assert done.stdout == "refused: EACCES", (done.returncode, done.stdout, done.stderr)


def landlock_version():
    create_ruleset, version = 444, 1
    return ctypes.CDLL(None).syscall(create_ruleset, None, ctypes.c_size_t(0), version)


@pytest.mark.parametrize("what", SHUT)
def test_without_the_filter_there_is_still_nothing_to_open_or_to_listen_on(what):
    error, since = SHUT[what]
    if landlock_version() < since:
        pytest.skip(f"Landlock of version {since} is not in this kernel")
    done = probe(what)
    assert done.stdout == f"refused: {error}", (done.returncode, done.stdout, done.stderr)


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def assert_powerless(pid):
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        status = status_of(f"{pid}/task/{thread.name}")
        assert "0" not in status["Uid"].split() and "0" not in status["Gid"].split()
        assert status["Groups"] == ""
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[name], 16) == 0, name
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    # Not dumpable: the kernel gives the files of such a process to root.
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    limits = {line[:26].strip(): line[26:].split() for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()}
    assert limits["Max core file size"][:2] == ["0", "0"]


def test_live_workers_have_given_up_what_they_do_not_need(wayleave):
    for pid in wayleave.workers():
        assert_powerless(pid)


def cgroup_of(pid):
    line = next(x for x in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines() if x.startswith("0::/"))
    return cgroup_root() / line[4:]


def test_a_cgroup_of_others_is_not_divided(wayleave):
    assert {cgroup_of(pid) for pid in wayleave.workers()} == {cgroup_of(wayleave.process.pid)}
    assert "Delegate=" in wayleave.status()["worker_limits"]["problem"] and "worker_limits: not set" in wayleave.text()
    assert "WARNING: worker_limits: the daemon's cgroup is not left to it" in wayleave.wayleave("status").stdout


@pytest.fixture(scope="module")
def delegated(tmp_path_factory):
    """A daemon in a cgroup that is left to it, as systemd does."""
    folder = cgroup_root() / f"wlt{os.getpid()}.service"
    folder.mkdir()
    os.setxattr(folder, "user.delegate", b"1")
    d = Daemon(tmp_path_factory.mktemp("delegated"), {"workers": 2, "agents": [], "resources": []}, [],
               enter=lambda: (folder / "cgroup.procs").write_text("0"))
    yield d, folder
    d.stop()
    subprocess.run(d.daemon_command("--teardown"), check=True, capture_output=True)
    for inner in ("workers", "monitor", "."):
        (folder / inner).rmdir()


def test_in_a_cgroup_of_its_own_workers_have_one(delegated):
    d, folder = delegated
    assert {cgroup_of(pid) for pid in d.workers()} == {folder / "workers"}
    assert cgroup_of(d.process.pid) == folder / "monitor" and (folder / "cgroup.procs").read_text() == ""


@pytest.mark.parametrize("name, controller, file", [("memory", "memory", "memory.max"), ("tasks", "pids", "pids.max")])
def test_that_cgroup_is_limited(delegated, name, controller, file):
    d, folder = delegated
    limits, there = d.status()["worker_limits"], (folder / "cgroup.controllers").read_text().split()
    shown = d.wayleave("status").stdout
    assert (controller in there) is (controller not in limits.get("missing", "").split(", ")) is (name in limits)
    if controller not in there:
        assert f"cgroup2 has no controller {limits['missing']} here" in d.text()
        assert f"WARNING: worker_limits: cgroup2 has no controller {limits['missing']} here" in shown
        pytest.skip(f"cgroup2 has no controller {controller} here")
    assert {"memory": f"{limits[name] / (1 << 20):.0f} MiB of memory", "tasks": f"{limits[name]} tasks"}[name] in shown
    folder /= "workers"
    page = os.sysconf("SC_PAGESIZE") if name == "memory" else 1
    assert int((folder / file).read_text()) == limits[name] // page * page


def test_live_workers_hold_their_files_for_appending_alone(wayleave):
    appended = 0
    for pid in wayleave.workers():
        for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(entry)
            assert not target.startswith(("/etc", str(wayleave.state / "keys"))), target
            if target.startswith(str(wayleave.state)):
                line = [x for x in pathlib.Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text().splitlines() if x.startswith("flags")][0]
                flags = int(line.split()[1], 8)
                assert flags & os.O_APPEND and flags & os.O_ACCMODE == os.O_WRONLY, target
                appended += 1
    assert appended


def test_keys_are_not_in_the_workers_memory_map(wayleave):
    for pid in wayleave.workers():
        assert str(wayleave.state) not in pathlib.Path(f"/proc/{pid}/maps").read_text()
