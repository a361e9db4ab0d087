# SPDX-License-Identifier: Apache-2.0
"""What the pages show of configurations and rules is what `wayleaved --check` takes, word for word but for where files are."""
import re
import subprocess

import pytest
import yaml
from harness import certificates
from harness.daemon import BUILD, ROOT

BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"(?<![\w/])/(?:etc|run)/[\w./-]*\w")
# What pages speak of and show elsewhere.
OTHERS = {"agents": [{"name": "claude-ci", "cgroup": "wayleave.slice/claude-ci"}],
          "resources": [{"name": "orders", "protocol": "postgres", "hosts": ["db.internal:5432"]}],
          "reviewers": {name: {"local_users": ["root"]} for name in ("dba", "ops", "net")}}
SLACKS = {"display_information", "features", "oauth_config", "settings"}  # the app's manifest, which is Slack's


class Dumper(yaml.SafeDumper):
    """As people write it: nothing is no word."""


Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", ""))


def dump(value):
    return yaml.dump(value, Dumper=Dumper, width=10000)


def documents(page):
    """The whole ones; those that begin with spaces are parts of one."""
    blocks = [b for b in BLOCK.findall((ROOT / page).read_text()) if not b.startswith(" ")]
    found = [d for b in blocks for d in yaml.safe_load_all(b)]
    assert all(isinstance(d, dict) for d in found)
    return [d for d in found if set(d) != SLACKS]


PAGES = [page for page in ["README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))] if documents(page)]


def merged(one, other):
    """Of two values of one key: lists by the names in them, and what `other` says wins."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{k: merged(one[k], v) if k in one else v for k, v in other.items()}}
    if isinstance(one, list) and all(isinstance(x, dict) for x in other):
        names = [x["name"] for x in other]
        return [*(x for x in one if x["name"] not in names), *other]
    return other


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """Of files, by how their names end."""
    folder = tmp_path_factory.mktemp("contents")
    pem = certificates.make_authority(folder).read_text() + (folder / "ca.key").read_text()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    return {".pem": pem, "/deploy": (folder / "key").read_text(), ".known_hosts": "box.internal " + (folder / "key.pub").read_text(), "": "secret\n"}


def with_files(value, folder, contents):
    """The same with the files that it names below `folder`, where they are made."""
    def place(found):
        file = folder / found[0].lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(next(text for end, text in contents.items() if found[0].endswith(end)))
        file.chmod(0o600)
        return str(file)
    return yaml.safe_load(FILE.sub(place, dump(value)))


def test_there_are_some():
    assert {"README.md", *(f"docs/{name}.md" for name in (
        "configuration", "http", "identity", "kubernetes", "policy", "recording", "reviews", "slack", "ssh"))} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_taken_as_it_stands(page, tmp_path, contents):
    config, rules = {}, []
    for document in documents(page):
        rules += document.pop("rules", [])
        config.pop("policies", None)
        config = merged(config, document)
    config = with_files({**OTHERS, **{k: merged(OTHERS[k], v) if k in OTHERS else v for k, v in config.items()}}, tmp_path, contents)
    (tmp_path / "rules.yaml").write_text(dump({"rules": rules}))
    config |= {"policies": [str(tmp_path / "rules.yaml")] if rules else [], "state_dir": str(tmp_path / "state"), "runtime_dir": str(tmp_path / "run")}
    (tmp_path / "wayleave.yaml").write_text(dump(config))
    done = subprocess.run([BUILD / "wayleaved", "--config", tmp_path / "wayleave.yaml", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
