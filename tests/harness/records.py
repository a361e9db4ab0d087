# SPDX-License-Identifier: Apache-2.0
"""What a daemon recorded, read as an admin would."""
import json


def audit(daemon, *options):
    done = daemon.wayleave("audit", "export", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def verify(daemon, *options):
    done = daemon.wayleave("audit", "verify", "--recordings", *options)
    return done.returncode, done.stdout + done.stderr


def assert_verified(daemon, *options):
    status, text = verify(daemon, *options)
    assert status == 0, text


def records_of(daemon, session, kind="action"):
    return [r for r in daemon.json("sessions", "show", session["id"])["records"] if r["record"] == kind]


def last_session(daemon, text):
    """The last one that asked for it, once it has ended."""
    for session in reversed(sorted(daemon.json("sessions", "list"), key=lambda s: s["start"])):
        if any(text in a["text"] for a in records_of(daemon, session)):
            return session if session.get("end") else None
    return None


def recorded_actions(daemon):
    """Of all sessions: those that have a text."""
    actions = [r for session in daemon.json("sessions", "list") for r in records_of(daemon, session)]
    return [a for a in actions if a.get("text")]


def recorded_texts(daemon):
    return [a["text"] for a in recorded_actions(daemon)]
