# SPDX-License-Identifier: Apache-2.0
"""What commands and shells write, masked on its way to the agent; files, which are not."""
import fcntl
import json
import os
import pty
import re
import subprocess
import termios

from harness.records import records_of
from harness.ssh_gate import OPTIONS, daemon, ended, environment, run, server, shell  # noqa: F401
from harness.terminal import read_until, resize

CARD = "4111 1111 1111 1111"
MASK = {"mask": [{"detect": ["credit_card", "email", "private_key", "secret"], "with": "redact"}], "record": "rows"}
RULES = [{"name": "all masked", "resources": ["box"],
          "operations": ["exec", "shell", "subsystem", "read", "write", "git_fetch", "git_push"], "allow": MASK}]


def test_findings_are_masked_in_both_streams(daemon, server, tmp_path):
    (tmp_path / "a").write_text(f"{CARD}, and 2\npassword=hunter22")
    (tmp_path / "b").write_text("to x.y@example.com\n")
    done = run(daemon, server, f"cat {tmp_path}/a; cat {tmp_path}/b >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "[masked], and 2\npassword=[masked]", "to [masked]\n")
    session = ended(daemon)
    kept = str(records_of(daemon, session, "data"))
    replayed = daemon.wayleave("sessions", "replay", session["id"], "--speed", "0").stdout
    assert "[masked], and 2" in replayed
    for secret in ("hunter22", r"4111\W*1111", "example.com"):  # not 4111 alone, with which a port may begin
        assert not re.search(secret, kept + replayed), secret


def test_colours_and_writes_hide_nothing(daemon, server):
    line = "printf 'n 4111'; printf '\\033[31m1111\\033[0m'; printf '11111111\\n'; printf 'x.y@'; printf 'example.com\\n'"
    done = run(daemon, server, line)
    # What the host took long to go on with is shown as far as it came, the rest never is.
    assert re.fullmatch(r"n (\[masked\]\033\[31m\033\[0m|4111.*\[masked\])\n(x\.y@)?\[masked\]\n", done.stdout), done.stdout
    assert "11111111" not in done.stdout


def test_a_key_is_masked_and_what_stands_behind_it_is_not(daemon, server, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", tmp_path / "k"], check=True)
    done = run(daemon, server, f"cat {tmp_path}/k; echo after")
    assert done.stdout == "[masked]\nafter\n"
    done = run(daemon, server, f"head -n 9 {tmp_path}/k; echo after it")
    assert done.stdout == "[masked]\nafter it\n"


def test_much_and_any_bytes_pass(daemon, server, tmp_path):
    data = bytes(range(1, 127)) * 20000 + b"\n" + CARD.encode() + b"\n" + "ünï ©\n".encode() * 1000
    (tmp_path / "a").write_bytes(data)
    done = run(daemon, server, f"cat {tmp_path}/a", text=False)
    assert done.stdout == data.replace(CARD.encode(), b"[masked]")


def test_what_is_kept_back_comes_when_it_has_waited(daemon, server):
    """A prompt that is no whole line, for which the client waits."""
    process = daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", "printf name; read a; echo hello $a",
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.read(4) == b"name"
        process.stdin.write(b"you\n")
        process.stdin.close()
        assert process.stdout.read() == b"hello you\n" and process.wait(30) == 0
    finally:
        process.kill()
        process.wait(10)


def test_files_are_never_altered(daemon, server, tmp_path):
    data = f"{CARD}\nx.y@example.com\npassword=hunter22\n".encode() * 1000 + os.urandom(1 << 20)
    (tmp_path / "a").write_bytes(data)
    place = f"root@127.0.0.1:{tmp_path}"
    for words in (["scp", "-O", "-q", *OPTIONS, "-P", server.port, f"{place}/a", tmp_path / "b"],
                  ["scp", "-O", "-q", *OPTIONS, "-P", server.port, tmp_path / "a", f"{place}/c"],
                  ["scp", "-q", *OPTIONS, "-P", server.port, f"{place}/a", tmp_path / "d"],
                  ["rsync", "-e", f"ssh {' '.join(OPTIONS)} -p {server.port}", f"{place}/a", tmp_path / "e"]):
        done = daemon.run(*words)
        assert done.returncode == 0, (words, done.stderr)
    for name in "bcde":
        assert (tmp_path / name).read_bytes() == data, name
    # What these say to people is no file.
    done = daemon.run("scp", "-O", *OPTIONS, "-P", server.port, f"{place}/x.y@example.com", tmp_path / "f")
    assert done.returncode != 0 and "x.y@example.com" not in done.stderr.replace(f"{tmp_path}/x.y@example.com", ""), done.stderr


def test_git_is_never_altered(daemon, server, tmp_path):
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.cd", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.cd"}
    subprocess.run(["git", "init", "-q", "-b", "main", tmp_path / "r"], check=True)
    (tmp_path / "r" / "f").write_text(f"{CARD}\n" * 100)
    for words in (["add", "."], ["commit", "-q", "-m", "x.y@example.com"]):
        subprocess.run(["git", "-C", tmp_path / "r", *words], check=True, env={**os.environ, **names})
    done = daemon.run("git", "-c", "core.compression=0", "clone", "-q", f"root@127.0.0.1:{tmp_path}/r", tmp_path / "w", env=environment(server))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "w" / "f").read_text() == f"{CARD}\n" * 100


def test_a_shell_is_masked(daemon, server):
    with shell(daemon, server) as (process, main):
        os.write(main, b"PS1='ready''> '; stty cols 200\n")
        read_until(main, b"ready> ")
        os.write(main, b"x=1111; printf '\\033[1m%s\\033[0m@\\n' \"4111 $x $x $x\"\n")
        seen = read_until(main, b"@\r\n")
        assert b"[masked]" in seen and b"4111 1111" not in seen, seen
        os.write(main, b"exit 5\n")
        assert process.wait(30) == 5
    session = ended(daemon)
    cast = daemon.wayleave("sessions", "replay", session["id"], "--asciicast").stdout
    assert "[masked]" in cast and "4111 1111" not in cast


# --- recordings of terminals

HEADER = {"version", "width", "height", "timestamp", "duration", "idle_time_limit", "command", "title", "env", "theme"}


def read_cast(text):
    """The header and events of an asciicast v2, each line of which has to be as its specification says."""
    def no(what):
        raise ValueError(what)

    def is_count(value):
        return type(value) is int and value > 0

    lines = text.split("\n")
    assert lines.pop() == "", "the last line has an end"
    header, *events = (json.loads(line, parse_constant=no) for line in lines)
    assert type(header) is dict and set(header) <= HEADER and header["version"] == 2
    assert is_count(header["width"]) and is_count(header["height"]) and is_count(header["timestamp"])
    before = 0.0
    for event in events:
        assert type(event) is list and len(event) == 3, event
        at, kind, data = event
        assert type(at) in (int, float) and at >= before, event
        assert kind in ("o", "i", "r", "m") and type(data) is str, event
        assert kind != "r" or re.fullmatch("[1-9][0-9]*x[1-9][0-9]*", data), event
        before = at
    return header, events


def test_a_terminal_replays_as_asciicast(daemon, server, tmp_path):
    words = ("trap 'stty size; exit 4' WINCH; printf 'a\\377b\\303'; printf '\\244\\001\"\\\\\\360\\237z\\n'; echo ready;"
             " while :; do sleep 0.1; done")
    with shell(daemon, server, words, size=(30, 90)) as (process, main):
        read_until(main, b"ready")
        os.write(main, "grüße\n".encode())
        read_until(main, "grüße".encode())
        resize(main, 41, 101)
        read_until(main, b"41 101")
        assert process.wait(30) == 4
    session = ended(daemon)
    cast = tmp_path / "cast"
    with open(cast, "wb") as out:
        assert daemon.wayleave("sessions", "replay", session["id"], "--asciicast", stdout=out, capture_output=False).returncode == 0
    header, events = read_cast(cast.read_bytes().decode())
    assert (header["width"], header["height"]) == (90, 30)
    assert [data for _, kind, data in events if kind == "r"] == ["90x30", "101x41"]
    assert "".join(data for _, kind, data in events if kind == "i") == "grüße\n"
    shown = "".join(data for _, kind, data in events if kind == "o")
    assert "a\ufffdbä\x01\"\\\ufffd\ufffdz\r\nready" in shown and "41 101" in shown, shown
    # The player takes it, and shows the same. It wants a terminal of its own, to be told to stop.
    main, terminal = pty.openpty()
    try:
        played = subprocess.run(["asciinema", "cat", cast], stdin=terminal, capture_output=True, timeout=60, start_new_session=True,
                                env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)},
                                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    finally:
        os.close(terminal)
        os.close(main)
    assert played.returncode == 0 and played.stdout.decode() == shown, played.stderr
