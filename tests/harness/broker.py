# SPDX-License-Identifier: Apache-2.0
"""wayleave-broker without its monitor: the other end of its channel, as userspace/broker/messages.h has it."""
import collections
import json
import os
import select
import socket
import struct
import subprocess
import time

from harness.daemon import BUILD

SHOW, DECIDED, SHOWN, DECIDE, STATE = 1, 2, 3, 4, 5
HEADER = struct.Struct("=Ii")
PLACE = struct.Struct("=24s32s32s")
DECISION = struct.Struct("=Q24s32sIIQ")
TEXTS = ("api_url", "webhook_url", "bot_token", "signing_secret", "certificate", "key")
NOBODY = 61000

Decision = collections.namedtuple("Decision", "id review user approve grant reason")
Shown = collections.namedtuple("Shown", "review channel time closed refused", defaults=(False, False))
State = collections.namedtuple("State", "failing waiting why count", defaults=(0,))


def _text(raw):
    return raw.split(b"\0")[0].decode()


class Broker:
    def __init__(self, listener=None, wrapper=(), room=None, **texts):
        """`room`: bytes that wait for us before the broker has to."""
        texts.setdefault("signing_secret", "")
        self.channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if room:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        other.setblocking(False)
        values = [texts.get(name, "").encode() for name in TEXTS]
        memory = os.memfd_create("start", 0)
        os.write(memory, struct.pack("=iiII6I", other.fileno(), listener.fileno() if listener else -1, NOBODY, NOBODY,
                                     *map(len, values)) + b"".join(values))
        os.lseek(memory, 0, os.SEEK_SET)
        passed = [memory, other.fileno()] + ([listener.fileno()] if listener else [])
        self.process = subprocess.Popen([*wrapper, str(BUILD / "wayleave-broker"), str(memory)], pass_fds=passed)
        os.close(memory)
        other.close()
        self.states = []
        self.received = []

    def close(self):
        """Ends it as the monitor's end would; its exit status."""
        self.channel.close()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    # --- to the broker

    def show(self, review, channel="", ts="", grant=0, posted=0):
        memory = os.memfd_create("review")
        with os.fdopen(os.dup(memory), "wb") as f:
            f.write(json.dumps(review).encode())
        os.lseek(memory, 0, os.SEEK_SET)
        body = HEADER.pack(SHOW, 0) + PLACE.pack(review["id"].encode(), channel.encode(), ts.encode()) + struct.pack(
            "=QII", grant, review["state"] != "pending", posted)
        socket.send_fds(self.channel, [body], [memory])
        os.close(memory)

    def decided(self, decision, status=0, sentence=""):
        text = sentence.encode()
        self.channel.send(HEADER.pack(DECIDED, 0) + struct.pack("=QiI", decision.id, status, len(text)) + text)

    # --- from the broker

    def _take(self, data):
        kind, body = HEADER.unpack_from(data)[0], data[HEADER.size:]
        if kind == SHOWN:
            review, channel, ts = map(_text, PLACE.unpack_from(body))
            (state,) = struct.unpack_from("=I", body, PLACE.size)
            return Shown(review, channel, ts, state == 1, state == 2)
        if kind == DECIDE:
            number, review, user, verdict, length, grant = DECISION.unpack_from(body)
            reason = body[DECISION.size:].decode()
            assert len(reason.encode()) == length
            return Decision(number, _text(review), _text(user), verdict == 1, grant, reason)
        assert kind == STATE, kind
        failing, waiting, count, length, _ = struct.unpack_from("=QIIII", body)
        assert len(body) == 24 + length
        return State(failing, waiting, body[24:].decode(), count)

    def wait(self, kind, condition=lambda message: True, timeout=15):
        """The next message of the kind for which the condition holds; others are kept for later."""
        deadline = time.monotonic() + timeout
        while True:
            for message in self.received:
                if isinstance(message, kind) and condition(message):
                    self.received.remove(message)
                    return message
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.channel], [], [], left)[0]:
                raise TimeoutError(f"no {kind.__name__}; the broker: {self.process.poll()}; {self.received[-3:]}")
            data = self.channel.recv(1 << 18)
            if not data:
                raise RuntimeError(f"the broker ended: {self.process.wait(5)}")
            self.received.append(self._take(data))

    def nothing(self, kind, seconds=0.5):
        """Whether no message of the kind comes for that long."""
        try:
            self.wait(kind, timeout=seconds)
        except TimeoutError:
            return True
        return False
