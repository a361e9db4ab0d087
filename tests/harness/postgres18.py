# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL 18, server and libpq, of the tests' packages of node: Debian's version is older."""
import json
import os
import pathlib
import platform
import shutil

from .postgres import open_way

MODULES = pathlib.Path(__file__).resolve().parents[1] / "e2e" / "clients" / "node_modules"
PACKAGES = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}


class Installation:
    """A copy in a scratch folder, which other users may read."""

    def __init__(self, folder):
        package = MODULES / "@embedded-postgres" / PACKAGES[platform.machine()] / "native"
        root = pathlib.Path(folder) / "postgresql18"
        shutil.copytree(package, root, symlinks=True, copy_function=shutil.copyfile)
        open_way(root)
        for path in root.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755)
        # npm may not have run the script of the package that makes its links.
        for link in json.loads((package / "pg-symlinks.json").read_text()):
            target = root.parent / link["target"].replace("native", root.name, 1)
            if not target.is_symlink():
                target.symlink_to(os.path.basename(link["source"]))
        self.binaries = root / "bin"
        # The binaries find some of their libraries by themselves, those find none of theirs.
        self.environment = {"LD_LIBRARY_PATH": str(root / "lib")}
        # libpq without the older versions of what Debian's programs bring.
        client = root / "client"
        client.mkdir()
        for name in ("libpq.so.5", "libssl.so.1.1", "libcrypto.so.1.1"):
            if (root / "lib" / name).exists():
                (client / name).symlink_to(root / "lib" / name)
        self.client = {"LD_LIBRARY_PATH": str(client)}
