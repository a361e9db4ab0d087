# SPDX-License-Identifier: Apache-2.0
"""The agent's own authentication: every method, in clear and over TLS on either leg, with real clients that know nothing of us."""
import itertools
import json
import pathlib
import re
import subprocess

import pytest
from conftest import make_config
from harness import postgres

HERE = pathlib.Path(__file__).resolve().parent
METHODS = {"trust": "", "password": "clear pass", "md5": "five pass", "scram-sha-256": "salted pass"}
JAR = "/usr/share/java/postgresql.jar"


def role(method):
    return "u_" + method.split("-")[0]


def hba():
    lines = []
    for method in METHODS:
        lines += [f"host all {role(method)} 127.0.0.1/32 {method}", f"host all {role(method)} ::1/128 {method}"]
    return lines


def create_roles(server):
    for method, password in METHODS.items():
        if method == "md5":
            server.sql(f"set password_encryption = md5; create role {role(method)} login password '{password}'")
        else:
            server.sql(f"create role {role(method)} login" + (f" password '{password}'" if password else ""))
    # SASLprep makes "IX" of the Roman numeral, and nothing of the soft hyphen.
    server.sql("create role u_zwei login password 'gr\u00fc\u00df\u00ad\u2168'")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    made = {}
    for tls in (False, True):
        folder = tmp_path_factory.mktemp("auth")
        made[tls] = postgres.Server(folder / "server", hba=hba() + ["host all u_zwei 127.0.0.1/32 scram-sha-256", "host all u_zwei ::1/128 scram-sha-256"], tls=tls)
        create_roles(made[tls])
    yield made
    for s in made.values():
        s.stop()


RULES = [{"name": "all reads", "operations": ["read"], "allow": {}}]


@pytest.fixture(scope="module")
def daemon(servers, tmp_path_factory):
    from harness import daemon as daemons
    config = make_config(1)
    config["resources"] = [
        {"name": "plain", "protocol": "postgres", "hosts": [f"127.0.0.1:{servers[False].port}"]},
        {"name": "tls", "protocol": "postgres", "hosts": [f"127.0.0.1:{servers[True].port}"], "tls": {"ca_file": str(servers[True].ca)}},
        # The same server by its other address, with TLS whatever the agent does.
        {"name": "upgraded", "protocol": "postgres", "hosts": [f"[::1]:{servers[True].port}"],
         "tls": {"upstream": "verify-full", "ca_file": str(servers[True].ca)}},
        # And one without, whatever the agent does.
        {"name": "bare", "protocol": "postgres", "hosts": [f"[::1]:{servers[False].port}"], "tls": {"upstream": "off"}},
    ]
    d = daemons.Daemon(tmp_path_factory.mktemp("authd"), config, RULES)
    (d.folder / "ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    d.close()


# (server has TLS, address, the client's sslmode)
LEGS = {
    "clear-clear": (False, "127.0.0.1", "disable"),
    "tls-tls": (True, "127.0.0.1", "require"),
    "verified-tls": (True, "127.0.0.1", "verify-full"),
    "clear-by-both": (True, "127.0.0.1", "disable"),
    "clear-tls": (True, "::1", "disable"),
    "tls-on-the-other-address": (True, "::1", "require"),
    "tls-clear": (False, "::1", "require"),
    "prefer-without-tls": (False, "127.0.0.1", "prefer"),
    "prefer-with-tls": (True, "127.0.0.1", "prefer"),
}


def ca(daemon, mode):
    return str(daemon.folder / "ca.pem") if mode == "verify-full" else ""


def run_psql(daemon, port, host, mode, user, password, statement):
    url = f"host={host} port={port} user={user} dbname=postgres sslmode={mode} sslrootcert={ca(daemon, mode) or '/nonexistent'}"
    done = daemon.run("psql", "-X", "-A", "-t", url, "-c", statement, env={"PGPASSWORD": password})
    return done.stdout.strip(), done.stderr


def run_psycopg2(daemon, port, host, mode, user, password, statement):
    url = f"host={host} port={port} user={user} dbname=postgres sslmode={mode} password='{password}' sslrootcert={ca(daemon, mode) or '/nonexistent'}"
    done = daemon.run("/usr/bin/python3", HERE / "clients" / "psycopg.py", url, statement)
    return str(json.loads(done.stdout)[0][0]) if done.stdout else "", done.stderr


def run_node(daemon, port, host, mode, user, password, statement):
    done = daemon.run("node", HERE / "clients" / "node.js", host, port, user, password, "postgres", mode, ca(daemon, mode), statement)
    return str(json.loads(done.stdout)[0][0]) if done.stdout else "", done.stderr


def run_jdbc(daemon, port, host, mode, user, password, statement):
    host = f"[{host}]" if ":" in host else host
    done = daemon.run("java", "-cp", JAR, HERE / "clients" / "Jdbc.java", host, port, user, password, "postgres", mode, ca(daemon, mode), statement)
    return done.stdout.strip(), done.stderr


def run_pgbench(daemon, port, host, mode, user, password, statement):
    """Prints no results: the server says what it got, as it is no number."""
    script = daemon.folder / "one.sql"
    script.write_text(f"select ({statement})::int;\n")
    url = f"host={host} port={port} user={user} dbname=postgres sslmode={mode} sslrootcert={ca(daemon, mode) or '/nonexistent'}"
    done = daemon.run(postgres.BINARIES / "pgbench", "-n", "-t", "1", "-f", script, url, env={"PGPASSWORD": password})
    found = re.search('type integer: "([^"]*)"', done.stderr)
    return found[1] if found else "", done.stdout + done.stderr


CLIENTS = {"psql": run_psql, "psycopg2": run_psycopg2, "node": run_node, "jdbc": run_jdbc, "pgbench": run_pgbench}
# node-postgres has no "prefer": without ssl it is disable, with it require.
CASES = [c for c in itertools.product(CLIENTS, METHODS, LEGS) if not (c[0] == "node" and c[2].startswith("prefer"))]


@pytest.mark.parametrize("client,method,legs", CASES, ids=["-".join(c) for c in CASES])
def test_login(servers, daemon, client, method, legs):
    tls, host, mode = LEGS[legs]
    out, errors = CLIENTS[client](daemon, servers[tls].port, host, mode, role(method), METHODS[method], "select current_user::text")
    assert out == role(method), errors


@pytest.mark.parametrize("method", [m for m in METHODS if METHODS[m]])
@pytest.mark.parametrize("legs", LEGS)
def test_a_wrong_password_is_the_servers_error(servers, daemon, method, legs):
    tls, host, mode = LEGS[legs]
    out, errors = run_psql(daemon, servers[tls].port, host, mode, role(method), "wrong", "select 1")
    assert out == "" and f'password authentication failed for user "{role(method)}"' in errors


def test_the_upstream_leg_is_encrypted_where_it_should_be(servers, daemon):
    statement = "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()"
    for legs, expected in [("clear-tls", "true"), ("tls-tls", "true"), ("clear-by-both", "false"), ("tls-clear", "false")]:
        tls, host, mode = LEGS[legs]
        out, errors = run_psql(daemon, servers[tls].port, host, mode, role("trust"), "", statement)
        assert out == expected, (legs, errors)


@pytest.mark.parametrize("method", ["trust", "scram-sha-256"])
@pytest.mark.parametrize("legs", LEGS)
def test_a_client_that_demands_channel_binding_is_told(servers, daemon, legs, method):
    """Nobody can bind to us and to the server. The client says so itself, before it tells its password, and is never let hang."""
    tls, host, mode = LEGS[legs]
    url = f"host={host} port={servers[tls].port} user={role(method)} dbname=postgres sslmode={mode} channel_binding=require"
    done = daemon.run("psql", "-X", url + (f" sslrootcert={ca(daemon, mode)}" if ca(daemon, mode) else ""), "-c", "select 1",
                      env={"PGPASSWORD": METHODS[method] or "x"})
    assert done.returncode != 0 and "channel binding" in done.stderr and " requir" in done.stderr, done.stderr


@pytest.mark.parametrize("legs", LEGS)
@pytest.mark.parametrize("password", ["gr\u00fc\u00df\u00ad\u2168", "gr\u00fc\u00dfIX"])
def test_a_password_beyond_ascii(servers, daemon, legs, password):
    tls, host, mode = LEGS[legs]
    out, errors = run_psql(daemon, servers[tls].port, host, mode, "u_zwei", password, "select current_user::text")
    assert out == "u_zwei", errors


def test_a_certificate_that_is_not_trusted_is_refused_with_the_reason(servers, make_daemon):
    config = make_config(servers[True].port)
    config["resources"][0]["tls"] = {"upstream": "verify-full"}
    d = make_daemon(config, RULES)
    done = d.run("psql", "-X", f"host=127.0.0.1 port={servers[True].port} user={role('trust')} dbname=postgres", "-c", "select 1")
    assert done.returncode != 0
    assert "wayleave: the server's certificate is not trusted: " in done.stderr, done.stderr


def test_a_server_without_tls_where_tls_is_required(servers, make_daemon):
    config = make_config(servers[False].port)
    config["resources"][0]["tls"] = {"upstream": "require"}
    d = make_daemon(config, RULES)
    done = d.run("psql", "-X", f"host=127.0.0.1 port={servers[False].port} user={role('trust')} dbname=postgres", "-c", "select 1")
    assert done.returncode != 0 and "wayleave: the server does not offer TLS" in done.stderr


def test_an_upstream_that_is_not_there(daemon, servers, make_daemon):
    config = make_config(1)
    d = make_daemon(config, RULES)
    done = d.run("psql", "-X", "host=127.0.0.1 port=1 user=x dbname=x", "-c", "select 1")
    assert "wayleave: cannot reach 127.0.0.1:1: Connection refused" in done.stderr


def test_passwords_are_in_no_record(servers, daemon):
    """Whatever was typed above is in no file that the daemon wrote, nor is what proved it: SCRAM's messages, MD5's answers."""
    for text in [*(re.escape(password) for password in METHODS.values() if password), "n,,n=", "c=biws", ",p=", "md5[0-9a-f]{32}"]:
        found = subprocess.run(["grep", "-rlaE", "--", text, daemon.state], capture_output=True, text=True)
        assert (found.returncode, found.stdout) == (1, ""), text
