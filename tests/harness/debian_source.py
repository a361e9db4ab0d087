# SPDX-License-Identifier: Apache-2.0
"""Sources of installed packages, from Debian's archive."""
import subprocess

SPREAD = "http://deb.debian.org/debian"


def fetch(package, source, folder):
    """The unpacked source of the version of `package` that is installed (or, where the archive has that no more, of the one that it has),
    in `folder`, fetched where it is not there yet, without a change to this host's own lists. `source` is its source package."""
    version = subprocess.run(["dpkg-query", "-W", "-f", "${source:Upstream-Version}", package], check=True,
                             capture_output=True, text=True).stdout
    found = folder / f"{source}-{version}"
    if found.exists():
        return found
    for name in ("lists/partial", "cache/archives/partial", "new"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(f"deb-src {SPREAD} bookworm main\ndeb-src {SPREAD}-security bookworm-security main\n")
    options = [f"-oDir::Etc::sourcelist={folder}/sources.list", "-oDir::Etc::sourceparts=-", f"-oDir::State::lists={folder}/lists",
               f"-oDir::Cache={folder}/cache", "-oAPT::Sandbox::User=root"]
    subprocess.run(["apt-get", *options, "-qq", "update"], check=True)
    names = subprocess.run(["apt-cache", *options, "showsrc", source], check=True, capture_output=True, text=True).stdout
    there = [line.split()[1] for line in names.splitlines() if line.startswith("Version: ")]
    best = next((v for v in there if v.startswith(f"{version}-")), there[-1])
    subprocess.run(["apt-get", *options, "-qq", "source", "--download-only", f"{source}={best}"], check=True, cwd=folder)
    archive = next(folder.glob(f"{source}_{best.partition(':')[2] or best}".rpartition("-")[0] + ".orig.tar.*[!c]"))
    subprocess.run(["tar", "-xf", archive, "--strip-components=1", "-C", folder / "new"], check=True)
    return (folder / "new").rename(found)
