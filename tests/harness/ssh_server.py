# SPDX-License-Identifier: Apache-2.0
"""An SSH server that asks as it is told, with paramiko. Run as a program:

    ssh_server.py PORT KEY USER PASSWORD WAYS    WAYS: "password", "keyboard-interactive"

It says each way that was tried, as "tried WAY". It runs no command: each is answered with its text and status 3. "hang" never answers,
"vanish" ends the connection, FLOODS write without end. MISDEEDS are answered so, too, and with what a server must not send."""
import os
import socket
import sys
import threading
import time

import paramiko

WINDOW_ADJUST, DATA, STDERR, EOF, CLOSE, REQUEST, SUCCESS, FAILURE = 93, 94, 95, 96, 97, 98, 99, 100
GLOBAL_REQUEST, OPEN, OPEN_CONFIRMATION, OPEN_FAILURE = 80, 90, 91, 92


def send(channel, kind, *fields):
    """A message of RFC 4254, whatever the library thinks of it."""
    m = paramiko.Message()
    m.add_byte(bytes([kind]))
    for field in fields:
        (m.add_boolean if isinstance(field, bool) else m.add_int if isinstance(field, int) else m.add_string)(field)
    channel.get_transport()._send_user_message(m)


def stray(channel):
    """About channels that there are none of."""
    for number in (channel.remote_chanid + 7, 0xffffffff):
        send(channel, DATA, number, b"stray\n")
        send(channel, STDERR, number, 1, b"stray\n")
        send(channel, WINDOW_ADJUST, number, 1 << 20)
        send(channel, REQUEST, number, "exit-status", True, 9)
        for kind in (SUCCESS, FAILURE, EOF, CLOSE):
            send(channel, kind, number)
        send(channel, OPEN_CONFIRMATION, number, 5, 1 << 20, 32768)
        send(channel, OPEN_FAILURE, number, 1, "", "")


def again(channel):
    """It is open, and its requests are answered."""
    send(channel, OPEN_CONFIRMATION, channel.remote_chanid, channel.chanid, 1 << 20, 32768)
    send(channel, OPEN_FAILURE, channel.remote_chanid, 1, "", "")
    for _ in range(3):
        send(channel, SUCCESS, channel.remote_chanid)
        send(channel, FAILURE, channel.remote_chanid)


def truncated(channel):
    for kind, *fields in ((DATA,), (DATA, 1 << 20), (STDERR, 1), (WINDOW_ADJUST,), (REQUEST,), (REQUEST, "exit-status"), (REQUEST, "exit-status", False),
                          (REQUEST, "exit-signal", False), (REQUEST, "exit-signal", False, "TERM", True, 1 << 30)):
        send(channel, kind, channel.remote_chanid, *fields)
        send(channel, kind)


def asking(channel):
    """For what an agent has, and we have not."""
    for kind in ("session", "x11", "auth-agent@openssh.com", "forwarded-tcpip", "direct-tcpip", "none"):
        send(channel, OPEN, kind, 5, 1 << 20, 32768, "localhost", 22, "localhost", 23)
    for kind in ("exec", "shell", "subsystem", "pty-req", "env", "auth-agent-req@openssh.com", "none"):
        send(channel, REQUEST, channel.remote_chanid, kind, True, "touch", "touch", "touch", "touch")
    for kind in ("hostkeys-00@openssh.com", "tcpip-forward", "keepalive@openssh.com", "none"):
        for wanted in (True, False):
            send(channel, GLOBAL_REQUEST, kind, wanted, "localhost", 22)


def connecting(channel):
    """To what it listens on for the agent, and to much that it does not."""
    for place, port, origin in [("localhost", 4242, "127.0.0.1")] * 200 + [
            ("localhost", 4243, "127.0.0.1"), ("", 0, ""), ("localhost", 4242, ""), ("localhost", 4242, "a b"),
            ("localhost", 4242, "x" * 1000), ("localhost", 4242, "1 from 2")]:
        send(channel, OPEN, "forwarded-tcpip", 1000, 1 << 20, 32768, place, port, origin, 23)


def signal(channel):
    send(channel, REQUEST, channel.remote_chanid, "exit-signal", False, "SEGV", True, "it fell over", "en")


def scribble(channel):
    """When the agent knows that its command runs."""
    time.sleep(0.5)
    channel.get_transport().sock.sendall(os.urandom(100000))


def flood_both(channel):
    """What a command writes in its two streams has one window."""
    channel.sendall(b"x" * 32768)
    channel.sendall_stderr(b"x")


FLOODS = {b"flood": lambda channel: channel.sendall(b"x" * 32768), b"flood both": flood_both,
          b"flood its window": lambda channel: send(channel, DATA, channel.remote_chanid, b"x" * 32768)}

# What comes before the text and the status, between them, and behind them.
MISDEEDS = {
    b"stray": (stray, None, None), b"again": (again, None, None), b"truncated": (truncated, None, None), b"asking": (asking, None, None),
    b"connecting": (connecting, None, None),
    b"scribble": (None, scribble, None), b"signal": (None, signal, None),
    b"twice": (None, None, lambda channel: channel.send_exit_status(0)),
    b"late": (None, lambda channel: send(channel, EOF, channel.remote_chanid), lambda channel: send(channel, DATA, channel.remote_chanid, b"late\n")),
    b"closed": (None, None, lambda channel: [send(channel, kind, channel.remote_chanid, *more) for kind, *more in (
        (CLOSE,), (DATA, b"late\n"), (EOF,), (REQUEST, "exit-status", False, 0), (CLOSE,))])}


class Asking(paramiko.ServerInterface):
    def __init__(self, user, password, ways):
        self.user, self.password, self.ways = user, password, ways

    def get_banner(self):
        return "before the login\n" * 10000, "en"

    def get_allowed_auths(self, username):
        return self.ways

    def check_auth_publickey(self, username, key):
        print("tried publickey", flush=True)
        return paramiko.AUTH_FAILED

    def check_auth_password(self, username, password):
        print("tried password", flush=True)
        good = "password" in self.ways.split(",") and (username, password) == (self.user, self.password)
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_auth_interactive(self, username, submethods):
        return paramiko.InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses):
        return paramiko.AUTH_SUCCESSFUL if responses == [self.password] else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_port_forward_request(self, address, port):
        return port  # nobody listens

    def check_channel_exec_request(self, channel, command):
        if command == b"hang":
            time.sleep(3600)
        if command == b"vanish":
            channel.get_transport().sock.close()
        threading.Thread(target=self.answer, args=(channel, command), daemon=True).start()
        return True

    @staticmethod
    def answer(channel, command):
        while command in FLOODS:
            FLOODS[command](channel)
        before, between, behind = [deed or (lambda channel: None) for deed in MISDEEDS.get(command, (None, None, None))]
        before(channel)
        channel.sendall(command + b"\n")
        between(channel)
        channel.send_exit_status(3)
        behind(channel)
        channel.close()


def serve(connection, key, options):
    transport = paramiko.Transport(connection)
    transport.add_server_key(key)
    transport.start_server(server=Asking(*options))


def main(port, key, *options):
    host_key = paramiko.Ed25519Key(filename=key)
    listener = socket.create_server(("127.0.0.1", int(port)))
    print("listening", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], host_key, options), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
