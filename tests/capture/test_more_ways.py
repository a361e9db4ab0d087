# SPDX-License-Identifier: Apache-2.0
"""Ways out that no list has, each tried by a command of `wayleave run`, as an ordinary user and as root; one daemon for all (bypasses B3,
B4, B6, B7, B9, B14, B16)."""
import contextlib
import ctypes
import errno
import json
import os
import pathlib
import re
import resource
import subprocess

import pytest
from conftest import CGROUPS, HOST4, PYTHON, SERVER4, Host, sh
from test_by_name import TOOLS, as_user, bare, seen  # noqa: F401 (a fixture)
from test_launcher import GROUP, NAME, USER, Launcher, libc


@pytest.fixture(scope="module")
def inside(network, installed):
    host = Host(network)
    network.leaks()
    try:
        run = Launcher(host, installed, [NAME])
        run.world = network
        yield run
    finally:
        host.close()
    assert network.leaks() == 0, "a governed agent reached the world"


OWN_NAMESPACES = """
CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWPID = 1 << 28, 1 << 17, 1 << 25, 1 << 29
def become_root(flags):
    uid, gid = os.getuid(), os.getgid()
    assert libc.unshare(flags | CLONE_NEWUSER) == 0
    open("/proc/self/setgroups", "w").write("deny")
    open("/proc/self/uid_map", "w").write(f"0 {uid} 1")
    open("/proc/self/gid_map", "w").write(f"0 {gid} 1")
    libc.mount(None, b"/", None, 1 << 18 | 1 << 14, None)
def mount(source, place, kind, flags=0, data=None):
    r = libc.mount(source.encode(), place.encode(), kind.encode() if kind else None, flags, data.encode() if data else None)
    return "mounted" if r == 0 else errno.errorcode[ctypes.get_errno()]
"""
USERS = pytest.mark.parametrize("uid", [None, USER], ids=["root", "user"])


# --- what is covered ---

@pytest.fixture
def place(inside):
    folder = inside.folder / "place"
    folder.mkdir()
    folder.chmod(0o777)
    yield folder
    sh("rm", "-rf", str(folder))


@USERS
def test_what_covers_is_not_left_behind(inside, place, uid):
    """Copies of a mount without those on it, what lies below an overlay, and other instances of the kernel's filesystems."""
    hidden = [str(inside.daemon.state), str(CGROUPS), "/sys/fs/bpf"]
    answer = inside.python(TOOLS + OWN_NAMESPACES + f"""
become_root(CLONE_NEWNS | CLONE_NEWCGROUP)
BIND, REC, REMOUNT = 4096, 16384, 32
place = {str(place)!r}
result = {{}}
def look(how, below):
    path = place + below
    result[how] = os.listdir(path) if os.path.isdir(path) else []
for path in {hidden!r}:
    parent = os.path.dirname(path)
    if mount(parent, place, None, BIND) == "mounted":
        look("bind " + path, "/" + os.path.basename(path))
        libc.umount2(place.encode(), 2)
    if mount(parent, place, None, BIND | REC) == "mounted":
        tried(libc.umount2, (place + "/" + os.path.basename(path)).encode(), 2)
        look("recursive " + path, "/" + os.path.basename(path))
        libc.umount2(place.encode(), 2)
    for flags in (1, 1 | 0x8000):
        tree = call(428, -100, ctypes.c_char_p(parent.encode()), flags)
        if isinstance(tree, int):
            here = f"/proc/self/fd/{{tree}}/" + os.path.basename(path)
            result[f"tree {{flags}} " + path] = os.listdir(here) if os.path.isdir(here) else []
    if mount("none", place, "overlay", 0, "lowerdir=" + parent + ":/mnt,userxattr") == "mounted":
        look("overlay " + path, "/" + os.path.basename(path))
        libc.umount2(place.encode(), 2)
""", uid=uid)
    # One at least was made, and is empty as it was.
    assert answer and set(map(str, answer.values())) == {"[]"}, answer


@USERS
def test_the_kernels_settings_by_another_mount(inside, place, uid):
    """procfs and sysfs made anew in namespaces of one's own; and those that somebody mounted elsewhere, as for a chroot."""
    others = {}
    with contextlib.ExitStack() as undo:
        for kind in ("proc", "sysfs", "debugfs", "tracefs", "securityfs"):
            other = inside.folder / f"other-{kind}"
            other.mkdir()
            undo.callback(other.rmdir)
            if libc.mount(b"none", str(other).encode(), kind.encode(), 0, None) == 0:
                undo.callback(sh, "umount", str(other))
                others[kind] = str(other)
        assert {"proc", "sysfs"} <= set(others)
        answer = inside.python(TOOLS + OWN_NAMESPACES + f"""
def write(path):
    return tried(lambda: os.close(os.open(path, os.O_WRONLY)))
others = {others!r}
result = {{"pattern": write(others["proc"] + "/sys/kernel/core_pattern"), "sysrq": write(others["proc"] + "/sysrq-trigger"),
          "swappiness": write(others["proc"] + "/sys/vm/swappiness"), "uevent": write(others["sysfs"] + "/class/mem/null/uevent"), "own": write("/proc/self/oom_score_adj")}}
for kind in ("debugfs", "tracefs", "securityfs"):
    listed = tried(os.listdir, others.get(kind, "/nowhere"))
    names = [] if isinstance(listed, str) else [os.path.join(others[kind], n) for n in listed]
    result[kind] = [n for n in names if os.path.isfile(n) and os.access(n, os.W_OK)]
place = {str(place)!r}
pid = os.fork()
if pid == 0:
    become_root(CLONE_NEWNS | CLONE_NEWPID)
    if os.fork() == 0:
        with open(place + "/said", "w") as said:
            os.mkdir(place + "/proc")
            json.dump([mount("none", place + "/proc", "proc"), write(place + "/proc/sys/kernel/core_pattern")], said)
        os._exit(0)
    os.wait()
    os._exit(0)
os.waitpid(pid, 0)
result["anew"] = json.load(open(place + "/said"))
""", uid=uid)
    assert answer.pop("own") is None  # what is of processes is theirs to write
    assert answer.pop("anew") == ["EPERM", "ENOENT"]
    assert set(map(str, answer.values())) <= {"EROFS", "EACCES", "ENOENT", "[]"}, answer


class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_ubyte * 128)]


def take_handle(path, flags=0):
    """None where the filesystem has none."""
    handle, mount = Handle(bytes=128), ctypes.c_int()
    r = libc.syscall(303, -100, path.encode(), ctypes.byref(handle), ctypes.byref(mount), flags)
    return bytes(handle)[:8 + handle.bytes].hex() if r == 0 else None


@USERS
def test_handles_of_files(inside, place, uid):
    """Of what is hidden, taken outside, opened by whatever mount of the same filesystem there is."""
    handles = {path: take_handle(path) for path in (str(CGROUPS), str(inside.agent.path.parent), str(inside.daemon.cgroup / "workers"), str(inside.daemon.state),
                                             "/proc/1/ns/net")}
    handles = {k: v for k, v in handles.items() if v}
    assert len(handles) >= 3
    answer = inside.python(TOOLS + OWN_NAMESPACES + f"""
place = {str(place)!r}
def opened(what):
    found = {{}}
    for mounted in ("/", "/run", "/tmp", place, "/sys", "/proc", "/dev/shm"):
        fd = os.open(mounted, os.O_RDONLY)
        for path, handle in {handles!r}.items():
            r = call(304, fd, ctypes.create_string_buffer(bytes.fromhex(handle)), os.O_RDONLY)
            found[f"{{what}} {{mounted}} {{path}}"] = r if isinstance(r, str) else os.listdir(f"/proc/self/fd/{{r}}")
    return found
result = opened("before")
become_root(CLONE_NEWNS | CLONE_NEWCGROUP)
result.update(opened("in a user namespace"))
result["cgroups"] = mount("none", place, "cgroup2")
result.update(opened("with its own cgroups"))
""", uid=uid)
    answer.pop("cgroups")
    assert set(map(str, answer.values())) <= {"EPERM", "ESTALE", "EACCES", "EOPNOTSUPP"}, answer


FOLLOW, NAMESPACES, OPEN_BY_HANDLE = 0x400, -10003, 304  # AT_SYMLINK_FOLLOW, FD_NSFS_ROOT (kernel 6.18)


def test_namespaces_that_its_user_has_outside(inside):
    """In which nothing is hidden, and over which its user has every right: by their handles, by the process that is there, one after the other."""
    made = "import os, ctypes, sys; assert ctypes.CDLL(None).unshare(0x10020000) == 0; print('made', flush=True); sys.stdin.read()"
    neighbour = subprocess.Popen([PYTHON, "-c", made], user=USER, group=GROUP, extra_groups=[], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert neighbour.stdout.readline() == "made\n"
        pid = neighbour.pid
        handles = [h for h in (take_handle(f"/proc/{pid}/ns/{kind}", FOLLOW) for kind in ("user", "mnt")) if h]
        by_handle = f"""
def open_by_handle(root, handle):
    r = call({OPEN_BY_HANDLE}, root, ctypes.create_string_buffer(bytes.fromhex(handle)), os.O_RDONLY)
    return r if isinstance(r, str) else "opened"
result = [open_by_handle({NAMESPACES}, h) for h in {handles!r}]
"""
        answer = as_user(inside, by_handle + f"""
own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
room = ctypes.create_string_buffer(64)
for number in (11, 12):  # NS_MNT_GET_NEXT, NS_MNT_GET_PREV
    for size in (16, 24):
        result.append(call(16, own, 2 << 30 | size << 16 | 0xb7 << 8 | number, room))
result.append(call(308, os.pidfd_open({pid}), 0x10020000))  # setns
result += [tried(os.open, f"/proc/{pid}/ns/{{kind}}", os.O_RDONLY) for kind in ("user", "mnt")]
result += [call({OPEN_BY_HANDLE}, -1, ctypes.create_string_buffer(8 + 128), 0), call(16, -1, 0x8010b70b, room)]
""")
        assert set(answer) <= {"EPERM", "EACCES"}, answer
        if handles and list(map(int, os.uname().release.split(".")[:2])) >= [6, 18]:
            assert set(bare(inside, by_handle)) == {"opened"}  # without the launcher
    finally:
        neighbour.communicate()


# --- system calls ---

def test_calls_of_another_architecture(inside):
    """By int 0x80, which has other numbers for them: none of the filter's families."""
    answer = as_user(inside, """
import mmap
def by_interrupt(number, *arguments):
    # A child, as a kernel without them ends it.
    out, into = os.pipe()
    if os.fork() == 0:
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        a, b, c = (*arguments, 0, 0, 0)[:3]
        code.write(b"\\x53" + struct.pack("<BI", 0xb8, number) + struct.pack("<BI", 0xbb, a) + struct.pack("<BI", 0xb9, b) + struct.pack("<BI", 0xba, c)
                   + b"\\xcd\\x80\\x5b\\xc3")
        made = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
        os.write(into, str(made).encode())
        os._exit(0)
    os.close(into)
    os.wait()
    said = os.read(out, 99)
    return int(said) if said else "ended"
result = [by_interrupt(359, 40, 1, 0), by_interrupt(357, 5, 0, 0), by_interrupt(20)]
""")
    assert set(answer) <= {-errno.ENOSYS, "ended"}, answer


def test_signals(inside):
    """To a process of its own user outside, in each way that there is."""
    if libc.syscall(444, 0, 0, 1) < 6:
        pytest.skip("without Landlock's scopes signals are not kept in")
    neighbour = subprocess.Popen(["sleep", "60"], user=USER, group=GROUP, start_new_session=True)
    try:
        answer = as_user(inside, f"""
import fcntl, signal
pid = {neighbour.pid}
def by_descriptor(owner):
    # What comes for the owner of a descriptor the kernel sends, as that signal.
    ours, theirs = socket.socketpair()
    fcntl.fcntl(ours, fcntl.F_SETOWN, owner)
    fcntl.fcntl(ours, 10, signal.SIGKILL)
    fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    theirs.send(b"x")
handle = os.pidfd_open(pid)
info = ctypes.create_string_buffer(struct.pack("3i", 9, 0, -1), 128)
result = [tried(os.kill, pid, 9), tried(os.killpg, os.getpgid(pid), 9), call(234, pid, pid, 9), call(424, handle, 9, 0, 0),
          call(129, pid, 9, info), call(297, pid, pid, 9, info)]
by_descriptor(pid)
by_descriptor(-os.getpgid(pid))
time.sleep(0.1)
""")
        assert set(answer) <= {"EPERM", None} and answer.count("EPERM") >= 5, answer
        assert neighbour.poll() is None
    finally:
        neighbour.kill()
        neighbour.wait()


@USERS
def test_limits_of_others(inside, uid):
    """Who has used up the time that it may have is killed: as good as a signal, and a process may set that of all others of its user, as user 0 of
    the daemon's, with no capability. Its own are its own."""
    who = {} if uid is None else {"user": USER, "group": GROUP, "extra_groups": []}
    neighbour = subprocess.Popen(["sleep", "60"], **who)
    code = f"""
import resource
new, old = ctypes.create_string_buffer(struct.pack("QQ", 1 << 40, 1 << 40)), ctypes.create_string_buffer(16)
files = resource.getrlimit(resource.RLIMIT_NOFILE)
result = [call(302, {neighbour.pid}, resource.RLIMIT_CPU, new, old), call(302, {neighbour.pid}, resource.RLIMIT_CPU, None, old),
          tried(resource.setrlimit, resource.RLIMIT_NOFILE, (64, files[1])), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]
"""
    try:
        assert inside.python(TOOLS + code, uid=uid) == ["EPERM", 0, None, 64]
        assert re.search(r"^Max cpu time +unlimited +unlimited", pathlib.Path(f"/proc/{neighbour.pid}/limits").read_text(), re.M)
        if uid is not None:
            assert bare(inside, code)[0] == 0  # without the launcher
    finally:
        neighbour.kill()
        neighbour.wait()


def test_too_little_of_anything(inside):
    """Where the launcher gets not enough descriptors, memory or room for files it ends before the command runs."""
    checks = f"grep ^0:: /proc/self/cgroup; grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status; ls {CGROUPS}"
    expected = None
    ran = ended = 0
    limits = [(resource.RLIMIT_NOFILE, n) for n in range(3, 24, 3)] + [(resource.RLIMIT_AS, n << 20) for n in range(8, 40, 6)] + [
        (resource.RLIMIT_DATA, n << 10) for n in (0, 200, 400, 800)] + [(resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NPROC, 1)]
    for limit, value in [(None, 0), *limits]:
        done = inside.run("/bin/sh", "-c", checks, uid=USER, before=(lambda: None) if limit is None else (lambda: resource.setrlimit(limit, (value, value))))
        lines = done.stdout.splitlines()
        if expected is None:
            expected = lines
            assert len(lines) == 3 and inside.agent.cgroup in lines[0], done
        if not lines:
            ended += 1
            continue
        ran += 1
        # The shell may lack what it needs; what it says is never other than that.
        assert set(lines) <= set(expected), (limit, value, done)
    assert ran and ended


# --- sockets ---

def test_forms_of_addresses(inside):
    """That some network may lead back to an address that is governed in its other forms, or to this host."""
    forms = ["::ffff:0:203.0.113.9", "::203.0.113.9", "64:ff9b::203.0.113.9", "64:ff9b:1::203.0.113.9", "2002:cb00:7109::1", "0.1.2.3", "240.0.0.1",
             "255.255.255.255", "224.0.0.1", "ff02::1%wl0", "fe80::1%wl0", "169.254.169.254", "::1%wl0", "127.255.255.254", "::ffff:127.1.2.3",
             "::ffff:0.0.0.0", "10.99.0.255", "2001:db8::", HOST4]
    answer = as_user(inside, f"""
def tell(form):
    try:
        found = socket.getaddrinfo(form, 7200, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror as e:
        return str(e)
    family, kind, _, _, address = found[0]
    s = socket.socket(family)
    s.settimeout(1)
    def dial():
        s.connect(address)
        s.send(b"ping")
        return s.recv(9).decode()
    return tried(dial)
result = {{form: tell(form) for form in {forms!r}}}
""")
    assert {form for form, said in answer.items() if said == "ping"} >= {"64:ff9b::203.0.113.9", "2002:cb00:7109::1", "240.0.0.1"}  # by a worker
    assert {answer[form] for form in ("127.255.255.254", "::ffff:127.1.2.3", "::ffff:0.0.0.0", HOST4)} == {"ECONNREFUSED"}


def test_sockets_that_become_others(inside):
    answer = as_user(inside, f"""
def again(s, address):
    s.settimeout(5)
    s.connect(address)
    s.send(b"ping")
    return s.recv(9).decode()
UNSPEC = ctypes.create_string_buffer(bytes(16))
result = {{}}
# An IPv6 socket that is made one of IPv4 when it is connected, and dials once more.
s = socket.socket(socket.AF_INET6)
result["mapped"] = tried(again, s, ("::ffff:{SERVER4}", 7201))
result["form"] = tried(s.setsockopt, 41, 1, socket.AF_INET)
call(42, s.fileno(), UNSPEC, 16)
result["again"] = tried(lambda: again(socket.socket(fileno=s.detach()), ({SERVER4!r}, 7202)))
for name in (b"tls", b"smc", b"espintcp", b"mptcp"):
    s = socket.socket()
    result["before " + name.decode()] = tried(s.setsockopt, 6, 31, name)
    result["then " + name.decode()] = tried(again, s, ({SERVER4!r}, 7203))
# A device, and an address, that are chosen first.
for device in (b"lo", b"wl0"):
    s = socket.socket()
    tried(s.setsockopt, 1, 25, device)
    result["device " + device.decode()] = tried(again, s, ({SERVER4!r}, 7204))
s = socket.socket()
result["free"] = tried(s.setsockopt, 0, 15, 1)
result["bound"] = tried(s.bind, ({SERVER4!r}, 0))
result["from elsewhere"] = tried(again, s, ({SERVER4!r}, 7205))
# Data with the SYN, to a mapped address, and without one.
s = socket.socket(socket.AF_INET6)
result["with data"] = tried(lambda: s.sendto(b"ping", 0x20000000, ("::ffff:{SERVER4}", 7206)) and s.recv(9).decode())
s = socket.socket()
result["no address"] = tried(lambda: s.sendmsg([b"x"], [], 0x20000000))
""")
    assert {answer[what] for what in ("mapped", "again", "then tls", "with data")} == {"ping"}, answer
    assert "ping" not in (answer["from elsewhere"], answer["no address"])
    for port in (7201, 7202, 7203, 7206):
        assert inside.daemon.session(SERVER4, port)["agent"] == inside.agent.name


def test_datagrams_in_other_words(host, seen):  # noqa: F811
    _, agent = host.govern(egress="deny")
    answer = agent.python(TOOLS + f"""
kept_open = []
def udp(family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(2)
    kept_open.append(s)
    return s
def named(family, port, host):
    return ctypes.create_string_buffer(struct.pack("=H", family) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8), 16)
result = {{}}
result["unspec"] = call(44, udp().fileno(), ctypes.c_char_p(b"x"), 1, 0, named(0, 7210, {SERVER4!r}), 16)
result["of IPv4"] = call(44, udp(socket.AF_INET6).fileno(), ctypes.c_char_p(b"x"), 1, 0, named(2, 7211, {SERVER4!r}), 16)
result["mapped"] = tried(udp(socket.AF_INET6).sendto, b"x", ("::ffff:{SERVER4}", 7212))
s = udp()
tried(s.setsockopt, 1, 6, 1)
result["broadcast"] = tried(s.sendto, b"x", ("10.99.0.255", 7213))
result["all"] = tried(s.sendto, b"x", ("255.255.255.255", 7213))
result["group"] = tried(udp().sendto, b"x", ("224.0.0.251", 5353))
s = udp(socket.AF_INET6)
tried(s.setsockopt, 41, 17, socket.if_nametoindex("wl0"))
result["group6"] = tried(s.sendto, b"x", ("ff02::fb", 5353))
s = udp()
tried(s.setsockopt, 17, 1, 1)
tried(s.sendto, b"x", ({SERVER4!r}, 7214))
result["corked"] = tried(s.setsockopt, 17, 1, 0)
s = udp()
tried(s.setsockopt, 17, 103, 100)
result["segments"] = tried(s.sendto, b"x" * 1000, ({SERVER4!r}, 7215))
s = udp()
information = struct.pack("=I", socket.if_nametoindex("lo")) + socket.inet_aton("127.0.0.1") + bytes(4)
result["from lo"] = tried(s.sendmsg, [b"x"], [(0, 8, information)], 0, ({SERVER4!r}, 7216))
s = udp()
s.connect(("127.0.0.1", 7217))
result["elsewhere"] = tried(s.sendto, b"x", ({SERVER4!r}, 7217))
s = udp()
s.connect(({SERVER4!r}, 7218))
s.connect(("127.0.0.1", 7218))
s.connect(({SERVER4!r}, 7218))
result["reconnected"] = tried(s.send, b"x")
s = udp()
tried(s.setsockopt, 17, 100, 2)
result["encapsulating"] = tried(s.sendto, b"x", ({SERVER4!r}, 4500))
""")
    # A datagram that is bound to loopback goes there and no further.
    assert {what for what, said in answer.items() if isinstance(said, int)} <= {"from lo", "reconnected"}, answer
    assert seen() == 0, answer


def test_while_it_is_configured_anew(inside, network):
    """Policies and rules are replaced under who dials all the time."""
    process = inside.agent.start(f"""
made = refused = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    said = attempt({SERVER4!r}, port=7220)
    made += said.get("data") == "ping"
    refused += said.get("data") != "ping"
result = [made, refused]
""")
    resources = inside.daemon.config["resources"]
    for i in range(6):
        assert inside.daemon.set_config(egress="deny", resources=resources if i % 2 else []) is None
    made, refused = json.loads(process.communicate("\n", timeout=60)[0])
    assert made and refused and network.leaks() == 0
