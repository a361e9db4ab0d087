# SPDX-License-Identifier: Apache-2.0
"""`wayleave doctor` on a host where something is not as it should be: keys, the launcher, the cgroup mount. Without a daemon:
what it says of one is in tests/capture/test_doctor.py."""
import json
import shutil
import subprocess

import pytest
from harness.daemon import BUILD

PRIVATE = ["unshare", "-m", "--propagation", "private", "sh", "-c"]


class Place:
    def __init__(self, folder):
        self.state = folder / "state"
        self.keys = [self.state / "keys", self.state / "ca/ca.key"]
        self.keys[0].mkdir(parents=True, mode=0o700)
        self.keys[1].parent.mkdir()
        self.keys[1].write_text("key")
        self.keys[1].chmod(0o600)
        self.launcher = folder / "libexec/wayleave/wayleave-launch"
        self.program = folder / "bin/wayleave"
        for file in (self.launcher, self.program):
            file.parent.mkdir(parents=True)
            shutil.copy(BUILD / file.name, file)
        self.launcher.chmod(0o4755)
        self.config = folder / "wayleave.yaml"
        self.config.write_text(json.dumps({"policies": [], "state_dir": str(self.state), "runtime_dir": str(folder / "run")}))

    def checks(self, name, before=()):
        """What it says of that: [(state, text)]."""
        command = [*before, self.program, "--socket", self.state / "none", "--json", "doctor", "--config", self.config]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30)
        assert done.returncode == 1, done  # there is no daemon
        return [(c["state"], c["text"]) for c in json.loads(done.stdout)["checks"] if c["name"] == name]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_keys_that_others_can_read(place):
    assert [state for state, _ in place.checks("keys")] == ["ok", "ok"]
    for n, key in enumerate(place.keys):
        mode = key.stat().st_mode & 0o7777
        key.chmod(mode | 0o044)
        found = place.checks("keys")
        assert found[n] == ("failed", f"{key}: not root's alone (mode {mode | 0o044:o})")
        assert found[1 - n][0] == "ok"
        key.chmod(mode)
    shutil.chown(place.keys[1], "nobody")
    assert [state for state, _ in place.checks("keys")] == ["ok", "failed"]
    place.keys[1].unlink()
    assert [state for state, _ in place.checks("keys")] == ["ok", "warning"]


def test_a_launcher_that_can_not_do_its_work(place):
    assert place.checks("launcher") == [("ok", str(place.program.parent / "../libexec/wayleave/wayleave-launch"))]
    for mode, state, text in ((0o755, "warning", "only root can start agents"), (0o4775, "failed", "can be written by others than root"),
                              (0o4757, "failed", "can be written by others than root")):
        place.launcher.chmod(mode)
        (found,) = place.checks("launcher")
        assert found[0] == state and text in found[1], oct(mode)
    place.launcher.chmod(0o4755)
    shutil.chown(place.launcher, "nobody")  # takes the bit away, too
    place.launcher.chmod(0o4755)
    assert place.checks("launcher")[0][0] == "warning"
    place.launcher.unlink()
    assert place.checks("launcher") == [("failed", "wayleave-launch is not installed")]


def test_no_cgroups_and_no_bpffs(place):
    assert place.checks("cgroups")[0][0] == "ok"
    assert place.checks("cgroups", [*PRIVATE, 'umount -a -l -t cgroup2 && exec "$@"', "sh"]) == [("failed", "no cgroup2 is mounted")]
    (found,) = place.checks("bpffs", [*PRIVATE, 'umount -a -l -t bpf; exec "$@"', "sh"])
    assert found[0] == "warning" and "not mounted" in found[1]
