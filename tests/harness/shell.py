# SPDX-License-Identifier: Apache-2.0
"""A psql inside an agent that stays, and is asked one thing after another."""
import contextlib
import os
import selectors
import subprocess
import time


class Shell:
    def __init__(self, daemon, url, agent="demo", options=(), env=None, token_file=None):
        self.process = daemon.popen("psql", "-X", "-A", "-t", "-q", *options, url, agent=agent, env=env, token_file=token_file, stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.count = 0
        self.text = ""

    def send(self, text):
        try:
            self.process.stdin.write((text + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def read_until(self, marker, timeout):
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while marker not in self.text:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"psql said only {self.text!r}")
                if not selector.select(left):
                    continue
                data = self.process.stdout.read()
                if data == b"":
                    break
                self.text += (data or b"").decode(errors="replace")
        before, found, after = self.text.partition(marker)
        self.text = after if found else ""
        return before

    def ask(self, text, timeout=30):
        """What psql prints for it, errors included; to the end where psql ends."""
        self.count += 1
        marker = f"-- done {self.count} --\n"
        self.send(text if text.rstrip().endswith((";", "\\")) or text.startswith("\\") else text + ";")
        self.send(f"\\echo '{marker.strip()}'")
        return self.read_until(marker, timeout).strip()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
