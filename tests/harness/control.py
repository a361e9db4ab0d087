# SPDX-License-Identifier: Apache-2.0
"""The daemon's control socket, spoken directly: what asks often need not start a process each time."""
import json
import os
import socket
import struct

REVIEWS, DECIDE, GRANTS, REVOKE, CANARY = 7, 9, 10, 11, 15  # userspace/monitor/control.h


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

    def ask_json(self, kind, payload):
        (fd,) = self.ask(kind, payload)
        os.lseek(fd, 0, os.SEEK_SET)
        with open(fd) as file:
            return json.load(file)

    def reviews(self):
        """Those that are pending."""
        return [r for r in self.ask_json(REVIEWS, struct.pack("=QQ", 0, 0)) if r["state"] == "pending"]

    def approve(self, review, seconds=0):
        """For a time, or, with 0, for this action alone."""
        self.ask(DECIDE, struct.pack("=QII", seconds * 10**9, 1, len(review)) + review.encode())

    def grants(self):
        return self.ask_json(GRANTS, b"")

    def revoke(self, grant):
        self.ask(REVOKE, grant.encode())

    def start_canary(self):
        self.ask(CANARY, b"")

    def close(self):
        self.socket.close()
