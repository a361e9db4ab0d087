# SPDX-License-Identifier: Apache-2.0
"""mode, egress and loopback; what is not read; what is found out by first bytes."""
import contextlib
import json
import struct
import subprocess
import time

import psycopg2
import pytest
from conftest import ROOT, RULES, Psql, make_config
from harness.ports import echo, listening
from harness.records import audit, recorded_actions


def banner(c, got):
    c.sendall(b"220 hello\r\n")
    echo(c, got)


DIAL = """
import socket, sys, time
out = b""
try:
    s = socket.create_connection((%r, %d), timeout=10)
    for step in %r:
        if isinstance(step, bytes):
            s.sendall(step)
        elif isinstance(step, float):
            time.sleep(step)
        elif step == "shut":
            s.shutdown(socket.SHUT_WR)
        else:
            while len(out) < step and (data := s.recv(65536)):
                out += data
except OSError as e:
    out += type(e).__name__.encode()
sys.stdout.buffer.write(out)
"""


def dial(daemon, host, port, *steps):
    done = daemon.run("/usr/bin/python3", "-c", DIAL % (host, port, list(steps)), text=False)
    return done.stdout + (done.stderr if done.returncode else b"")


def egress(make_daemon, **more):
    """Loopback destinations are treated as any others, so that servers of this test can play the outside."""
    return make_daemon(make_config(1, **{"egress": "allow", "loopback": "egress", **more}), RULES)


def only_session(daemon):
    deadline = time.monotonic() + 5
    while True:
        sessions = daemon.json("sessions", "list")
        if len(sessions) == 1 and sessions[0]["state"] == "ended":
            return sessions[0], daemon.json("sessions", "show", sessions[0]["id"])["records"]
        assert time.monotonic() < deadline, sessions
        time.sleep(0.1)


# --- observe

def test_observing_refuses_and_masks_nothing_and_records_what_would_have_been(server, make_daemon):
    d = make_daemon(make_config(server.port, mode="observe"), RULES)
    psql = Psql(d, server)
    assert psql.rows("select ssn from customers where id = 1") == ["101-45-6789"]
    assert psql.rows("create temporary table t (a int); select 'made'") == ["made"]
    assert psql.rows("select value from secrets") == ["top secret"]
    assert d.status()["mode"] == "observe"
    records = [r for s in d.json("sessions", "list") for r in d.json("sessions", "show", s["id"])["records"] if r["record"] == "action"]
    verdicts = {r["text"]: (r["verdict"], r.get("observed")) for r in records}
    assert verdicts["select value from secrets"] == ("deny", 1), verdicts
    assert verdicts["create temporary table t (a int); select 'made'"][0] == "deny"
    assert verdicts["select ssn from customers where id = 1"][0] == "allow"
    assert all(s["observed"] for s in d.json("sessions", "list"))


def test_observing_asks_nobody(server, make_daemon):
    """What people would have been asked about runs at once, and is recorded as that; by either protocol, in a batch, and with masks."""
    rules = [{"name": "read", "operations": ["read"], "objects": ["public.orders"], "allow": {}},
             {"name": "names need a person", "operations": ["read"], "objects": ["public.customers"],
              "review": {"by": "dba", "mask": [{"columns": ["public.customers.ssn"], "with": "redact"}]}},
             {"name": "writes need a person", "operations": ["write"], "objects": ["public.orders"], "review": {"by": "dba", "grant": "1h"}}]
    d = make_daemon(make_config(server.port, mode="observe", reviewers={"dba": {"local_users": ["root"]}}), rules)
    written, ssn = "update orders set item = item where id = -{}", "select ssn from customers where id = 1"
    steps = [("Q", written.format(1)), ("wait", "Z"), ("Q", ssn), ("wait", "Z"),
             ("batch", [("P", "", "select 1 from orders where false"), ("B", "", ""), ("E", ""), ("P", "", written.format(2)), ("B", "", ""), ("E", ""),
                        ("P", "", written.format(3)), ("B", "", ""), ("E", ""), ("S",)]), ("wait", "Z")]
    began = time.monotonic()
    done = d.run("/usr/bin/python3", ROOT / "harness" / "wire.py", "127.0.0.1", str(server.port), "app", "shop", repr(steps))
    assert done.returncode == 0 and time.monotonic() - began < 5, done
    said = str(done.stdout)
    assert said.count("UPDATE 0") == 3 and "101-45-6789" in said and "waiting for approval" not in said and "wayleave" not in said, said
    asked = {a["text"]: (a["verdict"], a["observed"], a["rules"]) for a in recorded_actions(d) if a["verdict"] != "allow"}
    assert asked == {**{written.format(i): ("review", 1, ["writes need a person"]) for i in (1, 2, 3)}, ssn: ("review", 1, ["names need a person"])}, asked
    assert d.json("reviews", "list") == [] and d.status()["reviews_pending"] == 0
    assert not [r for r in audit(d) if r.get("event") == "review"]


# What enforcing refuses by itself, as it could not be judged or masked, and what it judges from one message to the next.
UNJUDGED = r"""
import json, sys
sys.path.insert(0, sys.argv[1])
from harness import wire
LONG = "select length('" + "x" * 5000000 + "')"
done = ("wait", "Z")
def run(name, text, portal=""):
    return [("P", name, text), ("B", portal, name), ("E", portal)]
def batch(*steps):
    return [("batch", [*steps, ("S",)]), done]
scripts = [
    [("Q", LONG), done, ("Q", "select 'behind it'"), done],
    batch(*run("", LONG)) + batch(*run("long", LONG)) + batch(("B", "", "long"), ("E",)),
    batch(*run("café", "select 'named'", "thé")) + batch(("B", "thé", "café"), ("D", "P", "thé"), ("E", "thé"), ("C", "S", "café")),
    batch(*run("", "select 'before'"), *run("", "delete from orders where id = -1"), *run("", "select value from secrets")),
    [("Q", "copy (select ssn from customers where id = 1) to stdout"), done,
     ("Q", "copy (select ssn from customers where id = 2) to stdout (encoding 'latin1')"), done],
    [("Q", "set standard_conforming_strings = off"), done, ("Q", r"select 'it\'s', value from secrets"), done],
    [("Q", "set client_encoding = 'SJIS'"), done, ("Q", "select ssn from customers where id = 1"), done],
    [("Q", "do $$ begin execute 'prepare made as select 7'; end $$"), done] + batch(("B", "", "made"), ("E",)),
    [("Q", "begin"), done, ("Q", "do $$ declare c refcursor := 'opened'; begin open c for select 8; end $$"), done]
        + batch(("E", "opened")) + [("Q", "commit"), done],
    batch(("B", "", "nowhere")) + batch(("E", "nowhere")) + [("Q", "select 'after an error'"), done],
    [("F", 1610), done],
]
print(json.dumps([wire.run("127.0.0.1", int(sys.argv[2]), "app", "shop", script) for script in scripts]))
"""


def simple(*texts):
    return [step for text in texts for step in (("Q", text), ("wait", "Z"))]


def run(text):
    return [("P", "", text), ("B", "", ""), ("E", "")]


# Behind code that may have changed any name the catalogs are looked at before the next statement is judged.
UNKNOWN, COUNT = "do $$ begin end $$", "select count(*) from orders where false"


@pytest.mark.parametrize("steps", [
    simple(UNKNOWN, COUNT), simple("begin", UNKNOWN, COUNT, "commit"),
    [("batch", [*run(UNKNOWN), *run(COUNT), ("S",)]), ("wait", "Z")],
    [("batch", [*run("begin"), *run(UNKNOWN), *run(COUNT), ("S",), *run(COUNT), ("S",), *run("commit"), ("S",)])] + [("wait", "Z")] * 3,
], ids=["alone", "in a transaction", "in a batch", "in both"])
def test_observing_a_question_that_the_server_fails_ends_nothing(server, make_daemon, steps):
    d = make_daemon(make_config(server.port, mode="observe", workers=1), RULES)
    with psycopg2.connect(host=str(server.data), port=server.port, user="postgres", dbname="shop") as outside:
        script = repr([*simple("set lock_timeout = 100"), ("line", "logged in"), *steps])
        agent = d.popen("/usr/bin/python3", ROOT / "harness" / "wire.py", "127.0.0.1", server.port, "app", "shop", script,
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert agent.stdout.readline() == "logged in\n"
        outside.cursor().execute("lock table pg_rewrite in access exclusive mode")
        out, _ = agent.communicate("\n", timeout=20)
        outside.rollback()
    outside.close()
    seen = json.loads(out)
    assert not [m for m in seen if m[0] == "E"] and ["D", ["0"]] in seen and seen[-1] == ["Z", "I"], seen


BROKEN_STARTS = [struct.pack("!IHH", 8 + len(body), major, 0) + body for major, body in [
    (2, b"user\0app\0"), (3, b"database\0shop\0\0"), (3, b"user\0app\0"), (3, b"user\0app\0database\0shop\0\0x")]]


def test_observing_passes_what_could_not_be_judged_as_without_us(server, make_daemon):
    d = make_daemon(make_config(server.port, mode="observe"), RULES)
    program = ["/usr/bin/python3", "-c", UNJUDGED, ROOT, str(server.port)]
    observed, direct = (json.loads(done.stdout) for done in (d.run(*program), subprocess.run(program, stdout=-1, check=True)))
    for through, without in zip(observed, direct, strict=True):
        assert through == without
    assert "D" in [m[0] for m in direct[7]] and ["D", ["8"]] in direct[8], "names that only the server has seen made"
    # Nor is what is no startup packet, or one of a kind that is not read.
    before = len(d.json("sessions", "list"))
    for packet in BROKEN_STARTS:
        step = DIAL % ("127.0.0.1", server.port, [packet, 1 << 20])
        direct = subprocess.run(["/usr/bin/python3", "-c", step], stdout=-1, check=True).stdout
        assert d.run("/usr/bin/python3", "-c", step, text=False).stdout == direct and b"FATAL" in direct
    notes = [r.get("detail") for s in d.json("sessions", "list")[:-before] for r in d.json("sessions", "show", s["id"])["records"]]
    assert notes.count("relayed unread from here on") == len(BROKEN_STARTS), notes
    verdicts = {(a["text"][:80], a["verdict"], a.get("observed"), a.get("reason")) for a in recorded_actions(d)}
    for text, reason in [
            ("select length('" + "x" * 65, "too_long"), ("select 'named'", "not_understood"), ("delete from orders where id = -1", "none"),
            ("copy (select ssn from customers where id = 2) to stdout (encoding 'latin1')", "masked_column"),
            ("set standard_conforming_strings = off", "not_understood"), ("set client_encoding = 'SJIS'", "not_understood")]:
        assert (text, "deny", 1, reason) in verdicts, verdicts


def test_a_violation_while_observing_makes_an_unread_relay_that_enforcing_ends(make_daemon):
    with listening(echo) as (port, got):
        d = make_daemon(make_config(port, mode="observe"), RULES)
        steps = [b"no postgres at all\n", 19, 3.0, b"more\n", 24]
        agent = d.popen("/usr/bin/python3", "-c", DIAL % ("127.0.0.1", port, steps), stdout=-1)
        time.sleep(1.5)
        assert b"".join(got) == b"no postgres at all\n"
        d.config["mode"] = "enforce"
        d.write_config()
        d.wait_for("is in force")
        out, _ = agent.communicate(timeout=20)
        assert out.startswith(b"no postgres at all\n") and b"more\n" not in out
        assert b"more\n" not in b"".join(got)
        session, records = only_session(d)
        assert any("relayed unread from here on" in str(r.get("detail")) for r in records)
        assert session["reason"] == "policy_changed"


# --- egress

def test_egress_deny_refuses_and_records(make_daemon):
    with listening(banner) as (port, got):
        d = egress(make_daemon, egress="deny")
        out = dial(d, "127.0.0.1", port, 4)
        assert out == b"ConnectionResetError" and got == []
        session, records = only_session(d)
        assert session["resource"] == "egress" and session["reason"] == "egress" and session["denied"] == 1
        assert [r["verdict"] for r in records if r["record"] == "action"] == ["deny"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_egress_allow_relays_what_is_none_of_ours_and_counts_it(make_daemon, host):
    with listening(echo, host) as (port, got):
        d = egress(make_daemon)
        out = dial(d, host, port, b"SAY / TALKER/1.0\r\n", 18, b"x" * 100000, 100018, "shut", 200000)
        assert out == b"SAY / TALKER/1.0\r\n" + b"x" * 100000
        session, records = only_session(d)
        assert session["protocol"] == "tcp" and session["bytes_to_server"] == 100018 and session["bytes_to_agent"] == 100018
        assert any("relayed unread" in str(r.get("detail")) for r in records)
        assert session["address"] == (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def test_servers_that_speak_first_are_relayed(make_daemon):
    with listening(banner) as (port, got):
        d = egress(make_daemon)
        assert dial(d, "127.0.0.1", port, 11, b"HELO\r\n", 17) == b"220 hello\r\nHELO\r\n"
        assert dial(d, "127.0.0.1", port, "shut", 11) == b"220 hello\r\n", "also where the agent never says anything"


def test_silence_is_no_reason_to_end(make_daemon):
    with listening(echo) as (port, got):
        d = egress(make_daemon)
        assert dial(d, "127.0.0.1", port, 2.0, b"late", 4) == b"late"


def test_postgres_at_an_unnamed_place_is_judged(server, make_daemon):
    d = egress(make_daemon)
    text = Psql(d, server)("select 1").stderr
    assert "no rule allows" in text, text
    rules = [{"name": "reads anywhere", "resources": ["egress"], "operations": ["read"], "allow": {"mask": [{"columns": ["public.customers.ssn"], "with": "redact"}]}}]
    d.write_rules(rules)
    d.wait_for("is in force")
    psql = Psql(d, server)
    assert psql.rows("select ssn from customers where id = 1") == ["[masked]"]
    assert "no rule allows delete on public.orders" in psql.error("delete from orders")
    sessions = d.json("sessions", "list")
    assert {s["resource"] for s in sessions} == {"egress"} and sessions[0]["protocol"] == "postgres"


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_first_bytes_that_trickle_do_not_get_past(server, make_daemon, cut):
    """A startup packet in two pieces: nothing of it reaches the server before it is known what it is."""
    d = egress(make_daemon)
    body = struct.pack("!HH", 3, 0) + b"user\0app\0database\0shop\0\0"
    packet = struct.pack("!I", len(body) + 4) + body
    query = b"delete from orders\0"
    before = len(server.executed())
    out = dial(d, "127.0.0.1", server.port, packet[:cut], 0.4, packet[cut:] + b"Q" + struct.pack("!I", len(query) + 4) + query
               + b"X" + struct.pack("!I", 4), 100000)
    assert b"wayleave: denied: no rule allows delete on " in out and "delete from orders" not in server.executed()[before:], out


def direct_hello(alpn, split=0):
    """A ClientHello with that ALPN, in records of `split` bytes."""
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols([alpn])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="db.example").do_handshake()
    record = outgoing.read()
    if not split:
        return record
    body = record[5:]
    return b"".join(record[:3] + struct.pack("!H", len(body[i:i + split])) + body[i:i + split] for i in range(0, len(body), split))


@pytest.mark.parametrize("split", [0, 20, 1])
def test_direct_tls_for_postgres_is_recognised(make_daemon, split):
    with listening(echo) as (port, got):
        d = egress(make_daemon)
        hello = direct_hello("postgresql", split)
        out = dial(d, "127.0.0.1", port, hello[:50], 0.2, hello[50:], 5)
        assert out[:1] == b"\x16" and out[5:6] == b"\x02", "our own ServerHello"
        assert b"".join(got)[:len(hello)] != hello


@pytest.mark.parametrize("alpn", ["http/1.1", "h2", None])
def test_tls_that_may_hold_http_is_not_relayed_unread(make_daemon, alpn):
    with listening(echo) as (port, got):
        d = egress(make_daemon)
        hello = direct_hello(alpn, 40)
        out = dial(d, "127.0.0.1", port, hello, 6)
        assert out[:1] == b"\x16" and out[5:6] == b"\x02", "our own ServerHello"


def test_other_tls_is_relayed(make_daemon):
    with listening(echo) as (port, got):
        d = egress(make_daemon)
        for hello in (direct_hello("imap"), direct_hello("xmpp-client", 30)):
            assert dial(d, "127.0.0.1", port, hello, len(hello)) == hello


def test_a_reload_to_deny_ends_what_is_relayed(make_daemon):
    with listening(echo) as (port, got):
        d = egress(make_daemon)
        agent = d.popen("/usr/bin/python3", "-c", DIAL % ("127.0.0.1", port, [b"first", 5, 3.0, b"second", 11]), stdout=-1)
        time.sleep(1)
        d.config["egress"] = "deny"
        d.write_config()
        d.wait_for("is in force")
        out, _ = agent.communicate(timeout=20)
        assert out.startswith(b"first") and b"second" not in b"".join(got)


# --- tcp

def test_a_tcp_resource_is_relayed_where_a_rule_allows_it(make_daemon):
    with listening(banner) as (port, got):
        config = make_config(1)
        config["resources"].append({"name": "mail", "protocol": "tcp", "hosts": [f"127.0.0.1:{port}"]})
        d = make_daemon(config, RULES)
        assert dial(d, "127.0.0.1", port, 5) == b"ConnectionResetError"
        d.write_rules([*RULES, {"name": "mail", "resources": ["mail"], "operations": ["connect"], "allow": {}}])
        d.wait_for("is in force")
        assert dial(d, "127.0.0.1", port, 11, b"QUIT", 15) == b"220 hello\r\nQUIT"
        # The agent may be gone before its session is.
        deadline = time.monotonic() + 10
        while not (sessions := d.json("sessions", "list"))[0]["end"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert sessions[0]["resource"] == "mail" and sessions[0]["bytes_to_agent"] == 15 and sessions[0]["bytes_to_server"] == 4
        assert sessions[1]["denied"] == 1


# --- loopback

def test_loopback_own_refuses_listeners_of_others(make_daemon):
    with listening(banner) as (port, got):
        d = make_daemon(make_config(1), RULES)
        assert b"refused" in dial(d, "127.0.0.1", port, 5).lower() or got == []
        own = ("import socket, threading\ns = socket.create_server(('127.0.0.1', 0))\n"
               "threading.Thread(target=lambda: s.accept()[0].sendall(b'mine'), daemon=True).start()\n"
               "print(socket.create_connection(s.getsockname()).recv(9).decode())")
        assert d.run("/usr/bin/python3", "-c", own).stdout == "mine\n"


def test_loopback_direct_lets_everything_through(make_daemon):
    with listening(banner) as (port, got):
        d = make_daemon(make_config(1, loopback="direct"), RULES)
        assert dial(d, "127.0.0.1", port, 11) == b"220 hello\r\n"
        assert d.json("sessions", "list") == []
