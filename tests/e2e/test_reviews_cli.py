# SPDX-License-Identifier: Apache-2.0
"""`wayleave reviews` and `grants` as people and programs use them: tables, the whole question, the live list."""
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import time
import unicodedata

import pytest
from harness.daemon import BUILD, readable
from harness.reviews import pending, session, state_of, wait_for_pending  # noqa: F401
from test_reviews import daemon  # noqa: F401

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
HOSTILE = "delete from orders /* \x1b[2J\x1b]0;owned\x07 \u202eevil\u202c\r\n approved by root */ where item = 'hostile'"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, daemon, *words, columns=80, rows=24):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""

        def enter():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([BUILD / "wayleave", *words], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env={**daemon.environment, "TERM": "xterm"}, preexec_fn=enter)

    def resize(self, columns, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, timeout=0.0):
        if not readable(self.master, timeout):
            return False
        with contextlib.suppress(OSError):
            self.seen += os.read(self.master, 1 << 16)
        return True

    def wait_for(self, text, timeout=10):
        """What was drawn from now on, up to a frame that has the text."""
        self.seen = b""
        deadline = time.monotonic() + timeout
        while text.encode() not in self.seen:
            assert time.monotonic() < deadline, self.seen[-3000:]
            self.read(0.1)
        return self.seen.decode(errors="replace")

    def read_it(self, review):
        """Keys decide what has been there long enough to be read."""
        self.wait_for(review["id"])
        time.sleep(0.6)

    def frame(self):
        """The newest whole frame, as lines without colours."""
        self.wait_for("\x1b[J")
        self.wait_for("\x1b[J")
        frame = self.seen.decode(errors="replace").rsplit("\x1b[J", 2)[-2].split("\x1b[H")[-1]
        return [re.sub(r"\x1b\[[0-9;]*[mK]", "", line) for line in frame.split("\r\n")]

    def keys(self, text):
        os.write(self.master, text.encode())

    def end(self, timeout=10):
        """The exit status; the terminal must be as it was."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self.read(0.05)
        while self.read(0.05) and len(self.seen) < 1 << 22:
            pass
        assert termios.tcgetattr(self.slave) == self.before
        if ENTER in self.seen or LEAVE in self.seen:
            assert self.seen.rindex(LEAVE) > self.seen.rfind(ENTER)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(daemon):  # noqa: F811
    made = []

    def make(*words, **options):
        made.append(Terminal(daemon, *words, **options))
        return made[-1]

    yield make
    for t in made:
        t.close()


@pytest.fixture
def held(daemon, session):  # noqa: F811
    """A session whose delete waits, and its review."""
    def make(statement="delete from orders where item = 'nothing'"):
        before = {r["id"] for r in pending(daemon)}
        s = session()
        s.send(statement)
        found = wait_for_pending(daemon, len(before) + 1)
        return s, next(r for r in found if r["id"] not in before)
    return make


def control_characters(text):
    return [c for c in text if (ord(c) < 0x20 and c not in "\n\t") or ord(c) == 0x7f or 0x202a <= ord(c) <= 0x202e]


# --- for people, without a terminal

def test_the_list_and_the_whole(daemon, held):  # noqa: F811
    s, review = held()
    table = daemon.wayleave("reviews").stdout
    head, *rows = table.splitlines()
    assert head.split() == ["REVIEW", "STATE", "AGE", "LEFT", "WAIT", "AGENT", "RESOURCE", "STATEMENT"]
    (row,) = [row for row in rows if review["id"] in row]
    assert re.search(r"pending +\d+s +9m\d\ds +1  demo +shop +delete from orders where item = 'nothing'$", row), row
    shown = daemon.wayleave("reviews", "show", review["id"].lower()).stdout
    for text in (f"review {review['id']}  pending", "agent       demo", "database shop", "user app", 'rule        deletes need a person', "delete public.orders",
                 "dba: 0 of 1 have approved", "for at most 30m00s", review["digest"], "search_path", "    | delete from orders where item = 'nothing'"):
        assert text in shown, (text, shown)
    assert "\x1b" not in table + shown
    daemon.wayleave("reviews", "deny", review["id"], "--reason", "no")
    s.answer()
    shown = daemon.wayleave("reviews", "show", review["id"]).stdout
    assert "denied" in shown and "by          root" in shown and "reason      no" in shown


TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


def test_what_programs_read(daemon, held):  # noqa: F811
    """The members that are promised, of the list, of one, and of a grant; before and after the decision."""
    s, review = held()
    promised = {"id": review["id"], "state": "pending", "agent": "demo", "principal": review["principal"], "resource": "shop",
                "rule": "deletes need a person", "operations": ["delete", "select"], "objects": ["public.orders"],
                "text": "delete from orders where item = 'nothing'", "waiters": 1, "decided_by": None}
    whole = daemon.json("reviews", "show", review["id"])
    for seen in (review, whole):
        assert {**promised, "operations": sorted(seen["operations"])} == {name: sorted(seen[name]) if name == "operations" else seen[name]
                                                                          for name in promised}
        assert re.fullmatch("[0-9a-f]{64}", seen["digest"]) and re.fullmatch(TIME, seen["created"]) and re.fullmatch(TIME, seen["deadline"])
        assert seen["created"] < seen["deadline"] and (seen["grant_limit"], seen["decided"], seen["grant"]) == (1800, None, None)
    done = daemon.json("reviews", "approve", review["id"], "--for", "90s", "--reason", "seen")
    assert (done["state"], done["decided_by"], done["reason"]) == ("approved", "root", "seen") and re.fullmatch(TIME, done["decided"])
    s.answer()
    (grant,) = daemon.json("grants", "list")
    assert done["grant"] == grant["id"] and (grant["review"], grant["by"], grant["rules"]) == (review["id"], "root", ["deletes need a person"])
    assert re.fullmatch(TIME, grant["created"]) and re.fullmatch(TIME, grant["end"]) and grant["created"] < grant["end"]
    assert [r["state"] for r in daemon.json("reviews") if r["id"] == review["id"]] == ["approved"]


def test_what_an_agent_writes_drives_no_terminal(daemon, held):  # noqa: F811
    s, review = held(HOSTILE)
    for words in (["reviews"], ["reviews", "show", review["id"]]):
        text = daemon.wayleave(*words).stdout
        assert not control_characters(text), text
        assert "\\x1b" in text
    assert not any("approved by root" in line and review["id"] not in line for line in daemon.wayleave("reviews").stdout.splitlines())
    assert daemon.json("reviews", "show", review["id"])["text"] == HOSTILE


def test_the_tail_of_a_long_statement_is_not_hidden(daemon, held, terminal):  # noqa: F811
    """Of two megabytes the list says how much there is, and the whole is there to be read."""
    statement = "delete from orders where item = '" + "x" * (2 << 20) + "'\n or item = 'TAIL'"
    s, review = held(statement)
    (row,) = [line for line in daemon.wayleave("reviews").stdout.splitlines() if review["id"] in line]
    assert f"({len(statement)} bytes, SHA-256 {review['digest'][:12]}" in row and "TAIL" not in row
    assert review["text_cut"] and review["text_length"] == len(statement) and statement.startswith(review["text"])
    shown = daemon.wayleave("reviews", "show", review["id"]).stdout
    assert shown.rstrip().endswith("'TAIL'") and f"statement ({len(statement)} bytes)" in shown
    assert daemon.json("reviews", "show", review["id"])["text"] == statement
    # A reader that has enough ends it; what can't be written is said.
    with subprocess.Popen([BUILD / "wayleave", "reviews", "show", review["id"]], env=daemon.environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as p:
        assert p.stdout.read(1000)
        p.stdout.close()
        assert p.stderr.read() == b"" and p.wait(10) == -signal.SIGPIPE
    for words in (["reviews", "show", review["id"]], ["--json", "reviews", "show", review["id"]], ["reviews"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([BUILD / "wayleave", *words], env=daemon.environment, stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr) == (1, "wayleave: not all could be printed: No space left on device\n"), (words, done)
    t = terminal("reviews", "--watch", columns=140)
    t.wait_for(f"({len(statement)} bytes, SHA-256 {review['digest'][:12]}")
    t.keys("\r")
    t.wait_for("-- more below --")
    t.keys(">")
    t.wait_for("or item = 'TAIL'")
    t.keys("<")
    t.wait_for(f"review {review['id']}  ")
    time.sleep(0.6)
    t.keys("a")
    assert "error" not in s.answer()


def test_only_reviewers_decide_and_see(daemon, held):  # noqa: F811
    s, review = held()
    command = [*NOBODY, BUILD / "wayleave"]

    def as_nobody(*words):
        return subprocess.run([*command, *words], env=daemon.environment, capture_output=True, text=True)

    assert json.loads(as_nobody("--json", "reviews").stdout) == []
    for words in (["show", review["id"]], ["approve", review["id"]], ["deny", review["id"], "--reason", "x"]):
        done = as_nobody("reviews", *words)
        assert done.returncode == 1 and "refused: " in done.stderr and done.stdout == "", done
    assert s.waits() and state_of(daemon, review) == "pending"


def test_statuses_and_sentences(daemon, held):  # noqa: F811
    s, review = held()
    done = daemon.wayleave("reviews", "approve", review["id"], "--for", "31m")
    assert done.returncode == 1 and "longer than the rule's grant (1800 s)" in done.stderr
    done = daemon.wayleave("reviews", "deny", review["id"], "--reason", "x" * 3000)
    assert done.returncode == 1 and "the reason is too long" in done.stderr
    listed = daemon.wayleave("--json", "reviews", "--limit", "1")  # of those that ended
    assert json.loads(listed.stdout)[0]["id"] == review["id"] and len(json.loads(listed.stdout)) <= 2
    assert ("no more than the newest 1 of those" in listed.stderr) == (len(json.loads(listed.stdout)) == 2)
    assert daemon.wayleave("reviews").stderr == "" and daemon.wayleave("reviews", "--limit", "0").returncode == 2
    assert daemon.wayleave("reviews", "--limit", "1", "--watch").returncode == 2
    done = daemon.wayleave("reviews", "deny", review["id"], "--reason", "caf\udce9")
    assert done.returncode == 1 and "the reason is not UTF-8 text" in done.stderr
    assert s.waits()
    assert daemon.json("reviews", "approve", review["id"])["state"] == "approved"
    s.answer()
    done = daemon.wayleave("reviews", "approve", review["id"])
    assert done.returncode == 1 and f"{review['id']} is not pending any more: approved by root" in done.stderr


def test_status_counts_them(daemon, held):  # noqa: F811
    s, review = held()
    assert daemon.status()["reviews_pending"] == 1
    daemon.wayleave("reviews", "approve", review["id"], "--for", "10m")
    s.answer()
    assert daemon.status()["reviews_pending"] == 0 and daemon.status()["grants"] == 1
    assert "reviews   0 pending, 1 grants in force" in daemon.wayleave("status").stdout
    (grant,) = daemon.json("grants")
    assert grant["review"] == review["id"] and grant["agent"] == "demo" and grant["by"] == "root"
    text = daemon.wayleave("grants", "list").stdout
    assert re.search(rf"{grant['id']}  {review['id']} +\d+m\d\ds  demo +shop +root +delete.* on public.orders in shop as app by rule ", text), text
    heads, row = text.splitlines()
    assert [row.index(word) for word in (grant["id"], review["id"], "demo", "shop", "root", "delete")] == [
        heads.index(head) for head in ("GRANT", "REVIEW", "AGENT", "RESOURCE", "BY", "COVERS")], text
    assert daemon.wayleave("grants", "revoke", grant["id"].lower()).stdout.endswith("revoked\n")
    assert daemon.json("grants") == []


# --- watching

CONTROL_REVIEWS = 7  # userspace/monitor/control.h


def changed_since(daemon, seen):  # noqa: F811
    """What somebody gets who follows the list: its generation, whether it is the whole list, and the reviews."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(str(daemon.socket))
        s.send(struct.pack("=IiQQ", CONTROL_REVIEWS, 0, seen, 0))
        data, fds, _, _ = socket.recv_fds(s, 1 << 17, 4)
    _, status, generation, whole, _ = struct.unpack("=IiQQQ", data)
    assert status == 0
    found = []
    for fd in fds:
        os.lseek(fd, 0, os.SEEK_SET)
        with open(fd) as file:
            found += json.load(file)
    return generation, bool(whole), found


def test_who_follows_the_list_is_not_sent_all_of_it_again(daemon, held):  # noqa: F811
    s, first = held()
    seen, whole, found = changed_since(daemon, 0)
    assert whole and first["id"] in {r["id"] for r in found}
    assert changed_since(daemon, seen) == (seen, False, [])
    _, second = held("delete from orders where item = 'follows'")
    now, whole, found = changed_since(daemon, seen)
    assert now > seen and not whole and [r["id"] for r in found] == [second["id"]] and found[0]["text"] == second["text"]
    daemon.wayleave("reviews", "approve", first["id"])
    _, whole, found = changed_since(daemon, now)
    assert not whole and [(r["id"], r["state"]) for r in found] == [(first["id"], "approved")]
    daemon.reload()
    assert changed_since(daemon, now)[1], "others may be seen now"


@pytest.mark.parametrize("json_too", [True, False])
def test_watching_without_a_terminal_is_a_line_per_change(daemon, held, json_too):  # noqa: F811
    s, first = held()
    words = ["reviews", "--watch"] + (["--json"] if json_too else [])
    p = subprocess.Popen([BUILD / "wayleave", *words], env=daemon.environment, stdout=subprocess.PIPE, text=True)
    try:
        def line(review, state):
            assert readable(p.stdout, 10)
            text = p.stdout.readline()
            seen = json.loads(text) if json_too else None
            assert (seen["id"], seen["state"]) == (review["id"], state) if json_too else text.split()[:2] == [review["id"], state], text

        line(first, "pending")
        t, second = held("delete from orders where item = 'another'")
        line(second, "pending")
        daemon.wayleave("reviews", "approve", first["id"])
        line(first, "approved")
        t.process.kill()
        line(second, "cancelled")
    finally:
        p.kill()
        p.wait()


def test_one_key_decides(daemon, held, terminal):  # noqa: F811
    s, review = held()
    t = terminal("reviews", "--watch")
    t.read_it(review)
    t.keys("a")
    assert s.answer().get("error") is None and state_of(daemon, review) == "approved"
    t.wait_for(f"{review['id']}: approved")
    s, review = held("delete from orders where item = 'grant'")
    t.read_it(review)
    t.keys("g")
    t.wait_for(f"{review['id']}: approved, for at most 30m00s")
    s.answer()
    assert daemon.json("reviews", "show", review["id"])["grant"] == daemon.json("grants")[0]["id"]
    daemon.wayleave("grants", "revoke", daemon.json("grants")[0]["id"])
    s, review = held("delete from orders where item = 'denied'")
    t.read_it(review)
    t.keys("d")
    t.wait_for(f"why is {review['id']} denied?")
    t.keys("\r")  # not without a reason
    t.keys("nix\x7fght so q\r")
    t.wait_for(f"{review['id']}: denied")  # each key draws: somebody has to read it
    got = s.answer()
    assert got["state"] == "42501" and "night so q" in got["error"], got
    t.keys("q")
    assert t.end() == 0


def test_a_key_that_stays_down_decides_once(daemon, held, terminal):  # noqa: F811
    """Terminals repeat it; what the list has put under it meanwhile nobody has read."""
    sessions, reviews = zip(*(held(f"delete from orders where item = 'down {i}'") for i in range(3)), strict=True)
    t = terminal("reviews", "--watch")
    t.read_it(reviews[2])
    t.keys("a")
    sessions[2].answer()
    for pause in (0.66, *[0.05] * 30):
        time.sleep(pause)
        t.keys("a")
        t.read()
    time.sleep(0.4)
    assert [state_of(daemon, r) for r in reviews] == ["pending", "pending", "approved"]
    t.keys("a")
    sessions[1].answer()
    assert state_of(daemon, reviews[0]) == "pending" and sessions[0].waits()


def test_what_ends_while_it_is_read_says_so(daemon, held, terminal):  # noqa: F811
    """And a key decides nothing then, neither on it nor on what stands below it in the list."""
    s, first = held("delete from orders where item = 'first'")
    u, second = held("delete from orders where item = 'second'")
    t = terminal("reviews", "--watch")
    t.read_it(second)
    t.keys("\r")
    t.wait_for(f"review {second['id']}  ")
    u.process.kill()
    t.wait_for("the agent no longer waits")
    time.sleep(0.6)
    t.keys("ag")
    t.wait_for(f"{second['id']} is not pending any more: cancelled")
    assert s.waits() and state_of(daemon, first) == "pending"


def test_a_denial_can_be_thought_over(daemon, held, terminal):  # noqa: F811
    s, review = held()
    t = terminal("reviews", "--watch")
    t.read_it(review)
    t.keys("d")
    t.wait_for("why is")
    t.keys("no\x1b")
    t.wait_for("q quit")
    assert s.waits() and state_of(daemon, review) == "pending"


def test_the_marked_review_is_meant_whatever_comes(daemon, held, terminal):  # noqa: F811
    s, first = held("delete from orders where item = 'first'")
    t = terminal("reviews", "--watch")
    t.read_it(first)
    u, second = held("delete from orders where item = 'second'")  # stands above the first from now on
    t.wait_for(second["id"])
    t.keys("aa")  # the second one comes before anybody can have read what is marked then
    s.answer()
    assert state_of(daemon, first) == "approved" and state_of(daemon, second) == "pending" and u.waits()
    t.keys("\r")
    t.wait_for(f"review {second['id']}")
    time.sleep(0.6)
    t.keys("a")
    u.answer()
    t.wait_for("approved")
    t.keys("q")
    t.wait_for("q quit")


def test_it_fits_80_by_24_and_other_sizes(daemon, held, terminal):  # noqa: F811
    s, review = held(HOSTILE + " or item in (" + ", ".join(f"'{i}'" for i in range(2000)) + ")")
    t = terminal("reviews", "--watch")
    t.wait_for(review["id"])
    for columns, rows in ((80, 24), (120, 40), (40, 10), (80, 24)):
        t.resize(columns, rows)
        os.kill(t.process.pid, signal.SIGWINCH)
        t.frame()
        lines = t.frame()
        assert len(lines) == rows, (len(lines), lines)
        if columns >= 80:
            assert all(len(line) <= columns for line in lines[:-1]), [line for line in lines if len(line) > columns]
        assert not any(control_characters(line) for line in lines)
    t.keys("\r")
    t.wait_for("-- more below --")
    t.keys(" " * 60)
    t.wait_for("'1999')")


def columns(line):
    """That a terminal takes for it, at most."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def test_nothing_hides_beyond_the_edge(daemon, held, terminal):  # noqa: F811
    """A tab goes as far as the terminal likes, a wide character takes two columns."""
    s, review = held("delete from orders where item = 'x'" + "\t" * 20 + "or item = 'HIDDEN'" + " -- " + "\u6f22" * 60 + " TAIL")
    t = terminal("reviews", "--watch", columns=80, rows=40)
    t.wait_for(review["id"])
    for key, texts in (("", [review["id"]]), ("\r", ["HIDDEN", "TAIL"])):
        t.keys(key)
        t.frame()
        lines = t.frame()[:-1]  # the last one is help
        assert not any("\t" in line for line in lines), lines
        assert max(map(columns, lines)) <= 80, [line for line in lines if columns(line) > 80]
        assert all(any(text in line for line in lines) for text in texts), lines
        assert not any("\u6f22" * 41 in line for line in lines)


@pytest.fixture
def slipped(daemon, held, terminal):  # noqa: F811
    """The list has just put another review under the mark: the terminal, the review decided meanwhile, that one, its session."""
    def make(keys=""):
        _, first = held("delete from orders where item = 'first'")
        t = terminal("reviews", "--watch")
        t.read_it(first)
        s, second = held("delete from orders where item = 'second'")
        t.wait_for(second["id"])
        t.keys(keys)
        daemon.wayleave("reviews", "deny", first["id"], "--reason", "no")
        t.wait_for("denied   ")  # in the list; the prompt of a denial has the word too
        return t, first, second, s
    return make


@pytest.mark.parametrize("key", ["a", "d", "\ra"])
def test_a_key_that_the_list_slipped_under_says_so(daemon, slipped, key):  # noqa: F811
    t, first, second, s = slipped()
    t.keys(key)
    t.wait_for("the list has just changed: press the key again")
    assert s.waits() and state_of(daemon, second) == "pending"
    time.sleep(0.6)
    t.keys("a")
    s.answer()
    assert state_of(daemon, second) == "approved"


def test_a_typed_denial_is_about_its_review(daemon, slipped):  # noqa: F811
    """Whoever was faster is named; what stands under the mark by then is not meant."""
    t, first, second, s = slipped("dno, never")
    t.keys("\r")
    t.wait_for(f"{first['id']} is not pending any more: denied by root")
    assert s.waits() and state_of(daemon, second) == "pending"


@pytest.mark.parametrize("way", ["q", "\x03", signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT])
def test_the_terminal_is_restored_however_it_ends(daemon, terminal, way):  # noqa: F811
    t = terminal("reviews", "--watch")
    t.wait_for("q quit")
    if isinstance(way, str):
        t.keys(way)
    else:
        t.process.send_signal(way)
    status = t.end()
    assert status == (0 if way == "q" else -signal.SIGINT if way == "\x03" else -way)


def test_stopped_and_continued(daemon, terminal):  # noqa: F811
    t = terminal("reviews", "--watch")
    t.wait_for("q quit")
    t.process.send_signal(signal.SIGTSTP)
    deadline = time.monotonic() + 5
    while "T" not in open(f"/proc/{t.process.pid}/stat").read().rsplit(")", 1)[1][:3]:
        assert time.monotonic() < deadline
        t.read(0.05)
    assert termios.tcgetattr(t.slave) == t.before
    t.process.send_signal(signal.SIGCONT)
    t.wait_for("q quit")
    t.keys("q")
    assert t.end() == 0


def test_a_daemon_that_goes_and_comes(daemon, held, terminal):  # noqa: F811
    t = terminal("reviews", "--watch")
    t.wait_for("q quit")
    daemon.kill()
    t.wait_for("no daemon at")
    daemon.start()
    s, review = held()
    t.read_it(review)
    t.keys("a")
    s.answer()
    assert state_of(daemon, review) == "approved"
