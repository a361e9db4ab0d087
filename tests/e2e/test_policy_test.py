# SPDX-License-Identifier: Apache-2.0
"""`wayleave policy test`: what other rules would have said to what was recorded."""
import copy
import json
import subprocess

import pytest
import yaml
from conftest import RULES, Psql, make_config

from harness import daemon as daemons


@pytest.fixture(scope="module")
def past(server, tmp_path_factory):
    """A daemon that has ended, with a day's work in its recordings."""
    folder = tmp_path_factory.mktemp("past")
    d = daemons.Daemon(folder, make_config(server.port, workers=1, reviewers={"dba": {"local_users": ["root"]}}), RULES)
    psql = Psql(d, server)
    psql("select id from customers where id = 1", "select count(*) from orders", "insert into orders (customer, item) values (1, 'tested')",
         "delete from orders where id = -1", "create table no (i int)", "select 1", "select ssn from customers where ssn = 'x'",
         "select id from customers where id = 2", options=("-v", "ON_ERROR_STOP=0"))
    d.close()
    return d


@pytest.fixture
def judge(past, tmp_path):
    def run(rules, *options, against=past.folder / "state", config=past.folder / "wayleave.yaml"):
        file = tmp_path / "rules.yaml"
        file.write_text(yaml.safe_dump({"rules": rules}))
        return subprocess.run([daemons.BUILD / "wayleave", *options, "policy", "test", file, "--against", against, "--config", config],
                              capture_output=True, text=True)
    return run


def changes(done):
    assert done.returncode == 1, done.stderr
    return {(c["was"], c["now"], c["why"]): c["count"] for c in json.loads(done.stdout)["changes"]}


def test_the_same_rules_judge_as_they_did(judge):
    done = judge(RULES)
    assert done.returncode == 0 and ", 0 otherwise" in done.stdout, done.stdout + done.stderr
    seen = json.loads(judge(RULES, "--json").stdout)
    assert seen["changes"] == [] and seen["actions"] == seen["same"] + seen["elsewhere"] and seen["unknown"] == 0
    assert seen["elsewhere"] == 1  # the masked column in a filter


def test_what_would_be_refused_asked_or_let_through_is_told(judge):
    rules = copy.deepcopy(RULES)
    reads = next(r for r in rules if r["name"] == "read")
    reads["objects"].remove("public.customers")
    writes = next(r for r in rules if r["name"] == "write orders")
    writes["review"] = {"by": "dba", "within": "1m"}
    del writes["allow"]
    rules.append({"name": "delete orders", "operations": ["delete"], "objects": ["public.orders"], "allow": {}})
    assert changes(judge(rules, "--json")) == {
        ("allow", "deny", "denied: no rule allows select on public.customers"): 2,
        ("allow", "review", "write orders"): 1,
        ("deny", "allow", "delete orders, read"): 1,
    }


def test_people_see_what_changes_first(judge):
    done = judge([r for r in RULES if r["name"] != "read"])
    assert done.returncode == 1
    first, where = done.stdout.splitlines()[:2]
    assert first.split("  ")[0].strip() == "" and "2  allow → deny  demo at shop: denied: no rule allows select on public.customers" in first
    assert "select id from customers where id = 1" in where


def test_hostile_texts_do_not_reach_the_terminal(judge, past):
    done = judge([r for r in RULES if r["name"] != "read"], against=past.folder / "state" / "recordings")
    assert "\x1b" not in done.stdout and "2  allow → deny" in done.stdout


def test_mistakes_name_their_place(judge, past, tmp_path):
    assert "nosuch" in judge(RULES, against=tmp_path / "nosuch").stderr
    (tmp_path / "empty").mkdir()
    assert "no session was recorded there" in judge(RULES, against=tmp_path / "empty").stderr
    done = judge([{"name": "x", "agents": ["nobody"], "allow": {}}])
    assert done.returncode == 1 and "rules.yaml:" in done.stderr and "nobody" in done.stderr
    done = subprocess.run([daemons.BUILD / "wayleave", "policy", "test", tmp_path / "rules.yaml"], capture_output=True, text=True)
    assert done.returncode == 2 and "usage:" in done.stderr
