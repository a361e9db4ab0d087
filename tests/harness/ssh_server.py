# SPDX-License-Identifier: Apache-2.0
"""An SSH server that asks as it is told, with paramiko. Run as a program:

    ssh_server.py PORT KEY USER PASSWORD WAYS    WAYS: "password", "keyboard-interactive"

It says each way that was tried, as "tried WAY". It runs no command: each is answered with its text and status 3. "hang" never answers, "vanish" ends the connection,
"flood" writes without end."""
import socket
import sys
import threading
import time

import paramiko


class Asking(paramiko.ServerInterface):
    def __init__(self, user, password, ways):
        self.user, self.password, self.ways = user, password, ways

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

    def check_channel_exec_request(self, channel, command):
        if command == b"hang":
            time.sleep(3600)
        if command == b"vanish":
            channel.get_transport().sock.close()
        threading.Thread(target=self.answer, args=(channel, command), daemon=True).start()
        return True

    @staticmethod
    def answer(channel, command):
        while command == b"flood":
            channel.sendall(b"x" * 32768)
        channel.sendall(command + b"\n")
        channel.send_exit_status(3)
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
