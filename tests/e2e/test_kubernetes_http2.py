# SPDX-License-Identifier: Apache-2.0
"""kubectl over HTTP/2: nginx, which speaks it, before the stand-in for the API server."""
import json
import subprocess
import urllib.request

import pytest
from conftest import make_config
from harness import kubectl as kubectls
from harness import nginx
from harness.cluster_gate import gate
from harness.waiting import wait_for
from test_kubernetes import (HIDDEN, IMPERSONATING, RULES, SECRET, ask_for_protobuf, cluster, environment, kubectl,  # noqa: F401
                             watch_secrets, works)


@pytest.fixture(scope="module")
def front(cluster, tmp_path_factory):  # noqa: F811
    more = f"location / {{ proxy_pass https://{cluster.address}:{cluster.port}; proxy_buffering off; proxy_http_version 1.1; }}"
    s = nginx.Nginx(tmp_path_factory.mktemp("front") / "server", more=more)
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(cluster, front, tmp_path_factory):  # noqa: F811
    place = f"localhost:{front.h2_port}"
    resource = {"hosts": [place], "tls": {"ca_file": str(front.ca), "upstream": "verify-full"},
                "credentials": {"impersonate": {"user": "ci", "groups": ["agents", "readers"]}}}
    with gate(tmp_path_factory.mktemp("wayleave"), cluster, make_config(1), RULES, resource, f"https://{place}") as d:
        yield d


@pytest.fixture(autouse=True)
def all_of_it(daemon, front):
    """Nothing falls back to HTTP/1.1."""
    yield
    assert "HTTP/2.0" in front.accesses() and "HTTP/1." not in front.accesses()


def test_reading_with_the_resources_token(daemon):
    assert [line.split()[0] for line in works(daemon, "get", "pods").splitlines()] == ["NAME", "web", "worker"]
    assert "log of web" in works(daemon, "logs", "web")


def test_who_it_is_the_resource_says(daemon, cluster):  # noqa: F811
    works(daemon, "get", "pods")
    seen = [{name.lower(): value for name, value in headers.items()} for _, _, headers, _ in cluster.requests][-1]
    assert (seen["impersonate-user"], seen["impersonate-group"]) == ("ci", "agents")  # of several, the stand-in keeps the first
    for words in IMPERSONATING:
        done = kubectl(daemon, "get", "pods", *words)
        assert done.returncode == 1 and "Impersonate-User" in done.stderr


def test_the_proxy_of_an_old_kubectl(daemon):
    """It passes on its clients' Host, which is none of the cluster's."""
    program = kubectls.speaking("SPDY")
    with daemon.popen(program, "proxy", "--port=0", env=environment(daemon), stdout=subprocess.PIPE, text=True) as p:
        url = "http://" + p.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{url}/api/v1/namespaces/prod/pods/web", timeout=30) as answer:
            assert json.load(answer)["metadata"]["name"] == "web"
        p.terminate()


def test_a_refusal(daemon):
    done = kubectl(daemon, "get", "pods", "-n", "dev")
    assert done.returncode == 1 and done.stderr.startswith("Error from server (Forbidden):"), done.stderr
    assert "no rule allows list on dev/pods/*" in done.stderr


def test_secrets_come_back_masked(daemon, cluster, front):  # noqa: F811
    shown = works(daemon, "get", "secret", "db", "-o", "json")
    assert SECRET not in shown and json.loads(shown)["data"]["password"] == HIDDEN
    shown = works(daemon, "get", "secrets", "-o", "yaml")
    assert SECRET not in shown and HIDDEN in shown and "s3cr3t" not in shown
    ask_for_protobuf(daemon, cluster, f"https://localhost:{front.h2_port}", "--http2")
    watch_secrets(daemon, cluster)


def test_a_delete_that_people_decide(daemon, cluster):  # noqa: F811
    cluster.put("pods", "prod", "gone", {"spec": {}})
    with daemon.popen("kubectl", "delete", "pod", "gone", "--wait=false", env=environment(daemon),
                      stdout=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        assert review["objects"] == ["prod/pods/gone"]
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert "deleted" in p.stdout.read()
