# SPDX-License-Identifier: Apache-2.0
"""Credentials that the agent never holds: every method of the server's, with clients that present whatever they like."""
import itertools
import json
import os
import pathlib
import re
import subprocess
import types

import pytest
from conftest import make_config
from harness import certificates as make
from harness import daemon as daemons
from harness import memory, postgres
from harness.login_server import PLAIN, PLUS, LoginServer
from harness.waiting import wait_for
from test_authentication import CLIENTS, create_roles, hba, role
from test_authentication import METHODS as PASSWORDS

METHODS = {**PASSWORDS, "trust": "unused"}
RULES = [{"name": "all reads", "operations": ["read"], "allow": {}}]


def secret(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    path = pathlib.Path(folder) / name
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    made = {}
    for tls in (False, True):
        made[tls] = postgres.Server(tmp_path_factory.mktemp("auth") / "server", hba=hba(), tls=tls)
        create_roles(made[tls])
    yield made
    for s in made.values():
        s.stop()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    return types.SimpleNamespace(ca=make.make_authority(folder), leaf=make.make_leaf(folder, "server"),
                                 leaf_by_name=make.make_leaf(folder, "named", addresses=()))


# name of the resource → (server has TLS, what the resource says of TLS)
LEGS = {"clear": (False, None), "tls": (True, "verify-full")}


@pytest.fixture(scope="module")
def daemon_of(servers, tmp_path_factory):
    """A daemon whose resources at both servers log in by this method; made once for each."""
    made = {}

    def make(method):
        if method in made:
            return made[method]
        folder = tmp_path_factory.mktemp("credentials")
        file = secret(folder / "secrets", "password", METHODS[method] + "\n")
        config = make_config(1)
        config["resources"] = []
        for name, (tls, upstream) in LEGS.items():
            server = servers[tls]
            config["resources"].append({
                "name": name, "protocol": "postgres", "hosts": [f"127.0.0.1:{server.port}"],
                "credentials": {"user": role(method), "password_file": file, "allow_cleartext": not tls},
                **({"tls": {"upstream": upstream, "ca_file": str(server.ca)}} if upstream else {})})
        made[method] = daemons.Daemon(folder, config, RULES)
        return made[method]

    yield make
    for d in made.values():
        d.close()


# Every method with psql, and every client with one.
CASES = [*itertools.product(["psql"], METHODS, LEGS), *itertools.product(set(CLIENTS) - {"psql"}, ["scram-sha-256"], ["tls"])]


@pytest.mark.parametrize("client,method,legs", sorted(CASES))
def test_whatever_the_agent_presents(servers, daemon_of, client, method, legs):
    tls, _ = LEGS[legs]
    daemon = daemon_of(method)
    out, errors = CLIENTS[client](daemon, servers[tls].port, "127.0.0.1", "require" if tls else "disable", "nobody_at_all", "whatever",
                                  "select current_user::text")
    assert out == role(method), errors


PASSWORD = "correct horse battery staple"


def url(port, mode="disable"):
    return f"host=127.0.0.1 port={port} user=nobody dbname=postgres sslmode={mode}"


def psql(daemon, port, statement="select current_user", mode="disable", **env):
    done = daemon.run("psql", "-X", "-A", "-t", url(port, mode), "-c", statement, env={"PGPASSWORD": "whatever", **env})
    return done.stdout.strip() or done.stderr


@pytest.fixture
def one(make_daemon, tmp_path):
    """A daemon with one resource, and its password's file."""
    def make(port, password=PASSWORD, mode="enforce", tls=None, **more):
        config = make_config(port, mode=mode)
        file = secret(tmp_path / "secrets", "password", password)
        config["resources"][0]["hosts"] = [f"127.0.0.1:{port}"]
        config["resources"][0]["credentials"] = {"user": "u_scram", "password_file": file, **more}
        if tls:
            config["resources"][0]["tls"] = tls
        daemon = make_daemon(config, RULES)
        daemon.secret = pathlib.Path(file)
        return daemon
    return make


def test_a_password_that_the_server_refuses(servers, one):
    daemon = one(servers[False].port, "not the password")
    said = psql(daemon, servers[False].port)
    assert 'wayleave: the server refused the resource\'s credentials: password authentication failed for user "u_scram"' in said
    assert "not the password" not in said + daemon.text()


def test_other_errors_of_the_login_are_the_servers_own(servers, one):
    daemon = one(servers[False].port, METHODS["scram-sha-256"])
    done = daemon.run("psql", "-X", url(servers[False].port).replace("dbname=postgres", "dbname=nowhere"), "-c", "select 1")
    assert 'FATAL:  database "nowhere" does not exist' in done.stderr


def test_a_new_password_holds_at_once(servers, one):
    port = servers[False].port
    servers[False].sql("create role u_rotated login password 'first'; alter role u_rotated set search_path = public")
    (servers[False].data / "pg_hba.conf").write_text((servers[False].data / "pg_hba.conf").read_text() + "host all u_rotated all scram-sha-256\n")
    servers[False].sql("select pg_reload_conf()")
    daemon = one(port, "first", user="u_rotated")
    assert psql(daemon, port) == "u_rotated"
    servers[False].sql("alter role u_rotated password 'second'")
    assert "refused the resource's credentials" in psql(daemon, port)
    new = daemon.secret.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text("second\n")
    new.rename(daemon.secret)
    assert psql(daemon, port) == "u_rotated"
    assert daemon.text().count("configuration") == 0, "no reload was needed"


@pytest.mark.parametrize("spoil,why", [
    (lambda file: file.chmod(0o644), "is open to every user (mode 0644); expected 0600"),
    (lambda file: file.unlink(), "No such file or directory"),
    (lambda file: file.write_text("\n"), "is empty"),
    (lambda file: file.write_text("x" * 9000), "is longer than 8192 bytes"),
])
def test_a_file_that_can_no_longer_be_used(servers, one, spoil, why):
    port = servers[False].port
    daemon = one(port, METHODS["scram-sha-256"])
    assert psql(daemon, port) == "u_scram"
    spoil(daemon.secret)
    said = psql(daemon, port)
    assert "wayleave: the resource's credentials can't be used (the log of wayleaved says why)" in said
    assert str(daemon.secret) not in said
    daemon.wait_for(why)


def test_a_client_that_wants_to_prove_its_password_says_so_itself(servers, one):
    daemon = one(servers[True].port, METHODS["scram-sha-256"], tls={"ca_file": str(servers[True].ca)})
    done = daemon.run("psql", "-X", url(servers[True].port, "require") + " channel_binding=require", "-c", "select 1")
    assert "channel binding required, but server authenticated client without channel binding" in done.stderr
    session = wait_for(lambda: next((s for s in daemon.json("sessions", "list") if s["end"]), None), what="the end of the session")
    assert "its client may insist (libpq: channel_binding, require_auth)" in session["detail"]


# --- who the server's logs say it was

NAMES = """
import psycopg2, sys
connection = psycopg2.connect(sys.argv[1])
connection.autocommit = True
seen = [connection.info.parameter_status("application_name")]
for statement in ["set application_name = 'later'", "reset application_name", "discard all"]:
    connection.cursor().execute(statement)
    seen.append(connection.info.parameter_status("application_name"))
print(seen, flush=True)
input()
"""


@pytest.mark.parametrize("more,told", [({}, "wayleave:demo tool"), ({"application_name": "agent"}, "tool")])
def test_the_server_is_told_who_the_agent_is(servers, make_daemon, tmp_path, more, told):
    port = servers[False].port
    config = make_config(port)
    config["resources"][0].update(more, credentials={"user": "u_scram",
                                                     "password_file": secret(tmp_path / "secrets", "password", METHODS["scram-sha-256"])})
    daemon = make_daemon(config, RULES)
    session = daemon.popen("/usr/bin/python3", "-c", NAMES, url(port) + " application_name=tool", stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
    assert session.stdout.readline() == "['tool', 'later', 'tool', 'tool']\n", "the agent sees what it said"
    assert servers[False].sql("select application_name from pg_stat_activity where usename = 'u_scram'") == told
    session.communicate("\n")


RENAMES = """
import json, psycopg2, sys
connection = psycopg2.connect(sys.argv[1])
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("prepare shown as select current_setting('application_name')")
for statement, asks in json.loads(sys.argv[2]):
    try:
        cursor.execute(statement)
    except psycopg2.Error as e:
        assert "division by zero" in str(e), e
    shown = None
    if asks:
        cursor.execute("execute shown")
        shown = cursor.fetchone()[0]
    print(json.dumps([statement, connection.info.parameter_status("application_name"), shown]))
"""
STEPS = [  # what is run; what the agent is told it is called; what the server calls it (None: it is not asked)
    ("set application_name = 'it''s \\ later'", "it's \\ later", "wayleave:demo it's \\ later"),
    ("select set_config('application_name', 'by a function', false)", "by a function", "wayleave:demo by a function"),
    ("begin", "by a function", "wayleave:demo by a function"),
    ("set application_name = 'kept'", "kept", "wayleave:demo kept"),
    ("commit", "kept", "wayleave:demo kept"),
    ("begin", "kept", "wayleave:demo kept"),
    ("set application_name = 'taken back'", "taken back", "wayleave:demo taken back"),
    ("rollback", "kept", "wayleave:demo kept"),
    ("begin", "kept", "wayleave:demo kept"),
    ("set local application_name = 'for a while'", "for a while", "wayleave:demo for a while"),
    ("rollback", "kept", "wayleave:demo kept"),
    ("set application_name = 'wayleave:other'", "wayleave:other", "wayleave:demo wayleave:other"),
    ("set application_name = ''", "", "wayleave:demo"),
    ("set application_name = '" + 60 * "x" + "'", 60 * "x", ("wayleave:demo " + 60 * "x")[:63]),
    ("set standard_conforming_strings = off", 60 * "x", ("wayleave:demo " + 60 * "x")[:63]),
    ("set application_name = 'a''b'", "a'b", "wayleave:demo a'b"),
    ("reset application_name", "tool", "wayleave:demo tool"),
    # In a transaction that failed nothing can be set, and nothing runs.
    ("begin", "tool", "wayleave:demo tool"),
    ("set application_name = 'x'; select 1 / 0", "tool", None),
    ("rollback", "tool", "wayleave:demo tool"),
    # A transaction's snapshot is not taken by it.
    ("begin; set application_name = 'first'", "first", None),
    ("set transaction isolation level serializable", "first", "wayleave:demo first"),
    ("commit", "first", "wayleave:demo first"),
]


def test_what_the_agent_calls_itself_later_says_who_it_is_too(servers, make_daemon):
    port = servers[False].port
    config = make_config(port, resource={"application_name": "identity"})
    daemon = make_daemon(config, [{"name": "all", "operations": ["*"], "allow": {}}])
    where = url(port).replace("nobody", role("trust")) + " application_name=tool"
    asked = json.dumps([(statement, shown is not None) for statement, told, shown in STEPS])
    done = daemon.run("/usr/bin/python3", "-c", RENAMES, where, asked)
    assert done.returncode == 0, done.stderr
    assert [tuple(json.loads(line)) for line in done.stdout.splitlines()] == STEPS


def test_the_agents_own_login_can_be_named_too(servers, make_daemon):
    port = servers[False].port
    config = make_config(port, resource={"application_name": "identity"})
    daemon = make_daemon(config, [{"name": "all", "operations": ["*"], "allow": {}}])
    done = daemon.run("psql", "-X", "-A", "-t", url(port).replace("nobody", role("trust")), "-c",
                      "select application_name from pg_stat_activity where pid = pg_backend_pid()")
    assert done.stdout == "wayleave:demo psql\n", done.stderr


# --- servers that lie

def test_the_channel_is_bound_to_the_servers_certificate(one, certificates):
    with LoginServer(PASSWORD, mechanisms=(PLAIN, PLUS), certificate=certificates.leaf) as server:
        psql(one(server.port, tls={"upstream": "verify-full", "ca_file": str(certificates.ca)}), server.port)
        assert server.seen["mechanism"] == PLUS and server.seen["proven"]


def test_who_takes_channel_binding_away_is_found_out(one, certificates):
    """The client says that it could have bound: a server that had offered to would refuse it."""
    with LoginServer(PASSWORD, mechanisms=(PLAIN,), certificate=certificates.leaf) as server:
        psql(one(server.port, tls={"upstream": "verify-full", "ca_file": str(certificates.ca)}), server.port)
        assert server.seen["flag"] == "y" and server.seen["proven"]


def test_the_same_with_the_agents_own_password(make_daemon, certificates):
    for mechanisms, flag in [((PLAIN,), "y"), ((PLAIN, PLUS), "p=tls-server-end-point")]:
        with LoginServer(PASSWORD, mechanisms=mechanisms, certificate=certificates.leaf) as server:
            config = make_config(server.port)
            config["resources"][0]["tls"] = {"ca_file": str(certificates.ca)}
            psql(make_daemon(config, RULES), server.port, mode="require", PGPASSWORD=PASSWORD)
            assert server.seen["flag"] == flag and server.seen["proven"]


def test_a_server_without_the_password(one):
    with LoginServer(PASSWORD, lies=True) as server:
        assert "wayleave: the server could not prove that it knows the password" in psql(one(server.port), server.port)


def test_too_many_iterations(one):
    with LoginServer(PASSWORD, iterations=10_000_000) as server:
        said = psql(one(server.port), server.port)
        assert "wayleave: the server asks for more than 1000000 iterations over the password" in said
        assert "proven" not in server.seen


@pytest.mark.parametrize("tls,more,lent", [
    (None, {}, False),
    ("require", {}, False),
    ("verify-full", {}, True),
    (None, {"allow_cleartext": True}, True),
])
def test_when_the_password_is_sent_in_clear(one, certificates, tls, more, lent):
    with LoginServer(PASSWORD, method="password", certificate=certificates.leaf if tls else None) as server:
        tls = {"upstream": tls, **({"ca_file": str(certificates.ca)} if tls == "verify-full" else {})} if tls else None
        said = psql(one(server.port, tls=tls, **more), server.port)
        assert server.seen.get("password") == (PASSWORD if lent else None)
        assert lent or "wayleave: the server asks for the password in clear, but is not verified by TLS" in said


# The direct negotiation of PostgreSQL 17: the name is known before the server is dialled.
DIRECT_TLS = """
import socket, ssl, struct, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.set_alpn_protocols(["postgresql"])
s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="localhost")
body = struct.pack("!I", 3 << 16) + b"user\\0me\\0database\\0postgres\\0\\0"
s.sendall(struct.pack("!I", len(body) + 4) + body)
print(s.recv(4096).decode("latin-1"))
"""


def test_a_server_is_not_verified_by_a_name_that_the_agent_gave(one, certificates):
    """Its certificate is for localhost, which the agent may well say that it meant; the resource has the address alone."""
    with LoginServer(PASSWORD, method="password", certificate=certificates.leaf_by_name) as server:
        daemon = one(server.port, tls={"ca_file": str(certificates.ca)})
        said = daemon.run("/usr/bin/python3", "-c", DIRECT_TLS, server.port).stdout
        assert "asks for the password in clear, but is not verified by TLS" in said
        assert "password" not in server.seen


def test_a_job_outlives_its_engine(make_daemon, certificates):
    """Where we only observe, a violation ends our reading of a session, whatever is being worked out for it."""
    with LoginServer(PASSWORD, iterations=1_000_000, interrupts=True, certificate=certificates.leaf) as server:
        config = make_config(server.port, mode="observe")
        config["resources"][0]["tls"] = {"ca_file": str(certificates.ca)}
        daemon = make_daemon(config, RULES)
        workers = daemon.workers()
        psql(daemon, server.port, mode="require", PGPASSWORD=PASSWORD, PGCONNECT_TIMEOUT="2")
        assert daemon.workers() == workers


# --- where a password may not be

@pytest.mark.parametrize("method", ["password", "md5", "scram-sha-256"])
def test_no_memory_and_no_file_has_the_password(servers, daemon_of, method):
    daemon = daemon_of(method)
    wanted = METHODS[method].encode()
    sessions = []
    for name, (tls, _) in LEGS.items():
        sessions.append(daemon.popen("psql", "-X", "-A", "-t", url(servers[tls].port, "require" if tls else "disable"),
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        sessions[-1].stdin.write("select current_user;\n")
        sessions[-1].stdin.flush()
        assert sessions[-1].stdout.readline() == role(method) + "\n"
    try:
        held = [memory.holds(pid, wanted, b"current_user", role(method).encode()) for pid in daemon.workers()]
        assert any({b"current_user", role(method).encode()} <= h for h in held), "the search itself works"
        assert not any(wanted in h for h in held)
        assert wanted not in memory.holds(daemon.process.pid, wanted)
    finally:
        for session in sessions:
            session.communicate("\\q\n")
    for pid in [*daemon.workers(), daemon.process.pid]:
        assert wanted not in pathlib.Path(f"/proc/{pid}/environ").read_bytes() + pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        assert re.search(r"Max core file size +0 +0 ", pathlib.Path(f"/proc/{pid}/limits").read_text())
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0, "not dumpable"
    found = subprocess.run(["grep", "-rlaF", METHODS[method], daemon.state, daemon.log], capture_output=True, text=True)
    assert found.stdout == ""


# --- client certificates

@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """A server that lets u_cert in by certificate alone, and the folder with its authority and keys."""
    folder = tmp_path_factory.mktemp("certified")
    server = postgres.Server(folder / "server", tls=True, settings=["ssl_ca_file = 'ca.pem'"], hba=[
        "hostssl all u_cert all cert", "host all all all scram-sha-256"])
    server.sql("create role u_cert login; create role u_scram login password 'x'")
    yield server
    server.stop()


@pytest.fixture
def with_certificate(make_daemon, certified, tmp_path):
    def make_one(user="u_cert", key="ec", port=None, tls=None, **more):
        pem, private = make.make_leaf(certified.folder, user, key=key)
        folder = tmp_path / "secrets"
        folder.mkdir()
        config = make_config(port or certified.port, resource={
            "tls": tls or {"upstream": "verify-full", "ca_file": str(certified.ca)},
            "credentials": {"user": "u_cert", "client_cert_file": str(folder / "client.pem"),
                            "client_key_file": secret(folder, "client.key", private.read_text())}, **more})
        (folder / "client.pem").write_text(pem.read_text())
        daemon = make_daemon(config, RULES)
        daemon.secrets = folder
        return daemon
    return make_one


@pytest.mark.parametrize("key", ["ec", "rsa"])
@pytest.mark.parametrize("mode", ["disable", "require"])
def test_a_client_certificate(certified, with_certificate, key, mode):
    daemon = with_certificate(key=key)
    for _ in range(3):
        assert psql(daemon, certified.port, mode=mode) == "u_cert"


def test_a_certificate_of_somebody_else(certified, with_certificate):
    daemon = with_certificate(user="mallory")
    said = psql(daemon, certified.port)
    assert 'wayleave: the server refused the resource\'s credentials: certificate authentication failed for user "u_cert"' in said


@pytest.mark.parametrize("spoil,why", [
    (lambda file: file.chmod(0o644), "is open to every user (mode 0644); expected 0600"),
    (lambda file: file.unlink(), "No such file or directory"),
    (lambda file: file.write_text("no key"), "expected an RSA or EC key in PEM, without a passphrase"),
])
def test_a_key_that_can_no_longer_be_used(certified, with_certificate, spoil, why):
    daemon = with_certificate()
    spoil(daemon.secrets / "client.key")
    assert "wayleave: the resource's client certificate can't be used (the log of wayleaved says why)" in psql(daemon, certified.port)
    daemon.wait_for(why)


def test_a_new_certificate_and_its_key(certified, with_certificate):
    daemon = with_certificate()
    assert psql(daemon, certified.port) == "u_cert"
    pem, private = make.make_leaf(certified.folder, "u_cert", key="rsa")
    for name, content in [("client.key", private), ("client.pem", pem)]:
        new = daemon.secrets / "new"
        new.touch(mode=0o600)
        new.write_text(content.read_text())
        new.rename(daemon.secrets / name)
    daemon.wait_for("the new configuration is in force")
    assert psql(daemon, certified.port) == "u_cert"


def test_a_certificate_is_no_answer_to_a_password(with_certificate, certificates):
    with LoginServer(PASSWORD, certificate=certificates.leaf) as server:
        daemon = with_certificate(port=server.port, tls={"upstream": "verify-full", "ca_file": str(certificates.ca)})
        assert "wayleave: the server asks for a password, and the resource's credentials are a client certificate" in psql(daemon, server.port)


@pytest.mark.parametrize("key", ["ec", "rsa"])
def test_a_certificate_in_tls_1_2(certified, with_certificate, key):
    certified.sql("alter system set ssl_max_protocol_version = 'TLSv1.2'")
    try:
        certified.sql("select pg_reload_conf()")
        wait_for(lambda: certified.sql("show ssl_max_protocol_version") == "TLSv1.2")
        assert psql(with_certificate(key=key), certified.port) == "u_cert"
    finally:
        certified.sql("alter system reset ssl_max_protocol_version")
        certified.sql("select pg_reload_conf()")
        wait_for(lambda: certified.sql("show ssl_max_protocol_version") != "TLSv1.2")


def test_no_memory_of_a_worker_has_the_key(certified, with_certificate):
    daemon = with_certificate()
    for _ in range(3):
        assert psql(daemon, certified.port) == "u_cert"
    pem = (daemon.secrets / "client.key").read_bytes()
    text = subprocess.run(["openssl", "pkey", "-in", daemon.secrets / "client.key", "-text", "-noout"], capture_output=True, text=True, check=True).stdout
    number = bytes.fromhex("".join(text.split("priv:")[1].split("pub:")[0].split()).replace(":", ""))
    public = bytes.fromhex("".join(text.split("pub:")[1].split("ASN1")[0].split()).replace(":", ""))
    assert len(number) == 32
    secrets = {number, number[::-1], pem.splitlines()[1]}
    held = [memory.holds(pid, public, *secrets) for pid in daemon.workers()]
    assert any(public in h for h in held), "the search itself works"
    assert not any(secrets & h for h in held)
    assert not secrets & memory.holds(daemon.process.pid, *secrets)
