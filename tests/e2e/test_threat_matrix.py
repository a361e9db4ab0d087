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
    for name in ("scripts/threat-matrix", "tests/threat-matrix.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / "docs").mkdir()
    return folder / "scripts/threat-matrix"


def test_the_page_is_the_newest(tmp_path):
    subprocess.run([copy(tmp_path), "--write"], check=True)
    assert (tmp_path / "docs/threat-matrix.md").read_text() == (REPOSITORY / "docs/threat-matrix.md").read_text(), (
        "run scripts/threat-matrix --write")


def test_a_failure_is_shown(tmp_path):
    program = copy(tmp_path)
    logs = tmp_path / "build/test-logs"
    logs.mkdir(parents=True)
    assert subprocess.run([program], capture_output=True, text=True).returncode == 0
    (logs / "capture.xml").write_text(
        '<testsuite><testcase classname="tests.capture.test_closed" name="test_squatter"><failure/></testcase>'
        '<testcase classname="tests.capture.test_closed" name="test_agent_cannot_take_the_port"/></testsuite>')
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(r"^B28 +squatting +yes +1 passed, 1 failed$", done.stdout, re.M)
    (logs / "capture-alone.xml").write_text(
        '<testsuite><testcase classname="tests.capture.test_closed" name="test_squatter"/></testsuite>')
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0
    assert re.search(r"^B28 +squatting +yes +2 passed$", done.stdout, re.M)


@pytest.mark.parametrize("failed", [0, 1])
@pytest.mark.parametrize("matrix", [0, 1])
def test_a_failure_of_the_matrix_fails_the_whole(tmp_path, failed, matrix):
    (tmp_path / "scripts").mkdir()
    stub = tmp_path / "scripts/threat-matrix"
    stub.write_text(f"#!/bin/sh\nexit {matrix}\n")
    stub.chmod(0o755)
    program, end = (REPOSITORY / "scripts/test").read_text(), "sys.exit(main())\n"
    assert program.endswith(end)
    names = {"__file__": str(tmp_path / "scripts/test")}
    exec(compile(program.removesuffix(end), "test", "exec"), names)
    names["LOGS"].mkdir(parents=True)
    result = names["Result"](1, failed, [])
    assert names["summary"]({"capture": result}, {}) == int(failed or matrix)
    assert names["summary"]({"lint": result}, {}) == failed
