# SPDX-License-Identifier: Apache-2.0
"""What the benches compare: one PostgreSQL reached directly, through pgbouncer (session pooling), through HAProxy
(TCP) and through wayleaved; and medians of interleaved rounds."""
import os
import pathlib
import pwd
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness import daemon, ports, postgres  # noqa: E402

BUILD = daemon.BUILD.parent

PGBOUNCER = """[databases]
* = host=127.0.0.1 port={server} user=app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = session
max_client_conn = 2000
default_pool_size = 200
ignore_startup_parameters = extra_float_digits
unix_socket_dir =
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
"""

HAPROXY = """global
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s 127.0.0.1:{server}
"""


def fillers(count):
    """Rules that never apply, as a real policy has many."""
    return [{"name": f"filler {i}", "agents": ["bench"], "resources": ["bench"], "operations": ["update", "delete"],
             "objects": [f"schema{i}.table{i}", f"archive.t{i}_*"], "allow": {}} for i in range(count)]


def wait_for_port(port, process, timeout=10):
    deadline = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise


class Peers:
    """`rules` and `config`: of the daemon, as tests/harness/daemon.py takes them; agent and resource are "bench"; `tls`: the
    server takes it, too. Used with `with`."""

    def __init__(self, folder, rules, config=None, settings=(), tls=False):
        self.folder = pathlib.Path(folder)
        os.chmod(self.folder, 0o755)
        self.processes = []
        self.daemons = []
        self.server = postgres.Server(self.folder / "server", settings=["shared_buffers = 512MB", "log_statement = none",
                                                                        *settings], tls=tls)
        self.server.sql("create role app login superuser")
        self.ports = {"direct": self.server.port}
        self.start_pgbouncer()
        self.start_haproxy()
        self.daemon = self.add_daemon("wayleave", rules, config)

    def add_daemon(self, name, rules, config=None):
        """One more wayleaved, with other rules; peers are told apart by name."""
        number = len(self.daemons)
        made = daemon.Daemon(self.folder / name.replace(" ", "-"), {
            "agents": [{"name": "bench", "cgroup": f"wayleave-bench-{os.getpid()}-{number}.slice/bench"}],
            "resources": [{"name": "bench", "protocol": "postgres", "hosts": [f"127.0.0.1:{self.server.port}"]}],
            **(config or {})}, rules)
        self.daemons.append(made)
        self.ports[name] = self.server.port
        return made

    def start_pgbouncer(self):
        port = self.ports["pgbouncer"] = ports.free_port()
        home = self.folder / "pgbouncer"
        home.mkdir()
        owner = pwd.getpwnam("postgres")
        os.chown(home, owner.pw_uid, owner.pw_gid)
        (home / "pgbouncer.ini").write_text(PGBOUNCER.format(server=self.server.port, port=port, folder=home))
        self.spawn(port, "setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", "pgbouncer",
                   "-q", home / "pgbouncer.ini")

    def start_haproxy(self):
        port = self.ports["haproxy"] = ports.free_port()
        file = self.folder / "haproxy.cfg"
        file.write_text(HAPROXY.format(server=self.server.port, port=port))
        self.spawn(port, "haproxy", "-q", "-f", file)

    def spawn(self, port, *command):
        process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.processes.append(process)
        wait_for_port(port, process)

    def run(self, peer, *command):
        """A command that reaches the server by the peer, `{port}` replaced in its words; its output."""
        words = [str(word).replace("{port}", str(self.ports[peer])) for word in command]
        for made in self.daemons:
            if made.folder.name == peer.replace(" ", "-"):
                words = made.agent_command(*words, agent="bench")
                return subprocess.run(words, env=made.environment, check=True, capture_output=True, text=True).stdout
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def close(self):
        for made in self.daemons:
            made.close()
        for process in self.processes:
            process.terminate()
            process.wait()
        self.server.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def interleave(peers, measure, rounds):
    """measure(peer) for each peer in turn, `rounds` times, after one that does not count; medians."""
    seen = {peer: [] for peer in peers}
    for peer in peers:
        measure(peer)
    for _ in range(rounds):
        for peer in peers:
            seen[peer].append(measure(peer))
    return {peer: statistics.median(values) for peer, values in seen.items()}


class Goals:
    """What a bench found of its goals: each says whether it is met, and the bench's status whether all are."""

    def __init__(self):
        self.missed = False

    def _say(self, met):
        self.missed |= not met
        return "met" if met else "MISSED"

    def at_most(self, value, goal):
        return self._say(value <= goal)

    def at_least(self, value, goal):
        return self._say(value >= goal)


def table(title, columns, rows):
    """Prints a table: `rows` are lists of text, the first word to the left."""
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    print(title)
    for line in lines:
        print("  " + "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))))
    sys.stdout.flush()
