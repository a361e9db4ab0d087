# SPDX-License-Identifier: Apache-2.0
"""The Debian package: sound to lintian; installed, upgraded, removed and purged in a root of its own, an overlay of this one, whose
namespaces and bpffs are its own too. After a removal nothing of it is left in the kernel, after a purge nothing on disk."""
import fcntl
import os
import re
import shutil
import subprocess

import pytest
from harness import waiting
from harness.daemon import BUILD, ROOT, cgroup_root

CONFIG = """
policies: [/etc/wayleave/policies/*.yaml]
workers: 1
agents: [{{name: coder, cgroup: {cgroup}/coder}}]
resources:
  - {{name: discard, protocol: tcp, hosts: ["192.0.2.1:9"]}}
  - {{name: box, protocol: ssh, hosts: ["192.0.2.2:22"], credentials: {{user: x, agent: true}}}}
"""
POLICY = 'rules: [{name: all, operations: ["*"], allow: {}}]\n'
# What dpkg, and what it starts, note for themselves.
BOOKS = ("var/lib/dpkg/", "var/log/", "var/cache/", "run/", "tmp/", "etc/ld.so.cache", "etc/.pwd.lock")
# Without manual pages, for which a database would be made anew each time.
DPKG = ["dpkg", "--force-unsafe-io", "--path-exclude=/usr/share/man/*"]
SET_UP = """
set -e
mount -t tmpfs tmpfs {top}
mkdir {top}/upper {top}/work {top}/root
mount -t overlay overlay -o lowerdir=/,upperdir={top}/upper,workdir={top}/work {top}/root
for folder in proc dev sys; do mount --rbind /$folder {top}/root/$folder; done
mount -t bpf bpf {top}/root/sys/fs/bpf
# The packages' folder may be on a file system of its own.
mkdir -p {top}/root{packages}
mount --bind {packages} {top}/root{packages}
ip link set lo up
echo ready
exec sleep infinity
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deb")
    subprocess.run([ROOT / "scripts/make-deb", folder / "out"], check=True, capture_output=True, timeout=300,
                   env={**os.environ, "BUILD": str(BUILD.parent)})
    return next((folder / "out").glob("wayleave_*.deb"))


@pytest.fixture(scope="module")
def newer(package, tmp_path_factory):
    """The same with a later version and another shipped configuration."""
    folder = tmp_path_factory.mktemp("newer")
    subprocess.run(["dpkg-deb", "-R", package, folder / "tree"], check=True)
    control = folder / "tree/DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.0", control.read_text(), flags=re.M))
    with open(folder / "tree/etc/wayleave/wayleave.yaml", "a") as f:
        f.write("# newer\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", folder / "tree", folder / "newer.deb"], check=True, capture_output=True)
    return folder / "newer.deb"


class Root:
    def __init__(self, top, packages):
        self.top, self.root, self.upper = top, top / "root", top / "upper"
        self.daemon = None
        self.holder = subprocess.Popen(["unshare", "--mount", "--net", "sh", "-c", SET_UP.format(top=top, packages=packages)],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n", self.holder.stderr.read()

    def enter(self, *words):
        return ["nsenter", "-t", str(self.holder.pid), "--mount", "--net", "chroot", str(self.root), "env", "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", *map(str, words)]

    def __call__(self, *words, check=True):
        done = subprocess.run(self.enter(*words), capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def text(self, path):
        return self("cat", path).stdout

    def changed(self):
        """What differs from this host's root, less the books of others."""
        done = subprocess.run(["nsenter", "-t", str(self.holder.pid), "--mount", "find", str(self.upper), "-mindepth", "1", "-printf", "%P\\n"],
                              check=True, capture_output=True, text=True)
        return {p for p in done.stdout.splitlines() if not p.startswith(BOOKS)}

    def start(self):
        self.daemon = subprocess.Popen(self.enter("wayleaved"), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for line in self.daemon.stderr:
            if "ready:" in line:
                return
        raise RuntimeError("wayleaved did not start")

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait(20)
        self.daemon.stderr.close()
        self.daemon = None

    def close(self):
        if self.daemon:
            self.stop()
        self("sh", "-c", "! command -v wayleaved || wayleaved --teardown", check=False)
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        self.holder.stderr.close()


@pytest.fixture
def root(tmp_path, tmp_path_factory):
    # The package's daemon has the name of the host's own, also in the cgroups of all.
    with open("/run/lock/wayleave-test-package", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not (cgroup_root() / "wayleave_host").exists(), "a Wayleave is installed here"
        (tmp_path / "top").mkdir()
        r = Root(tmp_path / "top", tmp_path_factory.getbasetemp())
        yield r
        r.close()


def test_lintian_finds_no_error(package):
    if not shutil.which("lintian"):
        pytest.fail("lintian is not installed: scripts/install-deps")
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", "--no-tag-display-limit", package],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith(("E:", "W:"))], done.stdout


def test_version_is_the_programs(package):
    version = subprocess.run(["dpkg-deb", "-f", package, "Version"], check=True, capture_output=True, text=True).stdout.strip()
    program = subprocess.run([BUILD / "wayleaved", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
    assert version == program


def in_the_kernel(root):
    """What a daemon leaves: rules, pins, cgroups."""
    rules = [t for t in root("nft", "list", "tables").stdout.splitlines() if "wayleave" in t]
    pins = root("find", "/sys/fs/bpf", "-mindepth", "1", "-maxdepth", "1", "-name", "wayleave").stdout.split()
    groups = [g.name for g in cgroup_root().iterdir() if g.name == "wayleave_host"]
    return rules, pins, groups


def test_install_upgrade_remove_purge(root, package, newer):
    before = root.changed()
    own = f"wlp{os.getpid()}"

    root(*DPKG, "-i", package)
    assert re.search(r"^wayleave:.*:/usr/sbin/nologin$", root.text("/etc/passwd"), re.M)
    assert root("stat", "-c", "%a %U", "/usr/libexec/wayleave/wayleave-launch").stdout == "4755 root\n"
    assert root("readlink", "/etc/systemd/system/multi-user.target.wants/wayleaved.service").stdout.endswith("/wayleaved.service\n")
    assert "/etc/wayleave/wayleave.yaml" in root("dpkg-query", "-W", "-f", "${Conffiles}", "wayleave").stdout
    root("wayleaved", "--check")

    root("sh", "-c", f"cat > /etc/wayleave/wayleave.yaml <<'EOF'\n{CONFIG.format(cgroup=own)}\nEOF")
    root("sh", "-c", f"cat > /etc/wayleave/policies/all.yaml <<'EOF'\n{POLICY}\nEOF")
    root.start()
    # Who speaks with agents and servers is nobody; who looks at processes is root, and speaks with no one.
    shown = root("ps", "-ww", "-o", "user:20=,comm:16=,args=", "--ppid", root.daemon.pid).stdout.splitlines()
    children = [(line[:20].strip(), line[38:]) for line in shown if line[21:37].strip() != "wayleaved: nft"]
    assert [user for user, args in children if not args.startswith("wayleaved: inspector ")] == 2 * ["wayleave"], children
    assert [user for user, args in children if args.startswith("wayleaved: inspector ")] == ["root"], children
    agent = f"cat /proc/self/cgroup; exec 3<>/dev/tcp/192.0.2.1/9"
    done = root("wayleave", "run", "--agent", "coder", "--", "bash", "-c", agent, check=False)
    assert f"{own}/coder" in done.stdout and "Network is unreachable" in done.stderr

    store = ("/usr/local/share/ca-certificates/wayleave.crt", "/etc/ssl/certs/wayleave.pem")
    root("wayleave", "ca", "install")
    assert all(root("test", "-e", path, check=False).returncode == 0 for path in store)
    root("sh", "-c", "echo mine ssh-ed25519 AAAA >/etc/ssh/ssh_known_hosts")
    root("wayleave", "known-hosts", "install")
    assert root.text("/etc/ssh/ssh_known_hosts").count("192.0.2.2 ") == 3

    # An upgrade keeps the admin's configuration and what is in the kernel, so that agents stay governed.
    held = in_the_kernel(root)
    assert all(held)
    root(*DPKG, "--force-confold", "-i", newer)
    assert "wlp" in root.text("/etc/wayleave/wayleave.yaml")
    assert in_the_kernel(root) == held

    # Nobody could take the rules away once the programs are gone.
    refused = root("dpkg", "-r", "wayleave", check=False)
    assert refused.returncode != 0 and "stop it first" in refused.stderr
    assert root("dpkg-query", "-W", "-f", "${db:Status-Status}", "wayleave").stdout == "installed"
    root.stop()
    assert in_the_kernel(root) == held
    # Also a configuration that can't be read keeps nothing there.
    root("sh", "-c", "echo '}' >> /etc/wayleave/wayleave.yaml")
    root(*DPKG, "-r", "wayleave")
    assert in_the_kernel(root) == ([], [], [])
    waiting.wait_for(lambda: not (cgroup_root() / own).exists())
    assert all(root("test", "-e", path, check=False).returncode == 1 for path in store)
    assert root.text("/etc/ssh/ssh_known_hosts") == "mine ssh-ed25519 AAAA\n"
    left = {p for p in root.changed() - before if "wayleave" in p}
    assert not [p for p in left if p.startswith(("usr/", "lib/", "run/"))]
    assert {"etc/wayleave/wayleave.yaml", "etc/wayleave/policies/all.yaml"} <= left

    root(*DPKG, "-P", "wayleave")
    assert "wayleave" not in root.text("/etc/passwd") + root.text("/etc/group")
    assert {p for p in root.changed() - before if "wayleave" in p} == set()
