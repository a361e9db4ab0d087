# SPDX-License-Identifier: Apache-2.0
"""Streams of @kubernetes/client-node, all of which are WebSockets with channels."""
import json

from harness.ports import listening
from harness.records import last_session, records_of
from harness.waiting import wait_for
from test_kubernetes_streams import CLIENTS, cluster, daemon, environment, said_in, shout  # noqa: F401


def node(daemon, program, *words):  # noqa: F811
    done = daemon.run("node", CLIENTS / program, *words, env=environment(daemon, "websocket"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_exec(daemon):  # noqa: F811
    program = "kubernetes_exec.mjs"
    got = node(daemon, program, "prod", "masked", "", "", "sh", "-c", "echo to ann@example.com; echo wrong >&2; exit 3")
    assert (got["out"], got["errors"]) == ("to [masked]\n", "wrong\n")
    assert got["status"]["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    got = node(daemon, program, "prod", "open", "", "hello\n", "head", "-n1")
    assert (got["out"], got["status"]["status"]) == ("hello\n", "Success")
    assert "403" in node(daemon, program, "dev", "open", "", "", "id")["refused"]


def test_attach(daemon):  # noqa: F811
    program = "kubernetes_streams.mjs"
    got = node(daemon, program, "attach", "prod", "masked", "to bob@example.com by node\n")
    assert got == {"out": "the main program\nto [masked] by node\n", "errors": "of [masked]\n"}
    session = wait_for(lambda: last_session(daemon, "masked/attach"))
    assert said_in(daemon, session)["input"] == "to bob@example.com by node\n"
    assert "403" in node(daemon, program, "attach", "prod", "open", "x")["refused"]


def test_port_forward(daemon):  # noqa: F811
    program = "kubernetes_streams.mjs"
    with listening(shout) as (port, _):
        got = node(daemon, program, "forward", "prod", "open", port, "hello")
    assert got == {"out": "HELLO", "errors": ""}
    session = wait_for(lambda: last_session(daemon, "open/portforward"))
    notes = "; ".join(n["detail"] for n in records_of(daemon, session, "note"))
    assert f"port-forward 1: 5 bytes to port {port}, 5 from it" in notes, notes
    assert "403" in node(daemon, program, "forward", "prod", "masked", port, "hello")["refused"]
