# SPDX-License-Identifier: Apache-2.0
"""What a forward carries to a place that a resource names is a connection of its own: judged, recorded and refused as if it were dialled."""
import contextlib
import os
import pathlib
import subprocess

import pytest
from conftest import make_shop
from harness import ssh
from harness.places import page  # noqa: F401
from harness.ports import free_port
from harness.records import assert_verified, records_of
from harness.ssh_gate import OPTIONS, gate, pending
from harness.waiting import wait_for


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    s = make_shop(tmp_path_factory.mktemp("shop"))
    yield s
    s.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """It alone knows where these names lead."""
    folder = tmp_path_factory.mktemp("sshd")
    names = folder / "hosts"
    names.write_text("127.0.0.1 localhost shop.test page.test inner.test other.test\n")
    alone = ["unshare", "-m", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(names)]
    s = ssh.Server(folder, wrapper=alone)
    yield s
    s.stop()


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    s = ssh.Server(tmp_path_factory.mktemp("behind"))
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(server, shop, page, behind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ssh")
    places = [f"shop.test:{shop.port}", f"page.test:{page.server_port}", f"inner.test:{behind.port}", f"other.test:{page.server_port}"]
    rules = [
        {"name": "places", "resources": ["box"], "operations": ["forward"], "objects": places, "allow": {}},
        {"name": "orders", "resources": ["shop"], "operations": ["read"], "objects": ["public.orders"], "allow": {}},
        {"name": "asked", "resources": ["shop"], "operations": ["delete"], "review": {"by": "ops", "within": "1m"}},
        {"name": "pages", "resources": ["page"], "operations": ["read"], "objects": ["/open/**"], "allow": {}},
        {"name": "commands", "resources": ["inner"], "operations": ["exec"], "objects": ["echo *", "cat"], "allow": {}},
        {"name": "further", "resources": ["inner"], "operations": ["forward"], "objects": ["*"], "allow": {}}]

    def change(config):
        (folder / "inner_known").write_text(behind.known().replace("127.0.0.1", "inner.test"))
        config["resources"] += [
            {"name": "shop", "protocol": "postgres", "hosts": [places[0]]},
            {"name": "page", "protocol": "http", "hosts": [places[1]]},
            {"name": "inner", "protocol": "ssh", "hosts": [places[2]], "host_keys": str(folder / "inner_known"),
             "credentials": {"user": "root", "key_file": str(behind.user_key)}}]

    with gate(folder, server, rules, change=change) as d:
        yield d


@contextlib.contextmanager
def listening(daemon, server, place):
    """ssh -L; the port of this host that leads to the place."""
    port = free_port()
    process = daemon.popen("ssh", *OPTIONS, "-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{port}:{place}", "-p", str(server.port),
                           "root@127.0.0.1", stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: f":{port:04X} 00000000:0000 0A" in pathlib.Path("/proc/net/tcp").read_text(), what="ssh -L")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def session_of(daemon, resource):
    """The last of that resource."""
    return next(s for s in daemon.json("sessions", "list") if s["resource"] == resource)


def query(daemon, port, *statements, **more):
    words = [word for statement in statements for word in ("-c", statement)]
    more.setdefault("stdin", subprocess.DEVNULL)
    return daemon.run("psql", "-X", "-A", "-t", "-q", f"host=127.0.0.1 port={port} dbname=shop user=app sslmode=disable", *words, **more)


def test_postgres_is_judged(daemon, server, shop):
    with listening(daemon, server, f"shop.test:{shop.port}") as port:
        done = query(daemon, port, "select count(*) from orders")
        assert done.returncode == 0 and int(done.stdout) > 0, done.stderr
        denied = query(daemon, port, "select * from customers")
        assert denied.returncode == 1 and "wayleave" in denied.stderr and denied.stdout == ""
    session = wait_for(lambda: (s := session_of(daemon, "shop"))["end"] and s)
    assert session["protocol"] == "postgres" and session["agent"] == "demo"
    assert [a["verdict"] for a in records_of(daemon, session) if "customers" in a["text"]] == ["deny"]
    assert any("in a forward of session s-" in r.get("detail", "") for r in records_of(daemon, session, "note"))
    outer = wait_for(lambda: (s := session_of(daemon, "box"))["end"] and s)
    assert sum("carried as session s-" in r.get("detail", "") for r in records_of(daemon, outer, "note")) == 2
    assert "select * from customers" not in shop.log.read_text()
    assert_verified(daemon)


def test_it_waits_for_people(daemon, server, shop):
    with listening(daemon, server, f"shop.test:{shop.port}") as port:
        process = daemon.popen("psql", "-X", "-q", f"host=127.0.0.1 port={port} dbname=shop user=app sslmode=disable", "-c",
                               "delete from orders where false", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        review = pending(daemon)
        assert review["text"] == "delete from orders where false"
        assert daemon.wayleave("reviews", "deny", review["id"], "--reason", "no").returncode == 0
        assert b"denied" in process.communicate(timeout=30)[0]


def test_much_passes_both_ways(daemon, server, shop):
    literal = f"/* {'x' * 4000000} */"
    with listening(daemon, server, f"shop.test:{shop.port}") as port:
        done = query(daemon, port, stdin=None, input=f"{literal} select repeat(id::text, 4000000) from orders limit 1;\n")
    assert done.returncode == 0 and len(done.stdout) > 4000000, (len(done.stdout), done.stderr[:300])


def curl(daemon, port, path, *more):
    return daemon.run("curl", "-s", "-S", "-o", "-", "-w", " %{http_code}", *more, f"http://page.test:{port}{path}",
                      "--resolve", f"page.test:{port}:127.0.0.1", stdin=subprocess.DEVNULL)


def test_http_is_judged(daemon, server, page):
    # The name must be the place's, port and all, as it would be without a forward.
    host = ["-H", f"Host: page.test:{page.server_port}"]
    with listening(daemon, server, f"page.test:{page.server_port}") as port:
        assert curl(daemon, port, "/open/a", *host).stdout == "a page 200"
        assert curl(daemon, port, "/closed", *host).stdout.endswith(" 403")
    assert "/open/a" in page.paths and "/closed" not in page.paths


def test_a_proxy_of_the_client(daemon, server, page):
    """ssh -D"""
    port = free_port()
    process = daemon.popen("ssh", *OPTIONS, "-N", "-D", f"127.0.0.1:{port}", "-p", str(server.port), "root@127.0.0.1", stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: f":{port:04X} 00000000:0000 0A" in pathlib.Path("/proc/net/tcp").read_text(), what="ssh -D")
        words = ["curl", "-s", "-o", "-", "-w", " %{http_code}", "-x", f"socks5h://127.0.0.1:{port}"]
        assert daemon.run(*words, f"http://page.test:{page.server_port}/open/c", stdin=subprocess.DEVNULL).stdout == "a page 200"
        assert daemon.run(*words, f"http://page.test:{page.server_port}/closed", stdin=subprocess.DEVNULL).stdout.endswith(" 403")
    finally:
        process.terminate()
        process.wait(20)


def test_a_place_that_nobody_names_is_still_no_way_round(daemon, server, page):
    before = list(page.paths)
    with listening(daemon, server, f"other.test:{page.server_port}") as port:
        assert curl(daemon, port, "/open/b").returncode != 0
    assert page.paths == before


def jump(daemon, server, behind, *words, **more):
    config = daemon.folder / "jump"
    config.write_text(f"Host box\n HostName 127.0.0.1\n Port {server.port}\n User root\n"
                      f"Host inner.test\n Port {behind.port}\n User root\n ProxyJump box\n"
                      "Host *\n BatchMode yes\n StrictHostKeyChecking yes\n LogLevel ERROR\n")
    more.setdefault("stdin", subprocess.DEVNULL)
    return daemon.run("ssh", "-F", config, "inner.test", *words, **more)


def test_a_jump_to_a_host_behind(daemon, server, behind):
    done = jump(daemon, server, behind, "echo there")
    assert (done.returncode, done.stdout) == (0, "there\n"), done.stderr
    session = wait_for(lambda: (s := session_of(daemon, "inner"))["end"] and s)
    assert session["user"] == "root" and records_of(daemon, session)[-1]["text"] == "echo there"
    assert "Accepted publickey for root" in behind.log.read_text()


def test_what_is_done_there_is_judged_there(daemon, server, behind):
    done = jump(daemon, server, behind, "rm -rf /nowhere")
    assert done.returncode == 126 and "no rule allows exec" in done.stderr, done
    assert "/nowhere" not in behind.log.read_text()


def test_a_host_behind_shows_its_own_key(daemon, server, behind):
    """Who stands in the way can't take its place."""
    known = daemon.folder.parent / "inner_known"
    good = known.read_text()
    key = ssh.make_key(daemon.folder / f"false{os.getpid()}")
    try:
        known.write_text(f"[inner.test]:{behind.port} {ssh.public(key)}\n")
        done = jump(daemon, server, behind, "echo there")
        assert done.returncode == 126 and "is not the one that host_keys has" in done.stderr, done
        known.write_text(f"@cert-authority * {ssh.public(key)}\n")
        done = jump(daemon, server, behind, "echo there")
        assert done.returncode == 126 and "through another one can't be asked for certificates" in done.stderr, done
    finally:
        known.write_text(good)


def test_large_files_through_two_hosts(daemon, server, behind):
    data = os.urandom(4 << 20)
    done = jump(daemon, server, behind, "cat", stdin=None, input=data, text=False)
    assert done.returncode == 0 and done.stdout == data, done.stderr
