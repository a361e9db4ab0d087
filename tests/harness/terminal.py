# SPDX-License-Identifier: Apache-2.0
"""Commands of an agent that have a terminal."""
import contextlib
import fcntl
import os
import pty
import select
import struct
import termios
import time


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextlib.contextmanager
def at_terminal(daemon, *words, size=None, **options):
    """The command, and our end of its terminal, which gives it its size and signals."""
    main, terminal = pty.openpty()
    if size:
        resize(terminal, *size)
    try:
        process = daemon.popen(*words, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **options)
    finally:
        os.close(terminal)
    try:
        yield process, main
    finally:
        process.kill()
        process.wait(10)
        os.close(main)


def read_until(main, wanted, timeout=60):
    """What was shown up to that, which has to be."""
    seen, deadline = b"", time.monotonic() + timeout
    while wanted not in seen:
        assert time.monotonic() < deadline, (wanted, seen)
        if select.select([main], [], [], 0.1)[0]:
            try:
                seen += os.read(main, 65536)
            except OSError:
                raise AssertionError(f"it closed without {wanted}: {seen}") from None
    return seen
