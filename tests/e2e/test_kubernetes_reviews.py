# SPDX-License-Identifier: Apache-2.0
"""What people are shown of what is written to a cluster, on the command line and in Slack."""
import hashlib
import json

import pytest
from conftest import make_config
from harness import slack as slacks
from harness.cluster_gate import gate, of_cluster
from harness.ports import free_port
from harness.records import records_of
from harness.waiting import wait_for
from test_kubernetes import SECRET, cluster, environment, manifest, pending  # noqa: F401

RULES = [{"name": "read", "operations": ["read"], "objects": ["prod/*/*"], "allow": {}},
         {"name": "writes need a person", "operations": ["write"], "objects": ["prod/*/*"], "review": {"by": "dba"}}]


@pytest.fixture(scope="module")
def slack():
    s = slacks.Slack()
    yield s
    s.close()
    s.check()


@pytest.fixture(scope="module")
def daemon(cluster, slack, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("wayleave")
    for name, secret in (("signing", slacks.SECRET), ("token", slacks.TOKEN)):
        (folder / f"slack-{name}").touch(mode=0o600)
        (folder / f"slack-{name}").write_text(secret)
    config = make_config(
        1, loopback="egress", reviewers={"dba": {"local_users": ["root"], "slack": {"channel": slacks.CHANNEL, "users": ["U111"]}}},
        slack={"listen": f"127.0.0.1:{free_port()}", "api_url": slack.api_url, "signing_secret_file": str(folder / "slack-signing"),
               "bot_token_file": str(folder / "slack-token")})
    with gate(folder, cluster, config, RULES, of_cluster(cluster)) as d:
        yield d


CONTENTS = {
    "YAML": ("application/apply-patch+yaml", "secrets/new?fieldManager=x",
             f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: new\ndata:\n  password: {SECRET}\n"),
    "JSON": ("application/merge-patch+json", "secrets/new", json.dumps({"data": {"password": SECRET}, "stringData": {"user": "s3cret"}})),
    "other YAML": ("application/apply-patch+yaml", "configmaps/new?fieldManager=x",
                   "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: new\ndata:\n  greeting: |\n    hello\n    there\n"),
    "a JSON Patch": ("application/json-patch+json", "deployments/web", '[{"op": "replace", "path": "/spec/replicas", "value": 7}]')}


@pytest.mark.parametrize("content", CONTENTS)
def test_people_see_what_is_written(daemon, cluster, slack, content):  # noqa: F811
    """In lines as it was sent, on the command line and in Slack; of Secrets not their values. What is approved is all of it."""
    kind, path, body = CONTENTS[content]
    url = f"{cluster.url}/{'apis/apps/v1' if 'deployments' in path else 'api/v1'}/namespaces/prod/{path}"
    with daemon.popen("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", "-X", "PATCH", "-H", f"Content-Type: {kind}",
                      "--data-binary", body, url, stdout=-1, text=True) as p:
        review = wait_for(lambda: pending(daemon))[0]
        told = slacks.flatten(slack.messages[slack.wait_message(review["id"])])
        shown = daemon.wayleave("reviews", "show", review["id"]).stdout
        whole = json.dumps(daemon.json("reviews", "show", review["id"]))
        daemon.wayleave("reviews", "deny", review["id"], "--reason", "because")
        assert "because" in p.stdout.read()
    for text in (told, shown, whole, json.dumps(records_of_review(daemon, review))):
        assert SECRET not in text and "s3cret" not in text, text
    if "secrets" in path:
        assert "[masked]" in told and "[masked]" in shown and "password" in shown, shown
    else:
        assert f"body ({len(body)} bytes)" in shown and body in told.replace("\r", ""), told
        for line in body.splitlines():
            assert f"    | {line}\n" in shown, shown


# k8s.io/apimachinery's envelope: what the object is, and the object.
PROTOBUF = (b"k8s\0\x0a\x0f\x0a\2v1\x12\x09ConfigMap\x12\x18\x0a\5\x0a\3web\x12\x0f\x0a\6colour\x12\5green\x1a\0\x22\0")


def test_people_see_what_protobuf_says(daemon, cluster, slack, tmp_path):  # noqa: F811
    (tmp_path / "body").write_bytes(PROTOBUF)
    with daemon.popen("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", "-H", "Content-Type: application/vnd.kubernetes.protobuf",
                      "--data-binary", f"@{tmp_path}/body", f"{cluster.url}/api/v1/namespaces/prod/configmaps", stdout=-1, text=True) as p:
        review = wait_for(lambda: pending(daemon))[0]
        told = slacks.flatten(slack.messages[slack.wait_message(review["id"])])
        shown = daemon.wayleave("reviews", "show", review["id"]).stdout
        daemon.wayleave("reviews", "deny", review["id"], "--reason", "because")
        assert "because" in p.stdout.read()
    digest = hashlib.sha256(PROTOBUF).hexdigest()
    assert f"    | protobuf of Kubernetes, {len(PROTOBUF)} bytes, SHA-256 {digest}\n    | 1: {{\n" in shown, shown
    for field in ('1: "v1"', '2: "ConfigMap"', '1: "colour"', '2: "green"'):
        assert f" {field}\n" in shown and field in told, (field, shown, told)
    (action,) = records_of_review(daemon, review)
    assert [bytes.fromhex(v["binary"]) for v in action["parameters"]] == [PROTOBUF], action


def records_of_review(daemon, review):
    """The action that people decided about; its decision names the review."""
    for session in daemon.json("sessions", "list"):
        decided = [d["action"] for d in records_of(daemon, session, "decision") if d["review"] == review["id"]]
        if decided:
            return [a for a in records_of(daemon, session) if a["action"] in decided]
    raise AssertionError(f"{review['id']} is not recorded")


@pytest.mark.parametrize("words,operation,shown", [
    (["apply", "--server-side", "--validate=false", "-f"], "patch", '"colour":"green"'),
    (["scale", "deployment", "web", "--replicas=3"], "patch", '"replicas":3'),
    (["patch", "deployment", "web", "--type=strategic", "-p", '{"spec":{"paused":true}}'], "patch", '"paused":true'),
    (["label", "deployment", "web", "tier=front"], "patch", '"tier":"front"'),
    (["create", "--validate=false", "-f"], "create", '"colour":"green"'),
    (["delete", "deployment", "web", "--wait=false"], "delete", "propagationPolicy")], ids=lambda w: w[0] if isinstance(w, list) else "")
def test_people_decide_what_kubectl_writes(daemon, tmp_path, words, operation, shown):
    if words[-1] == "-f":
        words = [*words, manifest(tmp_path, "ConfigMap", words[0] + "d", data={"colour": "green"})]
    process = daemon.popen("kubectl", *words, env=environment(daemon), stdout=-1, stderr=-1, text=True)
    review = wait_for(lambda: pending(daemon))[0]
    assert operation in review["operations"]
    assert shown.replace(" ", "") in daemon.wayleave("reviews", "show", review["id"]).stdout.replace(" ", "")
    daemon.wayleave("reviews", "approve", review["id"])
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
