# SPDX-License-Identifier: Apache-2.0
"""`wayleave policy explain --batch`: many statements in one run, each judged as it would be alone."""
import json
import pathlib
import random
import subprocess
import sys
import time

import pytest
import yaml

from harness import daemon as daemons

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "sql"))

import corpus  # noqa: E402
import generator  # noqa: E402

COUNT = 20000
RULES = [
    {"name": "read", "operations": ["read"], "objects": ["public.*"],
     "allow": {"mask": [{"columns": ["public.customers.ssn"], "with": "redact"},
                        {"columns": ["public.customers.phone"], "with": "partial", "filter": "allow"}]}},
    {"name": "maintenance", "operations": ["vacuum"], "objects": ["public.sink"], "allow": {}},
    {"name": "sink", "operations": ["insert", "update", "merge"], "objects": ["public.sink"], "allow": {}},
    {"name": "no ddl", "operations": ["ddl"], "deny": {"message": "use migrations"}},
]
EXPECTED = {
    "select id from customers": "allow",
    "select ssn from customers": "allow",
    "select id from customers where ssn = 'x'": "deny",
    "with x as (delete from customers returning id) select * from x": "deny",
    "insert into sink values (1)": "allow",
    "drop table customers": "deny",
    "select nothing(1)": "deny",
    "selec 1": "deny",
    "select id from customers where phone = 'x' order by phone": "allow",
    "select phone, count(*) from customers group by phone": "allow",
    "select id from customers where phone = ssn": "deny",
    "select id from customers where phone::int = 1": "deny",
    "insert into sink select phone from customers": "deny",
    "vacuum sink": "allow",
    "vacuum": "deny",
    "": "allow",
    "begin": "allow",
    "select '\u00e4\u2028', $$\n$$": "allow",
    "select " + "(" * 50000 + "1" + ")" * 50000: "deny",
    "select 1" + "+1" * 100000: "deny",
}


@pytest.fixture(scope="module")
def explain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batch")
    (folder / "policies").mkdir()
    (folder / "policies" / "rules.yaml").write_text(yaml.safe_dump({"rules": RULES}))
    (folder / "wayleave.yaml").write_text(yaml.safe_dump({
        "state_dir": str(folder / "state"), "runtime_dir": str(folder / "run"), "policies": [str(folder / "policies" / "*.yaml")],
        "agents": [{"name": "demo", "cgroup": "wayleave-batch.slice/demo"}],
        "resources": [{"name": "db", "protocol": "postgres", "hosts": ["127.0.0.1:5432"]}]}))

    def run(*more, **options):
        return subprocess.run([daemons.BUILD / "wayleave", "policy", "explain", "--config", folder / "wayleave.yaml", "--agent",
                               "demo", "--resource", "db", *more], capture_output=True, text=True, timeout=120, **options)
    return run


def batch(explain, texts):
    done = explain("--batch", input="".join(json.dumps(text) + "\n" for text in texts))
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(texts)
    return answers


def test_twenty_thousand_statements_in_one_run(explain):
    made = generator.Generator(random.Random(3))
    texts = corpus.REFUSED + corpus.SHOWN + list(EXPECTED)
    texts += [made.statement() for _ in range(COUNT - len(texts))]
    start = time.monotonic()
    answers = batch(explain, texts)
    seconds = time.monotonic() - start
    print(f"{COUNT} statements, {sum(map(len, texts)) >> 10} KiB: {seconds:.2f} s")
    assert seconds < 30
    for text, answer in zip(texts, answers):
        assert answer["verdict"] in ("allow", "deny"), answer
        if text in EXPECTED:
            assert answer["verdict"] == EXPECTED[text], (text[:80], answer)
        if answer["verdict"] == "deny":
            assert answer["rules"] or answer["text"], answer
    # Writes are never taken for reads.
    for text, answer in zip(texts, answers):
        if text.startswith(("DELETE", "UPDATE customers", "UPDATE orders")):
            assert answer["verdict"] == "deny", (text, answer)


def test_a_batch_says_what_a_single_run_says(explain):
    texts = list(EXPECTED)[:9]
    for text, answer in zip(texts, batch(explain, texts)):
        single = explain("--json", text)
        assert single.returncode == (0 if answer["verdict"] == "allow" else 1)
        alone = json.loads(single.stdout)
        del alone["why"]
        assert alone == answer


def test_lines_that_are_no_statements(explain):
    done = explain("--batch", input='"select 1"\nselect 1\n"\\u0000"\n{}\n\n"select 2"')
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["error" in answer for answer in answers] == [False, True, True, True, True, False]
