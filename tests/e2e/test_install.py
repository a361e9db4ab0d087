# SPDX-License-Identifier: Apache-2.0
"""`make install` puts what a list here says and nothing else, `make uninstall` takes all of it away; the units are sound, and the
daemon runs under the service's confinement."""
import os
import pathlib
import re
import subprocess

import pytest
from conftest import RULES, Psql, make_config
from harness.daemon import BUILD, ROOT

INSTALLED = {
    "etc/wayleave/wayleave.yaml": 0o644,
    "usr/bin/wayleave": 0o755,
    "usr/sbin/wayleaved": 0o755,
    "usr/libexec/wayleave/wayleave-launch": 0o4755,
    "usr/libexec/wayleave/wayleave-broker": 0o755,
    "usr/libexec/wayleave/wayleave-ssh": 0o755,
    "usr/lib/systemd/system/wayleaved.service": 0o644,
    "usr/lib/systemd/system/wayleave.slice": 0o644,
    "usr/lib/sysusers.d/wayleave.conf": 0o644,
    "usr/lib/tmpfiles.d/wayleave.conf": 0o644,
    "usr/share/doc/wayleave/agent.conf": 0o644,
    "usr/share/doc/wayleave/README.md": 0o644,
    "usr/share/man/man1/wayleave.1": 0o644,
    "usr/share/man/man5/wayleave.yaml.5": 0o644,
    "usr/share/man/man5/wayleave-policy.5": 0o644,
    "usr/share/man/man8/wayleaved.8": 0o644,
}
DOCUMENTS = {"usr/share/doc/wayleave/docs/": ROOT.glob("docs/*.md"), "usr/share/doc/wayleave/policies/": ROOT.glob("policies/*.yaml")}
EXPOSURE = 38  # tenths, of what systemd-analyze security counts: root, the host's network, cgroups and capabilities are the job


def make(target, destination, **variables):
    words = [f"{name}={value}" for name, value in {"DESTDIR": destination, "BUILD": BUILD.parent, **variables}.items()]
    return subprocess.run(["make", "-s", target, *words], cwd=ROOT, check=True, capture_output=True, text=True)


def files(folder):
    return {str(f.relative_to(folder)): f.stat().st_mode & 0o7777 for f in folder.rglob("*") if not f.is_dir()}


def test_install_and_uninstall(tmp_path):
    make("install", tmp_path)
    expected = {**INSTALLED, **{folder + f.name: 0o644 for folder, found in DOCUMENTS.items() for f in found}}
    assert files(tmp_path) == expected
    assert (tmp_path / "etc/wayleave/policies").is_dir()
    make("uninstall", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_admins_configuration_stays(tmp_path):
    make("install", tmp_path)
    config = tmp_path / "etc/wayleave/wayleave.yaml"
    policy = tmp_path / "etc/wayleave/policies/own.yaml"
    config.write_text("agents: []\n")
    policy.write_text("rules: []\n")
    make("install", tmp_path)
    assert config.read_text() == "agents: []\n"
    make("uninstall", tmp_path)
    assert set(files(tmp_path)) == {"etc/wayleave/wayleave.yaml", "etc/wayleave/policies/own.yaml"}


# --- units

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Below a PREFIX of its own, so that the units name programs that are there."""
    folder = tmp_path_factory.mktemp("prefix")
    make("install", "", PREFIX=folder, SYSCONFDIR=folder / "etc")
    agent = folder / "lib/systemd/system/coder.service"
    agent.write_text("[Service]\nExecStart=/bin/true\n")
    drop_in = folder / "lib/systemd/system/coder.service.d/wayleave.conf"
    drop_in.parent.mkdir()
    drop_in.write_bytes((folder / "share/doc/wayleave/agent.conf").read_bytes())
    return folder


def analyze(folder, *words):
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}/lib/systemd/system:/lib/systemd/system"}
    return subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True, text=True, env=environment, timeout=30)


@pytest.mark.parametrize("unit", ["wayleaved.service", "wayleave.slice", "coder.service"])
def test_units_are_sound(installed, unit):
    done = analyze(installed, "verify", "--man=no", installed / "lib/systemd/system" / unit)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize("unit, most", [("wayleaved.service", EXPOSURE), ("coder.service", 23)])
def test_exposure(installed, unit, most):
    done = analyze(installed, "security", "--offline=true", f"--threshold={most}", unit)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_workers_user(tmp_path):
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", ROOT / "systemd/sysusers.conf"], check=True, capture_output=True)
    name, _, _, _, _, home, shell = next(
        line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("wayleave:"))
    assert (home, shell) == ("/", "/usr/sbin/nologin")


def test_the_daemons_folders(tmp_path):
    make("install", tmp_path)
    # Of the scratch root, whose users these are not: by number.
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    done = subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create", "wayleave.conf"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    for name in ("run/wayleave", "var/lib/wayleave"):
        status = (tmp_path / name).stat()
        assert (status.st_mode, status.st_uid, status.st_gid) == (0o040755, 0, 0)
        assert list((tmp_path / name).iterdir()) == []


def test_a_unit_hides_what_the_launcher_hides(installed):
    """Both keep an agent from those who start processes for others."""
    drop_in = (ROOT / "systemd/agent.conf").read_text()
    hidden_places = (ROOT / "userspace/base/hidden_places.c").read_text()
    folders = re.search(r" places\[\] = \{(.*?)\}", hidden_places, re.S)[1]
    hidden = re.findall(r"-(/\S+)", " ".join(re.findall(r"^InaccessiblePaths=(.*)$", drop_in, re.M)))
    assert "TemporaryFileSystem=/run:ro" in drop_in
    for folder in re.findall(r'"([^"]+)"', folders):
        assert any(pathlib.PurePath(folder).is_relative_to(h) for h in hidden), folder
    shown = re.search(r"^BindReadOnlyPaths=(.*)$", drop_in, re.M)[1]
    run = (ROOT / "userspace/launcher/run_folders.c").read_text()
    for name in re.findall(r'"([^"]+)"', re.search(r"run_without\[\] = \{(.*?)\}", run, re.S)[1]):
        assert f"/run/{name}" not in shown


# --- the service's confinement

def unit_values():
    found = {}
    for line in (ROOT / "systemd/wayleaved.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            found.setdefault(line.split("=", 1)[0], []).append(line.split("=", 1)[1])
    return found


def calls_of(words):
    """The system calls behind names and sets of names."""
    found = set()
    for word in words:
        if not word.startswith("@"):
            found.add(word)
            continue
        lines = subprocess.run(["systemd-analyze", "syscall-filter", word], check=True, capture_output=True, text=True).stdout.splitlines()
        found |= calls_of(line.strip() for line in lines[1:] if line.strip() and not line.strip().startswith("#"))
    return found


# The unit's file system: everything read-only but the folders that systemd would make, bpffs and the cgroups.
MOUNTS = """
set -e
for folder in {writable}; do mount --rbind $folder $folder; done
mount -o remount,bind,ro /
mount -o remount,bind,ro /sys
for folder in {read_only}; do mount --bind $folder $folder; mount -o remount,bind,ro $folder; done
umask 077
exec "$@"
"""


@pytest.fixture
def confined(server, tmp_path, make_daemon):
    unit = unit_values()
    allowed, refused = unit["SystemCallFilter"]
    assert refused.startswith("~") and unit["NoNewPrivileges"] == ["yes"] and unit["ProtectSystem"] == ["strict"]
    calls = calls_of(allowed.split()) - calls_of(refused[1:].split())
    capabilities = ["-all", *(f"+{c[4:].lower()}" for c in unit["CapabilityBoundingSet"][0].split())]
    folder = tmp_path / "wayleave0"
    for name in ("state", "run"):
        (folder / name).mkdir(parents=True)
    writable = [folder / "state", folder / "run", *unit["ReadWritePaths"][0].split()]
    mounts = MOUNTS.format(writable=" ".join(map(str, writable)), read_only="/proc/sys")
    wrapper = ["unshare", "--mount", "sh", "-c", mounts, "sh", "setpriv", "--no-new-privs", f"--bounding-set={','.join(capabilities)}",
               "--inh-caps=-all", BUILD.parent / "tests" / "with_calls", *sorted(calls), "--"]
    return make_daemon(make_config(server.port, workers=1), RULES, wrapper=list(map(str, wrapper)))


def test_the_daemon_runs_as_the_unit_confines_it(confined, server):
    status = pathlib.Path(f"/proc/{confined.process.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    psql = Psql(confined, server)
    assert psql.rows("select ssn from customers where id = 1") == ["[masked]"]
    assert "use migrations" in psql.error("drop table orders")
    # What an earlier daemon left is taken over, and all of it is removed.
    confined.kill()
    confined.start()
    assert psql.rows("select count(*) from customers") == ["20"]
    assert confined.wayleave("audit", "verify").returncode == 0
    assert "Permission denied" not in confined.text() and "not permitted" not in confined.text()
