# SPDX-License-Identifier: Apache-2.0
#
# `wayleave run`: what the command keeps of its caller, and what it can't reach any more (bypasses B6,
# B8 to B10, B13, B14).
import contextlib
import ctypes
import errno
import json
import os
import pathlib
import pty
import pwd
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import textwrap
import threading
import time

import pytest

from conftest import BUILD, CGROUPS, HOST4, PATIENCE, PYTHON, SERVER4, program, sh, wait_until

NAME = "games"  # of Debian's base-passwd; owns nothing that matters
USER, GROUP = pwd.getpwnam(NAME).pw_uid, pwd.getpwnam(NAME).pw_gid
CLONE_NEWNET = 0x40000000
DENY_IO_URING, LANDLOCK, KEEP_USER, USER_KNOWN_HOSTS, OWN_KEYS = 1, 2, 4, 8, 16
libc = ctypes.CDLL(None, use_errno=True)


class FakeMonitor:
    """What stands at the path that a caller names, and answers what a monitor would not. Root's, unless
    it was made as somebody else."""

    def __init__(self, path, answer):
        self.path, self.answer, self.asked = path, answer, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(str(path))
        path.chmod(0o666)
        self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                with peer:
                    question = peer.recv(9999)
                    self.asked.append(question[8:])
                    peer.send(question[:4] + struct.pack("=i", 0) + self.answer)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.path.unlink()


def encode_plan(agent, flags=KEEP_USER, user=None, cgroup=None, hidden=(), read_only=(), shown=(), trust_file=""):
    """As userspace/monitor/run_plan.h says."""
    def text(value):
        return struct.pack(">I", len(value)) + value.encode()

    def texts(values):
        return struct.pack(">I", len(values)) + b"".join(map(text, values))
    who = pwd.getpwnam(user) if user else None
    return (struct.pack(">IIIQII", 2, flags, agent.id, cgroup or agent.id_of_cgroup(), who.pw_uid if who else 0,
                        who.pw_gid if who else 0)
            + text(str(agent.path)) + text(user or "") + text(who.pw_dir if who else "") + struct.pack(">I", 0)
            + texts(hidden) + texts(read_only)
            + struct.pack(">I", len(shown)) + b"".join(text(source) + text(target) for source, target in shown)
            + text(trust_file))


class Launcher:
    """`wayleave run` as it is installed, towards a daemon with one agent."""

    def __init__(self, host, installed, users=(), **agent):
        self.host, self.wayleave = host, installed / "bin/wayleave"
        self.agent = host.agent()
        self.daemon = host.start(host.config_of(self.agent, users=list(users), **agent))
        self.folder, self.socket = host.folder, self.daemon.socket

    def enter(self, uid=None, before=None):
        namespace = os.open(f"/run/netns/{self.host.network.host}", os.O_RDONLY)

        def prepare():
            if libc.setns(namespace, CLONE_NEWNET) < 0:
                raise OSError("setns")
            if before:
                before()
            if uid is not None:
                os.setgroups([])
                os.setresgid(GROUP, GROUP, GROUP)
                os.setresuid(uid, uid, uid)
            os.close(namespace)
        return prepare

    def words(self, *command, options=(), at=None):
        return [str(self.wayleave), "--socket", str(at or self.socket), "run", *options, "--", *command]

    def popen(self, *command, uid=None, before=None, options=(), at=None, **more):
        return subprocess.Popen(self.words(*command, options=options, at=at), preexec_fn=self.enter(uid, before),
                                text=True, **more)

    def run(self, *command, input=None, **more):
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        process = self.popen(*command, **more)
        out, err = process.communicate(input, timeout=30)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def python(self, code, **more):
        done = self.run(PYTHON, "-c", program(code), **more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    @contextlib.contextmanager
    def fake(self, answer):
        monitor = FakeMonitor(self.folder / "fake.sock", answer)
        try:
            yield monitor
        finally:
            monitor.close()


@pytest.fixture
def launcher(host, installed):
    return lambda *users, **agent: Launcher(host, installed, users, **agent)


# --- what is kept ---

def test_command_is_governed(launcher):
    run = launcher()
    process = run.popen(PYTHON, "-c", program(f"""
        result = attempt({SERVER4!r})
        result["pid"] = os.getpid()
        result["cgroup"] = open("/proc/self/cgroup").read()
    """), stdout=subprocess.PIPE)
    answer = json.loads(process.communicate(timeout=30)[0])
    assert answer["data"] == "ping"
    assert f"0::/{run.agent.cgroup}\n" in answer["cgroup"]
    # No fork: who asked is who runs.
    assert run.daemon.session(SERVER4)["pid"] == answer["pid"] == process.pid


@pytest.mark.parametrize("command, status", [
    (["true"], 0), (["false"], 1), (["sh", "-c", "exit 77"], 77),
    (["no-such-command"], 127), (["/no/such/file"], 127), (["/etc/passwd"], 126), (["/tmp"], 126)])
def test_exit_status(launcher, command, status):
    done = launcher().run(*command)
    assert done.returncode == status
    assert bool(done.stderr) == (status in (126, 127))


def test_killed_by_signal(launcher):
    assert launcher().run("sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


def test_environment(launcher):
    """Also what the loader strips from a setuid program's environment."""
    kept = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "/opt/x", "LD_PRELOAD": "", "EMPTY": "",
            "NEWLINE": "a\nb", "TMPDIR": "/var/tmp", "MALLOC_PERTURB_": "1", "GCONV_PATH": "/x",
            "HOME": "/somewhere", "USER": "me"}
    run = launcher(NAME)
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    for uid in (None, USER):
        done = run.run(PYTHON, "-c", code, uid=uid, env=kept)
        seen = json.loads(done.stdout)
        seen.pop("LC_CTYPE", None)  # Python's own
        trusted = {name for name, value in seen.items() if value.endswith("/trust/ca-bundle.pem")}
        assert {name: value for name, value in seen.items() if name not in trusted} == kept and len(trusted) > 5


def test_environment_names_the_trusted_cas(launcher):
    """Where the caller's doesn't name others."""
    run = launcher(NAME)
    system = "/etc/ssl/certs/ca-certificates.crt"
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    environment = {"CURL_CA_BUNDLE": "/mine.pem", "SSL_CERT_FILE": system, "SSL_CERT_FILES": "a"}
    seen = json.loads(run.run(PYTHON, "-c", code, env=environment).stdout)
    assert seen["CURL_CA_BUNDLE"] == "/mine.pem" and seen["SSL_CERT_FILES"] == "a"
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "PIP_CERT"):
        assert seen[name].endswith("/trust/ca-bundle.pem")


def test_path_is_the_callers(launcher):
    run = launcher()
    command = run.folder / "my-command"
    command.write_text("#!/bin/sh\necho mine\n")
    command.chmod(0o755)
    try:
        assert run.run("my-command", env={"PATH": str(run.folder)}).stdout == "mine\n"
    finally:
        command.unlink()


def test_working_folder_and_descriptors_and_mask(launcher):
    run = launcher(NAME)
    read, write = os.pipe()
    unix, other = socket.socketpair()
    file = open(run.folder / "file", "w+")
    os.unlink(run.folder / "file")
    try:
        answer = run.python(f"""
            os.write({write}, b"pipe"); os.write({unix.fileno()}, b"unix")
            os.write({file.fileno()}, b"file")
            result = [os.getcwd(), os.umask(0), sorted(int(f) for f in os.listdir("/proc/self/fd"))]
        """, uid=USER, cwd="/var", pass_fds=(write, unix.fileno(), file.fileno()), umask=0o17,
            stdin=subprocess.DEVNULL)
        assert answer[:2] == ["/var", 0o17]
        # Nothing of the launcher's, only the listing's own beside those.
        assert len(set(answer[2]) - {0, 1, 2, write, unix.fileno(), file.fileno()}) <= 1
        assert os.read(read, 9) == b"pipe" and other.recv(9) == b"unix"
        file.seek(0)
        assert file.read() == "file"
    finally:
        for fd in (read, write):
            os.close(fd)


def test_identity_of_the_caller(launcher):
    run = launcher(NAME)
    assert run.python("result = [os.getresuid(), os.getresgid(), os.getgroups()]", uid=USER) == [
        [USER] * 3, [GROUP] * 3, []]
    # To himself is no other user.
    assert run.python("result = os.getuid()", uid=USER, options=("--user", NAME)) == USER


def test_which_agent(host, installed):
    """The named one, or the only one that the caller may start."""
    run = Launcher(host, installed, [NAME])
    both = [host.config_of(run.agent, users=[NAME]), host.config_of(host.agent("b"))]
    assert run.daemon.set_config(agents=both) is None
    where = "result = open('/proc/self/cgroup').read()"
    assert f"{run.agent.cgroup}\n" in run.python(where, uid=USER)
    assert "/b\n" in run.python(where, options=("--agent", "b"))
    for uid, options, why in ((None, (), "which agent? Name one with --agent"),
                              (None, ("--agent", "c"), 'there is no agent "c"'),
                              (USER, ("--agent", "b"), 'you may not start agent "b"'),
                              (USER, ("--user", "root"), "only root may run commands as another user"),
                              (None, ("--agent", "a", "--user", "no-such-user"), 'there is no user "no-such-user"')):
        done = run.run("true", uid=uid, options=options)
        assert (done.returncode, done.stderr) == (125, f"wayleave run: {why}\n")


def test_root_runs_as_another_user(launcher):
    run = launcher()
    answer = run.python("""
        result = [os.getresuid(), os.getresgid(), os.getgroups(),
                  [os.environ[n] for n in ("HOME", "USER", "LOGNAME", "KEPT")]]
    """, env={**os.environ, "KEPT": "yes", "HOME": "/root"}, options=("--user", "postgres"))
    user = pwd.getpwnam("postgres")
    assert answer[0] == [user.pw_uid] * 3 and answer[1] == [user.pw_gid] * 3
    assert set(answer[2]) == set(os.getgrouplist("postgres", user.pw_gid))
    assert answer[3] == [user.pw_dir, "postgres", "postgres", "yes"]


class Terminal:
    """A shell with job control on a terminal of its own."""

    def __init__(self, prepare):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            prepare()
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"],
                      {"PS1": "$ ", "PATH": "/usr/bin:/bin", "TERM": "dumb"})
        self.text = ""
        self.expect("$ ")

    def send(self, keys):
        os.write(self.fd, keys.encode())

    def read(self):
        if select.select([self.fd], [], [], 0.1)[0]:
            self.text += os.read(self.fd, 4096).decode()

    def expect(self, text, nudge=""):
        """The shell says it, if need be after being sent `nudge` again and again."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.text:
            assert time.monotonic() < deadline, f"no {text!r} in {self.text!r}"
            self.send(nudge)
            self.read()
        before, self.text = self.text.split(text, 1)
        return before

    def expect_foreground_job(self):
        """What is typed goes to a job, not to the shell."""
        deadline = time.monotonic() + PATIENCE
        while os.tcgetpgrp(self.fd) == self.pid:
            assert time.monotonic() < deadline, "no job in the foreground"
            time.sleep(0.01)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def test_job_control(launcher):
    run = launcher()
    terminal = Terminal(run.enter())
    try:
        terminal.send(" ".join(run.words("sh", "-c", "'echo in-$((1+1)); exec sleep 100'")) + "\n")
        terminal.expect("in-2")
        terminal.send("\x1a")
        terminal.expect("Stopped")
        terminal.expect("$ ")
        terminal.send("fg\n")
        terminal.expect("sleep 100")
        terminal.expect_foreground_job()
        terminal.send("\x03")
        terminal.expect("$ ")
        terminal.send("echo status=$?\n")
        terminal.expect("status=130")
        # In the background it may neither read nor, where the user said so, write.
        terminal.send(" ".join(run.words("cat")) + " &\n")
        terminal.expect("Stopped", nudge="\n")
        terminal.send("kill -9 %1; stty tostop; echo set-$((1+1))\n")
        terminal.expect("set-2")
        terminal.send(" ".join(run.words("sh", "-c", "'echo written-$((1+1))'")) + " &\n")
        terminal.expect("Stopped", nudge="\n")
        assert "written-2" not in terminal.text
        terminal.send("fg\n")
        terminal.expect("written-2")
        # The terminal is the caller's own, with its size.
        terminal.send("stty rows 33 cols 99\n")
        terminal.expect("$ ")
        terminal.send(" ".join(run.words("stty", "size")) + "\n")
        terminal.expect("33 99")
    finally:
        terminal.close()


# --- what is refused ---

def test_not_allowed(launcher):
    run = launcher()
    never = run.folder / "never"
    done = run.run("touch", str(never), uid=USER)
    assert (done.returncode, done.stderr) == (125, "wayleave run: there is no agent that you may start\n")
    assert not never.exists()


def test_from_inside_an_agent(launcher):
    """Nobody gets from one agent into another."""
    run = launcher()
    done = run.run(*run.words("true"))
    assert done.returncode == 125
    # The setuid bit is without effect there; without it the monitor would refuse.
    assert "setuid root" in done.stderr or "from inside an agent" in done.stderr


def test_no_daemon(launcher):
    run = launcher()
    done = run.run("true", at=run.folder / "nobody.sock")
    assert (done.returncode, "no daemon at" in done.stderr) == (125, True)


@pytest.mark.parametrize("arguments", [[], ["--agent"], ["--frob", "--", "true"], ["--"]])
def test_usage(arguments):
    done = subprocess.run([str(BUILD / "bin/wayleave"), "run", *arguments], capture_output=True, text=True)
    assert done.returncode == 125 and "usage: wayleave run" in done.stderr


def test_socket_of_somebody_else(launcher):
    """The path comes from the caller: what isn't root's is not believed."""
    run = launcher(NAME)
    run.folder.chmod(0o777)
    fake = run.folder / "fake.sock"
    server = subprocess.Popen([PYTHON, "-c", f"""
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind({str(fake)!r})
s.listen()
print("ready", flush=True)
peer, _ = s.accept()
print(len(peer.recv(99)), flush=True)
"""], stdout=subprocess.PIPE, text=True, user=USER, group=GROUP)
    try:
        assert server.stdout.readline() == "ready\n"
        done = run.run("id", at=fake, uid=USER)
        assert (done.returncode, done.stdout) == (125, "")
        assert f"the socket is not a daemon's: user {USER} has it" in done.stderr
        assert server.communicate(timeout=10)[0] == "0\n"  # nothing was asked
    finally:
        server.kill()
        server.wait()


def test_unknown_answer(launcher):
    run = launcher()
    with run.fake(b"\0\0\0\1 this is no plan"):
        done = run.run("true", at=run.folder / "fake.sock")
    assert (done.returncode, "the daemon's answer" in done.stderr) == (125, True)


def test_other_user_for_nobody_but_root(launcher):
    """Even where the monitor said so."""
    run = launcher()
    with run.fake(encode_plan(run.agent, flags=0, user="postgres")):
        done = run.run("id", uid=USER, at=run.folder / "fake.sock")
    assert (done.returncode, done.stdout) == (125, "")
    assert "only root may run as another user" in done.stderr


def test_cgroup_that_was_replaced(launcher):
    run = launcher()
    with run.fake(encode_plan(run.agent, cgroup=run.agent.id_of_cgroup() + 1)):
        done = run.run("true", at=run.folder / "fake.sock")
    assert (done.returncode, "entering the agent's cgroup" in done.stderr) == (125, True)


def test_launcher_without_the_setuid_bit(launcher):
    run = launcher()
    copy = run.folder / "wayleave-launch"
    copy.write_bytes((BUILD / "bin/wayleave-launch").read_bytes())
    copy.chmod(0o755)
    try:
        done = subprocess.run([str(copy), "--socket", "", "--unit", "", "--agent", "", "--user", "",
                               "--token", "", "--token-file", "", "--environment", "0", "--", "true"], capture_output=True, text=True,
                              user=USER, group=GROUP)
        assert (done.returncode, "not installed setuid root" in done.stderr) == (125, True)
        done = subprocess.run([str(copy), "true"], capture_output=True, text=True)
        assert (done.returncode, "for `wayleave run` alone" in done.stderr) == (125, True)
    finally:
        copy.unlink()


# --- what is gone ---

@pytest.mark.parametrize("uid", [None, USER])
def test_capabilities_and_new_privileges(launcher, uid):
    run = launcher(NAME)
    status = run.run("grep", "-E", "^(Cap|NoNewPrivs|Seccomp:)", "/proc/self/status", uid=uid).stdout
    values = dict(re.findall(r"(\w+):\s+(\w+)", status))
    assert {values[n] for n in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (values["NoNewPrivs"], values["Seccomp"]) == ("1", "2")


@pytest.mark.parametrize("uid", [None, USER])
def test_socket_families(launcher, uid):
    run = launcher(NAME)
    answer = run.python("""
        libc = ctypes.CDLL(None, use_errno=True)
        result = {}
        for family in list(range(48)) + [-1, 0x100000000 | 40, 0x100000000 | 2]:
            fd = libc.syscall(41, ctypes.c_long(family), socket.SOCK_DGRAM, 0)
            pair = (ctypes.c_int * 2)()
            r = libc.syscall(53, ctypes.c_long(family), socket.SOCK_DGRAM, 0, pair)
            error = ctypes.get_errno()
            result[str(family)] = [fd >= 0, r == 0 or error != errno.EAFNOSUPPORT]
    """, uid=uid)
    made = {int(f) for f, (one, _) in answer.items() if one}
    passed = {int(f) for f, (_, two) in answer.items() if two}
    assert made == passed == {1, 2, 10, 16}


def test_terminal_input(launcher):
    """TIOCSTI would have the caller's shell run what the command types."""
    run = launcher()
    terminal = Terminal(run.enter())
    code = ("import fcntl, ctypes; l = ctypes.CDLL(None, use_errno=True)\n"
            "for c in (0x5412, 0x100005412, 0x541c):\n"
            "    print(l.ioctl(0, ctypes.c_ulong(c), b\"x\"), ctypes.get_errno())\n")
    script = run.folder / "type.py"
    script.write_text(code)
    try:
        terminal.send(" ".join(run.words(PYTHON, str(script))) + "; echo done-$((1+1))\n")
        said = terminal.expect("done-2")
        assert said.count("-1 1") == 3
    finally:
        terminal.close()
        script.unlink()


@pytest.mark.parametrize("io_uring", ["allow", "deny"])
def test_io_uring(launcher, io_uring):
    """IORING_OP_SOCKET passes by the filter that refuses socket families; its hook does not."""
    run = launcher(io_uring=io_uring)
    assert run.python("""
        libc = ctypes.CDLL(None, use_errno=True)
        parameters = ctypes.create_string_buffer(120)
        result = libc.syscall(425, 4, parameters) >= 0
    """) == (io_uring == "allow")


@pytest.mark.parametrize("family, kind, protocol, result", [
    (socket.AF_INET, socket.SOCK_STREAM, 262, errno.EPROTONOSUPPORT),
    (socket.AF_INET6, socket.SOCK_RAW, 6, errno.EPERM),
    (socket.AF_INET, socket.SOCK_STREAM, 132, errno.EPROTONOSUPPORT),
    (socket.AF_PACKET, socket.SOCK_RAW, 0, errno.EPERM),
    (socket.AF_INET, socket.SOCK_STREAM, 6, 0)])
def test_sockets_by_io_uring(launcher, family, kind, protocol, result):
    """The filter of system calls does not see them; the hook and the missing capabilities refuse."""
    run = launcher()
    done = run.run(str(BUILD / "tests/capture_dial"), "socket", str(int(family)), str(int(kind)), str(protocol))
    assert done.stdout == f"{result}\n", done.stderr


def test_bpf_and_other_architectures(launcher):
    run = launcher()
    assert run.python("""
        libc = ctypes.CDLL(None, use_errno=True)
        def call(*a):
            r = libc.syscall(*a)
            return errno.errorcode[ctypes.get_errno()] if r < 0 else r
        X32 = 0x40000000
        result = [call(321, 5, 0, 0), call(X32 | 41, socket.AF_VSOCK, socket.SOCK_STREAM, 0)]
    """) == ["EPERM", "ENOSYS"]


def test_inherited_descriptors(launcher):
    run = launcher()
    keep = []

    def hold(thing):
        keep.append(thing)
        return thing if isinstance(thing, int) else thing.fileno()

    ring = libc.syscall(425, 4, ctypes.create_string_buffer(120))
    bpf_map = libc.syscall(321, 0, (ctypes.c_uint32 * 12)(2, 4, 4, 1), 48)
    tun = os.open("/dev/net/tun", os.O_RDWR) if os.path.exists("/dev/net/tun") else None
    dropped = {
        "tcp": hold(socket.socket()), "tcp6": hold(socket.socket(socket.AF_INET6)),
        "udp": hold(socket.socket(type=socket.SOCK_DGRAM)),
        "netlink": hold(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)),
        "packet": hold(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)),
        "uring": hold(ring), "bpf": hold(bpf_map), "pidfd": hold(os.pidfd_open(os.getpid())),
        "folder": hold(os.open("/", os.O_RDONLY)), "path": hold(os.open("/etc/passwd", os.O_PATH)),
        "procs": hold(os.open(CGROUPS / "cgroup.procs", os.O_RDWR)),
        "events": hold(os.open(run.agent.path / "cgroup.events", os.O_RDONLY)),
        "pin": hold(os.open("/sys/fs/bpf", os.O_RDONLY)),
        "namespace": hold(os.open("/proc/self/ns/net", os.O_RDONLY)),
        "sysctl": hold(os.open("/proc/sys/kernel/core_pattern", os.O_RDWR)),
    }
    if tun is not None:
        dropped["tun"] = hold(tun)
    kept = {
        "unix": hold(socket.socket(socket.AF_UNIX)), "null": hold(os.open("/dev/null", os.O_RDWR)),
        "event": hold(libc.eventfd(0, 0)), "epoll": hold(select.epoll()),
        "memory": hold(os.memfd_create("x")), "file": hold(os.open("/etc/passwd", os.O_RDONLY)),
    }
    assert min([*dropped.values(), *kept.values()]) > 2
    try:
        answer = run.python(f"""
            def is_open(fd):
                try:
                    os.fstat(fd)
                    return True
                except OSError:
                    return False
            result = [{{k: is_open(v) for k, v in t.items()}} for t in ({dropped!r}, {kept!r})]
        """, pass_fds=[*dropped.values(), *kept.values()])
    finally:
        for thing in keep:
            os.close(thing) if isinstance(thing, int) else thing.close()
    assert [name for name, is_open in answer[0].items() if is_open] == []
    assert [name for name, is_open in answer[1].items() if not is_open] == []


def test_standard_descriptors(launcher):
    """A network socket or folder as standard input becomes /dev/null."""
    run = launcher()
    sock = socket.socket()
    code = "import os; s = os.fstat(0); print(os.major(s.st_rdev), os.minor(s.st_rdev))"
    for stdin in (sock.fileno(), os.open("/etc", os.O_RDONLY)):
        assert run.run(PYTHON, "-c", code, stdin=stdin).stdout == "1 3\n"
    # The socket from outside would have passed by the hooks (test_closed.test_sockets_from_outside).
    sock.close()


def test_hidden_mounts(launcher):
    run = launcher()
    writable = next(str(p) for p in pathlib.Path("/sys/kernel/mm").rglob("*")
                    if p.is_file() and p.stat().st_mode & stat.S_IWUSR)
    protected = [p for p in ("/proc/sys/kernel/core_pattern", "/etc/passwd", writable,
                             "/proc/irq/default_smp_affinity", "/proc/sysrq-trigger")
                 if os.path.exists(p)]
    answer = run.python(f"""
        result = {{
            "cgroup": os.listdir({str(CGROUPS)!r}),
            "bpf": os.listdir("/sys/fs/bpf"),
            "types": sorted(l.split(" - ")[1].split()[0] for l in open("/proc/self/mountinfo")),
        }}
        def refused(path, flags=os.O_WRONLY, mode=0o600):
            try:
                os.close(os.open(path, flags, mode))
                return None
            except OSError as e:
                return errno.errorcode[e.errno]
        result["refused"] = [refused(p) for p in {protected!r}]
        result["covered"] = refused({str(CGROUPS / "cgroup.procs")!r})
        result["made"] = [refused(p, os.O_CREAT | os.O_WRONLY) for p in (
            "/etc/cron.d/x", {str(CGROUPS)!r} + "/x", "/sys/fs/bpf/x")]
    """)
    assert answer["cgroup"] == answer["bpf"] == []
    assert len(protected) > 3 and answer["refused"] == ["EROFS"] * len(protected)
    assert answer["covered"] == "ENOENT"
    assert answer["made"] == ["EROFS"] * 3
    # The host is as before.
    assert (CGROUPS / "cgroup.procs").exists()


def test_cannot_be_uncovered(launcher):
    """Neither by umount, nor in a user namespace of its own, nor through somebody else's root."""
    run = launcher(NAME)
    for uid in (None, USER):
        answer = run.python(f"""
            libc = ctypes.CDLL(None, use_errno=True)
            covered = {str(CGROUPS)!r}.encode()
            CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWCGROUP, MNT_DETACH = 1 << 28, 1 << 17, 1 << 25, 2
            result = [libc.umount2(covered, MNT_DETACH)]
            def outside(pid):
                try:
                    return os.listdir(f"/proc/{{pid}}/root" + covered.decode())
                except OSError as e:
                    return errno.errorcode[e.errno]
            result.append([outside(p) for p in (1, {os.getpid()})])
            result.append(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
            result.append(libc.umount2(covered, MNT_DETACH))
            result.append(os.listdir(covered.decode()))
            result.append(libc.mount(b"none", b"/mnt", b"cgroup2", 0, None))
        """, uid=uid)
        assert answer[0] == -1
        assert set(answer[1]) <= {"EACCES", "EPERM"}
        assert answer[2:] in ([0, -1, [], -1], [-1, -1, [], -1])


@pytest.mark.parametrize("uid", [None, USER])
def test_namespaces_of_its_own(launcher, uid):
    """A user namespace gives capabilities, but over nothing that the capture rests on: neither a
    cgroup below its own nor a network of its own leads out."""
    run = launcher(NAME)
    place = run.folder / "cgroup"
    place.mkdir()
    place.chmod(0o777)
    answer = run.python(f"""
        libc = ctypes.CDLL(None, use_errno=True)
        CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWNET = 1 << 28, 1 << 17, 1 << 25, 1 << 30
        uid = os.getuid()
        assert libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) == 0
        open("/proc/self/uid_map", "w").write(f"0 {{uid}} 1")
        place = {str(place)!r}
        result = {{"mounted": libc.mount(b"none", place.encode(), b"cgroup2", 0, None) == 0}}
        if result["mounted"]:
            # Its own cgroup is all there is, and it may at most go deeper.
            assert str(os.getpid()) in open(place + "/cgroup.procs").read().split()
            try:
                os.mkdir(place + "/inner")
                open(place + "/inner/cgroup.procs", "w").write("0")
            except PermissionError:
                pass
        result["cgroup"] = open("/proc/self/cgroup").read()
        result["captured"] = attempt({SERVER4!r}, port=7001)
        result["marked"] = None
        try:
            socket.socket().setsockopt(socket.SOL_SOCKET, 36, 0x57790001)
        except OSError as e:
            result["marked"] = errno.errorcode[e.errno]
        assert libc.unshare(CLONE_NEWNET) == 0
        result["alone"] = attempt({SERVER4!r}, port=7002)
    """, uid=uid)
    assert answer["captured"]["data"] == "ping" and answer["marked"] == "EPERM"
    assert answer["alone"] == {"error": "ENETUNREACH"}
    assert run.daemon.session(SERVER4, 7001)["agent"] == run.agent.name


def test_plan_of_paths(launcher):
    """What is hidden, read-only, and shown inside what is hidden."""
    run = launcher()
    place = run.folder / "place"
    for path in ("state/keys", "run/inner", "open"):
        (place / path).mkdir(parents=True)
    for path in ("state/keys/key", "run/sock", "run/other", "single", "open/file"):
        (place / path).write_text(path)
    plan = encode_plan(
        run.agent, hidden=[f"{place}/{p}" for p in ("state", "run", "single", "missing")],
        read_only=[f"{place}/open", f"{place}/gone"],
        shown=[(f"{place}/run/sock", f"{place}/run/sock"), (f"{place}/open", f"{place}/run/deep/er"),
               (f"{place}/no", f"{place}/run/no")])
    with run.fake(plan):
        answer = run.python(f"""
            place = {str(place)!r}
            result = {{p: sorted(os.listdir(place + p)) for p in ("/state", "/run", "/run/deep/er")}}
            result["sock"] = open(place + "/run/sock").read()
            result["single"] = open(place + "/single").read()
            for path in ("/open/file", "/state/new", "/run/new"):
                try:
                    open(place + path, "w")
                    result[path] = None
                except OSError as e:
                    result[path] = errno.errorcode[e.errno]
        """, at=run.folder / "fake.sock")
    assert answer == {"/state": [], "/run": ["deep", "sock"], "/run/deep/er": ["file"], "sock": "run/sock",
                      "single": "", "/open/file": "EROFS", "/state/new": "EROFS", "/run/new": "EROFS"}


def test_known_hosts_without_openssh(launcher):
    """There is no folder for the system's file; the user's is shown with its lines. A host without any starts the command, too."""
    def hide_etc():
        assert libc.unshare(0x20000) == 0  # CLONE_NEWNS
        assert libc.mount(None, b"/", None, 0x44000, None) == 0  # MS_REC | MS_PRIVATE
        assert libc.mount(b"none", b"/etc", b"tmpfs", 0, None) == 0
    run = launcher()
    source, own = run.folder / "hosts", run.folder / "home/.ssh/known_hosts"
    source.write_text("host ssh-ed25519 AAAA\n")
    own.parent.mkdir(parents=True)
    own.write_text("mine ssh-ed25519 BBBB\n")
    for hidden, shown, lines in (([source], [(str(source), "/etc/ssh/ssh_known_hosts")], ["host", "mine"]), ([], [], ["mine"])):
        plan = encode_plan(run.agent, flags=KEEP_USER | USER_KNOWN_HOSTS, hidden=list(map(str, hidden)), shown=shown)
        with run.fake(plan) as monitor:
            done = run.run("cat", str(own), at=monitor.path, before=hide_etc, env={**os.environ, "HOME": str(run.folder / "home")})
        assert done.returncode == 0, done.stderr
        assert [line.split()[0] for line in done.stdout.splitlines() if line] == lines


def test_what_the_daemon_keeps(launcher):
    """Recordings, keys, rules and secrets can't be read, even by root; the socket answers."""
    run = launcher()
    secret = run.folder / "webhook"
    secret.write_text("secret")
    secret.chmod(0o600)
    assert run.daemon.set_config(slack={"webhook_url_file": str(secret)}) is None
    daemon = run.daemon
    answer = run.python(f"""
        def look(path):
            try:
                return os.listdir(path) if os.path.isdir(path) else open(path).read()
            except OSError as e:
                return errno.errorcode[e.errno]
        result = [look(p) for p in {[str(p) for p in (
            daemon.state, daemon.runtime, daemon.config_file, daemon.policy_file, secret)]!r}]
    """)
    shown = ["control.sock", "servers", "trust"]
    assert [sorted(answer[1]) if i == 1 else part for i, part in enumerate(answer)] == [
        [], shown, "", "", ""]
    status = run.run(str(run.wayleave), "--socket", str(daemon.socket), "status")
    assert status.returncode == 0 and run.agent.name in status.stdout


@pytest.mark.parametrize("path, uid", [
    ("/run/podman/podman.sock", None), ("/run/containerd/containerd.sock", USER), ("/run/docker.sock", USER),
    ("/run/dbus/system_bus_socket", USER), ("/run/systemd/private", None),
    ("/run/postgresql/.s.PGSQL.5432", USER), ("/run/mysqld/mysqld.sock", USER),
    (f"/run/user/{USER}/bus", USER), (f"/run/user/{USER}/systemd/private", USER)])
def test_launchers_of_others(launcher, path, uid):
    """Nobody who would start a process outside the agent can be asked (bypass B8)."""
    path = pathlib.Path(path)
    made = [p for p in reversed(path.parents) if not p.exists()]
    if path.exists():
        pytest.skip(f"{path} is in use on this host")
    for folder in made:
        folder.mkdir(mode=0o755)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o777)
    server.listen()
    try:
        run = launcher(NAME)
        code = f"""
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect({str(path)!r})
                result = "connected"
            except OSError as e:
                result = errno.errorcode[e.errno]
        """
        assert run.python(code, uid=uid) in ("ENOENT", "ECONNREFUSED")
        socket.socket(socket.AF_UNIX).connect(str(path))  # it was there
    finally:
        server.close()
        path.unlink()
        for folder in reversed(made):
            folder.rmdir()


def test_sockets_that_the_admin_allows(launcher):
    """By their path, or with their folder; what is beside them stays hidden."""
    folders = [pathlib.Path("/run/crio"), pathlib.Path("/run/buildkit")]
    if any(folder.exists() for folder in folders):
        pytest.skip(f"{folders} are in use on this host")
    servers = []
    try:
        for folder in folders:
            folder.mkdir()
            for name in ("one.sock", "two.sock"):
                servers.append(socket.socket(socket.AF_UNIX))
                servers[-1].bind(str(folder / name))
                (folder / name).chmod(0o777)
                servers[-1].listen()
        run = launcher(NAME, sockets=["/run/crio/one.sock", "/run/buildkit"])
        answer = run.python(f"""
            result = {{}}
            for path in {[str(folder / name) for folder in folders for name in ("one.sock", "two.sock")]!r}:
                try:
                    socket.socket(socket.AF_UNIX).connect(path)
                    result[path] = "connected"
                except OSError as e:
                    result[path] = errno.errorcode[e.errno]
        """, uid=USER)
        assert answer == {"/run/crio/one.sock": "connected", "/run/crio/two.sock": "ENOENT",
                          "/run/buildkit/one.sock": "connected", "/run/buildkit/two.sock": "connected"}
    finally:
        for server in servers:
            server.close()
        for folder in folders:
            sh("rm", "-rf", str(folder))


@contextlib.contextmanager
def made_folders(*paths):
    """Where they are not there; anybody may write in them."""
    made = []
    try:
        for path in map(pathlib.Path, paths):
            for folder in [*reversed(path.parents), path]:
                if not folder.exists():
                    folder.mkdir(mode=0o755)
                    folder.chmod(0o777)
                    made.append(folder)
        yield
    finally:
        for folder in reversed(made):
            sh("rm", "-rf", str(folder))


CRON, AT = "/var/spool/cron/crontabs", "/var/spool/at"
PUT_JOB = f"""
    def put(folder):
        try:
            open(folder + "/wayleave-test", "w").write("* * * * * true")
            return "put"
        except OSError as e:
            return errno.errorcode[e.errno]
    result = {{folder: put(folder) for folder in ({CRON!r}, {AT!r}, "/etc/cron.d")}}
    result["listed"] = os.listdir("/etc/cron.d")
    result["programs"] = [subprocess.run([name, *words], input="true", capture_output=True, text=True).returncode
                          for name, *words in (["crontab", "-"], ["at", "now + 1 minute"], ["batch"]) if shutil.which(name)]
"""


@pytest.mark.parametrize("uid", [None, USER])
def test_jobs_for_cron_and_at(launcher, uid):
    """What is put there starts outside of the agent."""
    with made_folders(CRON, AT, "/etc/cron.d"):
        job = pathlib.Path("/etc/cron.d/wayleave-test-job")
        job.write_text("")
        try:
            answer = launcher(NAME).python("import shutil\n" + textwrap.dedent(PUT_JOB), uid=uid)
            assert answer[CRON] == "ENOENT" and answer[AT] in ("EROFS", "EACCES") and answer["/etc/cron.d"] in ("EROFS", "EACCES")
            assert answer["listed"] == [] and 0 not in answer["programs"]
        finally:
            job.unlink()


def test_jobs_that_the_admin_allows(launcher):
    with made_folders(CRON, AT):
        answer = launcher(NAME, sockets=[AT]).python("import shutil\n" + textwrap.dedent(PUT_JOB), uid=USER)
        assert answer[AT] == "put" and answer[CRON] == "ENOENT"


@pytest.mark.parametrize("words", [["systemd-run", "true"], ["systemd-run", "--user", "true"]])
def test_systemd_is_not_asked(launcher, words):
    places = [pathlib.Path("/run/systemd/private"), pathlib.Path("/run/dbus/system_bus_socket"),
              pathlib.Path(f"/run/user/{USER}/systemd/private"), pathlib.Path(f"/run/user/{USER}/bus")]
    if any(place.exists() for place in places):
        pytest.skip("systemd or D-Bus runs on this host")
    run = launcher(NAME)
    with made_folders(*(place.parent for place in places), "/run/systemd/system"):
        servers = []
        for place in places:
            servers.append(socket.socket(socket.AF_UNIX))
            servers[-1].bind(str(place))
            place.chmod(0o777)
            servers[-1].listen()
            servers[-1].setblocking(False)

        def asked():
            found = 0
            for server in servers:
                with contextlib.suppress(BlockingIOError):
                    server.accept()[0].close()
                    found += 1
            return found
        try:
            environment = {**os.environ, "XDG_RUNTIME_DIR": f"/run/user/{USER}"}
            done = run.run(*words, uid=USER, env=environment)
            assert done.returncode != 0 and not asked(), done.stderr
            # Who is no agent reaches one, which hangs up.
            outside = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL, preexec_fn=run.enter(USER))
            try:
                wait_until(asked)
            finally:
                outside.kill()
                outside.wait()
        finally:
            for server, place in zip(servers, places):
                server.close()
                place.unlink()


@contextlib.contextmanager
def key_agent(path):
    """An ssh-agent of the user's, with a key in it."""
    def become():
        os.setgroups([])
        os.setresgid(GROUP, GROUP, GROUP)
        os.setresuid(USER, USER, USER)
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL, preexec_fn=become)
    try:
        deadline = time.monotonic() + PATIENCE
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        with tempfile.TemporaryDirectory() as folder:
            sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key")
            subprocess.run(["ssh-add", "-q", f"{folder}/key"], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(path)},
                           stdin=subprocess.DEVNULL)
        yield path
    finally:
        process.terminate()
        process.wait(10)


LIST_KEYS = ["sh", "-c", 'for s; do SSH_AUTH_SOCK=$s ssh-add -l >/dev/null 2>&1; echo $?; done', "-"]
LISTED, NO_AGENT = "0", "2"


@pytest.fixture
def key_agents():
    """As sshd makes one for a session, one elsewhere, and one of a desktop's, of the user that the agent runs as."""
    session, elsewhere, desktop = (pathlib.Path(p) for p in (
        f"/tmp/ssh-wl{os.getpid()}", f"/tmp/wl-keys{os.getpid()}", f"/run/user/{USER}/keyring"))
    if desktop.parent.exists():
        pytest.skip(f"{desktop.parent} is in use on this host")
    with contextlib.ExitStack() as stack:
        stack.enter_context(made_folders(session, elsewhere, desktop))
        for folder in (session, elsewhere, desktop):
            os.chown(folder, USER, GROUP)
            folder.chmod(0o700)
        yield [str(stack.enter_context(key_agent(path))) for path in (session / "agent.77", elsewhere / "socket", desktop / "ssh")]


def test_agents_of_keys(launcher, key_agents):
    """Whoever runs as the same user has no say in whose keys the agent logs in with."""
    session, elsewhere, desktop = key_agents
    run = launcher(NAME)

    def seen(own, **more):
        done = run.run(*LIST_KEYS, *key_agents, uid=USER, env={**os.environ, "SSH_AUTH_SOCK": own}, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()
    outside = subprocess.run([*LIST_KEYS, *key_agents], capture_output=True, text=True, preexec_fn=run.enter(USER))
    assert outside.stdout.split() == [LISTED] * 3
    assert seen(elsewhere) == [NO_AGENT] * 3
    # One that is neither named so nor named to it may be anybody's socket.
    assert seen(session) == seen(desktop) == [NO_AGENT, LISTED, NO_AGENT]
    # Where a resource logs in by the agent's own keys, the one that its environment names, and no other.
    with run.fake(encode_plan(run.agent, flags=KEEP_USER | OWN_KEYS)):
        at = run.folder / "fake.sock"
        assert seen(session, at=at) == [LISTED, LISTED, NO_AGENT]
        assert seen(elsewhere, at=at) == [NO_AGENT, LISTED, NO_AGENT]
        assert seen(desktop, at=at) == [NO_AGENT, LISTED, LISTED]


@pytest.mark.parametrize("there_before", [False, True])
def test_launchers_that_come_later(launcher, there_before):
    """A container engine that is started, or started again, while the agent runs."""
    folder = pathlib.Path("/run/crio")
    path = folder / "crio.sock"
    if folder.exists():
        pytest.skip(f"{folder} is in use on this host")

    def serve():
        folder.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        return server
    run = launcher()
    server = serve() if there_before else None
    try:
        process = run.popen(PYTHON, "-c", program(f"""
            print("started", flush=True)
            sys.stdin.readline()
            try:
                socket.socket(socket.AF_UNIX).connect({str(path)!r})
                result = "connected"
            except OSError as e:
                result = errno.errorcode[e.errno]
        """), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == "started\n"
        if there_before:
            server.close()
            sh("rm", "-r", str(folder))
        server = serve()
        assert json.loads(process.communicate("\n", timeout=20)[0]) == "ENOENT"
        socket.socket(socket.AF_UNIX).connect(str(path))  # it was there
    finally:
        server.close()
        sh("rm", "-r", str(folder))


def test_rest_of_run(launcher):
    """What else is in /run is as it is outside, folders as they go on."""
    place = pathlib.Path(f"/run/wl{os.getpid()}")
    place.mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(place / "socket"))
    server.listen()
    link = place.with_suffix(".link")
    link.symlink_to(place)
    try:
        answer = launcher().python(f"""
            socket.socket(socket.AF_UNIX).connect({str(link / "socket")!r})
            open({str(place / "inside")!r}, "w").write("seen outside")
            open("/run/made-inside", "w").write("x")
            result = [oct(os.stat("/run").st_mode), os.listdir("/run")]
        """)
        assert (place / "inside").read_text() == "seen outside"
        assert not pathlib.Path("/run/made-inside").exists()
        assert answer[0] == oct(os.stat("/run").st_mode)
        assert {place.name, link.name, "made-inside"} <= set(answer[1])
    finally:
        server.close()
        link.unlink()
        sh("rm", "-r", str(place))


def test_abstract_sockets(launcher):
    """They have no path that a mount could hide."""
    abi = libc.syscall(444, 0, 0, 1)
    if abi < 6:
        pytest.skip(f"Landlock's version is {abi}, abstract sockets are kept apart from 6 on")
    run = launcher()
    name = f"bytes(1) + b'wl{os.getpid()}'"
    server = subprocess.Popen([PYTHON, "-c", f"""
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind({name})
s.listen()
print("ready", flush=True)
sys.stdin.read()
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=run.enter())
    assert server.stdout.readline() == b"ready\n"
    answer = run.python(f"""
        own = socket.socket(socket.AF_UNIX)
        own.bind(bytes(1) + b"own")
        own.listen()
        result = []
        for name in (bytes(1) + b"own", {name}):
            try:
                socket.socket(socket.AF_UNIX).connect(name)
                result.append(None)
            except OSError as e:
                result.append(errno.errorcode[e.errno])
    """)
    server.communicate()
    assert answer == [None, "EPERM"]


@pytest.mark.parametrize("folder", [str(CGROUPS), "/sys/fs/bpf"])
def test_hidden_working_folder(launcher, folder):
    """It would be a way in from below."""
    run = launcher()
    done = run.run("cat", "cgroup.procs", cwd=folder)
    assert (done.returncode, done.stdout) == (125, "")
    assert "hidden from agents" in done.stderr


def test_removed_working_folder(launcher, tmp_path):
    run = launcher()
    gone = tmp_path / "gone"
    gone.mkdir()
    done = run.run("true", before=lambda: (os.chdir(gone), os.rmdir(gone)))
    assert (done.returncode, "has no path" in done.stderr) == (125, True)


def test_outside_processes(launcher):
    """The command can't trace or signal a process of its own user outside the agent."""
    run = launcher(NAME)
    outside = subprocess.Popen(["sleep", "60"], user=USER, group=GROUP)
    try:
        answer = run.python(f"""
            libc = ctypes.CDLL(None, use_errno=True)
            PTRACE_ATTACH = 16
            inside = os.fork()
            if inside == 0:
                time.sleep(60)
            time.sleep(0.1)
            def memory(pid):
                try:
                    open(f"/proc/{{pid}}/mem").close()
                    return True
                except OSError:
                    return False
            def tell(pid):
                try:
                    os.kill(pid, 0)
                    return True
                except OSError:
                    return False
            def take(pid):
                handle = os.pidfd_open(pid)
                return libc.syscall(438, handle, 0, 0) >= 0     # pidfd_getfd
            result = [{{"memory": memory(p), "tell": tell(p), "take": take(p), "trace": libc.ptrace(PTRACE_ATTACH, p, 0, 0) == 0}}
                      for p in ({outside.pid}, inside)]
            os.kill(inside, 9)
        """, uid=USER)
        told = [process.pop("tell") for process in answer]
        assert answer == [dict.fromkeys(("memory", "take", "trace"), possible) for possible in (False, True)]
        abi = libc.syscall(444, 0, 0, 1)
        if abi < 6:
            pytest.skip(f"Landlock's version is {abi}, signals are kept in from 6 on")
        assert told == [False, True]
    finally:
        outside.kill()
        outside.wait()


def test_nothing_is_left_outside(launcher):
    run = launcher()
    before = pathlib.Path("/proc/self/mountinfo").read_text()
    run.run("true")
    assert pathlib.Path("/proc/self/mountinfo").read_text() == before
