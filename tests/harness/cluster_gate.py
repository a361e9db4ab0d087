# SPDX-License-Identifier: Apache-2.0
"""A daemon before a stand-in for an API server, and an agent whose kubeconfig goes there: what tests of Kubernetes share."""
import contextlib

import yaml
from harness import daemon as daemons


@contextlib.contextmanager
def gate(folder, cluster, config, rules, resource, url=None):
    """`resource`: what its entry says of places, TLS and whom requests are made for; `url`: another than the cluster's own."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(cluster.token)
    credentials = {"bearer_file": str(token), **resource.pop("credentials", {})}
    d = daemons.Daemon(folder, {"reviewers": {"dba": {"local_users": ["root"]}}, **config, "workers": 1,
                                "resources": [{"name": "kube", "protocol": "kubernetes", **resource, "credentials": credentials}]}, rules)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    d.kubeconfig = folder / "kubeconfig"
    d.kubeconfig.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "prod"}}],
        "clusters": [{"name": "c", "cluster": {"server": url or cluster.url, "certificate-authority": str(d.folder / "host-ca.pem")}}],
        "users": [{"name": "u", "user": {"token": "the-agents-own"}}]}))
    try:
        yield d
        assert d.process.poll() is None, d.text()[-2000:]
    finally:
        d.close()


def of_cluster(cluster):
    """The resource's entry for the stand-in itself."""
    return {"hosts": [f"{cluster.address}:{cluster.port}"], "tls": {"ca_file": str(cluster.ca)}}
