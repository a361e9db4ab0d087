# SPDX-License-Identifier: Apache-2.0
"""nginx on scratch folders and free ports: plain, and with TLS."""
import os
import pathlib
import subprocess

from . import certificates
from .ports import free_port
from .waiting import wait_for

CONFIG = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log {folder}/access.log; default_type text/plain; client_max_body_size 0; keepalive_timeout {keepalive};
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}; listen [::1]:{port}; listen 127.0.0.1:{tls_port} ssl; server_name localhost api.test;
    listen 127.0.0.1:{h2_port} ssl http2; listen 127.0.0.1:{h2c_port} http2;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
    root {folder}/root;
    location /v1/echo {{ return 200 "$request_method $request_uri"; }}
    location /v1/ssl {{ return 200 "$ssl_session_reused"; }}
    location /v1/connection {{ return 200 "$connection $connection_requests\n"; }}
    location /v1/none {{ return 204; }}
    location /v1/upload {{ proxy_pass http://127.0.0.1:{port}/v1/drop; proxy_request_buffering off; }}
    location /v1/take {{ proxy_pass http://127.0.0.1:{port}/v1/drop; }}
    location /v1/drop {{ return 200 "got it"; }}
    {more}
  }}
}}
"""


class Nginx:
    """`root` is what it serves; `ca` verifies its certificate for localhost, api.test and 127.0.0.1."""

    def __init__(self, folder, names=("localhost", "api.test"), more="", keepalive=75):
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "root" / "v1"
        self.root.mkdir(parents=True)
        self.ca = certificates.make_authority(self.folder)
        certificates.make_leaf(self.folder, "server", names)
        self.port, self.tls_port = free_port(), free_port()
        self.h2_port, self.h2c_port = free_port(), free_port()  # HTTP/2 in TLS, and in clear
        (self.root / "hello").write_text("hello\n")
        config = self.folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=self.folder, port=self.port, tls_port=self.tls_port, more=more,
                                        h2_port=self.h2_port, h2c_port=self.h2c_port, keepalive=keepalive))
        self.config = config
        self.start()

    def start(self):
        self.process = subprocess.Popen(["nginx", "-c", str(self.config), "-e", str(self.folder / "error.log")],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: "nginx.pid" in os.listdir(self.folder))

    def restart(self):
        self.stop()
        self.start()

    def accesses(self):
        return (self.folder / "access.log").read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
