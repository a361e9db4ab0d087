# SPDX-License-Identifier: Apache-2.0
"""A unit with the drop-in: its command goes through the launcher. There is no systemd here; what it would do with the drop-in's
ExecStart is done in its place (systemd.service(5), "+"): as root, inside the unit's cgroup, with the unit's environment."""
import base64
import json
import os
import pathlib
import pwd
import re
import shlex
import shutil
import subprocess
import tempfile
import time

import pytest
import yaml
from conftest import make_config
from harness import daemon as daemons

PYTHON = "/usr/bin/python3"
USER = pwd.getpwnam("nobody")
RULES = [{"name": "read", "resources": ["web"], "operations": ["read"], "allow": {}}]
BEGIN = "-----BEGIN CERTIFICATE-----"


def exec_start():
    """The words of the drop-in in front of the unit's own command."""
    lines = [line.split("=", 1)[1] for line in (daemons.ROOT / "systemd/agent.conf").read_text().splitlines() if line.startswith("ExecStart=")]
    assert len(lines) == 2 and lines[0] == "", "the unit's own goes, and one comes"
    words = shlex.split(lines[1])
    assert words[0] == "+/usr/bin/wayleave" and words[-1] == "COMMAND"
    return [str(daemons.BUILD / "wayleave"), *words[1:-1]]


class Unit:
    """NAME.service of the agent's slice, and its user's folder, in which a kubeconfig is."""

    def __init__(self, web):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wayleave-unit-"))
        self.folder.chmod(0o755)
        self.pinned = self.folder / "pinned.pem"
        shutil.copy(web.ca, self.pinned)
        config = make_config(1)
        config["agents"][0] |= {"trust_files": [str(self.pinned)], "users": [USER.pw_name]}
        (self.folder / "known").write_text("[box.test]:2222 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILy0ACfZ4NmgPLzKJ5sJfAEmMqsnrsPPOLJ5aF0c4vQ1\n")
        self.daemon = daemons.Daemon(self.folder / "wayleave", {**config, "workers": 1, "resources": [
            {"name": "web", "protocol": "http", "hosts": [f"localhost:{web.tls_port}"], "tls": {"ca_file": str(web.ca)}},
            {"name": "box", "protocol": "ssh", "hosts": ["box.test:2222"], "host_keys": str(self.folder / "known"),
             "credentials": {"user": "root", "agent": True}}]}, RULES)
        self.cgroup = daemons.cgroup_root() / config["agents"][0]["cgroup"]
        self.kubeconfig = self.write_kubeconfig(web.ca.read_bytes())

    def write_kubeconfig(self, ca):
        folder = self.folder / ".kube"
        folder.mkdir()
        file = folder / "config"
        file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "clusters": [
            {"name": "c", "cluster": {"server": "https://c", "certificate-authority-data": base64.b64encode(ca).decode()}}]}))
        for path in (folder, file):
            os.chown(path, USER.pw_uid, USER.pw_gid)
        return file

    def start(self, *command, options=(), user=USER.pw_name, cgroup=None, before=None, wrapper=(), **environment):
        """As systemd starts it; `wrapper`: words in front."""
        words = exec_start()
        words[words.index("--"):words.index("--")] = options

        def prepare():
            (cgroup or self.cgroup).joinpath("cgroup.procs").write_text("0")
            if before:
                before()
        env = {"PATH": os.environ["PATH"], "WAYLEAVE_SOCKET": str(self.daemon.socket), **environment}
        if user:
            env |= {"USER": user, "LOGNAME": user}
        return subprocess.run([*map(str, wrapper), *words, *map(str, command)], env=env, preexec_fn=prepare, capture_output=True, text=True, timeout=30)

    def said(self, *command, **more):
        done = self.start(*command, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self):
        self.daemon.close()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def unit(web):
    u = Unit(web)
    yield u
    u.close()


def test_it_stays_where_it_is_and_is_its_user(unit):
    code = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
print(json.dumps([open("/proc/self/cgroup").read(), os.getresuid(), os.getgroups(), status["CapBnd"], status["NoNewPrivs"], status["Seccomp"]]))
"""
    cgroup, ids, groups, bounding, no_new, seccomp = json.loads(unit.said(PYTHON, "-c", code))
    assert str(unit.cgroup.relative_to(daemons.cgroup_root())) + "\n" in cgroup
    assert ids == [USER.pw_uid] * 3 and groups == [USER.pw_gid]
    assert (int(bounding, 16), no_new, seccomp) == (0, "1", "2")
    assert "a command is started" in unit.daemon.wayleave("audit", "export").stdout


def test_it_has_the_variables_of_wayleave_run(unit):
    """All of them, and one that the unit sets itself stays."""
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    bundle = str(unit.daemon.runtime / "trust/ca-bundle.pem")
    started = json.loads(unit.said(PYTHON, "-c", code, PIP_CERT="/own.pem"))
    plain = {"PATH": os.environ["PATH"], "WAYLEAVE_SOCKET": str(unit.daemon.socket)}
    done = subprocess.run(unit.daemon.agent_command(PYTHON, "-c", code), env=plain, capture_output=True, text=True, timeout=30)
    run = {name for name, value in json.loads(done.stdout).items() if value == bundle}
    assert {"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"} <= run
    assert {name for name, value in started.items() if value == bundle} == run - {"PIP_CERT"}
    assert started["PIP_CERT"] == "/own.pem" and started["HOME"] == USER.pw_dir


@pytest.mark.parametrize("words", [
    ["curl", "-sS"], ["node", "-e", "fetch(process.argv[1]).then(r => r.text()).then(t => process.stdout.write(t))"]], ids=["curl", "node"])
def test_its_runtimes_trust_the_hosts_ca(unit, web, words):
    assert unit.said(*words, f"https://localhost:{web.tls_port}/v1/hello") == "hello\n"


def test_its_kubeconfig_and_what_it_pins(unit):
    """The kubeconfig can be written anew by rename; on disk nothing changes."""
    host, before, pinned = unit.daemon.wayleave("ca", "show").stdout, unit.kubeconfig.read_bytes(), unit.pinned.read_text()
    text = unit.said("sh", "-ec", f"cat {unit.kubeconfig}; sed 's|https://c|https://other|' {unit.kubeconfig} > {unit.kubeconfig}.new; "
                     f"mv {unit.kubeconfig}.new {unit.kubeconfig}; grep -c https://other {unit.kubeconfig} >&2", KUBECONFIG=str(unit.kubeconfig))
    bundle = base64.b64decode(yaml.safe_load(text)["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    assert bundle.count(BEGIN) == 2 and host.strip() in bundle
    shown = unit.said("cat", unit.pinned)
    assert shown.count(BEGIN) == 2 and host.strip() in shown
    assert (unit.kubeconfig.read_bytes(), unit.pinned.read_text()) == (before, pinned)
    assert list(unit.kubeconfig.parent.iterdir()) == [unit.kubeconfig]


# A folder of the user's own, in the place of the one that the host has.
AT_HOME = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
cp -r "$2" "$1/.kube"
chown -R "$3" "$1"
shift 3
exec "$@"
"""


def trusted_in(kubeconfig):
    data = yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]["certificate-authority-data"]
    return base64.b64decode(data).decode()


def test_the_kubeconfig_of_its_user(unit):
    """Which nothing in its environment names."""
    user = pwd.getpwnam("backup")
    host, file = unit.daemon.wayleave("ca", "show").stdout, f"{user.pw_dir}/.kube/config"
    at_home = ["unshare", "-m", "sh", "-c", AT_HOME, "sh", user.pw_dir, unit.kubeconfig.parent, user.pw_name]
    bundle = trusted_in(unit.said("cat", file, user=user.pw_name, wrapper=at_home))
    assert bundle.count(BEGIN) == 2 and host.strip() in bundle


def test_a_list_of_kubeconfigs(unit):
    """And a file of CAs that one of them names, beside it."""
    host, folder = unit.daemon.wayleave("ca", "show").stdout, unit.folder / "more"
    folder.mkdir()
    shutil.copy(unit.kubeconfig, folder / "first")
    shutil.copy(unit.pinned, folder / "cluster.pem")
    (folder / "second").write_text("apiVersion: v1\nkind: Config\nclusters: [{name: d, cluster: {server: https://d, certificate-authority: cluster.pem}}]\n")
    shown = [unit.said("cat", folder / name, KUBECONFIG=f"{folder / 'first'}:{folder / 'absent'}:{folder / 'second'}") for name in ("first", "cluster.pem")]
    for bundle in (trusted_in(shown[0]), shown[1]):
        assert bundle.count(BEGIN) == 2 and host.strip() in bundle
    assert unit.said("cat", folder / "cluster.pem").count(BEGIN) == 1, "where nothing names them"


def test_the_hosts_that_are_intercepted_are_known(unit):
    path = pathlib.Path("/etc/ssh/ssh_known_hosts")
    before = path.read_bytes() if path.exists() else None
    assert "[box.test]:2222 ssh-ed25519 " in unit.said("cat", path)
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_unit_of_no_agent_does_not_start(unit):
    """It would not be governed."""
    done = unit.start("true", cgroup=daemons.cgroup_root())
    assert done.returncode == 125 and "the unit is in no agent's cgroup" in done.stderr


@pytest.mark.parametrize("user", [None, "root"])
def test_user_0_is_asked_for_by_name(unit, user):
    """Later versions of systemd say root where a unit has no User=."""
    done = unit.start("id", "-u", user=user)
    assert done.returncode == 125 and "no User=" in done.stderr
    assert unit.said("id", "-u", options=["--user", "root"], user=user) == "0\n"


@pytest.mark.parametrize("options, sentence", [
    (["--agent", "other"], 'in the cgroup of agent "demo", not "other"'),
    (["--user", "no-such-user"], 'there is no user "no-such-user"'),
    (["--token-file", "/dev/null"], "a unit's token is its agent's")])
def test_what_it_can_not_be(unit, options, sentence):
    done = unit.start("true", options=options)
    assert done.returncode == 125 and sentence in done.stderr


def test_nobody_but_root_asks(unit):
    """What a command of the agent is not to see is not for the agent to hear."""
    def leave_root():
        os.setgroups([])
        os.setresgid(*[USER.pw_gid] * 3)
        os.setresuid(*[USER.pw_uid] * 3)
    done = unit.start("true", before=leave_root)
    assert done.returncode == 125 and ("only root may ask" in done.stderr or "not installed setuid" in done.stderr)
    # Nor does root, once it has become the agent.
    inner = " ".join(map(shlex.quote, [*exec_start(), "true"]))
    done = unit.start("sh", "-c", f"USER=games {inner}", options=["--user", "root"])
    assert done.returncode == 125 and "wayleave run: " in done.stderr


def test_inside_an_agent_nothing_else_is_answered(unit):
    words = exec_start()
    words.remove("--unit")
    done = subprocess.run([*words, "true"], env={**os.environ, "WAYLEAVE_SOCKET": str(unit.daemon.socket)}, capture_output=True, text=True,
                          preexec_fn=lambda: unit.cgroup.joinpath("cgroup.procs").write_text("0"), timeout=30)
    assert done.returncode == 125 and "from inside an agent" in done.stderr


ASK_AGAIN = """
import socket, struct, sys
open(sys.argv[2], "w").write("0")
daemon = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
daemon.connect(sys.argv[1])
request, given, why = int(sys.argv[3]), 0, ""
for _ in range(300):
    daemon.send(struct.pack("=Ii", request, 0) + bytes(2))
    answer = daemon.recv(1 << 20)
    status = struct.unpack("=i", answer[4:8])[0]
    given += status == 0
    why = why if status == 0 else answer[8:].decode()
print(given, why)
"""


def test_root_inside_does_not_fill_the_audit_log(web):
    """Each plan that it is given is recorded, whether or not it starts anything."""
    u = Unit(web)
    try:
        names = re.findall(r"^\tCONTROL_([A-Z_]+)(?: = 1)?,", (daemons.ROOT / "userspace/monitor/control.h").read_text(), re.M)
        words = [PYTHON, "-c", ASK_AGAIN, u.daemon.socket, u.cgroup / "cgroup.procs", names.index("UNIT") + 1]
        begun = time.monotonic()
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60)
        lasted = time.monotonic() - begun
        given, _, why = done.stdout.partition(" ")
        assert 32 <= int(given) <= 33 + lasted and "started too often" in why, (done.stdout, done.stderr)
        assert u.daemon.wayleave("audit", "export").stdout.count("a command is started") == int(given)
    finally:
        u.close()


def test_without_a_command_it_does_not_start(unit):
    """A drop-in that nobody has edited."""
    done = unit.start("COMMAND", PATH="/usr/bin:/bin")
    assert done.returncode == 127
