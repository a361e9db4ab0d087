# SPDX-License-Identifier: Apache-2.0
"""The matrix of docs/ is the one that the tests are named in, names every class, and each of its tests exists."""
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml
from harness.daemon import ROOT

REPOSITORY = pathlib.Path(ROOT)
ROWS = yaml.safe_load((REPOSITORY / "tests/threat-matrix.yaml").read_text())


def test_every_class_is_there():
    assert list(ROWS) == [f"B{n}" for n in range(1, 31)]
    assert all(row["tests"] for row in ROWS.values())
    assert all((row["closed"] == "partly") == ("open" in row) for row in ROWS.values())


@pytest.mark.parametrize("name", ROWS)
def test_its_tests_exist(name):
    for test in ROWS[name]["tests"]:
        file, _, function = test.partition("::")
        text = (REPOSITORY / file).read_text()
        pattern = rf"^Test\(\w+, {function}\b" if file.endswith(".c") else rf"^def {function}\("
        assert re.search(pattern, text, re.M), test


def copy(folder):
    for name in ("scripts/threat-matrix", "tests/threat-matrix.yaml", "docs/threat-model.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    return folder / "scripts/threat-matrix"


@pytest.mark.parametrize("page", ["docs/threat-matrix.md", "docs/threat-model.md"])
def test_the_page_is_the_newest(tmp_path, page):
    subprocess.run([copy(tmp_path), "--write"], check=True)
    assert (tmp_path / page).read_text() == (REPOSITORY / page).read_text(), "run scripts/threat-matrix --write"


def test_the_threat_model_says_of_each_class_how_far_it_is_closed():
    said = re.findall(r"^- \*\*(B\d+), [^*]+\*\*: (closed|partly closed): ", (REPOSITORY / "docs/threat-model.md").read_text(), re.M)
    assert said == [(name, "partly closed" if row["closed"] == "partly" else "closed") for name, row in ROWS.items()]


def case(name, inner=""):
    return f'<testcase classname="tests.capture.test_closed" name="{name}">{inner}</testcase>'


def row_of(program, name, *words):
    """The exit status, and what is said of a class."""
    done = subprocess.run([program, *words], capture_output=True, text=True)
    line = re.search(rf"^{name} .*? ((?:yes|partly|not shown) .*)$", done.stdout, re.M)[1]
    return done.returncode, " ".join(line.split())


def test_a_failure_is_shown(tmp_path):
    program = copy(tmp_path)
    logs = tmp_path / "build/test-logs"
    logs.mkdir(parents=True)
    assert row_of(program, "B28") == (0, "not shown 2 not run")
    one, other = "test_squatter", "test_agent_cannot_take_the_port"
    (logs / "capture.xml").write_text(f"<testsuite>{case(one, '<failure/>')}{case(other)}</testsuite>")
    assert row_of(program, "B28") == (1, "yes 1 passed, 1 failed")
    (logs / "capture-alone.xml").write_text(f"<testsuite>{case(one)}</testsuite>")
    assert row_of(program, "B28") == (0, "yes 2 passed")


def test_what_no_test_shows_is_not_said_to_be_closed(tmp_path):
    """A class whose tests were all skipped fails; one whose tests were not run does where all were to be."""
    program = copy(tmp_path)
    logs = tmp_path / "build/test-logs"
    logs.mkdir(parents=True)
    one, other = "test_squatter", "test_agent_cannot_take_the_port"
    (logs / "capture.xml").write_text(f"<testsuite>{case(one, '<skipped/>')}</testsuite>")
    assert row_of(program, "B28") == (0, "not shown 1 skipped, 1 not run")
    (logs / "capture.xml").write_text(f"<testsuite>{case(one, '<skipped/>')}{case(other, '<skipped/>')}</testsuite>")
    assert row_of(program, "B28") == (1, "not shown 2 skipped")
    # Every test of the others passes.
    cases = "".join(f'<testcase classname="{file.rpartition(".")[0].replace("/", ".")}" name="{function}"/>'
                    for row in ROWS.values() for file, _, function in (test.partition("::") for test in row["tests"]))
    (logs / "rest.xml").write_text(f"<testsuite>{cases}</testsuite>")
    (logs / "capture.xml").unlink()
    assert row_of(program, "B28", "--whole") == (0, "yes 2 passed")
    without = re.sub(r'<testcase classname="tests.capture.test_closed" name="test_(squatter|agent_cannot_take_the_port)"/>', "", cases)
    (logs / "rest.xml").write_text(f"<testsuite>{without}</testsuite>")
    assert row_of(program, "B28", "--whole") == (1, "not shown 2 not run")
    assert row_of(program, "B28") == (0, "not shown 2 not run")


@pytest.mark.parametrize("failed", [0, 1])
@pytest.mark.parametrize("matrix", [0, 1])
def test_a_failure_of_the_matrix_fails_the_whole(tmp_path, failed, matrix):
    (tmp_path / "scripts").mkdir()
    stub = tmp_path / "scripts/threat-matrix"
    stub.write_text(f'#!/bin/sh\n[ "$1" = --whole ] && touch {tmp_path}/whole\nexit {matrix}\n')
    stub.chmod(0o755)
    program, end = (REPOSITORY / "scripts/test").read_text(), "sys.exit(main())\n"
    assert program.endswith(end)
    names = {"__file__": str(tmp_path / "scripts/test")}
    exec(compile(program.removesuffix(end), "test", "exec"), names)
    names["LOGS"].mkdir(parents=True)
    result = names["Result"](1, failed, [])
    assert names["summary"]({"capture": result}, {}) == int(failed or matrix)
    assert not (tmp_path / "whole").exists()
    assert names["summary"](dict.fromkeys(names["PARTS"], result), {}) == int(failed or matrix)
    assert (tmp_path / "whole").exists()
    assert names["summary"]({"lint": result}, {}) == failed
