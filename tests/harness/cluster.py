# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a Kubernetes API server: what clients need of the published API, for a few kinds, in TLS.

It checks what it receives: `problems` lists whatever an API server would not have understood."""
import copy
import http.server
import itertools
import json
import pathlib
import queue
import ssl
import threading
import urllib.parse

import yaml

from . import certificates, cluster_streams
from .ports import free_port

TOKEN = "cluster-token-77d0c1"
# name → (group, kind, short names, namespaced)
KINDS = {
    "namespaces": ("", "Namespace", ["ns"], False),
    "nodes": ("", "Node", ["no"], False),
    "pods": ("", "Pod", ["po"], True),
    "secrets": ("", "Secret", [], True),
    "configmaps": ("", "ConfigMap", ["cm"], True),
    "serviceaccounts": ("", "ServiceAccount", ["sa"], True),
    "events": ("", "Event", ["ev"], True),
    "deployments": ("apps", "Deployment", ["deploy"], True),
}
SUBRESOURCES = {"pods": {"log", "exec", "attach", "portforward", "proxy", "status"}, "deployments": {"scale", "status"},
                "serviceaccounts": {"token"}}
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
PATCHES = {"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
           "application/apply-patch+yaml"}


def group_version(group):
    return f"{group}/v1" if group else "v1"


def merge(into, patch):
    """RFC 7386."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


class Cluster:
    def __init__(self, folder, address="127.0.0.1", token=TOKEN):
        self.folder = pathlib.Path(folder)
        self.ca = certificates.make_authority(self.folder, "cluster CA")
        pem, key = certificates.make_leaf(self.folder, "apiserver", names=("kubernetes",), addresses=(address,))
        self.address, self.port, self.token = address, free_port(), token
        self.objects = {}  # (resource, namespace, name) → object
        self.requests, self.problems, self.watchers = [], [], []
        self.history = []  # (version, resource, namespace, event)
        self.lock, self.version = threading.RLock(), 100
        self.no_websockets = False  # as API servers before 1.29
        self.followers = []  # (pod, queue): who reads its log as it is written
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key)
        cluster = self

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request, client_address):
                # In the connection's own thread: nobody else waits for a handshake.
                with context.wrap_socket(request, server_side=True) as connection:
                    Handler(cluster, connection, client_address, self)

            def handle_error(self, request, client_address):
                pass  # clients go away

        self.server = Server((address, self.port), None)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        for name in ("default", "prod", "dev"):
            self.put("namespaces", "", name, {})
        self.url = f"https://{address}:{self.port}"

    def stop(self):
        with self.lock:
            for *_, events in self.watchers + self.followers:
                events.put(None)
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def put(self, resource, namespace, name, more):
        """An object as the cluster has it, told to those who watch."""
        group, kind, _, _ = KINDS[resource]
        with self.lock:
            self.version += 1
            old = self.objects.get((resource, namespace, name))
            o = {"kind": kind, "apiVersion": group_version(group), **copy.deepcopy(more)}
            o["metadata"] = {"uid": f"u-{self.version}", "creationTimestamp": "2024-01-01T00:00:00Z", **o.get("metadata", {}),
                             "name": name, "resourceVersion": str(self.version)}
            if namespace:
                o["metadata"]["namespace"] = namespace
            self.objects[resource, namespace, name] = o
            self.tell("MODIFIED" if old else "ADDED", resource, namespace, o)
            return o

    def tell(self, event, resource, namespace, o):
        event = {"type": event, "object": o}
        self.history.append((self.version, resource, namespace, event))
        for wanted, where, events in self.watchers:
            if wanted == resource and where in ("", namespace):
                events.put(event)

    def log(self, name, line):
        """A line more in the log of a pod, told to those who follow; None: that is all."""
        with self.lock:
            for pod, lines in self.followers:
                if pod == name:
                    lines.put(line)

    def find(self, resource, namespace, name=None):
        with self.lock:
            return [o for (r, n, own), o in sorted(self.objects.items())
                    if r == resource and namespace in ("", n) and name in (None, own)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, cluster, *more):
        self.cluster = cluster
        super().__init__(*more)

    def log_message(self, *_):
        pass

    # --- answers

    def problem(self, text):
        self.cluster.problems.append(f"{self.command} {self.path}: {text}")

    def reply(self, status, body, content_type="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def fail(self, code, reason, message):
        self.reply(code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                          "message": message, "reason": reason, "code": code})

    # --- requests

    def handle_request(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if "chunked" not in self.headers.get("Transfer-Encoding", "") else self.chunks()
        if len(self.body) < length:
            self.close_connection = True  # whoever sends it has thought better of it
            return None
        self.cluster.requests.append((self.command, self.path, dict(self.headers), self.body))
        if self.cluster.token and self.headers.get("Authorization") != f"Bearer {self.cluster.token}":
            return self.fail(401, "Unauthorized", "Unauthorized")
        parts = url.path.strip("/").split("/")
        if parts[0] == "version":
            return self.reply(200, {"major": "1", "minor": "32", "gitVersion": "v1.32.0", "gitCommit": "x", "gitTreeState": "clean",
                                    "buildDate": "2024-01-01T00:00:00Z", "goVersion": "go1.22", "compiler": "gc", "platform": "linux/amd64"})
        if parts[0] == "api" and len(parts) > 2:
            return self.resource("", parts[2:])
        if parts[0] == "apis" and len(parts) > 3:
            return self.resource(parts[1], parts[3:])
        return self.discovery(parts)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_request

    def chunks(self):
        body = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

    def discovery(self, parts):
        if parts == ["api"]:
            return self.reply(200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        if parts == ["apis"]:
            version = {"groupVersion": "apps/v1", "version": "v1"}
            return self.reply(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
                {"name": "apps", "versions": [version], "preferredVersion": version}]})
        group = "" if parts == ["api", "v1"] else parts[1] if len(parts) == 3 and parts[0] == "apis" else None
        if group is None:
            return self.fail(404, "NotFound", "the server could not find the requested resource")
        resources = [{"name": name, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind, "verbs": VERBS, "shortNames": short}
                     for name, (g, kind, short, namespaced) in KINDS.items() if g == group]
        resources += [{"name": f"{name}/{sub}", "singularName": "", "namespaced": True, "kind": KINDS[name][1], "verbs": ["get", "create"]}
                      for name, subs in SUBRESOURCES.items() for sub in sorted(subs) if KINDS[name][0] == group]
        return self.reply(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group), "resources": resources})

    def resource(self, group, parts):
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        resource, name, sub = [*parts, None, None][:3]
        if resource not in KINDS or KINDS[resource][0] != group or (sub and sub not in SUBRESOURCES.get(resource, ())):
            self.problem("no such resource")
            return self.fail(404, "NotFound", "the server could not find the requested resource")
        self.kind = (group, resource, namespace)
        if sub in ("log", "exec", "attach", "portforward", "proxy"):
            return getattr(self, "answer_" + sub)(name)
        accept = self.headers.get("Accept", "*/*")
        if "json" not in accept and "*/*" not in accept:
            return self.fail(406, "NotAcceptable", f"only JSON is spoken here, not {accept}")
        method = {"GET": self.get, "HEAD": self.get, "POST": self.create, "PUT": self.update, "PATCH": self.patch, "DELETE": self.delete}
        return method[self.command](name, sub)

    def parsed(self):
        """The body, which must be an object of the kind that the path names."""
        group, resource, _ = self.kind
        kind = self.headers.get("Content-Type", "").split(";")[0]
        try:
            o = yaml.safe_load(self.body) if kind.endswith("yaml") else json.loads(self.body)
        except ValueError:
            self.problem(f"content that is no {kind}")
            return None
        if self.command != "PATCH" and kind != "application/json":
            self.problem(f"content of type {kind}")
        if (self.command != "PATCH" or kind.endswith("yaml")) and (o.get("kind"), o.get("apiVersion")) != (KINDS[resource][1], group_version(group)):
            self.problem(f"an object that is {o.get('kind')}")
        return o

    def table(self, objects, metadata):
        include = self.query.get("includeObject", ["Metadata"])[0]
        rows = []
        for o in objects:
            shown = o if include == "Object" else {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": o["metadata"]}
            rows.append({"cells": [o["metadata"]["name"], "1d"], "object": shown})
        return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "rows": rows,
                "columnDefinitions": [{"name": n, "type": "string", "format": f, "description": "", "priority": 0}
                                      for n, f in (("Name", "name"), ("Age", ""))]}

    def wants_table(self):
        return "as=Table" in self.headers.get("Accept", "")

    def get(self, name, sub):
        group, resource, namespace = self.kind
        if name is None and self.query.get("watch", ["false"])[0] in ("1", "true"):
            return self.watch()
        selector = self.query.get("fieldSelector", [""])[0]
        wanted = name or (selector.split("=", 1)[1] if selector.startswith("metadata.name=") else None)
        found = self.cluster.find(resource, namespace, wanted)
        if name and not found:
            return self.fail(404, "NotFound", f'{resource} "{name}" not found')
        metadata = {"resourceVersion": str(self.cluster.version)}
        if self.wants_table():
            return self.reply(200, self.table(found, metadata))
        if name:
            return self.reply(200, found[0])
        return self.reply(200, {"kind": KINDS[resource][1] + "List", "apiVersion": group_version(group), "metadata": metadata, "items": found})

    def watch(self):
        _, resource, namespace = self.kind
        events = queue.Queue()
        with self.cluster.lock:
            self.cluster.watchers.append((resource, namespace, events))
            since = int(self.query.get("resourceVersion", ["0"])[0] or 0)
            for version, wanted, where, event in self.cluster.history:
                if version > since and wanted == resource and namespace in ("", where):
                    events.put(event)
        try:
            self.reply_lines("application/json", (self.event_line(event) for event in iter(events.get, None)))
        finally:
            with self.cluster.lock:
                self.cluster.watchers = [w for w in self.cluster.watchers if w[2] is not events]

    def event_line(self, event):
        if self.wants_table():
            event = {**event, "object": self.table([event["object"]], {})}
        return json.dumps(event).encode() + b"\n"

    def reply_lines(self, content_type, lines):
        """Each as it comes."""
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def create(self, name, sub):
        _, resource, namespace = self.kind
        if sub == "token":
            return self.reply(201, {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
                                    "spec": {"audiences": []}, "status": {"token": "minted", "expirationTimestamp": "2030-01-01T00:00:00Z"}})
        o = self.parsed()
        if o is None:
            return self.fail(400, "BadRequest", "the object provided is unrecognized")
        name = o["metadata"]["name"]
        if self.cluster.find(resource, namespace, name):
            return self.fail(409, "AlreadyExists", f'{resource} "{name}" already exists')
        return self.reply(201, self.save(name, o))

    def save(self, name, o):
        if self.query.get("dryRun") == ["All"]:
            return o
        return self.cluster.put(self.kind[1], self.kind[2], name, o)

    def update(self, name, sub):
        o = self.parsed()
        return self.reply(200, self.save(name, o)) if o else self.fail(400, "BadRequest", "the object provided is unrecognized")

    def patch(self, name, sub):
        _, resource, namespace = self.kind
        kind = self.headers.get("Content-Type", "").split(";")[0]
        found, patch = self.cluster.find(resource, namespace, name), self.parsed()
        if kind not in PATCHES or patch is None:
            self.problem(f"a patch of type {kind}")
            return self.fail(415, "UnsupportedMediaType", kind)
        if kind == "application/apply-patch+yaml" and "fieldManager" not in self.query:
            self.problem("an apply without fieldManager")
        if not found and kind != "application/apply-patch+yaml":
            return self.fail(404, "NotFound", f'{resource} "{name}" not found')
        o = copy.deepcopy(found[0]) if found else {}
        if sub == "scale":
            merge(o, {"spec": {"replicas": patch["spec"]["replicas"]}})
            self.save(name, o)
            return self.reply(200, {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": o["metadata"], "spec": o["spec"]})
        merge(o, patch)
        return self.reply(200 if found else 201, self.save(name, o))

    def delete(self, name, sub):
        _, resource, namespace = self.kind
        found = self.cluster.find(resource, namespace, name)
        if name and not found:
            return self.fail(404, "NotFound", f'{resource} "{name}" not found')
        with self.cluster.lock:
            self.cluster.version += 1
            for o in found if self.query.get("dryRun") != ["All"] else []:
                del self.cluster.objects[resource, o["metadata"].get("namespace", ""), o["metadata"]["name"]]
                self.cluster.tell("DELETED", resource, namespace, o)
        return self.reply(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                                "details": {"name": name or "", "kind": resource}})

    # --- what streams

    def answer_log(self, name):
        begin = f"log of {name}\npassword=hunter2-log\n".encode()
        if self.query.get("follow") != ["true"]:
            return self.reply(200, begin, "text/plain")
        lines = queue.Queue()
        with self.cluster.lock:
            self.cluster.followers.append((name, lines))
        try:
            return self.reply_lines("text/plain", itertools.chain([begin], (line.encode() for line in iter(lines.get, None))))
        finally:
            with self.cluster.lock:
                self.cluster.followers = [f for f in self.cluster.followers if f[1] is not lines]

    def answer_exec(self, name):
        if self.cluster.no_websockets and self.headers.get("Upgrade", "").lower() == "websocket":
            return self.fail(400, "BadRequest", "unable to upgrade: unrecognized stream protocol")
        if not cluster_streams.serve(self, self.query):
            return self.fail(400, "BadRequest", "Upgrade request required")
        return None

    answer_attach = answer_portforward = answer_exec

    def answer_proxy(self, name):
        if not cluster_streams.serve_backend(self):
            return self.reply(200, f"proxied to {name}\n".encode(), "text/plain")
        return None
