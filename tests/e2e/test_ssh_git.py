# SPDX-License-Identifier: Apache-2.0
"""Git over SSH: each ref of a push is judged before anything of it reaches the host."""
import os
import subprocess

import pytest
from harness.records import records_of
from harness.ssh_gate import ended, environment, gate, last, pending, server  # noqa: F401

NAMES = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder / "r"], check=True)
    subprocess.run(["git", "-C", folder / "r", "config", "receive.advertisePushOptions", "true"], check=True)
    return folder


@pytest.fixture(scope="module")
def daemon(server, place, tmp_path_factory):
    rules = [
        {"name": "repository", "resources": ["box"], "operations": ["git_fetch", "git_push"], "objects": [f"{place}/r"], "allow": {}},
        {"name": "features", "resources": ["box"], "operations": ["git_push"], "objects": ["refs/heads/feature/*", "refs/tags/*"], "allow": {}},
        {"name": "no main", "resources": ["box"], "operations": ["git_push"], "objects": ["refs/heads/main"], "deny": {"message": "by request"}},
        {"name": "asked", "resources": ["box"], "operations": ["git_push"], "objects": ["refs/heads/asked"], "review": {"by": "ops", "within": "1m"}},
    ]
    with gate(tmp_path_factory.mktemp("ssh"), server, rules) as d:
        yield d


@pytest.fixture(scope="module")
def work(daemon, server, place):
    folder = place / "w"
    done = git(daemon, server, "clone", "-q", f"root@127.0.0.1:{place}/r", folder)
    assert done.returncode == 0, done.stderr
    for number in range(3):
        (folder / f"f{number}").write_bytes(os.urandom(400000))
        subprocess.run(["git", "-C", folder, "add", "."], check=True)
        subprocess.run(["git", "-C", folder, "commit", "-q", "-m", str(number)], check=True, env={**os.environ, **NAMES})
    return folder


def git(daemon, server, *words, **more):
    return daemon.run("git", *words, env=environment(server), **more)


def push(daemon, server, work, *words):
    return git(daemon, server, "-C", work, "push", *words)


def refs(place):
    done = subprocess.run(["git", "-C", place / "r", "for-each-ref", "--format=%(refname)"], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_refs_are_objects(daemon, server, place, work):
    done = push(daemon, server, work, "-o", "an option", "origin", "HEAD:refs/heads/feature/a", "HEAD:refs/tags/v1")
    assert done.returncode == 0, done.stderr
    assert {"refs/heads/feature/a", "refs/tags/v1"} <= refs(place)
    ended(daemon)
    texts = [a["text"] for a in records_of(daemon, last(daemon))]
    assert any("create refs/heads/feature/a " in t and "create refs/tags/v1 " in t and "\noption: an option" in t for t in texts), texts
    done = push(daemon, server, work, "origin", "--delete", "refs/tags/v1")
    assert done.returncode == 0 and "refs/tags/v1" not in refs(place), done.stderr
    done = push(daemon, server, work, "--force", "origin", "HEAD~1:refs/heads/feature/a")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("options", [[], ["--atomic"], ["--porcelain"]])
def test_a_refused_ref_stops_the_push_as_git_says_it(daemon, server, place, work, options):
    before = refs(place)
    done = push(daemon, server, work, *options, "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/feature/b")
    said = done.stdout + done.stderr
    assert done.returncode != 0 and refs(place) == before
    assert 'wayleave: denied by rule "no main": by request' in said, said
    assert "[remote rejected]" in said and "main" in said, said
    assert "not pushed, as refs/heads/main was refused" in said, said
    assert last(daemon)["denied"] >= 1


def test_an_uncovered_ref_is_refused(daemon, server, place, work):
    done = push(daemon, server, work, "origin", "HEAD:refs/heads/other")
    assert done.returncode != 0 and "no rule allows git_push on refs/heads/other" in done.stderr
    assert "refs/heads/other" not in refs(place)


@pytest.mark.parametrize("answer", ["deny", "approve"])
def test_a_push_waits_for_people(daemon, server, place, work, answer):
    process = daemon.popen("git", "-C", str(work), "push", "origin", "HEAD:refs/heads/asked", env=environment(server), stdin=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    review = pending(daemon)
    assert review["text"].startswith(f"git-receive-pack '{place}/r'\ncreate refs/heads/asked "), review
    assert review["objects"] == [f"{place}/r", "refs/heads/asked"]
    assert "refs/heads/asked" not in refs(place)
    assert daemon.wayleave("reviews", answer, review["id"], "--reason", "so be it").returncode == 0
    errors = process.communicate(timeout=30)[1]
    assert f"waiting for approval by ops (review {review['id']})" in errors
    assert (process.returncode == 0) == ("refs/heads/asked" in refs(place)) == (answer == "approve"), errors
    if answer == "deny":
        assert "so be it" in errors


def test_a_grant_for_one_repository_is_none_for_another(server, place, work, tmp_path):
    """One sees its main, as the other's is called as well."""
    for name in "ab":
        subprocess.run(["git", "init", "-q", "--bare", tmp_path / name], check=True)
    rules = [{"name": "repositories", "resources": ["box"], "operations": ["git_push"], "objects": [f"{tmp_path}/*"], "allow": {}},
             {"name": "main", "resources": ["box"], "operations": ["git_push"], "objects": ["refs/heads/main"],
              "review": {"by": "ops", "within": "1m", "grant": "10m"}}]
    with gate(tmp_path, server, rules) as d:
        def begin(name, commit):
            return d.popen("git", "-C", str(place / "w"), "push", f"root@127.0.0.1:{tmp_path}/{name}", f"{commit}:refs/heads/main",
                           env=environment(server), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

        first = begin("a", "HEAD~1")
        assert d.wayleave("reviews", "approve", pending(d)["id"], "--for", "5m").returncode == 0
        assert first.wait(30) == 0
        assert begin("a", "HEAD").wait(30) == 0
        other = begin("b", "HEAD")
        assert d.wayleave("reviews", "deny", pending(d)["id"], "--reason", "that one not").returncode == 0
        assert other.wait(30) != 0
