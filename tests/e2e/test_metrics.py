# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics and health at loopback addresses: what they say, and that clients can do nothing to the monitor."""
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest
from conftest import RULES, Psql, make_config
from harness.ports import free_port
from harness.waiting import wait_for

LINE = re.compile(r'(wayleave_[a-z_0-9]+)(\{(?:[a-z]+="[A-Za-z0-9._@-]*",?)*\})? (\d+)')


@pytest.fixture
def daemon(server, make_daemon):
    d = make_daemon(make_config(server.port, workers=1, canary="1s", metrics={
        "listen": f"127.0.0.1:{free_port()}", "health": f"[::1]:{free_port()}"}), RULES)
    return d


def get(daemon, what):
    address = daemon.config["metrics"][what]
    try:
        with urllib.request.urlopen(f"http://{address}/{what}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def metrics(daemon):
    """As Prometheus reads them: each with a type, none twice."""
    status, text = get(daemon, "listen")
    assert status == 200
    found, types = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert kind in ("counter", "gauge") and name not in types
            types.add(name)
        elif not line.startswith("# HELP "):
            name, labels, value = LINE.fullmatch(line).groups()
            assert name in types and (name, labels) not in found
            found[name + (labels or "")] = int(value)
    return found


def test_they_count(daemon, server):
    psql = Psql(daemon, server)
    assert psql.rows("select count(*) from customers") == ["20"]
    psql.error("drop table orders")
    m = wait_for(lambda: (lambda m: m if m["wayleave_denied_total"] else None)(metrics(daemon)))
    assert m["wayleave_healthy"] == 1 and m["wayleave_workers_ready"] == m["wayleave_workers"] == 1
    assert m["wayleave_sessions_total"] == 2 and m["wayleave_actions_total"] >= 2
    assert m['wayleave_refusals_total{reason="denied_by_rule"}'] == 1
    assert m['wayleave_connections_total{agent="demo",kind="accepted"}'] == 2
    assert m['wayleave_connections_total{agent="other",kind="accepted"}'] == 0
    for where in ("rules", "interface_rules", "bridge_rules", "queue_full", "queue_unread", "fence"):
        assert f'wayleave_dropped_total{{where="{where}"}}' in m  # what each counts: tests/capture
    wait_for(lambda: metrics(daemon)["wayleave_canary_runs_total"] > 0, 30)
    assert metrics(daemon)['wayleave_canary_open{way="tcp4"}'] == 0
    assert metrics(daemon)["wayleave_canary_failed_runs_total"] == 0


def test_health(daemon):
    assert get(daemon, "health") == (200, "ok\n")
    daemon.config["nonsense"] = 1
    daemon.write_config()
    daemon.reload()
    assert get(daemon, "health") == (503, "the newest configuration is not in force\n")
    assert metrics(daemon)["wayleave_healthy"] == 0
    del daemon.config["nonsense"]
    daemon.write_config()
    wait_for(lambda: get(daemon, "health") == (200, "ok\n"))


def test_what_a_client_sends_means_nothing(daemon):
    host, port = daemon.config["metrics"]["listen"].rsplit(":", 1)
    for sent in (b"GET /health HTTP/1.1\r\n\r\n", b"\0" * 100000, b"x"):
        with socket.create_connection((host, int(port)), timeout=10) as s:
            s.sendall(sent)
            s.shutdown(socket.SHUT_WR)
            data = b""
            while more := s.recv(65536):
                data += more
            assert data.startswith(b"HTTP/1.0 200 OK\r\n") and b"wayleave_healthy 1" in data


def test_those_who_say_nothing_keep_nobody_out(daemon):
    host, port = daemon.config["metrics"]["listen"].rsplit(":", 1)
    silent = [socket.create_connection((host, int(port))) for _ in range(40)]
    assert metrics(daemon)["wayleave_healthy"] == 1
    for s in silent:
        s.close()
    with socket.create_connection((host, int(port)), timeout=15) as s:
        assert s.recv(1) == b""  # its time is over


def test_an_agent_does_not_reach_them(daemon):
    host, port = daemon.config["metrics"]["listen"].rsplit(":", 1)
    done = daemon.run("bash", "-c", f"exec 3<>/dev/tcp/{host}/{port}")
    assert done.returncode != 0 and "refused" in done.stderr


def test_other_addresses_are_a_mistake(daemon):
    config = dict(daemon.config)
    daemon.config = {**config, "metrics": {"listen": "0.0.0.0:9464"}}
    daemon.write_config()
    daemon.reload()
    assert "expected ADDRESS:PORT of loopback" in daemon.text()
    # And a new address is taken over.
    daemon.config = {**config, "metrics": {"listen": f"127.0.0.1:{free_port()}"}}
    daemon.write_config()
    wait_for(lambda: "reload_problem" not in daemon.status())
    assert wait_for(lambda: metrics(daemon))["wayleave_workers"] == 1


def test_rules_of_others_that_change_are_no_failure(daemon):
    """Whoever reads rules is interrupted when somebody, anywhere on the host, changes some."""
    runs = metrics(daemon)["wayleave_canary_runs_total"]
    loop = "while :; do nft add table inet $0; nft delete table inet $0; done"
    others = [subprocess.Popen(["sh", "-c", loop, f"wltother{i}"], start_new_session=True) for i in range(4)]
    try:
        wait_for(lambda: metrics(daemon)["wayleave_canary_runs_total"] > runs + 4, 60)
        assert metrics(daemon)["wayleave_canary_failed_runs_total"] == 0, daemon.text()[-3000:]
    finally:
        for i, other in enumerate(others):
            os.killpg(other.pid, signal.SIGKILL)
            other.wait()
            subprocess.run(["nft", "delete", "table", "inet", f"wltother{i}"], capture_output=True)
