# SPDX-License-Identifier: Apache-2.0
"""Forward proxies: tinyproxy; nghttpx before it, which speaks HTTP/2 and HTTP/1.1 in TLS; and one that says how connections end."""
import asyncio
import os
import pathlib
import pwd
import socket
import ssl
import struct
import subprocess
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from . import certificates
from .ports import free_port
from .waiting import wait_for

CONFIG = """
Port {port}
Listen 127.0.0.1
User {user}
Timeout 600
MaxClients 50
LogFile "{folder}/proxy.log"
PidFile "{folder}/proxy.pid"
LogLevel Connect
Allow 127.0.0.1
"""


class Proxy:
    def __init__(self, folder):
        self.folder, self.port = pathlib.Path(folder), free_port()
        os.chmod(self.folder, 0o777)
        file = self.folder / "proxy.conf"
        file.write_text(CONFIG.format(port=self.port, folder=self.folder, user=pwd.getpwnam("nobody").pw_name))
        self.process = subprocess.Popen(["tinyproxy", "-d", "-c", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: "proxy.pid" in os.listdir(self.folder))

    def asked(self):
        return [line.split(":", 1)[1].strip() for line in (self.folder / "proxy.log").read_text().splitlines() if ": CONNECT " in line]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Front:
    """nghttpx, in TLS before a proxy that makes the connections: `ca` is who it is of."""

    def __init__(self, folder, proxy):
        self.port, self.url, self.ca, pem, key = secure_place(folder)
        self.process = subprocess.Popen(
            ["nghttpx", "--conf=/dev/null", "--http2-proxy", "--single-process", "--no-ocsp", f"--frontend=127.0.0.1,{self.port}",
             f"--backend=127.0.0.1,{proxy.port}", key, pem], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.listens)

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def secure_place(folder):
    """A port, its URL, and the files of a CA, of its certificate and key."""
    ca, port = certificates.make_authority(folder, "proxy CA"), free_port()
    return port, f"https://127.0.0.1:{port}", ca, *certificates.make_leaf(folder, "proxy")


class Faithful:
    """HTTP/2 in TLS: streams end as their connections do, side by side, or by a reset, and the other way round. For little content.
    `last_words`: what it has left to say of a connection that is reset, which goes in one write with its own reset."""

    def __init__(self, folder):
        self.last_words = b""
        self.port, self.url, self.ca, pem, key = secure_place(folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem, key)
        self.context.set_alpn_protocols(["h2"])
        self.loop, ready = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self.run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait(10)

    def run(self, ready):
        self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", self.port, ssl=self.context))
        ready.set()
        self.loop.run_forever()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def serve(self, reader, writer):
        c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8", validate_inbound_headers=False))
        servers = {}  # by stream: once it is connected, who writes to it
        c.initiate_connection()

        async def connect(stream, place):
            host, _, port = place.rpartition(":")
            answers, servers[stream] = await asyncio.open_connection(host, int(port))
            c.send_headers(stream, [(":status", "200")])
            writer.write(c.data_to_send())
            try:
                while data := await answers.read(4096):
                    c.send_data(stream, data)
                    writer.write(c.data_to_send())
                c.end_stream(stream)
            except ConnectionResetError:
                for start in range(0, len(self.last_words), 16000):
                    c.send_data(stream, self.last_words[start:start + 16000])
                c.reset_stream(stream, h2.errors.ErrorCodes.CONNECT_ERROR)
            except h2.exceptions.StreamClosedError:
                pass
            writer.write(c.data_to_send())

        while data := await reader.read(65536):
            for event in c.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    asyncio.ensure_future(connect(event.stream_id, dict(event.headers)[":authority"]))
                elif isinstance(event, h2.events.DataReceived):
                    c.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    servers[event.stream_id].write(event.data)
                elif isinstance(event, h2.events.StreamEnded):
                    servers[event.stream_id].write_eof()
                elif isinstance(event, h2.events.StreamReset):
                    server = servers[event.stream_id]
                    server.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    server.transport.abort()
            writer.write(c.data_to_send())
        for server in servers.values():
            server.close()
