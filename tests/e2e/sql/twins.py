# SPDX-License-Identifier: Apache-2.0
"""Two servers that differ in nothing but the values of masked columns, and an agent that asks both the same.

What the agent gets of a statement must be the same from both, to the byte: rows, their order and number, errors,
notices, command tags. Objects have the same numbers in both, since both were made by the same steps."""
import base64
import copy
import json
import os
import pathlib
import re
import shutil
import tempfile

from harness import daemon as daemons
from harness import postgres

HERE = pathlib.Path(__file__).resolve().parent
# Of different lengths and order; the second would be first in a list that is sorted by it, and its rows in another order.
SECRETS = ({"SECRET": "quokka-7731", "NUMBER": "4100", "LETTER": "a", "TIMES": "1"},
           {"SECRET": "aardvarks-52", "NUMBER": "977", "LETTER": "z", "TIMES": "3"})
MASKS = [
    {"columns": ["public.customers.ssn", "public.customers.doc", "public.holder.ssn", "public.keyed.ssn", "public.broken.ssn",
                 "public.twice.ssn", "public.beyond.ssn", "public.beings.ssn", "public.documents.papers",
                 "public.part.ssn", "public.child.kept",
                 "public.typed.word", "public.typed.words", "public.typed.home", "public.typed.number"], "with": "redact"},
    {"columns": ["public.customers.salary", "public.typed.born", "public.typed.raw"], "with": "null"},
    {"columns": ["public.made.ssn", "public.typed.code"], "with": "hash"},
]
RULES = [
    {"name": "rows", "resources": ["first", "second"], "operations": ["read", "write", "cursor", "lock"],
     "objects": ["public.*", "own.*", "pg_temp.*"], "allow": {"mask": MASKS}},
    {"name": "own tables", "resources": ["first", "second"], "operations": ["create", "alter", "drop", "comment", "analyze"],
     "objects": ["pg_temp.*", "public.new_*", "public.refreshed"], "allow": {}},
    # So that it is the masks that refuse definitions.
    {"name": "definitions", "resources": ["first", "second"], "operations": ["create", "alter", "comment"],
     "objects": ["public.*", "public"], "allow": {"mask": copy.deepcopy(MASKS)}},
    {"name": "code that is there", "resources": ["first", "second"], "operations": ["function"],
     "objects": ["public.*"], "allow": {}},
    {"name": "statistics", "resources": ["first", "second"], "operations": ["read"],
     "objects": ["pg_catalog.pg_stats", "pg_catalog.pg_statistic", "pg_catalog.pg_stats_ext*"], "allow": {"mask": copy.deepcopy(MASKS)}},
    {"name": "messages", "resources": ["first", "second"], "operations": ["listen", "notify"], "allow": {}},
]
# The hash of a value tells whether two are equal; that is what it is for.
HASHED = re.compile(rb"\[hash:[0-9a-f]{16}\]")


def encodings(secret):
    """What a value may be recognized by, however it was written."""
    raw = secret.encode()
    forms = {raw, raw[::-1], raw.upper(), raw.hex().encode(), raw.hex().upper().encode(), raw[:6], raw[-6:],
             raw.split(b"-")[0], raw.split(b"-")[0].capitalize()}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        forms.add(encoded[offset + (offset > 0):].rstrip(b"=")[:-2])
    return forms


class Twins:
    """Both servers, one daemon in front of them, one runner for each inside the agent. Those that derive from it have other
    tables: `schema` is a file, `secrets` says what stands in it for the words in braces of each server, `rules` are the policy's."""
    schema, secrets, rules = "schema.sql", SECRETS, RULES
    settings = ("autovacuum = off", "log_statement = none", "lc_messages = 'C'")

    def __init__(self):
        self.forms = [encodings(secrets["SECRET"]) for secrets in self.secrets]
        # Not pytest's: another run at the same time would take the servers' rights to it away.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wayleave-twins-"))
        self.folder.chmod(0o755)
        self.servers, self.runners, self.daemon = [], [], None
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        for name, secrets in zip(("first", "second"), self.secrets):
            server = postgres.Server(self.folder / name, settings=self.settings, language="de")
            self.servers.append(server)
            text = (HERE / self.schema).read_text()
            for word, value in secrets.items():
                text = text.replace("{" + word + "}", value)
            server.sql(text)
        config = {"agents": [{"name": "demo", "cgroup": f"wayleave-twins-{os.getpid()}.slice/demo"}], "resources": self.resources()}
        self.daemon = daemons.Daemon(self.folder / "wayleave", config, self.rules)
        self.runners = [self.start_runner(server) for server in self.servers]
        self.tables = self.contents()

    def resources(self):
        return [{"name": name, "protocol": "postgres", "hosts": [f"127.0.0.1:{server.port}"]}
                for name, server in zip(("first", "second"), self.servers)]

    def start_runner(self, server, database="postgres"):
        return self.daemon.popen("/usr/bin/python3", HERE / "runner.py", "127.0.0.1", server.port, "postgres", database,
                                 stdin=-1, stdout=-1, text=True)

    def contents(self):
        """All that is stored, as the servers have it."""
        dump = "select string_agg(query_to_xml('select * from ' || oid::regclass::text, true, true, '')::text, '' order by oid)" \
            " from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'S')"
        return [server.sql(dump) for server in self.servers]

    def ask(self, steps):
        """What each server's agent gets: lists of (type, body)."""
        return self.ask_all(self.runners[:2], steps)

    def ask_all(self, runners, steps):
        for runner in runners:
            runner.stdin.write(json.dumps(steps) + "\n")
            runner.stdin.flush()
        answers = []
        for runner in runners:
            line = runner.stdout.readline()
            assert line, self.daemon.text()[-2000:]
            answers.append([(kind, bytes.fromhex(body) if kind != "closed" else body.encode())
                            for kind, body in json.loads(line)])
        return answers

    def check(self, steps):
        """Returns 'refused', 'failed' or 'rows'. An assertion fails where something masked shows."""
        answers = self.ask(steps)
        if any(kind == "E" and b"statement timeout" in body for answer in answers for kind, body in answer):
            return "timeout"
        for answer, forms in zip(answers, self.forms):
            assert_hidden(steps, answer, forms)
        first, second = ([(kind, HASHED.sub(b"[hash]", body)) for kind, body in answer] for answer in answers)
        assert first == second, f"{steps}: tells the two apart:\n{shorten(first)}\n{shorten(second)}"
        errors = [body for kind, body in first if kind == "E"]
        if any(b"wayleave" in body for body in errors) or first[-1][0] == "closed":
            return "refused"
        return "failed" if errors else "rows"

    def stop(self):
        for runner in self.runners:
            runner.stdin.close()
            runner.wait(10)
        if self.daemon:
            self.daemon.close()
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.folder)


def assert_hidden(steps, answer, forms):
    for kind, body in answer:
        found = [form for form in forms if form in body]
        assert not found, f"{steps}: {found[0]} in {kind} {body[:300]}"


def shorten(answer):
    return [(kind, body[:200]) for kind, body in answer if kind in "EDNAdC"][:12]
