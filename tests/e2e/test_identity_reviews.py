# SPDX-License-Identifier: Apache-2.0
"""An action that waits for people is judged, when they have decided, by whom the agent acts for then."""
import subprocess

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import issuer as issuers
from harness import ssh as sshd
from harness.shell import Shell
from harness.waiting import wait_for

RULES = [
    {"name": "ask", "groups": ["ai-agents"], "operations": ["delete", "PUT", "exec"], "review": {"by": "dba", "within": "5m"}},
    {"name": "others read", "operations": ["select"], "allow": {}},
]


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    s = sshd.Server(tmp_path_factory.mktemp("sshd"), host_keys=("ed25519",))
    yield s
    s.stop()


class Place:
    def __init__(self, server, web, box, folder):
        self.server, self.web, self.box, self.folder = server, web, box, folder
        self.issuer = issuers.Issuer(folder / "issuer")
        self.file = folder / "token"
        self.file.write_text(self.issuer.token(groups=["ai-agents", "staff"]))
        (folder / "known").write_text(box.known())
        config = make_config(server.port, workers=1, loopback="egress", reviewers={"dba": {"local_users": ["root"]}})
        config["issuers"] = {"idp": {"url": self.issuer.url, "audience": issuers.AUDIENCE, "ca_file": str(self.issuer.ca)}}
        config["agents"][0]["identity"] = {"issuer": "idp", "token_file": str(self.file)}
        config["resources"] += [
            {"name": "api", "protocol": "http", "hosts": [f"127.0.0.1:{web.port}"]},
            {"name": "box", "protocol": "ssh", "hosts": [f"127.0.0.1:{box.port}"], "host_keys": str(folder / "known"),
             "credentials": {"user": "root", "key_file": str(box.user_key)}}]
        self.daemon = daemons.Daemon(folder / "d", config, RULES)

    def become(self, *groups):
        new = self.folder / "new"
        new.write_text(self.issuer.token(groups=list(groups)))
        new.rename(self.file)
        wait_for(lambda: self.daemon.json("agents", "list")[0]["groups"] == list(groups), 40, f"groups {groups}")

    def pending(self, but=()):
        found = wait_for(lambda: [r for r in self.daemon.json("reviews", "list") if r["state"] == "pending" and r["id"] not in but],
                         what="a review")
        assert len(found) == 1
        return found[0]

    def state(self, review):
        return self.daemon.json("reviews", "show", review["id"])["state"]

    def close(self):
        self.daemon.close()
        self.issuer.stop()


@pytest.fixture(scope="module")
def place(server, web, box, tmp_path_factory):
    p = Place(server, web, box, tmp_path_factory.mktemp("place"))
    yield p
    p.close()


class Sql:
    def __init__(self, place, mark):
        self.mark = mark
        self.shell = Shell(place.daemon, f"host=127.0.0.1 port={place.server.port} dbname=shop user=app", options=("-e",))
        self.shell.send(f"delete from orders where item = '{mark}';")
        self.shell.send("\\echo 'the end'")

    def outcome(self):
        said = self.shell.read_until("the end\n", 30)
        self.shell.close()
        return "done" if "ERROR" not in said else said


class Http:
    def __init__(self, place, mark):
        self.process = place.daemon.popen("curl", "-sS", "-X", "PUT", "-d", mark, f"http://127.0.0.1:{place.web.port}/v1/echo",
                                          stdout=subprocess.PIPE, text=True)

    def outcome(self):
        said = self.process.communicate(timeout=30)[0]
        return "done" if said.startswith("PUT /v1/echo") else said


class Ssh:
    def __init__(self, place, mark):
        self.mark = mark
        self.process = place.daemon.popen("ssh", "-o", "BatchMode=yes", "-p", str(place.box.port), "root@127.0.0.1", f"echo {mark}",
                                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def outcome(self):
        said = self.process.communicate(timeout=30)[0]
        return "done" if said.splitlines()[-1:] == [self.mark] else said


@pytest.mark.parametrize("kind", [Sql, Http, Ssh])
def test_who_left_the_group_is_refused(place, kind):
    place.become("ai-agents", "staff")
    action = kind(place, f"left{kind.__name__}")
    review = place.pending()
    place.become("staff")
    # Whether the approval comes too late or just in time makes no difference, but to what the reviewer is told.
    done = place.daemon.wayleave("reviews", "approve", review["id"])
    said = action.outcome()
    assert "denied" in said and "no rule allows" in said, said
    assert place.state(review) == ("cancelled" if done.returncode else "approved"), done


@pytest.mark.parametrize("kind", [Sql, Http, Ssh])
def test_who_is_in_other_groups_is_asked_about_anew(place, kind):
    place.become("ai-agents", "staff")
    action = kind(place, f"anew{kind.__name__}")
    review = place.pending()
    assert sorted(review["principal_groups"]) == ["ai-agents", "staff"]
    # The same ones in another order are the same.
    place.become("staff", "ai-agents")
    assert place.pending()["id"] == review["id"]
    place.become("ai-agents", "contractors")
    second = place.pending(but=[review["id"]])
    assert sorted(second["principal_groups"]) == ["ai-agents", "contractors"] and second["digest"] != review["digest"]
    assert place.state(review) == "cancelled"
    assert place.daemon.wayleave("reviews", "approve", review["id"]).returncode == 1
    assert place.daemon.wayleave("reviews", "approve", second["id"]).returncode == 0
    assert action.outcome() == "done"
