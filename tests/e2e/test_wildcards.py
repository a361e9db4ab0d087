# SPDX-License-Identifier: Apache-2.0
"""Resources whose names have a "*": what is meant is proven by the server's certificate, or it is not meant."""
import json

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import nginx

NAMES = ("api.example.test", "b.api.example.test", "www.example.test", "elsewhere.test")
RULES = [{"name": "read", "resources": ["wild"], "operations": ["read"], "allow": {}},
         {"name": "others", "resources": ["egress"], "operations": ["read"], "objects": ["/v1/echo"], "allow": {}}]


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    s = nginx.Nginx(tmp_path_factory.mktemp("nginx") / "server", names=NAMES)
    yield s
    s.stop()


def config(web, egress, port=None, hosts=(), **tls):
    return {**make_config(1), "workers": 1, "loopback": "egress", "egress": egress,
            "resources": [{"name": "wild", "protocol": "http", "hosts": [f"*.example.test:{port or web.tls_port}", *hosts],
                           "tls": {"ca_file": str(web.ca), **tls}}]}


@pytest.fixture(scope="module", params=["deny", "allow"])
def daemon(web, request, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config(web, request.param), RULES if request.param == "allow" else RULES[:1])
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    d.egress = request.param
    yield d
    d.close()


def get(daemon, web, name, *words, path="/v1/hello", scheme="https", port=None):
    port = port or web.tls_port
    done = daemon.run("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", "--resolve", f"{name}:{port}:127.0.0.1",
                      "-w", "\\n%{http_code}", *words, f"{scheme}://{name}:{port}{path}")
    assert done.returncode == 0, done.stderr[-1500:]
    body, _, code = done.stdout.rpartition("\n")
    return int(code), body


@pytest.mark.parametrize("name", ["api.example.test", "b.api.example.test"])
def test_a_name_that_the_server_proves_is_meant(daemon, web, name):
    assert get(daemon, web, name) == (200, "hello\n")
    assert daemon.json("sessions", "list")[0]["resource"] == "wild"


def test_a_name_that_the_server_can_not_prove_is_refused(daemon, web):
    before = web.accesses()
    code, body = get(daemon, web, "mine.example.test")
    assert code == 502 and json.loads(body)["error"] == "upstream_tls"
    assert web.accesses() == before


def test_another_host_than_the_one_that_is_proven_is_refused(daemon, web):
    before = web.accesses()
    code, _ = get(daemon, web, "api.example.test", "-H", "Host: www.example.test")
    assert code == 421 and web.accesses() == before


def test_without_sni_nothing_is_proven(daemon, web):
    before = web.accesses()
    done = daemon.run("curl", "-sSk", "-H", "Host: api.example.test", "-w", "\\n%{http_code}", f"https://127.0.0.1:{web.tls_port}/v1/hello")
    assert done.stdout.splitlines()[-1] == ("403" if daemon.egress == "allow" else "421"), done
    assert web.accesses() == before


def test_other_names_are_nobodys(daemon, web):
    """They are as if the wildcard were not: refused, or judged as egress."""
    before = web.accesses()
    code, body = get(daemon, web, "elsewhere.test")
    assert code == (403 if daemon.egress == "allow" else 421) and web.accesses() == before, (code, body)
    assert daemon.egress == "deny" or json.loads(body)["rule"] is None
    # Where egress allows, the server is still verified, by the system's store.
    code, body = get(daemon, web, "elsewhere.test", path="/v1/echo")
    assert code == (502 if daemon.egress == "allow" else 421) and web.accesses() == before, (code, body)


def test_a_name_in_clear_is_no_proof(make_daemon, web):
    d = make_daemon(config(web, "deny", port=web.port), RULES[:1])
    before = web.accesses()
    done = d.run("curl", "-sS", "-H", "Host: api.example.test", "-w", "\\n%{http_code}", f"http://127.0.0.1:{web.port}/v1/hello")
    assert done.stdout.splitlines()[-1] == "421", done
    assert web.accesses() == before


def test_a_whole_name_beats_a_wildcard(make_daemon, web):
    c = config(web, "deny")
    c["resources"].append({"name": "www", "protocol": "http", "hosts": [f"www.example.test:{web.tls_port}"], "tls": dict(c["resources"][0]["tls"])})
    d = make_daemon(c, [*RULES[:1], {"name": "www", "resources": ["www"], "operations": ["read"], "objects": ["/v1/hello"], "allow": {}}])
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    assert get(d, web, "api.example.test") == (200, "hello\n")
    # Nobody resolves it here, so its address is no candidate: the name alone must not lead to the wildcard's rules.
    assert get(d, web, "www.example.test", path="/v1/echo")[0] == 421


@pytest.mark.parametrize("tls", [{"upstream": "require"}, {"upstream": "off"}, {"mode": "passthrough"}])
def test_what_proves_nothing_is_a_mistake(web, tmp_path, tls):
    c = config(web, "deny")
    c["resources"][0]["tls"] = tls
    with pytest.raises(RuntimeError, match='wayleave.yaml:[0-9]+: .*"[*]"'):
        daemons.Daemon(tmp_path, c, RULES[:1])
