# SPDX-License-Identifier: Apache-2.0
"""The daemon's control socket, spoken directly: what asks often need not start a process each time."""
import json
import os
import socket
import struct

REVIEWS, DECIDE, CANARY = 7, 9, 15  # userspace/monitor/control.h


class Control:
    def __init__(self, daemon):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(str(daemon.socket))

    def ask(self, kind, payload):
        self.socket.send(struct.pack("=Ii", kind, 0) + payload)
        data, fds, _, _ = socket.recv_fds(self.socket, 1 << 18, 4)
        status = struct.unpack("=Ii", data[:8])[1]
        assert status == 0, data[8:]
        return fds

    def reviews(self):
        """Those that are pending."""
        (fd,) = self.ask(REVIEWS, struct.pack("=Q", 0))
        os.lseek(fd, 0, os.SEEK_SET)
        with open(fd) as file:
            return [r for r in json.load(file) if r["state"] == "pending"]

    def approve(self, review):
        self.ask(DECIDE, struct.pack("=QII", 0, 1, len(review)) + review.encode())

    def start_canary(self):
        self.ask(CANARY, b"")

    def close(self):
        self.socket.close()
