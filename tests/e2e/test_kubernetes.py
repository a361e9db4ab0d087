# SPDX-License-Identifier: Apache-2.0
"""kubectl through an agent, against a stand-in for the API server."""
import base64
import json
import pathlib
import select
import shutil
import subprocess
import tempfile

import pytest
import yaml
from conftest import make_config
from harness import certificates
from harness import cluster as clusters
from harness import kubectl as kubectls
from harness.cluster_gate import gate, of_cluster
from harness.records import recorded_actions
from harness.waiting import wait_for

RULES = [
    {"name": "read", "operations": ["read", "logs"], "objects": ["prod/*/*", "nodes/*", "namespaces/*"], "allow": {}},
    {"name": "apply", "operations": ["create", "patch"], "objects": ["prod/*/*"], "allow": {}},
    {"name": "update", "operations": ["update"], "objects": ["prod/secrets/*"], "allow": {}},
    {"name": "ci may see its own", "operations": ["get"], "objects": ["prod/secrets/shown"], "allow": {"secrets": "shown"}},
    {"name": "exec", "operations": ["exec"], "objects": ["prod/pods/web"], "allow": {}},
    {"name": "deletes need a person", "operations": ["delete"], "objects": ["prod/pods/*"], "review": {"by": "dba", "grant": "5m"}},
    {"name": "no tokens", "operations": ["create"], "objects": ["*/serviceaccounts:token/*"], "deny": {"message": "no tokens"}},
]
SECRET, HIDDEN = base64.b64encode(b"s3cr3t-of-prod").decode(), base64.b64encode(b"[masked]").decode()
WEB = {"spec": {"containers": [{"name": "app", "image": "web:1"}]}, "status": {"phase": "Running"}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    c = clusters.Cluster(tmp_path_factory.mktemp("cluster"))
    for namespace in ("prod", "dev"):
        for name in ("web", "worker"):
            c.put("pods", namespace, name, WEB)
    c.put("nodes", "", "n1", {})
    for name in ("db", "shown"):
        kept = json.dumps({"apiVersion": "v1", "kind": "Secret", "data": {"password": SECRET}})
        c.put("secrets", "prod", name, {"type": "Opaque", "data": {"password": SECRET, "user": "YXBw"}, "metadata": {
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": kept}}})
    c.put("configmaps", "prod", "settings", {"data": {"colour": "blue"}})
    c.put("deployments", "prod", "web", {"spec": {"replicas": 1, "template": {"metadata": {}, "spec": WEB["spec"]}}})
    yield c
    c.stop()
    assert c.problems == []


@pytest.fixture(scope="module")
def daemon(cluster, tmp_path_factory):
    config = make_config(1)
    config["agents"][0]["trust_files"] = [str(cluster.ca)]
    with gate(tmp_path_factory.mktemp("wayleave"), cluster, {**config, "loopback": "egress"}, RULES, of_cluster(cluster)) as d:
        yield d


def environment(daemon):
    return {"KUBECONFIG": str(daemon.kubeconfig), "HOME": str(daemon.folder)}


def kubectl(daemon, *words, **options):
    return daemon.run("kubectl", *words, env=environment(daemon), **options)


def works(daemon, *words, **options):
    done = kubectl(daemon, *words, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_reading(daemon, cluster):
    assert [line.split()[0] for line in works(daemon, "get", "pods").splitlines()] == ["NAME", "web", "worker"]
    assert yaml.safe_load(works(daemon, "get", "pod", "web", "-o", "yaml"))["spec"] == WEB["spec"]
    assert "Image:" in works(daemon, "describe", "pod", "web")
    assert "n1" in works(daemon, "get", "nodes")
    assert "log of web" in works(daemon, "logs", "web")
    # The agent's own token never arrived, the resource's did: else each answer had been a 401.
    assert all("the-agents-own" not in str(headers) for _, _, headers, _ in cluster.requests)


@pytest.mark.parametrize("words,sentence", [
    (["get", "pods", "-n", "dev"], "no rule allows list on dev/pods/*"),
    (["get", "pods", "-A"], "no rule allows list on pods/*"),
    (["get", "pods", "--field-selector", "metadata.name=web", "-n", "dev"], "no rule allows list on dev/pods/web"),
    (["delete", "namespace", "dev"], "no rule allows delete on namespaces/dev"),
    (["delete", "--raw", "/api/v1/namespaces/prod/pods"], "no rule allows deletecollection on prod/pods/*"),
    (["delete", "deployment", "web"], "no rule allows delete on prod/deployments.apps/web"),
    (["logs", "web", "-n", "dev"], "no rule allows get on dev/pods/web"),
    (["get", "pods", "-w", "-n", "dev"], "no rule allows list on dev/pods/*"),
    (["get", "--raw", "/api/v1/namespaces/dev/pods?watch=1"], "no rule allows watch on dev/pods/*"),
    (["get", "--raw", "/api/v1/namespaces/prod/pods/web/proxy/"], "no rule allows proxy on prod/pods/web"),
    (["get", "--raw", "/apis/example.com/v1/namespaces/dev/widgets/w"], "no rule allows get on dev/widgets.example.com/w"),
    (["describe", "pod", "web", "-n", "dev"], "no rule allows get on dev/pods/web"),
    (["scale", "deployment", "web", "--replicas=2", "-n", "dev"], "no rule allows get on dev/deployments.apps/web"),
    (["create", "configmap", "c", "-n", "dev"], "no rule allows create on dev/configmaps/*"),
    (["create", "--raw", "/api/v1/namespaces/dev/pods/web/eviction", "-f", "/dev/null"], "no rule allows create on dev/pods:eviction/web"),
    *([(["create", "token", "ci"], 'denied by rule "no tokens": no tokens'),
       (["create", "configmap", "c", "-n", "dev", "--dry-run=server"], "no rule allows create on dev/configmaps/*"),
       (["replace", "--raw", "/apis/apps/v1/namespaces/prod/deployments/web/scale", "-f", "/dev/null"],
        "no rule allows update on prod/deployments.apps/web")] if kubectls.minor() >= 24 else []),
    (["create", "--raw", "/api/v1/namespaces/prod/serviceaccounts/ci/token", "-f", "/dev/null"],
     'denied by rule "no tokens": no tokens')])
def test_refusals_read_as_the_servers_own(daemon, words, sentence):
    done = kubectl(daemon, *words)
    assert done.returncode == 1
    # Some of kubectl's commands say so with words of their own, and the server's message.
    assert done.stderr.startswith(("Error from server (Forbidden):", "error: failed to create ", "error: no objects passed to scale ")), done.stderr
    assert "wayleave: denied" in done.stderr and sentence in done.stderr, done.stderr


IMPERSONATING = [["--as", "admin"], ["--as", "ci", "--as-group", "system:admin"],
                 *([["--as", "ci", "--as-uid", "admin"]] if kubectls.minor() >= 23 else [])]


@pytest.mark.parametrize("words", IMPERSONATING, ids=" ".join)
def test_who_it_is_kubectl_does_not_say(daemon, cluster, words):
    before = len(cluster.requests)
    done = kubectl(daemon, "get", "pod", "web", *words)
    assert done.returncode == 1 and "Impersonate-User" in done.stderr
    assert not [r for r in cluster.requests[before:] if "admin" in str(r)]


def manifest(folder, kind, name, **more):
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "prod"}, **more}))
    return str(file)


@pytest.mark.parametrize("way", [[], ["--server-side"]])
def test_apply(daemon, cluster, tmp_path, way):
    name = "applied" + "-server" * len(way)
    for colour in ("red", "green"):
        works(daemon, "apply", *way, "--validate=false", "-f", manifest(tmp_path, "ConfigMap", name, data={"colour": colour}))
        assert cluster.find("configmaps", "prod", name)[0]["data"] == {"colour": colour}
    actions = [a for a in recorded_actions(daemon) if f"/configmaps/{name}" in a["text"] and a["text"].startswith("PATCH")]
    pairs = [(p["operation"], p["object"]) for p in actions[-1]["pairs"]]
    assert pairs == [(operation, f"prod/configmaps/{name}") for operation in (["patch", "create"] if way else ["patch"])]


def pending(daemon):
    return [r for r in daemon.json("reviews", "list") if r["state"] == "pending"]


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_a_delete_that_people_decide(daemon, cluster, decision):
    cluster.put("pods", "prod", "old", WEB)
    process = daemon.popen("kubectl", "delete", "pod", "old", "--wait=false", env=environment(daemon), stdout=-1, stderr=-1, text=True)
    review = wait_for(lambda: pending(daemon))[0]
    assert (review["operations"], review["objects"]) == (["delete"], ["prod/pods/old"])
    # What is asked for stands in the body.
    assert "propagationPolicy" in json.dumps(daemon.json("reviews", "show", review["id"]))
    assert cluster.find("pods", "prod", "old")
    daemon.wayleave("reviews", decision, review["id"], "--reason", "because")
    out, errors = process.communicate(timeout=60)
    if decision == "approve":
        assert (process.returncode, cluster.find("pods", "prod", "old")) == (0, []), errors
    else:
        assert process.returncode == 1 and "Error from server (Forbidden): wayleave:" in errors and "because" in errors
        assert cluster.find("pods", "prod", "old")


def test_what_is_kept_of_a_delete_is_the_clusters(daemon, cluster, tmp_path):
    """SQL has an operation of that name, too: of a grant, and of a record that is judged anew, it is not that."""
    cluster.put("pods", "prod", "old", WEB)
    process = daemon.popen("kubectl", "delete", "pod", "old", "--wait=false", env=environment(daemon))
    daemon.wayleave("reviews", "approve", wait_for(lambda: pending(daemon))[0]["id"], "--for", "5m")
    assert process.wait(timeout=60) == 0
    cluster.put("pods", "prod", "old", WEB)
    works(daemon, "delete", "pod", "old", "--wait=false", timeout=60)
    assert cluster.find("pods", "prod", "old") == []
    (tmp_path / "rules.yaml").write_text(json.dumps({"rules": RULES}))
    done = daemon.wayleave("policy", "test", tmp_path / "rules.yaml", "--config", daemon.config_file, "--against", daemon.state)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("words", [["get", "secret", "db", "-o", "yaml"], ["get", "secrets", "-o", "json"],
                                   ["get", "secret", "db", "-o", "jsonpath={.data}"], ["get", "--raw", "/api/v1/namespaces/prod/secrets/db"],
                                   ["get", "secrets", "--chunk-size=0", "-o", "custom-columns=P:.data.password"]])
def test_secrets_come_back_masked(daemon, words):
    shown = works(daemon, *words)
    assert HIDDEN in shown and SECRET not in shown and "s3cr3t" not in shown


def test_secrets_in_tables_and_descriptions(daemon, cluster):
    assert "db" in works(daemon, "get", "secrets")
    assert "password:  8 bytes" in works(daemon, "describe", "secret", "db")  # it is typed: what is masked is base64 still
    accepts = [h["Accept"] for _, path, h, _ in cluster.requests if "/secrets/db" in path]
    assert accepts and not [a for a in accepts if "protobuf" in a]


def ask_for_protobuf(daemon, cluster, url, *options):
    done = daemon.run("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", *options, "-H", "Accept: application/vnd.kubernetes.protobuf",
                      f"{url}/api/v1/namespaces/prod/secrets/db")
    assert json.loads(done.stdout)["data"]["password"] == HIDDEN, done.stdout
    asked = [headers for _, path, headers, _ in cluster.requests if path.endswith("/secrets/db")][-1]
    assert {name.lower(): value for name, value in asked.items()}["accept"] == "application/json"


def test_protobuf_alone(daemon, cluster):
    ask_for_protobuf(daemon, cluster, cluster.url)


@pytest.mark.parametrize("host,status", [("10.0.0.1:6443", "421"), ("127.0.0.1:1", "200"), ("localhost", "200")])
def test_whom_host_names(daemon, cluster, host, status):
    """What only names this host is whom kubectl's proxy was asked for, and becomes the cluster."""
    done = daemon.run("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", "-H", f"Host: {host}", "-o", "/dev/null", "-w", "%{http_code}",
                      f"{cluster.url}/api/v1/namespaces/prod/pods/web")
    assert done.stdout == status, done.stderr
    assert host not in [headers["Host"] for *_, headers, _ in cluster.requests]


def test_a_rule_may_show_secrets(daemon):
    shown = yaml.safe_load(works(daemon, "get", "secret", "shown", "-o", "yaml"))
    assert shown["data"]["password"] == SECRET
    assert SECRET not in works(daemon, "get", "secrets", "-o", "json")  # nor does a list of all show it


def watch_secrets(daemon, cluster):
    process = daemon.popen("kubectl", "get", "secrets", "-w", "-o", "jsonpath={.metadata.name}={.data.password},", env=environment(daemon),
                           stdout=-1, stderr=-1, bufsize=0)
    try:
        seen = b""
        for name in ("one", "two"):
            cluster.put("secrets", "prod", name, {"data": {"password": SECRET}})
            while f"{name}={HIDDEN},".encode() not in seen:
                assert select.select([process.stdout], [], [], 60)[0], seen
                piece = process.stdout.read(4096)
                assert piece, (seen, process.stderr.read())
                seen += piece
        assert SECRET.encode() not in seen
    finally:
        process.kill()
        process.communicate()


def test_a_watch_of_secrets(daemon, cluster):
    watch_secrets(daemon, cluster)


def test_what_is_masked_is_not_written_back(daemon, cluster, tmp_path):
    file = tmp_path / "secret.json"
    file.write_text(works(daemon, "get", "secret", "db", "-o", "json"))
    done = kubectl(daemon, "replace", "--validate=false", "-f", file)
    assert done.returncode == 1 and "would write it back" in done.stderr, done.stderr
    assert cluster.find("secrets", "prod", "db")[0]["data"]["password"] == SECRET
    assert not [r for r in cluster.requests if r[0] == "PUT"]
    # What does not say so is written, though the object was read masked.
    works(daemon, "apply", "--validate=false", "-f",
          manifest(tmp_path, "Secret", "db", data={"password": base64.b64encode(b"new").decode()}))
    assert cluster.find("secrets", "prod", "db")[0]["data"]["password"] == base64.b64encode(b"new").decode()


def test_a_json_patch_does_not_copy_a_secret(daemon, cluster):
    patch = json.dumps([{"op": "copy", "from": "/data/password", "path": "/metadata/annotations/copied"}])
    done = kubectl(daemon, "patch", "secret", "db", "--type=json", "-p", patch)
    assert done.returncode == 1 and "JSON Patch" in done.stderr, done.stderr
    assert not [r for r in cluster.requests if "json-patch" in str(r[2])]


def test_exec(daemon, cluster):
    """What passes in it, test_kubernetes_streams.py is about."""
    done = kubectl(daemon, "exec", "web", "-c", "app", "--", "printf", "%s;", "a b", "$HOME; ls")
    assert done.stdout == "a b;$HOME; ls;", done.stderr
    action = [a for a in recorded_actions(daemon) if "/exec" in a["text"]][-1]
    assert [(p["operation"], p["object"]) for p in action["pairs"]] == [("exec", "prod/pods/web")]
    lines = action["text"].splitlines()
    assert lines[0].startswith(f"exec https://{cluster.address}:{cluster.port}/api/v1/namespaces/prod/pods/web/exec?")
    assert lines[1:] == ["command: printf %s; a b $HOME; ls", "container: app"]


def test_explain(daemon):
    def explain(text):
        return daemon.json("policy", "explain", "--agent", "demo", "--resource", "kube", "--config", daemon.config_file, text)

    assert explain("get prod/pods/web")["verdict"] == "allow"
    assert explain("GET /api/v1/namespaces/prod/pods?watch=1")["operations"] == ["watch"]
    assert explain("GET /api/v1/namespaces/dev/secrets/db")["verdict"] == "deny"
    assert explain("delete prod/pods/web")["verdict"] == "review"
    assert explain("GET /api/v1/namespaces/prod/pods/%2e%2e/x")["unknown"]


def user_config(daemon, cluster, folder, **authority):
    config = yaml.safe_load(daemon.kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": cluster.url, **authority}
    folder.mkdir(parents=True)
    (folder / "config").write_text(yaml.safe_dump(config))
    return folder / "config"


def test_a_kubeconfig_that_carries_its_clusters_ca(daemon, cluster, tmp_path):
    data = base64.b64encode(cluster.ca.read_bytes()).decode()
    config = user_config(daemon, cluster, tmp_path / ".kube", **{"certificate-authority-data": data})
    (tmp_path / ".kube" / "cache").mkdir()
    before, env = config.read_bytes(), {"HOME": str(tmp_path), "KUBECONFIG": ""}
    done = daemon.run("kubectl", "get", "pods", env=env)
    assert done.returncode == 0 and "web" in done.stdout, done.stderr
    # It can be written anew, also by rename, and is what the next program reads.
    done = daemon.run("sh", "-ec", "kubectl config set-context --current --namespace=dev; sed s/namespace:.dev/namespace:\\ other/ "
                      "$HOME/.kube/config > $HOME/.kube/new; mv $HOME/.kube/new $HOME/.kube/config; kubectl config view --minify "
                      "-o jsonpath={..namespace}; stat -c %a $HOME/.kube/config", env=env)
    assert done.returncode == 0 and "other" in done.stdout, (done.stdout, done.stderr)
    assert config.read_bytes() == before  # on disk nothing changes
    assert list((tmp_path / ".kube" / "cache").iterdir())  # but what is kept in the folders that are there is


def test_a_client_certificate_ends_here(daemon, cluster, tmp_path):
    """The cluster sees the resource's credentials, whoever the agent would be to it."""
    certificate, key = certificates.make_leaf(cluster.folder, "admin")
    config = yaml.safe_load(daemon.kubeconfig.read_text())
    config["users"][0]["user"] = {"client-certificate": str(certificate), "client-key": str(key)}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    done = daemon.run("kubectl", "get", "pods", env={"HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "config")})
    assert done.returncode == 0 and "web" in done.stdout, done.stderr
    assert cluster.requests[-1][2]["Authorization"] == f"Bearer {cluster.token}"


def test_several_kubeconfigs(daemon, cluster, tmp_path):
    """kubectl merges them; what it changes, it changes in the one that has it."""
    data = base64.b64encode(cluster.ca.read_bytes()).decode()
    config = user_config(daemon, cluster, tmp_path / ".kube", **{"certificate-authority-data": data})
    whole = yaml.safe_load(config.read_text())
    parts = {"config": ["users", "contexts"], "clusters": ["clusters", "current-context"]}
    for name, keys in parts.items():
        (tmp_path / ".kube" / name).write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **{key: whole[key] for key in keys}}))
    before = [(tmp_path / ".kube" / name).read_bytes() for name in parts]
    env = {"HOME": str(tmp_path), "KUBECONFIG": f"{config}:.kube/clusters"}
    done = daemon.run("sh", "-ec", "kubectl get pods; kubectl config set-context c --namespace=dev; grep -c 'namespace: dev' .kube/config",
                      env=env, cwd=tmp_path)
    assert done.returncode == 0 and "worker" in done.stdout and done.stdout.endswith("\n1\n"), (done.stdout, done.stderr)
    assert [(tmp_path / ".kube" / name).read_bytes() for name in parts] == before


def test_in_a_pod(daemon, cluster, tmp_path):
    """Without a kubeconfig, a pod's service account says where the cluster is, and whom to trust: here in a namespace of mounts."""
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    for name, text in (("ca.crt", cluster.ca.read_text()), ("token", "the-pods-own"), ("namespace", "prod")):
        (tmp_path / name).write_text(text)
    script = f'mount -t tmpfs none /run; mkdir -p {account}; cp {tmp_path}/* {account}; "$@"; cmp {account}/ca.crt {tmp_path}/ca.crt'
    done = subprocess.run(["unshare", "-m", "sh", "-ec", script, "sh", *daemon.agent_command("kubectl", "get", "pods")],
                          capture_output=True, text=True, timeout=30,
                          env={**daemon.environment, "HOME": str(tmp_path), "KUBECONFIG": "", "KUBERNETES_SERVICE_HOST": cluster.address,
                               "KUBERNETES_SERVICE_PORT": str(cluster.port)})
    assert done.returncode == 0 and "worker" in done.stdout, done.stderr


@pytest.mark.parametrize("relative", [True, False])
def test_a_kubeconfig_elsewhere_that_names_its_clusters_ca(daemon, cluster, tmp_path, relative):
    folder = tmp_path / "clusters"
    config = user_config(daemon, cluster, folder, **{"certificate-authority": "ca.pem" if relative else str(folder / "ca.pem")})
    (folder / "ca.pem").write_bytes(cluster.ca.read_bytes())
    done = daemon.run("sh", "-ec", f"kubectl get pods && echo written > {folder}/new && kubectl config set-context --current --namespace=dev",
                      env={"HOME": str(tmp_path), "KUBECONFIG": str(config)})
    assert done.returncode == 0 and "web" in done.stdout, done.stderr
    assert (folder / "ca.pem").read_bytes() == cluster.ca.read_bytes()
    assert (folder / "new").read_text() == "written\n"


def test_others_files_are_not_read_for_a_user(daemon, cluster, tmp_path):
    """A link to what only root reads shows its content to nobody."""
    secret = tmp_path / "secret"
    data = base64.b64encode(cluster.ca.read_bytes()).decode()
    hidden = user_config(daemon, cluster, secret, **{"certificate-authority-data": data})
    secret.chmod(0o700)
    place = pathlib.Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        (place / ".kube").mkdir()
        (place / ".kube" / "config").symlink_to(hidden)
        done = daemon.run("cat", place / ".kube" / "config", user="nobody", env={"KUBECONFIG": str(place / ".kube" / "config")})
        assert done.returncode == 1 and data not in done.stdout and "denied" in done.stderr
    finally:
        shutil.rmtree(place)


def test_trust_files(daemon, cluster):
    """A program that trusts the cluster's CA alone; the other agent has no trust_files."""
    before = cluster.ca.read_bytes()
    words = ["curl", "-sS", "--cacert", cluster.ca, f"{cluster.url}/version"]
    done = daemon.run(*words)
    assert done.returncode == 0 and "gitVersion" in done.stdout, done.stderr
    assert daemon.run(*words, agent="other").returncode == 60  # the peer's certificate can't be verified
    # What others have in that folder meanwhile is to be seen there, so another file can't take its place.
    done = daemon.run("/usr/bin/python3", "-c", "import os, sys; ca = sys.argv[1]; open(ca + '.new', 'w').close(); os.replace(ca + '.new', ca)",
                      cluster.ca)
    assert done.returncode == 1 and "[Errno 16]" in done.stderr, done.stderr
    cluster.ca.with_name(cluster.ca.name + ".new").unlink()
    assert cluster.ca.read_bytes() == before
