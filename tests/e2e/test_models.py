# SPDX-License-Identifier: Apache-2.0
"""Models' APIs by their vendors' own libraries, which know of nothing but the address: answers whole and in pieces, masks, refusals, people."""
import json
import pathlib
import subprocess

import pytest
from conftest import make_config
from harness import certificates
from harness import daemon as daemons
from harness.models import Models
from harness.waiting import wait_for

CLIENT = pathlib.Path(__file__).resolve().parent / "clients" / "models.mjs"
LIBRARIES = ["openai", "responses", "anthropic"]
RULES = [
    {"name": "plain", "operations": ["POST"], "objects": ["/plain/**"], "allow": {}},
    {"name": "masked", "operations": ["POST"], "objects": ["/masked/**"], "allow": {"mask": [{"detect": ["email"], "with": "redact"}]}},
    {"name": "asked", "operations": ["POST"], "objects": ["/asked/**"], "review": {"by": "dba"}},
    {"name": "no models", "operations": ["POST"], "objects": ["/denied/**"], "deny": {"message": "not here"}},
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    ca = certificates.make_authority(folder)
    s = Models(*certificates.make_leaf(folder, "server"))
    s.ca = ca
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(models, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), {
        **make_config(1), "workers": 1, "reviewers": {"dba": {"local_users": ["root"]}},
        "resources": [{"name": "models", "protocol": "http", "hosts": [f"localhost:{models.port}"], "tls": {"ca_file": str(models.ca)}}]}, RULES)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


def ask(daemon, models, library, place, *words, timeout=20000, **options):
    """A client that asks; `run` gives it what it needs to trust us."""
    return daemon.popen("node", CLIENT, library, f"https://localhost:{models.port}/{place}", timeout, *words,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def lines(process):
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in out.splitlines()]


def told(lines, name):
    return [line[name] for line in lines if name in line]


@pytest.mark.parametrize("library", LIBRARIES)
def test_answers(daemon, models, library):
    """Whole and in events, tools, and the server's errors, which are its own."""
    said = lines(ask(daemon, models, library, "plain", "hello", "stream:hello", "tool", "stream:tool", "wrong", "stream:break"))
    mail = {"to": "ann@example.com", "n": 1}
    assert told(said, "answer") == ["Hello there, you.", "Hello there, you.", mail, mail] + (["one "] if library == "responses" else [])
    wrong = next(line for line in said if line.get("status") == 400)
    assert wrong["error"] == "BadRequestError" and "no such model" in wrong["message"]
    if library != "responses":  # Whose library gives the error on, as an event.
        assert "overloaded" in said[-1]["message"], said[-1]


@pytest.mark.parametrize("library", LIBRARIES)
def test_masks(daemon, models, library):
    """A value in several pieces, of a text and of a tool's arguments, which stay JSON."""
    said = lines(ask(daemon, models, library, "masked", "mail", "stream:mail", "tool", "stream:tool", "stream:hello"))
    text, call = "write to [masked], please", {"to": "[masked]", "n": 1}
    assert told(said, "answer") == [text, text, call, call, "Hello there, you."]
    assert "ann@" not in str(said) and "example.com" not in str(said)


@pytest.mark.parametrize("place", ["plain", "masked"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_pieces_arrive_as_they_are_sent(daemon, models, library, place):
    """The server says no more before the client has it; where it is masked, up to the word that may go on."""
    models.goes_on.clear()
    models.waits_behind[:] = [" there"]
    try:
        with ask(daemon, models, library, place, "stream:hello") as client:
            assert json.loads(client.stdout.readline()) == {"try": 1}
            assert json.loads(client.stdout.readline()) == {"piece": "Hello"}
            models.goes_on.set()
            assert told(lines(client), "answer") == ["Hello there, you."]
    finally:
        models.waits_behind.clear()
        models.goes_on.set()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_refusal_is_told_and_not_tried_again(daemon, models, library):
    before = len(models.asked)
    said = lines(ask(daemon, models, library, "denied", "hello", "stream:hello"))
    assert [line.get("try") or line["status"] for line in said] == [1, 403, 2, 403]
    for error in (said[1], said[3]):
        assert error["error"] == "PermissionDeniedError"
        assert error["message"] == '403 wayleave: denied by rule "no models": not here'
        assert error["type"] == "denied_by_rule"
    assert len(models.asked) == before


def reviews(daemon, place):
    return [r for r in daemon.json("reviews", "list") if place in r["text"]]


@pytest.mark.parametrize("library", LIBRARIES)
def test_people_are_asked_once(daemon, models, library):
    """The library gives up before they have decided, and tries again: it is the same request, and runs once."""
    place = f"asked/{library}"
    with ask(daemon, models, library, place, "hello", timeout=5000) as client:
        review, = wait_for(lambda: reviews(daemon, place))
        assert json.loads(client.stdout.readline()) == {"try": 1}
        assert json.loads(client.stdout.readline()) == {"try": 2}
        wait_for(lambda: [r for r in reviews(daemon, place) if r["waiters"] == 1])
        assert [r["id"] for r in reviews(daemon, place)] == [review["id"]]
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert told(lines(client), "answer") == ["Hello there, you."]
    assert [r["state"] for r in reviews(daemon, place)] == ["approved"]
    assert len([path for path, _, _ in models.asked if place in path]) == 1
