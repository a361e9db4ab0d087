# SPDX-License-Identifier: Apache-2.0
"""wayleaved on a scratch state folder, and commands run inside its agents."""
import contextlib
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("WAYLEAVE_BUILD", ROOT / "build" / "release")) / "bin"


# How sanitizers begin what they tell of: UBSan, ASan and LeakSanitizer, and this where it can't look.
REPORT = re.compile(r"^.*(?:runtime error: |ERROR: \w+Sanitizer|LeakSanitizer has encountered).*$", re.M)
# What nobody but a mistake of its own ends it with.
CRASHES = [-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE, -signal.SIGSYS]


class Process(subprocess.Popen):
    """In a `with` that fails nobody waits for what would have ended it."""

    def __exit__(self, kind, value, traceback):
        if kind:
            self.kill()
        super().__exit__(kind, value, traceback)


class Daemon:
    """`config`: the configuration as a dict, without folders; `rules`: the policy's rules; `wrapper`: words
    before the daemon's command line; `enter`: called in the daemon's process before exec."""

    def __init__(self, folder, config, rules, check=True, wrapper=(), enter=None):
        self.wrapper, self.enter = list(wrapper), enter
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chmod(self.folder, 0o755)
        self.state = self.folder / "state"
        self.runtime = self.folder / "run"
        self.socket = self.runtime / "control.sock"
        self.config_file = self.folder / "wayleave.yaml"
        self.policy_file = self.folder / "policies" / "policy.yaml"
        self.policy_file.parent.mkdir(exist_ok=True)
        self.config = {
            "state_dir": str(self.state), "runtime_dir": str(self.runtime),
            "policies": [str(self.policy_file.parent / "*.yaml")], **config}
        self.write_rules(rules)
        self.write_config()
        self.process = None
        self.log = self.folder / "daemon.log"
        self.environment = {**os.environ, "WAYLEAVE_SOCKET": str(self.socket)}
        if check:
            self.start()

    def write_config(self):
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False))

    def write_rules(self, rules):
        temporary = self.policy_file.with_suffix(".new")
        temporary.write_text(yaml.safe_dump({"rules": rules}, sort_keys=False))
        temporary.rename(self.policy_file)

    def daemon_command(self, *more):
        return [*self.wrapper, str(BUILD / "wayleaved"), "--config", str(self.config_file), *more]

    def start(self, wait=True):
        before = self.text().count("ready:") if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.daemon_command(), stderr=log, stdout=log, stdin=subprocess.DEVNULL,
                                            preexec_fn=self.enter)
        if wait:
            self.wait_for("ready:", since_start=True, count=before + 1)

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, text, timeout=40, since_start=False, count=1):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.text().count(text) >= count:
                return
            if since_start and self.process.poll() is not None:
                raise RuntimeError(f"wayleaved ended: {self.text()[-2000:]}")
            time.sleep(0.02)
        raise TimeoutError(f"{text!r} did not appear: {self.text()[-2000:]}")

    def stop(self):
        """Fails where it doesn't end in order, or a sanitizer told of something in any of its processes."""
        process, self.process = self.process, None
        problems = []
        if process and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.returncode:
                problems.append(f"after SIGTERM: status {process.returncode}")
        elif process and process.returncode in CRASHES:
            problems.append(f"ended by itself: status {process.returncode}")
        text = self.text() if self.log.exists() else ""
        problems += REPORT.findall(text)
        assert not problems, "\n".join([*problems, text[-6000:]])

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def reload(self):
        before = self.text().count("configuration")
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while self.text().count("configuration") == before:
            if time.monotonic() > deadline:
                raise TimeoutError("no reload")
            time.sleep(0.02)

    def close(self):
        try:
            self.stop()
        finally:
            self.end_agents()
            self.teardown()

    def end_agents(self):
        """What a test, failed perhaps, left running in them."""
        for folder in (cgroup_root() / c for c in self.cgroups()):
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1")
                deadline = time.monotonic() + 20
                while "populated 1" in (folder / "cgroup.events").read_text() and time.monotonic() < deadline:
                    time.sleep(0.02)

    def teardown(self):
        done = subprocess.run(self.daemon_command("--teardown"), check=True, capture_output=True, text=True, timeout=30)
        left = leftovers(self.cgroups(), done.stdout + done.stderr)
        assert not left, "\n".join([*left, done.stdout + done.stderr, self.text()[-2000:] if self.log.exists() else ""])

    def cgroups(self):
        """That the daemon makes, and takes away."""
        return [agent["cgroup"] for agent in self.config["agents"] if not set("*?[") & set(agent.get("cgroup", "*"))]

    # --- commands

    def wayleave(self, *arguments, **options):
        options.setdefault("capture_output", True)
        options.setdefault("text", True)
        options.setdefault("timeout", 30)
        return subprocess.run([str(BUILD / "wayleave"), *map(str, arguments)], env=self.environment, **options)

    def agent_command(self, *command, agent="demo", user=None, token_file=None):
        words = [str(BUILD / "wayleave"), "run", "--agent", agent]
        if user:
            words += ["--user", user]
        if token_file:
            words += ["--token-file", str(token_file)]
        return [*words, "--", *map(str, command)]

    def run(self, *command, agent="demo", user=None, token_file=None, env=None, **options):
        """Runs a command inside the agent."""
        options.setdefault("capture_output", True)
        options.setdefault("text", True)
        options.setdefault("timeout", 30)
        environment = {**self.environment, **(env or {})}
        return subprocess.run(self.agent_command(*command, agent=agent, user=user, token_file=token_file), env=environment, **options)

    def popen(self, *command, agent="demo", user=None, token_file=None, env=None, **options):
        environment = {**self.environment, **(env or {})}
        return Process(self.agent_command(*command, agent=agent, user=user, token_file=token_file), env=environment, **options)

    def json(self, *arguments):
        done = self.wayleave("--json", *arguments)
        if done.returncode not in (0, 1):
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)

    def status(self):
        return self.json("status")

    def workers(self):
        return [w["pid"] for w in self.status()["workers"]]

    def ssh_parents(self):
        """Which fork a process for each session of SSH; there is one, or none yet."""
        return children(self.process.pid, "wayleave-ssh")

    def ssh_sessions(self):
        """Processes of the sessions that there are now."""
        return {pid for parent in self.ssh_parents() for pid in children(parent, "ssh: session")}


def children(parent, name):
    """Its processes of that name."""
    found = set()
    for place in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            other, rest = place.read_text().split("(", 1)[1].rsplit(")", 1)
            if other == name and int(rest.split()[1]) == parent:
                found.add(int(place.parent.name))
    return found


def leftovers(cgroups, told):
    """What a teardown that told this left behind."""
    root = cgroup_root()
    instance = re.search(r"table inet wayleave_(\w+)", told)[1]
    folders = [*(root / c for c in cgroups), root / f"wayleave_{instance}", pathlib.Path("/sys/fs/bpf/wayleave") / instance]
    return [f"{folder} is left, with {processes_below(folder)}" for folder in folders if folder.exists()]


def cgroup_root():
    for line in open("/proc/self/mountinfo"):
        left, right = line.split(" - ", 1)
        if right.startswith("cgroup2 "):
            return pathlib.Path(left.split()[4])
    raise RuntimeError("no cgroup2")


def processes_below(folder):
    found = []
    for procs in folder.glob("**/cgroup.procs"):
        for pid in procs.read_text().split():
            with contextlib.suppress(OSError):
                found.append(f"{pid} " + pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def readable(file, timeout):
    return bool(select.select([file], [], [], timeout)[0])
