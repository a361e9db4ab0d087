# SPDX-License-Identifier: Apache-2.0
"""The manual pages say what the programs say of themselves, no less and no more."""
import re
import subprocess

import pytest
from harness.daemon import BUILD, ROOT

PAGES = {page.name: page.read_text().replace("\\-", "-") for page in (ROOT / "docs/man").iterdir()}


def text_of(*words):
    return subprocess.run([str(BUILD / words[0]), *words[1:]], capture_output=True, text=True, timeout=30).stdout


def options(text):
    return set(re.findall(r"--[a-z][a-z-]+", text))


def verbs():
    return re.findall(r"^  ([a-z]+) ", text_of("wayleave", "help"), re.M)


def test_every_verb_and_no_other_is_there():
    assert verbs() and re.findall(r"^\.SS ([a-z]+)$", PAGES["wayleave.1"], re.M) == verbs()


def test_options_of_wayleave():
    known = options(text_of("wayleave", "help")) | {option for verb in verbs() for option in options(text_of("wayleave", verb, "--help"))}
    assert options(PAGES["wayleave.1"]) == known


@pytest.mark.parametrize("verb", verbs())
def test_forms_of_a_verb(verb):
    """Each word that a verb takes stands in its section."""
    section = re.search(rf"^\.SS {verb}\n(.*?)(?=^\.S[SH])", PAGES["wayleave.1"], re.M | re.S)[1]
    words = set(re.findall(rf"wayleave {verb} \[?([a-z]+)\b", text_of("wayleave", verb, "--help")))
    assert not {w for w in words if not re.search(rf"\b{w}\b", section)}


def test_options_of_wayleaved():
    assert options(PAGES["wayleaved.8"]) == options(text_of("wayleaved", "--help")) | {"--help"}


def test_versions():
    version = text_of("wayleaved", "--version").split()[1]
    for name, page in PAGES.items():
        assert f'"Wayleave {version}"' in page, name


def test_keys_of_the_configuration():
    keys = set(re.findall(r'\bKEY\(\w+, "(\w+)"', (ROOT / "userspace/policy/config_schema.c").read_text()))
    assert len(keys) > 60
    pages = PAGES["wayleave.yaml.5"] + PAGES["wayleave-policy.5"]
    assert not {key for key in keys if not re.search(rf"\b{key}\b", pages)}


def test_operations():
    names = set(re.findall(r'^OPERATION\(\w+, "([^"]+)"', (ROOT / "userspace/protocol/operations.inc").read_text(), re.M))
    assert len(names) > 60
    assert not {name for name in names if not re.search(rf"\b{name}\b", PAGES["wayleave-policy.5"])}
