# SPDX-License-Identifier: Apache-2.0
"""What one agent may have of the host: sessions at a time, sessions in a second, bytes in a second."""
import os
import signal
import time

import pytest
from conftest import Psql, make_config
from harness import daemon as daemons
from harness.shell import Shell
from harness.waiting import wait_for

RULES = [{"name": "read", "operations": ["read"], "objects": ["public.orders"], "allow": {}}]
COUNT = "select count(*) from orders where id <= 20"
LIMITS = {"few": {"sessions": 2}, "slow": {"rate": 3}, "narrow": {"bandwidth": "1M"}, "free": None}
MANY = """
import psycopg2, sys
told = []
for i in range(40):
    try:
        psycopg2.connect(sys.argv[1]).close()
    except psycopg2.Error as e:
        told.append(str(e))
print(len(told), *told[:1])
"""


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    config = make_config(server.port, workers=2)
    folder = config["agents"][0]["cgroup"].rpartition("/")[0]
    config["agents"] = [{"name": name, "cgroup": f"{folder}/{name}", **({"limits": limits} if limits else {})}
                        for name, limits in LIMITS.items()]
    d = daemons.Daemon(tmp_path_factory.mktemp("limits"), config, RULES)
    yield d
    d.close()


def url(server):
    return f"host=127.0.0.1 port={server.port} dbname=shop user=app"


def opened(daemon, server):
    """A psql that stays, once it is let in."""
    def attempt():
        shell = Shell(daemon, url(server), agent="few")
        if shell.ask(COUNT) == "20":
            return shell
        shell.close()
        return None
    return wait_for(attempt, 30, "a session")


def test_sessions_at_a_time(daemon, server):
    """Over all workers, and one that dies leaves none behind."""
    few = Psql(daemon, server, agent="few")
    for end in ("closed", "killed", "closed"):
        shells = [opened(daemon, server) for _ in range(2)]
        assert "denied: this agent may have no more than 2 sessions at a time" in few.error(COUNT)
        assert [s for s in daemon.json("sessions", "list") if s["agent"] == "few" and s["denied"]]
        # Nobody else has less because of it.
        assert Psql(daemon, server, agent="free").rows(COUNT) == ["20"]
        for pid in daemon.workers() if end == "killed" else []:
            os.kill(pid, signal.SIGKILL)
        for shell in shells:
            shell.close()
    wait_for(lambda: few(COUNT).stdout.strip() == "20", 30, "room again")


def test_sessions_in_a_second(daemon, server):
    done = daemon.run("/usr/bin/python3", "-c", MANY, url(server), agent="slow")
    count, _, told = done.stdout.partition(" ")
    assert 0 < int(count) < 40, done
    assert "this agent may begin no more than 3 sessions in a second" in told
    # It comes back with time.
    wait_for(lambda: Psql(daemon, server, agent="slow")(COUNT).stdout.strip() == "20", 30, "another second")
    assert daemon.run("/usr/bin/python3", "-c", MANY, url(server), agent="free").stdout.strip() == "0"


def test_bytes_in_a_second(daemon, server):
    """A second's worth at once, then no more than that in each; nothing is lost."""
    begin = time.monotonic()
    done = Psql(daemon, server, agent="narrow")("select repeat('x', 1000000) from orders where id <= 3")
    assert done.stdout.split() == ["x" * 1000000] * 3, done.stderr
    # Not sooner, however fast the host is.
    assert time.monotonic() - begin > 1.5
