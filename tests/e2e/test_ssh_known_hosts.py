# SPDX-License-Identifier: Apache-2.0
"""Our lines in the host's own known_hosts, where an administrator puts them: in front, beside the real hosts', and out again."""
import subprocess

import pytest
from harness import ssh
from harness.daemon import BUILD
from harness.ssh_gate import gate, server  # noqa: F401

RULES = [{"name": "all", "operations": ["exec"], "allow": {}}]
# In a mount namespace with a folder of its own: the host's is untouched.
SCRATCH = """
set -e
mount --make-rprivate /
folder=$1; port=$2; key=$3; shift 3
cp -a /etc/ssh "$folder/ssh"; rm -f "$folder/ssh/ssh_known_hosts"
mount --bind "$folder/ssh" /etc/ssh
direct() { ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -i "$key" -p "$port" root@127.0.0.1 echo direct; }
[ ! -e "$folder/before" ] || { cp "$folder/before" /etc/ssh/ssh_known_hosts; chmod 640 /etc/ssh/ssh_known_hosts; }
! direct 2>/dev/null
"$@" install
direct
cp /etc/ssh/ssh_known_hosts "$folder/installed"
"$@" install
cmp "$folder/installed" /etc/ssh/ssh_known_hosts
[ ! -e "$folder/before" ] || stat -c %a /etc/ssh/ssh_known_hosts
"$@" remove
! grep wayleave /etc/ssh/ssh_known_hosts
"""


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ssh")
    (folder / "others").write_text(f"# known by their authority before\n*,!other ssh-ed25519 {'A' * 68} comment\n@revoked * {ssh.public(server.host_keys[1])}\n"
                                   f"@cert-authority *.internal,[*.internal]:* ssh-ed25519 {'B' * 68} comment\n@cert-authority * ssh-ed25519 {'C' * 68}\n")

    def change(config):
        login = config["resources"][0]["credentials"]
        config["resources"] += [
            {"name": "farm", "protocol": "ssh", "hosts": ["db.internal:22", "db2.internal:2222", "10.9.8.0/24:22", "10.9.7.1:*"],
             "host_keys": str(folder / "others"), "credentials": dict(login)},
            {"name": "net", "protocol": "ssh", "hosts": ["10.0.0.0/8:22"], "host_keys": str(folder / "others"), "credentials": dict(login)}]

    with gate(folder, server, RULES, change=change) as d:
        yield d


def test_what_is_shown_names_hosts_and_nothing_else(daemon, server):
    lines = daemon.json("known-hosts", "show")["lines"]
    assert "".join(f"{line}\n" for line in lines) == daemon.wayleave("known-hosts", "show").stdout
    farm = "db.internal,[db2.internal]:2222,10.9.7.1"
    ours = [line.split(" ", 1)[1] for line in lines if line.startswith(f"{farm} ")]
    assert len(ours) == 4 and f"ssh-ed25519 {'A' * 68} added-by-wayleave" in ours, lines
    assert f"[127.0.0.1]:{server.port} {ssh.public(server.host_keys[0])} added-by-wayleave" in lines
    assert f"@cert-authority *.internal,[*.internal]:* ssh-ed25519 {'B' * 68} added-by-wayleave" in lines
    assert f"@cert-authority {farm} ssh-ed25519 {'C' * 68} added-by-wayleave" in lines
    lines = [line for line in lines if not line.startswith("@")]
    assert len(lines) == 8 and all(line.endswith(" added-by-wayleave") and "*" not in line.split()[0] for line in lines), lines


@pytest.mark.parametrize("before", [None, b"# mine\n\nother ssh-ed25519 AAAA me\nlast ssh-rsa AAAA"])
def test_everybody_else_still_gets_in_and_our_lines_go_again(daemon, server, tmp_path, before):
    if before:
        (tmp_path / "before").write_bytes(before)
    done = subprocess.run(["unshare", "-m", "sh", "-c", SCRATCH, "sh", tmp_path, str(server.port), server.user_key, BUILD / "wayleave", "known-hosts"],
                          env=daemon.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    after = tmp_path / "ssh/ssh_known_hosts"
    assert done.stdout == ("direct\n640\n" if before else "direct\n")
    assert (after.read_bytes() if after.exists() else None) == before
    assert (tmp_path / "installed").read_bytes().endswith(before or b"wayleave\n")


def test_agents_are_refused(daemon):
    done = daemon.run(BUILD / "wayleave", "known-hosts", "install")
    assert done.returncode != 0
