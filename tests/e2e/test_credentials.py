# SPDX-License-Identifier: Apache-2.0
"""Credentials that the agent never holds: every method of the server's, with clients that present whatever they like."""
import itertools
import pathlib

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import postgres
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
