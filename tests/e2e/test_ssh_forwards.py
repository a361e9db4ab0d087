# SPDX-License-Identifier: Apache-2.0
"""Forwards to where the host can connect: judged by place, carried unread where they are nothing that is judged elsewhere."""
import os
import subprocess

import pytest
from harness.places import Echo, echo  # noqa: F401
from harness.ports import free_port
from harness.records import assert_verified, records_of
from harness.ssh_gate import OPTIONS, ended, gate, pending, server  # noqa: F401
from harness.waiting import wait_for


@pytest.fixture(scope="module")
def greeter():
    with Echo(b"220 hello\r\n") as e:
        yield e
        e.shutdown()


@pytest.fixture(scope="module")
def asked():
    with Echo() as e:
        yield e
        e.shutdown()


@pytest.fixture(scope="module")
def daemon(server, echo, greeter, asked, tmp_path_factory):
    places = [f"127.0.0.1:{echo.port}", f"localhost:{greeter.port}", f"127.0.0.1:{server.port}", "127.0.0.1:1"]
    rules = [{"name": "places", "resources": ["box"], "operations": ["forward"], "objects": places, "allow": {}},
             {"name": "asked", "resources": ["box"], "operations": ["forward"], "objects": [f"127.0.0.1:{asked.port}"],
              "review": {"by": "ops", "within": "1m"}}]
    with gate(tmp_path_factory.mktemp("ssh"), server, rules) as d:
        yield d


def words(server, place):
    return ["ssh", *OPTIONS, "-W", place, "-p", str(server.port), "root@127.0.0.1"]


def forward(daemon, server, place, data=b""):
    return daemon.run(*words(server, place), text=False, input=data, stdin=None)


def notes(daemon, session):
    return [(r["reason"], r.get("detail", "")) for r in records_of(daemon, session, "note")]


def test_a_forward_carries_both_ways_to_each_end(daemon, server, echo):
    data = os.urandom(8 << 20)
    data = b"\0\0" + data  # nothing begins so
    done = forward(daemon, server, f"127.0.0.1:{echo.port}", data)
    assert done.returncode == 0 and done.stdout == data + b"bye", (done.returncode, len(done.stdout), done.stderr)
    session = ended(daemon)
    action = records_of(daemon, session)[-1]
    assert (action["text"], action["verdict"]) == (f"127.0.0.1:{echo.port}", "allow")
    assert session["bytes_to_server"] == len(data) and session["bytes_to_agent"] == len(data) + 3
    assert records_of(daemon, session, "result")[-1]["bytes"] == len(data) + 3
    assert_verified(daemon)


def test_a_server_that_speaks_first(daemon, server, greeter):
    done = forward(daemon, server, f"LOCALHOST:{greeter.port}", b"quit\r\n")
    assert done.stdout == b"220 hello\r\nquit\r\nbye", done


def test_few_bytes_pass_at_their_end(daemon, server, echo):
    assert forward(daemon, server, f"127.0.0.1:{echo.port}", b"GE").stdout == b"GEbye"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\0\0\x08\x04\xd2\x16\x2f", b"SSH-2.0-x\r\n"])
def test_what_is_judged_elsewhere_is_not_carried(daemon, server, echo, data):
    before = echo.heard
    done = forward(daemon, server, f"127.0.0.1:{echo.port}", data)
    assert done.stdout == b"" and echo.heard == before, done
    session = ended(daemon)
    assert [reason for reason, text in notes(daemon, session) if text.startswith("in a forward: ")] == ["wrong_protocol"]


def test_a_host_behind_is_no_way_round(daemon, server):
    done = daemon.run("ssh", *OPTIONS, "-o", f"ProxyCommand={' '.join(words(server, f'127.0.0.1:{server.port}'))}", "root@behind", "true",
                      stdin=subprocess.DEVNULL)
    assert done.returncode == 255
    wait_for(lambda: ("wrong_protocol", "in a forward: ssh") in notes(daemon, ended(daemon)))


def test_other_places_are_refused(daemon, server, greeter):
    for place in (f"127.0.0.1:{greeter.port}", "[::1]:22"):
        done = forward(daemon, server, place)
        assert done.returncode == 255 and done.stdout == b""
        assert records_of(daemon, ended(daemon))[-1]["verdict"] == "deny"


def test_a_place_that_does_not_answer(daemon, server):
    done = forward(daemon, server, "127.0.0.1:1")
    assert done.returncode == 255
    assert records_of(daemon, ended(daemon), "result")[-1]["tag"] == "closed"


def test_a_forward_waits_for_people(daemon, server, asked):
    process = daemon.popen(*words(server, f"127.0.0.1:{asked.port}"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    review = pending(daemon)
    assert review["text"] == f"127.0.0.1:{asked.port}" and review["operations"] == ["forward"]
    assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
    assert process.communicate(b"hello\n", timeout=30)[0] == b"hello\nbye"


def test_observed_it_passes_and_is_noted(server, echo, tmp_path):
    with gate(tmp_path, server, [], change=lambda config: config.update(mode="observe")) as d:
        data = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        assert forward(d, server, f"127.0.0.1:{echo.port}", data).stdout == data + b"bye"
        session = ended(d)
        assert ("wrong_protocol", "in a forward: http") in notes(d, session)
        assert records_of(d, session)[-1]["verdict"] == "deny"
        # What nothing carries is not to be had, and is recorded as refused.
        words = ["ssh-agent", "ssh", *OPTIONS, "-A", "-R", f"{free_port()}:localhost:2", "-p", server.port, "root@127.0.0.1", "env"]
        assert "SSH_AUTH_SOCK" not in d.run(*words, stdin=subprocess.DEVNULL).stdout
        wanted = {a["pairs"][0]["operation"]: (a["verdict"], a["observed"], a["reason"]) for a in records_of(d, ended(d))}
        assert wanted["agent_forward"] == ("deny", 1, "not_built")
        assert wanted["remote_forward"][:2] == ("deny", 1)
