# SPDX-License-Identifier: Apache-2.0
"""Credentials of HTTP resources: the agent never holds them, whatever it says itself, and nginx lets it in."""
import contextlib
import json
import os
import subprocess
from base64 import b64encode
from resource import RLIMIT_NOFILE, prlimit

import pytest
from conftest import make_config
from harness import certificates, memory, nginx
from harness import daemon as daemons
from harness.ports import free_port
from harness.waiting import wait_for

RULES = [{"name": "read", "operations": ["read"], "allow": {}},
         {"name": "puts need a person", "operations": ["PUT"], "review": {"by": "dba"}}]
SECRET = "tok-5f2c91d07b3a44e8"
SEEN = "$http_authorization|$http_x_api_key|$args|$ssl_client_verify"
LOCATIONS = """
    ssl_protocols TLSv1.2 TLSv1.3; ssl_client_certificate {folder}/ca.pem; ssl_verify_client optional;
    location /v1/seen {{ return 200 "{seen}"; }}
    location /v1/away {{ return 302 http://127.0.0.1:{elsewhere}/v1/seen; }}
    location /v1/basic {{ auth_basic "staff"; auth_basic_user_file {folder}/users; try_files /v1/hello =404; }}
    location /v1/certified {{ if ($ssl_client_verify != SUCCESS) {{ return 403; }} return 200 "$ssl_client_s_dn"; }}
    listen 127.0.0.1:{elsewhere}; {listen}
"""
# A server of its own that speaks no TLS 1.3.
OLD = """
    }} server {{
    listen {address}:{port} ssl http2; ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
    ssl_protocols TLSv1.2; ssl_client_certificate {folder}/ca.pem; ssl_verify_client on; {way}
    location / {{ return 200 "$ssl_client_s_dn $ssl_protocol $ssl_session_reused"; }}
"""
WITHOUT = {"upstream": "off"}
UNVERIFIED = {"upstream": "require"}
# name → credentials, the secret's text, what stands behind 127.0.0. in the server's address, TLS there
RESOURCES = {
    "bearer": ({"bearer_file"}, SECRET, 2, None),
    "basic": ({"basic_file"}, f"ann:{SECRET}", 3, None),
    "wrong": ({"basic_file"}, "ann:wrong", 4, None),
    "header": ({"header": "X-Api-Key"}, SECRET, 5, None),
    "query": ({"query": "api_key"}, SECRET, 6, None),
    "rotated": ({"bearer_file"}, SECRET, 7, None),
    "unverified": ({"bearer_file"}, SECRET, 8, UNVERIFIED),
    "clear": ({"bearer_file"}, SECRET, 9, WITHOUT),
    "allowed": ({"bearer_file"}, SECRET, 10, WITHOUT),
    "certified": ({}, None, 11, None),
    "old": ({}, None, 12, None),
    "old-pss": ({}, None, 13, None),
    "old-pkcs1": ({}, None, 14, None),
}
# What those of TLS 1.2 want to be signed; the certificate that they are shown.
WAYS = {"old": ("", "robot"), "old-pss": ("ssl_conf_command ClientSignatureAlgorithms rsa_pss_rsae_sha256;", "machine"),
        "old-pkcs1": ("ssl_conf_command ClientSignatureAlgorithms RSA+SHA384;", "machine")}


POSED = "127.0.0.20"  # where no server is
# Addresses of this host's that its own rules lead elsewhere, as published ports of containers are: to a server here, to where an agent may
# pose as one, and to another network namespace.
LED = {"127.0.0.21": "127.0.0.10", "127.0.0.22": POSED, "10.98.7.1": "10.98.7.2", "[fd98:7::1]": "[fd98:7::2]"}


def address(name):
    return f"127.0.0.{RESOURCES[name][2]}"


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nginx") / "server"
    folder.mkdir()
    (folder / "users").write_text(f"ann:{{PLAIN}}{SECRET}\n")
    ports = free_port(), free_port()
    listen = "".join(f"listen {address(name)}:{ports[0]}{'' if tls is WITHOUT else ' ssl http2'};"
                     for name, (_, _, _, tls) in RESOURCES.items() if name not in WAYS)
    old = "".join(OLD.format(folder=folder, address=address(name), port=ports[0], way=way) for name, (way, _) in WAYS.items())
    s = nginx.Nginx(folder, more=LOCATIONS.format(folder=folder, seen=SEEN, elsewhere=ports[1], listen=listen) + old)
    s.place, s.elsewhere = ports
    certificates.make_leaf(folder, "robot")
    certificates.make_leaf(folder, "machine", key="rsa:2048")
    yield s
    s.stop()


def write_secret(path, text):
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def resource(web, folder, name):
    ways, text, _, tls = RESOURCES[name]
    if text:
        file = write_secret(folder / name, text + "\n")
        credentials = {way: {"name": ways[way], "value_file": file} if isinstance(ways, dict) else file for way in ways}
    else:
        who = WAYS.get(name, ("", "robot"))[1]
        credentials = {"client_cert_file": str(web.folder / f"{who}.pem"), "client_key_file": str(web.folder / f"{who}.key")}
    if name == "allowed":
        credentials["allow_cleartext"] = True
    return {"name": name, "protocol": "http", "hosts": [f"{address(name)}:{web.place}"], "credentials": credentials,
            "tls": {**tls} if tls else {"upstream": "verify-full", "ca_file": str(web.ca), "server_name": "localhost"}}


@pytest.fixture(scope="module")
def daemon(web, tmp_path_factory):
    """A resource for each kind of credentials, all of them one nginx."""
    folder = tmp_path_factory.mktemp("secrets")
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), {
        **make_config(1), "workers": 1, "loopback": "egress", "reviewers": {"dba": {"local_users": ["root"]}},
        "resources": [*(resource(web, folder, name) for name in RESOURCES),
                      {"name": "posed", "protocol": "http", "hosts": [f"{host}:{web.place}" for host in (POSED, *LED)], "tls": WITHOUT,
                       "credentials": {"bearer_file": write_secret(folder / "posed", SECRET + "\n"), "allow_cleartext": True}},
                      {"name": "elsewhere", "protocol": "http", "hosts": [f"127.0.0.1:{web.elsewhere}"]}]}, RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    d.secrets = folder
    d.url = lambda name: f"http{'' if RESOURCES[name][3] is WITHOUT else 's'}://{address(name)}:{web.place}"
    yield d
    d.close()


@pytest.fixture(autouse=True, params=["2", "1.1"])
def version(request, daemon):
    """Of HTTP, in TLS."""
    daemon.version = request.param
    return request.param


def curl(daemon, *words):
    done = daemon.run("curl", "-sS", f"--http{daemon.version}", "--cacert", daemon.folder / "host-ca.pem", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name,agents,seen", [
    ("bearer", ["-H", "authorization: Bearer mine", "-H", "X-Api-Key: mine"], f"Bearer {SECRET}|mine|a=b&api_key=mine|NONE"),
    ("header", ["-H", "x-api-key: mine", "-H", "Authorization: Bearer mine"], f"Bearer mine|{SECRET}|a=b&api_key=mine|NONE"),
    ("query", ["-H", "X-Api-Key: mine"], f"|mine|api_key={SECRET}&a=b|NONE")])
def test_in_place_of_the_agents(daemon, version, name, agents, seen):
    assert curl(daemon, *agents, "-w", " %{http_version}", f"{daemon.url(name)}/v1/seen?a=b&api_key=mine") == f"{seen} {version}"
    session = next(s for s in daemon.json("sessions", "list") if s["resource"] == name)
    shown = daemon.wayleave("sessions", "show", session["id"]).stdout
    assert "/v1/seen" in shown and SECRET not in shown


def status(daemon, *words):
    return curl(daemon, "-o", "/dev/null", "-w", "%{http_code}", *words)


def test_basic(daemon):
    assert curl(daemon, f"{daemon.url('basic')}/v1/basic") == "hello\n"
    assert curl(daemon, "-u", "somebody:else", f"{daemon.url('basic')}/v1/basic") == "hello\n"


def test_the_server_may_still_refuse_it(daemon):
    assert status(daemon, f"{daemon.url('wrong')}/v1/basic") == "401"


def test_a_client_certificate(daemon):
    for _ in range(2):  # the second resumes the server's TLS session
        assert curl(daemon, f"{daemon.url('certified')}/v1/certified") == "CN=robot"
    assert status(daemon, f"{daemon.url('bearer')}/v1/certified") == "403"


@pytest.mark.parametrize("name", WAYS)
def test_a_client_certificate_in_tls_1_2(daemon, name):
    """The whole handshake is signed there, not a text of its own."""
    place = f"{daemon.url(name)}/v1/certified"
    assert curl(daemon, place).startswith(f"CN={WAYS[name][1]} TLSv1.2 ")
    assert curl(daemon, place) == f"CN={WAYS[name][1]} TLSv1.2 r"  # the server's TLS session is resumed


def test_a_new_secret_holds_for_the_next_request(daemon):
    place, file = f"{daemon.url('rotated')}/v1/seen", daemon.secrets / "rotated"
    write_secret(file, SECRET + "\n")
    file.chmod(0o600)
    assert curl(daemon, place).startswith(f"Bearer {SECRET}|")
    write_secret(file.with_suffix(".new"), "the-next-one\n")
    file.with_suffix(".new").rename(file)
    assert curl(daemon, place).startswith("Bearer the-next-one|")
    file.chmod(0o644)
    answer = json.loads(curl(daemon, place))
    assert (answer["error"], answer["message"]) == (
        "authentication", "wayleave: the resource's credentials can't be used (the log of wayleaved says why)")
    daemon.wait_for("is open to every user (mode 0644)")


@pytest.mark.parametrize("name", ["unverified", "clear"])
def test_a_server_that_is_not_verified_never_gets_it(daemon, name):
    answer = json.loads(curl(daemon, f"{daemon.url(name)}/v1/seen"))
    assert answer["error"] == "authentication" and "not verified by TLS" in answer["message"]


def test_in_clear_where_that_is_allowed(daemon):
    assert curl(daemon, f"{daemon.url('allowed')}/v1/seen").startswith(f"Bearer {SECRET}|")


def test_reviews_do_not_show_it(daemon):
    with daemon.popen("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", "-X", "PUT",
                      f"{daemon.url('query')}/v1/seen", stdout=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        assert SECRET not in json.dumps(daemon.json("reviews", "show", review["id"]))
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert f"api_key={SECRET}" in p.stdout.read()


def test_another_place_never_gets_it(daemon):
    """The server sends the client elsewhere: the secret is the resource's, and stays there."""
    assert curl(daemon, "-L", f"{daemon.url('bearer')}/v1/away") == "|||"


# A server of an agent's own making, in the place of a resource's that is not up: what it is told until the end of input. With a cgroup: its
# socket was made in one below it that is gone, as if that one's processes had passed it on.
POSER = """
import os, socket, sys, threading
def enter(cgroup):
    open(cgroup + "/cgroup.procs", "w").write("0")
handed = sys.argv[3:]
for cgroup in handed:
    os.mkdir(cgroup + "/before")
    enter(cgroup + "/before")
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
for cgroup in handed:
    enter(cgroup)
    os.rmdir(cgroup + "/before")
told = []
def answer(c):
    while data := c.recv(9999):
        told.append(data)
        c.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nposed")
def serve():
    while True:
        threading.Thread(target=answer, args=(s.accept()[0],), daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
print(b"".join(told), flush=True)
"""


@pytest.mark.parametrize("handed", [False, True])
def test_an_agents_own_process_never_gets_it(daemon, web, handed):
    command = ["/usr/bin/python3", "-c", POSER, POSED, str(web.place)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    cgroup = str(daemons.cgroup_root() / daemon.cgroups()[0])
    with subprocess.Popen([*command, cgroup], **pipes) if handed else daemon.popen(*command, **pipes) as poser:
        assert poser.stdout.readline() == "ready\n"
        said = curl(daemon, "-H", "authorization: Bearer mine", f"http://{POSED}:{web.place}/v1/seen")
        told = poser.communicate("\n", timeout=20)[0]
    assert SECRET not in told and SECRET not in said
    assert "a process of an agent's" in said and "posed" not in said


@pytest.fixture
def led(web):
    """The rules, and servers in the other network namespace: their processes."""
    name = f"wlled{os.getpid()}"
    rules = "".join("{0} daddr {1} tcp dport {3} dnat {0} to {2}\n".format("ip6" if "[" in host else "ip", host.strip("[]"), to, web.place)
                    for host, to in LED.items())

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    ip("netns", "add", name)
    try:
        ip("link", "add", "wlled0", "type", "veth", "peer", "name", "wlled1", "netns", name)
        for where, end in (([], "1"), (["-n", name], "2")):
            ip(*where, "address", "add", f"10.98.7.{end}/30", "dev", f"wlled{int(end) - 1}")
            ip(*where, "address", "add", f"fd98:7::{end}/64", "dev", f"wlled{int(end) - 1}", "nodad")
            ip(*where, "link", "set", f"wlled{int(end) - 1}", "up")
        subprocess.run(["nft", "-f", "-"], text=True, check=True,
                       input=f"table inet {name} {{\nchain out {{\ntype nat hook output priority -100\n{rules}}}\n}}\n")
        with contextlib.ExitStack() as stack:
            servers = []
            for address in ("10.98.7.2", "fd98:7::2"):
                # Not "ip netns exec", which mounts another /sys.
                command = ["nsenter", f"--net=/run/netns/{name}", "/usr/bin/python3", "-c", POSER, address, str(web.place)]
                servers.append(stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)))
                stack.callback(servers[-1].kill)
                assert servers[-1].stdout.readline() == "ready\n"
            yield servers
    finally:
        subprocess.run(["nft", "delete", "table", "inet", name], capture_output=True)
        ip("netns", "delete", name)


def test_where_rules_of_the_hosts_own_lead(daemon, web, led):
    """The server is who is there in truth."""
    here, poser, *elsewhere = (f"http://{host}:{web.place}/v1/seen" for host in LED)
    assert curl(daemon, here).startswith(f"Bearer {SECRET}|")
    for place, server in zip(elsewhere, led):
        wait_for(lambda: "posed" in curl(daemon, "-g", place))
        assert SECRET in server.communicate("\n", timeout=20)[0]
    with daemon.popen("/usr/bin/python3", "-c", POSER, POSED, web.place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout.readline() == "ready\n"
        assert "a process of an agent's" in curl(daemon, poser)
        assert SECRET not in agent.communicate("\n", timeout=20)[0]


def test_a_server_that_could_not_be_looked_at_gets_none(daemon):
    """A monitor without a descriptor left does not see who the server is."""
    monitor, place = daemon.process.pid, f"{daemon.url('allowed')}/v1/seen"
    limits = prlimit(monitor, RLIMIT_NOFILE)
    with daemon.popen("sh", "-c", 'echo ready; read go; exec curl -sS "$1"', "sh", place, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                      text=True) as waiting:
        assert waiting.stdout.readline() == "ready\n"
        prlimit(monitor, RLIMIT_NOFILE, (7, limits[1]))
        try:
            said = waiting.communicate("go\n", timeout=20)[0]
        finally:
            prlimit(monitor, RLIMIT_NOFILE, limits)
    assert "no room to see who the server is" in said and SECRET not in said
    assert SECRET in curl(daemon, place)


def test_no_memory_and_no_file_has_it(daemon):
    wanted, encoded = f"ann:{SECRET}".encode(), b64encode(f"ann:{SECRET}".encode())
    for _ in range(3):
        assert curl(daemon, f"{daemon.url('basic')}/v1/basic") == "hello\n"
    for pid in [*daemon.workers(), daemon.process.pid]:
        assert memory.holds(pid, wanted, encoded, b"Authorization") == {b"Authorization"}, "the search itself works"
    found = subprocess.run(["grep", "-rlaF", SECRET, daemon.state, daemon.log], capture_output=True, text=True)
    assert found.stdout == ""
