# SPDX-License-Identifier: Apache-2.0
"""A scratch PostgreSQL, and the sql_facts program that says what Wayleave makes of a text."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("WAYLEAVE_BUILD", ROOT / "build/release"))


def binaries():
    """The folder of the newest server's programs."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent


def as_postgres(*command):
    """Runs a program as the user that a server may run as."""
    if os.geteuid() == 0:
        command = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


class Server:
    """One scratch cluster, on a free port of 127.0.0.1, gone with stop()."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wayleave-sql-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        data = self.folder / "data"
        as_postgres(str(binaries() / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        as_postgres(str(binaries() / "pg_ctl"), "-D", str(data), "-w", "-l", str(self.folder / "log"),
            "-o", f"-p {self.port} -k {self.folder} -c fsync=off -c listen_addresses=127.0.0.1", "start")

    def connect(self, database="postgres"):
        """An autocommit connection."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=database)
        connection.autocommit = True
        return connection

    def stop(self):
        """Stops the server and removes its files."""
        as_postgres(str(binaries() / "pg_ctl"), "-D", str(self.folder / "data"), "-m", "immediate",
            "-w", "stop")
        shutil.rmtree(self.folder)


class Facts:
    """A running sql_facts."""

    def __init__(self):
        self.process = subprocess.Popen([str(BUILD / "tests/sql_facts")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def ask(self, **question):
        """One question, one answer."""
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"sql_facts died of {question}"
        return json.loads(line)

    def load(self, connection):
        """Fills its catalogs and path from the server, with the queries it ships."""
        queries = self.ask(queries=True)
        for kind, texts in (("catalog", queries["queries"]), ("temporary", queries["temporary"])):
            rows = []
            with connection.cursor() as cursor:
                for index, (text, columns) in enumerate(texts):
                    # As the wire gives them: text, or nothing.
                    names = [f"c{i}" for i in range(columns)]
                    values = ", ".join(f"{name}::text" for name in names)
                    cursor.execute(
                        f"SELECT ARRAY[{values}] FROM ({text}) AS t({', '.join(names)})")
                    rows += [[index, row[0]] for row in cursor.fetchall()]
            result = self.ask(**{kind: rows})
            assert result["result"] == 0, result
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_schemas(true)::text[]")
            self.ask(path=cursor.fetchone()[0])

    def stop(self):
        """Ends it; anything but a clean end is a bug."""
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0
