# SPDX-License-Identifier: Apache-2.0
"""Those on the host who would start a process, dial or look something up for whoever asks, outside of the agent: a command of
`wayleave run` does not find them (bypasses B7 to B9)."""
import contextlib
import ctypes
import errno
import json
import os
import pathlib
import socket
import stat
import subprocess

import pytest
from conftest import PYTHON, Host, program, sh
from test_by_name import TOOLS, as_user
from test_launcher import GROUP, KEEP_USER, NAME, OWN_KEYS, USER, Launcher, encode_plan, libc, made_folders

OWN = pathlib.Path(f"/run/user/{USER}")
ALLOWED = [OWN / "engine.sock", OWN / "allowed/engine.sock", pathlib.Path("/run/systemd/io.systemd.Hostname")]
LED = OWN / "led"  # a link of the user's
STREAM, DATAGRAM, PACKETS = map(int, (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET))
SOCKETS = {
    # Who logs in, or gives a network namespace a way out, or keeps secrets.
    "/run/ssh-unix-local/socket": STREAM, "/run/systemd/io.systemd.NamespaceResource": STREAM, "/run/systemd/io.systemd.Credentials": STREAM,
    # Who dials, or sends mail.
    "/run/tor/socks": STREAM, "/run/tailscale/tailscaled.sock": STREAM, "/run/apt-cacher-ng/socket": STREAM, "/run/redis/redis-server.sock": STREAM,
    "/run/smtpd.sock": STREAM, "/run/mpd/socket": STREAM,
    # Who runs what it is told to.
    "/run/php/php-fpm.sock": STREAM, f"/run/screen/S-{NAME}/1.x": STREAM, f"/run/tmux/{USER}/default": STREAM,
    # Any program of the user's may listen there, in any way.
    f"{OWN}/nvim.77.0": STREAM, f"{OWN}/sway-ipc.77.sock": PACKETS, f"{OWN}/emacs/server": STREAM, f"{OWN}/gnupg/S.dirmngr": STREAM,
    f"{OWN}/wezterm/sock": STREAM, f"{OWN}/pulse/native": DATAGRAM, f"{OWN}/notify": DATAGRAM,
    f"{OWN}/allowed/other.sock": STREAM,
    # In a folder that is hidden, to which a link of the user's leads.
    "/run/crio/engine.sock": STREAM,
}
FIFOS = ["/run/initctl", f"{OWN}/fifo"]


@pytest.fixture(scope="module")
def inside(network, installed):
    host = Host(network)
    try:
        yield Launcher(host, installed, [NAME], sockets=[*map(str, ALLOWED), str(LED / "engine.sock")])
    finally:
        host.close()


@pytest.fixture(scope="module")
def listening():
    """All of them."""
    places = [*map(pathlib.Path, [*SOCKETS, *FIFOS]), *ALLOWED]
    taken = [str(p) for p in [OWN, *places] if p.exists()]
    if taken:
        pytest.skip(f"{taken} are in use on this host")
    with contextlib.ExitStack() as undo:
        undo.enter_context(made_folders(*{p.parent for p in places if p.parent != pathlib.Path("/run")}))
        for place, kind in {**SOCKETS, **dict.fromkeys(map(str, ALLOWED), STREAM)}.items():
            server = undo.enter_context(socket.socket(socket.AF_UNIX, kind))
            server.bind(place)
            undo.callback(pathlib.Path(place).unlink)
            os.chmod(place, 0o777)
            if kind != DATAGRAM:
                server.listen()
        for fifo in FIFOS:
            os.mkfifo(fifo)
            undo.callback(pathlib.Path(fifo).unlink)
            os.chmod(fifo, 0o666)
        (OWN / "file").write_text("kept")
        (OWN / "link").symlink_to("file")
        LED.symlink_to("/run/crio")
        for path in [OWN, *OWN.rglob("*")]:
            os.chown(path, USER, GROUP, follow_symlinks=False)
        OWN.chmod(0o700)
        yield


REACH = """
def reach(path, kind):
    return tried(socket.socket(socket.AF_UNIX, kind).connect, path)
def write(path):
    return tried(lambda: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)))
"""


def of_all(paths=()):
    return TOOLS + REACH + f"result = {{**{{p: reach(p, k) for p, k in {({**SOCKETS, **dict.fromkeys(map(str, paths), STREAM)})!r}.items()}}, **{{p: write(p) for p in {FIFOS!r}}}}}"


def test_sockets_are_not_seen(inside, listening):
    # Whom nobody governs reaches each; who is at a FIFO's other end it would have to wait for.
    outside = subprocess.run([PYTHON, "-c", "import ctypes, errno, json, os, socket, sys\n" + of_all() + "\nprint(json.dumps(result))"],
                             capture_output=True, text=True, user=USER, group=GROUP, extra_groups=[])
    assert outside.returncode == 0, outside.stderr
    assert json.loads(outside.stdout) == {**dict.fromkeys(SOCKETS), **dict.fromkeys(FIFOS, "ENXIO")}
    assert inside.python(of_all(), uid=USER) == dict.fromkeys([*SOCKETS, *FIFOS], "ENOENT")


def test_what_else_is_there(inside, listening):
    """Files, the folder itself, and what the admin allows: by their paths, with nothing beside them."""
    answer = as_user(inside, REACH + f"""
result = {{"allowed": [reach(p, socket.SOCK_STREAM) for p in {list(map(str, ALLOWED))!r}], "files": [open({str(OWN)!r} + n).read() for n in ("/file", "/link")],
          "mode": os.stat({str(OWN)!r}).st_mode & 0o7777, "owner": os.stat({str(OWN)!r}).st_uid, "listed": sorted(os.listdir({str(OWN)!r})),
          "own": tried(lambda: socket.socket(socket.AF_UNIX).bind({str(OWN)!r} + "/mine"))}}
""")
    assert answer == {"allowed": [None] * 3, "files": ["kept"] * 2, "mode": 0o700, "owner": USER,
                      "listed": ["allowed", "engine.sock", "file", "led", "link"], "own": None}
    assert not (OWN / "mine").exists()


def test_links_of_others_show_nothing(inside, listening):
    """Neither by the daemon's answer, nor by what changed since."""
    assert as_user(inside, REACH + f"result = reach({str(LED / 'engine.sock')!r}, socket.SOCK_STREAM)") == "ENOENT"
    with inside.fake(encode_plan(inside.agent, shown=[(str(LED / "engine.sock"), "/run/crio/engine.sock"), (str(OWN / "file"), "/run/wl-none")])):
        assert inside.python(of_all(), uid=USER, at=inside.folder / "fake.sock")["/run/crio/engine.sock"] == "ENOENT"


def test_automounter(inside):
    """It looks any name up that a program makes up, and asks that host."""
    place = inside.folder / "net"
    place.mkdir()
    out, into = os.pipe2(os.O_NONBLOCK)
    options = f"fd={into},pgrp={os.getpgrp()},minproto=5,maxproto=5,indirect"
    try:
        if libc.mount(b"-hosts", str(place).encode(), b"autofs", 0, options.encode()) < 0:
            pytest.skip(f"no autofs here: {errno.errorcode[ctypes.get_errno()]}")
        os.close(into)
        assert as_user(inside, f"result = tried(os.stat, {str(place / 'secret.example.com')!r})", start_new_session=True) == "ENOENT"
        with pytest.raises(BlockingIOError):
            os.read(out, 999)
    finally:
        os.close(out)  # nobody waits for an answer any more
        sh("umount", str(place), check=False)
        place.rmdir()


def test_agents_of_keys_at_home(inside):
    """As OpenSSH 10.1 has them. One that comes later is not seen either."""
    home = inside.folder / "home"
    folder = home / ".ssh/agent"
    paths = [folder / "s.one", folder / "s.two", folder / "s.late"]
    code = TOOLS + REACH + f"""
print("started", flush=True)
sys.stdin.readline()
result = [reach(p, {STREAM}) for p in {list(map(str, paths))!r}]
"""
    with contextlib.ExitStack() as undo:
        undo.enter_context(made_folders(home, home / ".ssh", folder))

        def serve(path):
            server = undo.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(str(path))
            server.listen()
            os.chown(path, USER, GROUP)

        def seen(**more):
            process = inside.popen(PYTHON, "-c", program(code), uid=USER, env={**os.environ, "HOME": str(home), "SSH_AUTH_SOCK": str(paths[0])},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more)
            assert process.stdout.readline() == "started\n"
            if not paths[2].exists():
                serve(paths[2])
            return json.loads(process.communicate("\n", timeout=30)[0])
        for path in paths[:2]:
            serve(path)
        for path in (home, home / ".ssh", folder):
            os.chown(path, USER, GROUP)
        assert seen() == ["ENOENT"] * 3
        with inside.fake(encode_plan(inside.agent, flags=KEEP_USER | OWN_KEYS)):
            assert seen(at=inside.folder / "fake.sock") == [None, "ENOENT", "ENOENT"]


def test_devices_of_networks(inside):
    """Adapters that a program speaks with by itself: no rule sees what they send."""
    folder = pathlib.Path("/dev/infiniband")
    paths = [folder / "uverbs0", *(pathlib.Path("/dev") / name for name in ("hfi1_0", "uinput", "vhost-vsock", "vhost-vdpa-0", "vmci", "vboxuser", "ppp"))]
    if folder.exists() or any(path.exists() for path in paths):
        pytest.skip("such devices are in use on this host")
    code = f"result = [tried(lambda: open(p, 'rb').read(1).hex()) for p in {list(map(str, paths))!r}]"
    with made_folders(folder):
        try:
            for path in paths:
                os.mknod(path, stat.S_IFCHR, os.makedev(1, 5))  # zero
                path.chmod(0o666)
            assert as_user(inside, code) == ["ENOENT", *[""] * (len(paths) - 1)]
            assert [open(path, "rb").read(1) for path in paths] == [b"\0"] * len(paths)  # they were there
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
