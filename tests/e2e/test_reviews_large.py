# SPDX-License-Identifier: Apache-2.0
"""Parameters that are long: people decide about all of it, and what runs has every byte; what is too long to be kept for them is refused."""
import subprocess

import pytest
from conftest import make_config
from harness.reviews import REVIEWERS, decide, pending, wait_for_pending

RULES = [{"name": "large values need a person", "operations": ["insert"], "objects": ["public.large_held"], "review": {"by": "dba", "within": "10m"}},
         {"name": "read", "operations": ["select"], "objects": ["public.large_held"], "allow": {}}]
# Says of each value how many rows it made, or the error, and that the session is well afterwards.
CLIENT = """
import psycopg, sys
c = psycopg.connect(sys.argv[1], autocommit=True)
for words in sys.argv[2:]:
    size, binary, end = words.split(",")
    value = "v" * (int(size) - len(end)) + end
    try:
        made = c.execute("insert into large_held values (%b)" if binary == "b" else "insert into large_held values (%t)", (value,)).rowcount
    except psycopg.Error as e:
        made = f"{e.sqlstate} {e}".splitlines()[0]
    print(made, c.execute("select 1").fetchone()[0], flush=True)
"""
LONG = 2 << 20
MOST = 4 << 20


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    from harness import daemon as daemons
    server.sql("create table large_held (value text); grant all on large_held to app", database="shop")
    d = daemons.Daemon(tmp_path_factory.mktemp("large"), make_config(server.port, reviewers=REVIEWERS, workers=1), RULES)
    yield d
    d.close()
    server.sql("drop table large_held", database="shop")


def client(daemon, server, *values):
    return daemon.popen("/usr/bin/python3", "-c", CLIENT, f"host=127.0.0.1 port={server.port} dbname=shop user=app", *values,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def held(server):
    return server.sql("select octet_length(value), value = rpad('', octet_length(value) - 4, 'v') || right(value, 4), right(value, 4) from large_held",
                      database="shop").split()


def test_a_long_parameter_is_decided(daemon, server):
    """In either format; approved it runs once, with all of it, and another value is another question."""
    p = client(daemon, server, f"{LONG},t,one!", f"{LONG},b,two!", f"{LONG},b,no!!")
    digests = []
    for verb, answer in (("approve", "1 1\n"), ("approve", "1 1\n"), ("deny", "42501 wayleave: denied by ")):
        (review,) = wait_for_pending(daemon)
        shown = daemon.json("reviews", "show", review["id"])
        digests.append(shown["digest"])
        (value,) = shown["parameters"]  # its beginning; in binary format in hexadecimal
        assert value["length"] == LONG and len(str(value)) > LONG / 4 and ("v" * 1000 in str(value) or "76" * 1000 in str(value))
        decide(daemon, verb, review, "--reason", "looked at")
        line = p.stdout.readline()
        assert line == answer or (verb == "deny" and line.startswith(answer) and line.endswith(" 1\n")), line
    assert p.wait(10) == 0
    assert len(set(digests)) == 3
    assert held(server) == [f"{LONG}|t|one!", f"{LONG}|t|two!"]
    server.sql("truncate large_held", database="shop")


def test_what_is_too_long_to_be_kept_is_refused(daemon, server):
    done = client(daemon, server, f"{MOST},t,long").communicate(timeout=20)[0]
    assert done == "42501 wayleave: denied: it needs approval, but with its parameters it is longer than 4 MiB 1\n"
    assert pending(daemon) == [] and held(server) == []
