# SPDX-License-Identifier: Apache-2.0
"""Programs in Go, built with the libraries that Debian packages as sources, and without any network."""
import os
import subprocess

from harness.daemon import ROOT


def build(source):
    """The program of one file, made anew where the file is newer."""
    program = ROOT / "build" / "clients" / source.stem
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        settings = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(ROOT / "build" / "go-cache"), "GOFLAGS": ""}
        new = program.with_name(f"{source.stem}.{os.getpid()}")  # others may run the one that there is, or build it, too
        subprocess.run(["/usr/bin/go", "build", "-o", new, source], check=True, timeout=300, env=settings)
        new.rename(program)
    return program
