# SPDX-License-Identifier: Apache-2.0
"""A daemon that doesn't end in order, or of which a sanitizer tells something, fails the test whose it is."""
import sys

import pytest
from harness import daemon as daemons

STAND_IN = """
import signal, sys, time
said, status, last = sys.argv[1:4]
if last == "--teardown":
    print("table inet wayleave_nobody")
    sys.exit()
def end(*_):
    print(said, flush=True)
    sys.exit(int(status))
signal.signal(signal.SIGTERM, end)
print("ready:", flush=True)
while True:
    time.sleep(1)
"""


class Daemon(daemons.Daemon):
    """Says that, and ends with that status."""

    def __init__(self, folder, said, status):
        self.words = (said, str(status))
        super().__init__(folder, {"agents": []}, [])

    def daemon_command(self, *more):
        return [sys.executable, "-c", STAND_IN, *self.words, *(more or ["--run"])]


@pytest.mark.parametrize("said, status", [
    ("==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x1 at pc 0x2", 0),
    ("==7==ERROR: LeakSanitizer: detected memory leaks", 23),
    ("==7==LeakSanitizer has encountered a fatal error.", 0),
    ("userspace/x.c:1:2: runtime error: signed integer overflow", 0),
    ("", 1)])
def test_what_is_wrong_is_told(tmp_path, said, status):
    d = Daemon(tmp_path / "d", said, status)
    with pytest.raises(AssertionError, match=said.split(": ")[-1] or "status 1"):
        d.close()


def test_what_ended_by_itself_is_told(tmp_path):
    d = Daemon(tmp_path / "d", "", 0)
    d.process.send_signal(6)
    d.process.wait(10)
    with pytest.raises(AssertionError, match="status -6"):
        d.close()


def test_others_are_closed(tmp_path):
    d = Daemon(tmp_path / "d", "stopped", 0)
    d.close()
    d = Daemon(tmp_path / "e", "stopped", 0)
    d.kill()
    d.close()
