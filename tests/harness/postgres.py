# SPDX-License-Identifier: Apache-2.0
"""A throwaway PostgreSQL: its own data folder, a free port, no service."""
import glob
import os
import pathlib
import pwd
import shutil
import subprocess

from . import certificates, ports

BINARIES = pathlib.Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
USER = "postgres"


def _as_postgres(*command, environment=(), **options):
    # setpriv, not su: no login shell, no PAM.
    uid = pwd.getpwnam(USER)
    environment = {"PATH": "/usr/bin:/bin", "HOME": uid.pw_dir, "LANG": "C.UTF-8", **dict(environment)}
    return subprocess.run(["setpriv", f"--reuid={uid.pw_uid}", f"--regid={uid.pw_gid}", "--clear-groups",
                           *map(str, command)], env=environment, **options)


def open_way(folder):
    """Lets the server's user pass through a scratch folder's parents."""
    for parent in [folder, *folder.parents]:
        parent.chmod(parent.stat().st_mode | 0o055)


class Server:
    """`hba`: lines of pg_hba.conf; `settings`: lines of postgresql.conf; `tls`: ssl = on; `installation`: another than Debian's;
    `language`: of what it says where lc_messages is not C."""

    def __init__(self, folder, hba=None, settings=(), tls=False, port=None, preload=(), installation=None, language=None):
        self.binaries = installation.binaries if installation else BINARIES
        self.environment = {**(installation.environment if installation else {}), **({"LANGUAGE": language} if language else {})}
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.port = port or ports.free_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        open_way(self.folder)
        owner = pwd.getpwnam(USER)
        self.data.mkdir()
        os.chown(self.data, owner.pw_uid, owner.pw_gid)
        self._control("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8",
                      "--locale=C.UTF-8", "--no-sync", check=True)
        lines = [f"port = {self.port}", "listen_addresses = '127.0.0.1,::1'", f"unix_socket_directories = '{self.data}'",
                 "fsync = off", "autovacuum = off", "logging_collector = off", "max_connections = 300", "log_statement = all", *settings]
        if tls:
            self.ca = certificates.make_authority(self.folder)
            for file in certificates.make_leaf(self.folder, "server"):
                target = self.data / f"server{file.suffix}"
                shutil.copy(file, target)
                os.chown(target, owner.pw_uid, owner.pw_gid)
                os.chmod(target, 0o600)
            shutil.copy(self.ca, self.data / "ca.pem")
            os.chmod(self.data / "ca.pem", 0o644)
            lines += ["ssl = on", "ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.key'"]
        with open(self.data / "postgresql.conf", "a") as f:
            f.write("\n".join(lines) + "\n")
        if hba:
            (self.data / "pg_hba.conf").write_text("\n".join(["local all postgres trust", *hba]) + "\n")
        self.log = self.data / "server.log"
        self.start()

    def _control(self, program, *arguments, **options):
        _as_postgres(self.binaries / program, *arguments, environment=self.environment, capture_output=True, **options)

    def start(self):
        self._control("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", "60", "start", check=True)

    def stop(self, mode="immediate"):
        self._control("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def sql(self, text, database="postgres"):
        """Runs as superuser over the Unix socket, outside of any agent; rows as lines."""
        done = _as_postgres("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.data, "-p", self.port,
                            "-U", "postgres", "-d", database, "-c", text, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def executed(self):
        """What the server was asked to execute so far, as its log has it."""
        return self.log.read_text(errors="replace")
