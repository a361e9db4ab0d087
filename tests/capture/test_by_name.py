# SPDX-License-Identifier: Apache-2.0
"""Escapes by their names, each tried by a command of `wayleave run` as an ordinary user, or, where it says so, by a process that is in
the agent's cgroup without the launcher. One daemon for all; that nothing reached the world unjudged is looked at once, at the end
(bypasses B4 to B6, B9, B12 to B14, B16)."""
import contextlib
import errno
import json
import os
import pathlib
import shutil
import socket
import subprocess

import pytest
from conftest import BUILD, CGROUPS, LAYOUT, PYTHON, SERVER4, SERVER6, Host, program
from test_launcher import GROUP, NAME, USER, Launcher

CLONE_NEWUSER, CLONE_NEWNET = 1 << 28, 1 << 30

# Besides conftest.PRELUDE.
TOOLS = """
libc = ctypes.CDLL(None, use_errno=True)

def call(*arguments):
    # A system call by its number: what it gave, or the name of the error.
    r = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return errno.errorcode[ctypes.get_errno()] if r < 0 else r

def tried(what, *arguments):
    # The name of the error, or what it returned.
    try:
        return what(*arguments)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
"""


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


def as_user(run, code, **more):
    return run.python(TOOLS + code, uid=USER, **more)


def bare(run, code):
    """In the cgroup alone, as an ordinary user, without the launcher."""
    process = run.agent.popen("setpriv", "--reuid", str(USER), "--regid", str(GROUP), "--clear-groups", PYTHON, "-c", program(TOOLS + code))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


# --- sockets (B6) ---

FAMILIES = {"AF_PACKET": 17, "AF_RDS": 21, "AF_CAN": 29, "AF_TIPC": 30, "AF_BLUETOOTH": 31, "AF_RXRPC": 33, "AF_ALG": 38,
            "AF_VSOCK": 40, "AF_KCM": 41, "AF_QIPCRTR": 42, "AF_SMC": 43, "AF_XDP": 44, "AF_MCTP": 45}


def test_families(inside):
    answer = as_user(inside, f"""
result = {{name: sorted({{tried(lambda: socket.socket(family, kind).close())
                        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)}}, key=str)
          for name, family in {FAMILIES!r}.items()}}
""")
    assert answer == {name: ["EAFNOSUPPORT"] for name in FAMILIES}


@pytest.mark.parametrize("kind, protocol", [(6, 33), (5, 132), (1, 132), (1, 256), (1, 262), (2, 136), (2, 115), (3, 255)],
                         ids=["DCCP", "SCTP one to many", "SCTP", "SMC", "MPTCP", "UDP-Lite", "L2TP", "raw"])
def test_protocols(inside, kind, protocol):
    """Whether the kernel has it or not; without the launcher, too."""
    code = f"result = [tried(lambda: socket.socket(family, {kind}, {protocol}).close()) for family in (socket.AF_INET, socket.AF_INET6)]"
    for answer in (as_user(inside, code), bare(inside, code)):
        assert set(answer) <= {"EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EPERM"}, answer


def test_who_would_have_mptcp_has_tcp(inside):
    """As programs in Go do (1.21 by request, 1.24 where they listen): a socket of MPTCP first, and without it one of TCP."""
    answer = as_user(inside, f"""
def either(family):
    try:
        return socket.socket(family, socket.SOCK_STREAM, 262), "MPTCP"
    except OSError:
        return socket.socket(family, socket.SOCK_STREAM), "TCP"
result = []
for family, address in ((socket.AF_INET, {SERVER4!r}), (socket.AF_INET6, {SERVER6!r})):
    s, kind = either(family)
    s.settimeout(5)
    s.connect((address, 7100))
    s.send(b"ping")
    result.append([kind, s.recv(9).decode()])
    own, kind = either(family)
    own.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    own.listen()
    s = either(family)[0]
    s.connect(own.getsockname())
    s.send(b"own")
    result.append([kind, own.accept()[0].recv(9).decode()])
""")
    assert answer == [["TCP", "ping"], ["TCP", "own"]] * 2
    for address in (SERVER4, SERVER6):
        assert inside.daemon.session(address, 7100)["agent"] == inside.agent.name


def test_netlink_writes(inside):
    """Its sockets are there, what they would change is not the agent's to change."""
    commands = [["ip", "link", "add", "by0", "type", "dummy"], ["ip", "route", "add", "198.51.100.0/24", "via", SERVER4],
                ["ip", "rule", "add", "fwmark", "1", "lookup", "99"], ["nft", "add", "table", "inet", "byname"],
                ["nft", "flush", "ruleset"], ["ss", "-K", "dport", "=", "5432"]]
    answer = as_user(inside, f"""
import subprocess
result = [[p.returncode, p.stderr + p.stdout] for p in (
    subprocess.run(c, capture_output=True, text=True, env={{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}}) for c in {commands!r})]
""")
    for command, (status, said) in zip(commands, answer):
        if command[0] != "ss":  # says it beside a list, with status 0
            assert status != 0, command
            assert "not permitted" in said, said
    assert "byname" not in inside.world.in_host("nft", "list", "tables")


# --- leaving (B9, B16) ---

def test_double_fork_and_session(inside):
    """Nobody's child any more, and a session of its own: the cgroup stays."""
    answer = as_user(inside, f"""
out, into = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(into, json.dumps(attempt({SERVER4!r}, port=7101)).encode())
    os._exit(0)
os.wait()
result = json.loads(os.read(out, 9999))
""")
    assert answer["data"] == "ping"
    assert inside.daemon.session(SERVER4, 7101)["agent"] == inside.agent.name


def test_programs_that_others_run(inside):
    """at, crontab and the like are setuid or setgid, or ask a manager whose socket is hidden: neither gives anything."""
    copy = inside.folder / "id"
    shutil.copy("/usr/bin/id", copy)
    os.chown(copy, 0, 0)
    copy.chmod(0o6755)
    answer = as_user(inside, f"""
import subprocess
result = {{"id": subprocess.run([{str(copy)!r}], capture_output=True, text=True).stdout}}
for path in ("/run/systemd/private", "/run/dbus/system_bus_socket", f"/run/user/{{os.getuid()}}/bus",
             f"/run/user/{{os.getuid()}}/systemd/private"):
    result[path] = tried(socket.socket(socket.AF_UNIX).connect, path)
""")
    outside = subprocess.run([str(copy)], capture_output=True, text=True, user=USER, group=GROUP, extra_groups=[]).stdout
    assert "euid=0" in outside  # it would
    assert "euid" not in answer["id"] and "egid" not in answer["id"] and f"uid={USER}" in answer["id"]
    assert set(answer.values()) - {answer["id"]} <= {"ENOENT", "ECONNREFUSED"}


# Those who run programs, or look names up, for whoever asks.
SERVICES = ["/run/fcgiwrap.socket", "/run/supervisor.sock", "/run/cups/cups.sock", "/run/nscd/socket", "/run/avahi-daemon/socket",
            "/run/systemd/io.systemd.Import", "/run/systemd/resolve/io.systemd.Resolve"]


def test_services_of_others(inside):
    """Names are looked up by DNS, which is judged; what says where is still to be seen. Nobody listens at the sockets: the rest of the host
    would ask there, too."""
    with contextlib.ExitStack() as undo:
        said = pathlib.Path("/run/systemd/resolve/stub-resolv.conf")
        for path in map(pathlib.Path, [*SERVICES, said]):
            if path.exists():
                pytest.skip(f"{path} is in use on this host")
            for folder in reversed([p for p in path.parents if not p.exists()]):
                folder.mkdir(mode=0o755)
                undo.callback(folder.rmdir)
            if path == said:
                path.write_text("nameserver 127.0.0.53\n")
            else:
                server = undo.enter_context(socket.socket(socket.AF_UNIX))
                server.bind(str(path))
                path.chmod(0o777)
            undo.callback(path.unlink)
        code = f"""
result = {{path: tried(socket.socket(socket.AF_UNIX).connect, path) for path in {SERVICES!r}}}
result["said"] = open({str(said)!r}).read()
"""
        for answer in (as_user(inside, code), inside.python(TOOLS + code)):
            assert answer == {**dict.fromkeys(SERVICES, "ENOENT"), "said": "nameserver 127.0.0.53\n"}
        assert bare(inside, code) == {**dict.fromkeys(SERVICES, "ECONNREFUSED"), "said": "nameserver 127.0.0.53\n"}  # they were there


# A child, made in the cgroup of a descriptor (clone3, CLONE_INTO_CGROUP).
CLONE_INTO = """
def clone_into(path):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as e:
        return errno.errorcode[e.errno]
    arguments = struct.pack("=11Q", 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, fd)
    r = call(435, ctypes.create_string_buffer(arguments), len(arguments))
    if r == 0:
        os._exit(0)
    return r
"""


@pytest.mark.parametrize("launched", [True, False])
def test_other_cgroups(inside, launched):
    """Into one above, beside, or of the workers: by clone3(2), or by their cgroup.procs."""
    there = [str(CGROUPS), str(inside.agent.path.parent), str(inside.world.daemons), str(inside.daemon.cgroup / "workers")]
    code = CLONE_INTO + f"""
result = [[clone_into(path), tried(lambda: open(path + "/cgroup.procs", "w").write("0")),
           tried(lambda: open(path + "/cgroup.threads", "w").write("0"))] for path in {there!r}]
result.append(open("/proc/self/cgroup").read())
"""
    answer = as_user(inside, code) if launched else bare(inside, code)
    for tries in answer[:-1]:
        # Where it is mounted there is an empty folder.
        assert set(tries) <= ({"ENOENT", "EROFS", "EBADF"} if launched else {"EACCES"}), answer
    assert inside.agent.cgroup in answer[-1]


def test_other_network_namespaces(inside):
    """That of process 1, and by a helper that stayed outside of one's own (pasta, slirp4netns): what the helper makes is the agent's."""
    answer = as_user(inside, f"""
def enter(pid):
    fd = os.open(f"/proc/{{pid}}/ns/net", os.O_RDONLY)
    return "entered" if libc.setns(fd, {CLONE_NEWNET}) == 0 else errno.errorcode[ctypes.get_errno()]
result = [tried(enter, 1), tried(enter, {os.getpid()})]
ours, theirs = socket.socketpair()
ours.settimeout(10)
if os.fork() == 0:
    # As a guest: alone, it asks the helper for each connection.
    assert libc.unshare({CLONE_NEWUSER | CLONE_NEWNET}) == 0
    theirs.send(b"dial")
    s = socket.socket(fileno=socket.recv_fds(theirs, 1, 1)[1][0])
    s.send(b"ping")
    theirs.send(s.recv(9))
    os._exit(0)
ours.recv(4)
s = socket.create_connection(({SERVER4!r}, 7102))
socket.send_fds(ours, [b"x"], [s.fileno()])
result.append(ours.recv(9).decode())
""")
    assert set(answer[:2]) <= {"EACCES", "EPERM"} and answer[2] == "ping"
    assert inside.daemon.session(SERVER4, 7102)["agent"] == inside.agent.name


def test_while_programs_change(inside):
    """Threads that dial while others vfork, and while their process becomes another program; a program without a file."""
    answer = as_user(inside, f"""
import subprocess
def dial():
    while True:
        tried(attempt, {SERVER4!r})
for _ in range(4):
    threading.Thread(target=dial, daemon=True).start()
for _ in range(20):
    subprocess.run(["/bin/true"])  # vfork and exec
memory = os.memfd_create("nothing", 0)
os.write(memory, open(os.path.realpath(sys.executable), "rb").read())
code = "import json, socket; s = socket.create_connection(({SERVER4!r}, 7103), 5); s.send(b'ping'); print(json.dumps(s.recv(9).decode()), flush=True)"
os.execve(memory, ["python", "-c", code], {{"PYTHONHOME": sys.prefix}})
""")
    assert answer == "ping"
    assert inside.daemon.session(SERVER4, 7103)["agent"] == inside.agent.name


def test_an_address_that_changes_while_it_is_read(inside):
    """The kernel copies it before the hook sees it."""
    answer = as_user(inside, f"""
own = socket.create_server(("127.0.0.1", 7104))
def of(host):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", 7104) + socket.inet_aton(host) + bytes(8)
here, there = of("127.0.0.1"), of({SERVER4!r})
room = ctypes.create_string_buffer(here, 16)
on = True
def flip():
    while on:
        ctypes.memmove(room, there, 16)
        time.sleep(0)
        ctypes.memmove(room, here, 16)
threading.Thread(target=flip).start()
made = 0
for _ in range(200):
    s = socket.socket()
    made += call(42, s.fileno(), room, 16) == 0
    s.close()
on = False
result = made
""")
    assert answer > 0


# --- what holds it (B14) ---

def test_bpf(inside):
    """By the filter; without it, because nobody but root may, nor reach what is pinned."""
    pin = inside.daemon.pins / LAYOUT / "maps/settings"
    link = inside.daemon.pin(inside.agent, "steer_connect4")
    code = f"""
attributes = ctypes.create_string_buffer(128)
path = ctypes.create_string_buffer({str(pin)!r}.encode())
ctypes.memmove(attributes, struct.pack("Q", ctypes.addressof(path)), 8)
# BPF_OBJ_GET, BPF_MAP_UPDATE_ELEM, BPF_PROG_LOAD, BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_MAP_GET_FD_BY_ID, BPF_LINK_UPDATE, BPF_LINK_DETACH, BPF_TOKEN_CREATE
result = [[call(321, command, attributes, 128) for command in (7, 2, 5, 8, 9, 14, 29, 34, 36)],
          tried(os.unlink, {str(link)!r}), tried(os.listdir, "/sys/fs/bpf/wayleave")]
"""
    calls, unlinked, listed = as_user(inside, code)
    assert set(calls) == {"EPERM"} and unlinked == listed == "ENOENT"
    calls, unlinked, listed = bare(inside, code)
    # What needs no right needs a descriptor, which it can't get.
    assert set(calls) <= {"EPERM", "EACCES", "EBADF", "EINVAL"} and unlinked == listed == "EACCES"
    assert link.exists()


def test_programs_that_the_kernel_starts(inside):
    """For a key that is not there it asks a program of root's, which looks up what the caller says, in no agent's cgroup."""
    answer = as_user(inside, """
def ask(kind, callout):
    return call(249, ctypes.c_char_p(kind), ctypes.c_char_p(b"secret.example.com"), ctypes.c_char_p(callout), 0)
result = [ask(kind, callout) for kind in (b"dns_resolver", b"user") for callout in (b"", b"a=203.0.113.9", None)]
""")
    assert answer[0:2] == answer[3:5] == ["EPERM"] * 2
    # What searches alone is left as it is; a kernel without that kind of key says so.
    assert {answer[2], answer[5]} <= {"ENOKEY", "ENOSYS"}


def test_processes(inside):
    """The worker, the monitor, one of the agent's own user outside, and process 1: neither their memory, nor descriptors, nor what they see."""
    neighbour = subprocess.Popen(["sleep", "60"], user=USER, group=GROUP)
    try:
        pids = [*inside.daemon.workers(), inside.daemon.process.pid, neighbour.pid, 1]
        answer = as_user(inside, f"""
word = ctypes.create_string_buffer(8)
local = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(word), 8))
remote = ctypes.create_string_buffer(struct.pack("QQ", 0x400000, 8))
def take(pid):
    handle = os.pidfd_open(pid)
    return call(438, handle, 0, 0)
def tries(pid):
    return [call(310, pid, local, 1, remote, 1, 0), call(311, pid, local, 1, remote, 1, 0), tried(take, pid), call(101, 16, pid, 0, 0),
            call(101, 0x4206, pid, 0, 0), call(425 + 15, pid, 0, 0), tried(os.listdir, f"/proc/{{pid}}/root/"), tried(os.readlink, f"/proc/{{pid}}/fd/0"),
            tried(lambda: open(f"/proc/{{pid}}/fd/0").close()),
            tried(os.readlink, f"/proc/{{pid}}/cwd"), tried(lambda: open(f"/proc/{{pid}}/mem", "rb").close()),
            tried(lambda: open(f"/proc/{{pid}}/environ", "rb").read().decode()), tried(os.readlink, f"/proc/{{pid}}/ns/net"),
            tried(lambda: os.listdir(f"/proc/{{pid}}/map_files"))]
result = [tries(pid) for pid in {pids!r}]
""")
        for pid, tries in zip(pids, answer):
            assert {str(t) for t in tries} <= {"EPERM", "EACCES", "ESRCH", "EBADF", "EINVAL"}, (pid, tries)
    finally:
        neighbour.kill()
        neighbour.wait()


# --- a socket that was something else before (B4, B5) ---

def test_sockets_with_a_past(inside):
    """Accepted, listening, disconnected, connected to itself: each connect(2) is looked at."""
    answer = as_user(inside, f"""
UNSPEC = ctypes.create_string_buffer(bytes(16))
def again(s, port):
    s.settimeout(5)
    s.connect(({SERVER4!r}, port))
    s.send(b"ping")
    return s.recv(9).decode()
def unconnect(s):
    assert call(42, s.fileno(), UNSPEC, 16) == 0
result = {{}}
own = socket.create_server(("127.0.0.1", 7105))
s = socket.create_connection(("127.0.0.1", 7105))
accepted = own.accept()[0]
unconnect(s)
result["disconnected"] = tried(again, s, 7110)
unconnect(accepted)
result["accepted"] = tried(again, accepted, 7111)
own.shutdown(socket.SHUT_RDWR)
result["listening"] = tried(again, own, 7112)
s = socket.socket()
s.bind(("127.0.0.1", 7106))
result["itself"] = tried(s.connect, ("127.0.0.1", 7106))
s = socket.socket()
s.setsockopt(socket.IPPROTO_TCP, 30, 1)  # TCP_FASTOPEN_CONNECT
result["deferred"] = tried(again, s, 7113)
s = socket.socket()
result["data with it"] = tried(lambda: s.sendto(b"ping", 0x20000000, ({SERVER4!r}, 7114)) and s.recv(9).decode())
s = socket.socket(type=socket.SOCK_DGRAM)
result["datagram"] = tried(s.sendto, b"x", ({SERVER4!r}, 7115))
""")
    assert answer == {"disconnected": "ping", "accepted": "ping", "listening": "ping", "itself": "ECONNREFUSED", "deferred": "ping",
                      "data with it": "ping", "datagram": answer["datagram"]}
    assert answer["datagram"] in (1, "EPERM")
    for port in (7110, 7111, 7112, 7113, 7114):
        assert inside.daemon.session(SERVER4, port)["agent"] == inside.agent.name


def test_socket_options(inside):
    """Those that make a connection without connect(2), or lead it elsewhere, are for who has rights over the network."""
    options = {"TCP_REPAIR": (6, 19, 1), "SO_MARK": (1, 36, 1), "IP_TRANSPARENT": (0, 19, 1),
               "IPV6_TRANSPARENT": (41, 75, 1), "SO_PRIORITY": (1, 12, 7), "SO_SNDBUFFORCE": (1, 32, 1)}
    answer = as_user(inside, f"""
result = {{}}
for name, (level, option, value) in {options!r}.items():
    s = socket.socket(socket.AF_INET6 if level == 41 else socket.AF_INET)
    result[name] = tried(s.setsockopt, level, option, value)
""")
    assert answer == dict.fromkeys(options, "EPERM")


@pytest.fixture
def seen(network):
    """Datagrams that reached the world."""
    network.add_rules(network.world, """
        table inet by_name {
            counter seen { }
            chain see { type filter hook prerouting priority raw - 1; iif "wl0" meta l4proto udp counter name seen; }
        }
    """)
    yield lambda: int(network.in_namespace(network.world, "nft", "list", "counter", "inet", "by_name", "seen").split("packets")[1].split()[0])
    network.in_namespace(network.world, "nft", "delete", "table", "inet", "by_name")


def test_datagrams_by_io_uring(host, network, seen):
    """With their destination beside them, from sockets that were never connected; by a name that only the ring knows."""
    _, agent = host.govern(egress="deny")
    dial = str(BUILD / "tests/capture_dial")
    for how in ("message", "fixed", "zero_copy"):
        for address in (SERVER4, SERVER6):
            out, err = agent.popen(dial, "datagram", how, address, "7116").communicate(timeout=20)
            assert out == f"{errno.EPERM}\n" or out == "0\n", (how, address, out, err)
    assert seen() == 0
    network.in_host(dial, "datagram", "message", SERVER4, "7116")
    assert seen() == 1  # of somebody whom nobody governs


def test_simultaneous_open(inside):
    """Two ends that dial each other: each is looked at like any other."""
    answer = as_user(inside, f"""
def dial(own, to):
    s = socket.socket()
    s.bind(("127.0.0.1", own))
    for _ in range(200):
        r = s.connect_ex(("127.0.0.1", to))
        if r == 0:
            return "connected"
    return errno.errorcode[r]
answers = []
threads = [threading.Thread(target=lambda a=a: answers.append(dial(*a))) for a in ((7107, 7108), (7108, 7107))]
for t in threads: t.start()
for t in threads: t.join()
result = answers
""")
    assert answer == ["ECONNREFUSED"] * 2
