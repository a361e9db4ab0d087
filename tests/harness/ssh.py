# SPDX-License-Identifier: Apache-2.0
"""A real OpenSSH server on a free port, and keys."""
import os
import pathlib
import subprocess

from harness.ports import free_port
from harness.waiting import wait_for

SFTP = "/usr/lib/openssh/sftp-server"


def make_key(path, kind="ed25519", *more):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path), *more], check=True, stdin=subprocess.DEVNULL)
    return pathlib.Path(path)


def public(path):
    """TYPE BASE64"""
    return " ".join(pathlib.Path(f"{path}.pub").read_text().split()[:2])


class Server:
    """Logs root in by FOLDER/user; `settings`: more lines of sshd_config; `wrapper`: words before its command line; `certified`: options by
    which ssh-keygen certifies the first host key."""

    def __init__(self, folder, settings=(), host_keys=("ed25519", "ecdsa", "rsa"), wrapper=(), certified=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.host_keys = [make_key(self.folder / f"host_{kind}", kind) for kind in host_keys]
        self.user_key = make_key(self.folder / "user")
        self.log = self.folder / "sshd.log"
        self.config = self.folder / "sshd_config"
        keys = [f"HostKey {key}" for key in self.host_keys]
        if certified:
            subprocess.run(["ssh-keygen", "-q", "-I", "host", *map(str, certified), f"{self.host_keys[0]}.pub"], check=True)
            keys.append(f"HostCertificate {self.host_keys[0]}-cert.pub")
        self.config.write_text("\n".join([
            *settings, f"Port {self.port}", "ListenAddress 127.0.0.1", *keys, "PidFile none", "StrictModes no", "UsePAM no",
            f"AuthorizedKeysFile {self.folder}/authorized", "PasswordAuthentication no", "PermitRootLogin yes",
            "AcceptEnv LANG WAYLEAVE_*", f"Subsystem sftp {SFTP}", "PrintMotd no", "PrintLastLog no", "MaxStartups 100", ""]))
        self.allow(self.user_key)
        os.makedirs("/run/sshd", exist_ok=True)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*wrapper, "/usr/sbin/sshd", "-D", "-e", "-f", str(self.config)], stderr=log)
        wait_for(lambda: "listening" in self.log.read_text(), what="sshd")

    def allow(self, *keys):
        (self.folder / "authorized").write_text("".join(public(key) + "\n" for key in keys))

    def known(self, *keys):
        """Lines of known_hosts that have these host keys of it, all by default."""
        return "".join(f"[127.0.0.1]:{self.port} {public(key)}\n" for key in keys or self.host_keys)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
