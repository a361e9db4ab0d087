# SPDX-License-Identifier: Apache-2.0
"""The kubectls that tests use: Debian's, which in Debian 12 speaks SPDY alone, and the host's, should it have a newer one,
which speaks WebSocket. scripts/install-deps sees to the former."""
import functools
import pathlib
import re
import shutil
import subprocess

import pytest

UNPACKED = pathlib.Path(__file__).resolve().parents[1] / "e2e/clients/kubernetes-client/usr/bin/kubectl"
SPEAKS_WEBSOCKET = 30  # 1.30, where it is asked to
TRANSPORTS = ("websocket", "SPDY")


@functools.lru_cache
def minor(program="kubectl"):
    """Of its version, 1.x."""
    said = subprocess.run([program, "version", "--client", "-o", "json"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r'"gitVersion": "v1\.(\d+)', said)[1])


def speaking(transport):
    """The program; None: there is none here."""
    own = shutil.which("kubectl")
    if transport == "SPDY":
        return str(UNPACKED) if UNPACKED.exists() else own
    return own if minor(own) >= SPEAKS_WEBSOCKET else None


def needed(transport):
    """The program; a test for which there is none here is skipped."""
    program = speaking(transport)
    if not program:
        pytest.skip(f"kubectl 1.{minor()} speaks no {transport}")
    return program
