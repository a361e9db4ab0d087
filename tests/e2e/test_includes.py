# SPDX-License-Identifier: Apache-2.0
"""The script that keeps the folders' dependencies one way fails where one goes the other, and names the place."""
import shutil
import subprocess

import pytest
from harness.daemon import ROOT


def check(folder, file, *headers):
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check-includes", folder / "scripts")
    path = folder / "userspace" / file
    path.parent.mkdir(parents=True)
    path.write_text("".join(f'#include "{header}"\n' for header in headers))
    done = subprocess.run([folder / "scripts" / "check-includes"], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


@pytest.mark.parametrize("file", ["approval/book.c", "worker/hold.c", "worker/hold_ask.c", "worker/draft.h", "worker/grants.c"])
@pytest.mark.parametrize("header", ["protocol/postgres/engine.h", "protocol/sql/facts.h", "protocol/http/http.h"])
def test_reviews_know_no_protocol(tmp_path, file, header):
    status, text = check(tmp_path, file, "protocol/action.h", "protocol/operation.h", header)
    assert status == 1 and text == f"userspace/{file}:3: {file.split('/')[0]} may not include {header}\n", text


@pytest.mark.parametrize("file,header,passes", [
    ("approval/book.c", "worker/hold.h", False), ("base/list.c", "protocol/action.h", False), ("cli/main.c", "monitor/monitor.h", False),
    ("cli/main.c", "monitor/control.h", True), ("worker/session.c", "protocol/opaque.h", True), ("approval/book.c", "policy/config.h", True)])
def test_dependencies_go_one_way(tmp_path, file, header, passes):
    status, text = check(tmp_path, file, header)
    assert (status, text == "") == ((0, True) if passes else (1, False)), text
