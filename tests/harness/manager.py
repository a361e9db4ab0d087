# SPDX-License-Identifier: Apache-2.0
"""A service manager as far as a daemon knows it: it hears states (sd_notify), keeps descriptors, and passes them to the
next process (sd_listen_fds)."""
import os
import pathlib
import socket
import sys
import threading

# Takes the descriptors from the manager and becomes the daemon.
BECOME = """
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
names, fds = [], []
while True:
    message, more, _, _ = socket.recv_fds(s, 256, 1)
    if not message:
        break
    names.append(message.decode())
    fds += [os.dup2(fd, 100 + len(fds), inheritable=False) for fd in more]
s.close()
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(names))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.states, self.kept = [], []  # kept: name, descriptor
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(self.folder / "notify"))
        self.passing = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.passing.bind(str(self.folder / "pass"))
        self.passing.listen()
        self.environment = {"NOTIFY_SOCKET": str(self.folder / "notify")}
        self.wrapper = [sys.executable, "-c", BECOME, str(self.folder / "pass")]
        for work in (self.hear, self.give):
            threading.Thread(target=work, daemon=True).start()

    def hear(self):
        while True:
            message, fds, _, _ = socket.recv_fds(self.notified, 4096, 1)
            if message == b"end":
                return
            fields = dict(line.split("=", 1) for line in message.decode().splitlines())
            self.states.append(fields)
            if "FDSTOREREMOVE" in fields:
                for item in [k for k in self.kept if k[0] == fields["FDNAME"]]:
                    self.kept.remove(item)
                    os.close(item[1])
            if "FDSTORE" in fields:
                self.kept += [(fields["FDNAME"], fd) for fd in fds]
            else:
                for fd in fds:  # a barrier
                    os.close(fd)

    def give(self):
        while True:
            try:
                taker, _ = self.passing.accept()
            except OSError:
                return
            with taker:
                for name, fd in list(self.kept):
                    socket.send_fds(taker, [name.encode()], [fd])

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", str(self.folder / "notify"))
        self.passing.shutdown(socket.SHUT_RDWR)
        self.passing.close()
        for _, fd in self.kept:
            os.close(fd)
        self.kept = []
