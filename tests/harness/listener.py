# SPDX-License-Identifier: Apache-2.0
"""What servers in Python share: each connection is served by a thread of its own."""
import socket
import threading


class Listener:
    """On a port of 127.0.0.1, from when it is made; serve(connection) is the subclass's, which closes what it is given."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
