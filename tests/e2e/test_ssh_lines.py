# SPDX-License-Identifier: Apache-2.0
"""Lines that are typed into a shell, where a rule names them."""
import contextlib
import os
import select
import time

from harness.records import records_of
from harness.ssh_gate import daemon, ended, pending, server, shell  # noqa: F401

RULES = [
    {"name": "shells", "resources": ["box"], "operations": ["shell"], "allow": {}},
    {"name": "harmless", "resources": ["box"], "operations": ["line"], "objects": ["echo *", "read *", "exit *"], "allow": {}},
    {"name": "asked", "resources": ["box"], "operations": ["line"], "objects": ["touch *"], "review": {"by": "ops"}},
]


class Shell:
    def __init__(self, main, process):
        self.main, self.process, self.seen = main, process, b""

    def wait_for(self, *wanted):
        """Until all of it was shown, in whatever order, which is not looked at again."""
        deadline = time.monotonic() + 60
        while not all(w in self.seen for w in wanted):
            assert time.monotonic() < deadline, (wanted, self.seen)
            if select.select([self.main], [], [], 0.1)[0]:
                self.seen += os.read(self.main, 65536)
        self.seen = b""

    def type(self, keys):
        os.write(self.main, keys)


@contextlib.contextmanager
def shell_at(daemon, server):
    with shell(daemon, server) as (process, main):
        typed = Shell(main, process)
        typed.wait_for(b"# ")
        yield typed
        typed.type(b"exit 5\r")
        assert process.wait(30) == 5


def test_a_line_is_judged_before_it_runs(daemon, server, tmp_path):
    kept = tmp_path / "kept"
    kept.touch()
    with shell_at(daemon, server) as shell:
        shell.type(b"echo fi''ne\r")
        shell.wait_for(b"fine\r\n", b"# ")
        shell.type(f"rm {kept}\r".encode())
        shell.wait_for(b"wayleave: denied: no rule allows line", b"# ")
        # What history writes nobody typed.
        shell.type(b"\033[A\r")
        shell.wait_for(b"wayleave: ", b"# ")
        shell.type(b"echo onx\x7fe\r")
        shell.wait_for(b"one\r\n", b"# ")
        # What isn't shown may be a password.
        shell.type(b"read -s x\r")
        shell.wait_for(b"\r\n")
        shell.type(b"hunter22\r")
        shell.wait_for(b"wayleave: ", b"# ")
    assert kept.exists()
    session = ended(daemon)
    actions = str(records_of(daemon, session, "action"))
    assert "echo fi''ne" in actions and f"rm {kept}" in actions and "hunter22" not in actions


def test_people_are_asked_about_a_line(daemon, server, tmp_path):
    with shell_at(daemon, server) as shell:
        shell.type(f"touch {tmp_path}/a\r".encode())
        shell.wait_for(b"waiting for approval")
        assert not (tmp_path / "a").exists()
        review = pending(daemon)
        assert review["text"] == f"touch {tmp_path}/a"
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        shell.wait_for(b"# ")
    assert (tmp_path / "a").exists()
