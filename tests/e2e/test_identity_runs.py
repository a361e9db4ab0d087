# SPDX-License-Identifier: Apache-2.0
"""Commands that act for somebody of their own: `wayleave run --token-file`."""
import os
import pathlib
import subprocess

import pytest
from conftest import Psql, make_config
from harness import issuer as issuers
from harness.shell import Shell
from harness.waiting import wait_for
from test_identity import COUNT, RULES, issuer  # noqa: F401 (a fixture)

SECRETS = "select value from secrets"


class Place:
    """Agent "demo" has tokens of runs alone; "other" has no identity."""

    def __init__(self, make_daemon, server, issuer, folder, **identity):
        self.issuer, self.server, self.folder = issuer, server, folder
        config = make_config(server.port, workers=2)
        config["issuers"] = {"idp": {"url": issuer.url, "audience": issuers.AUDIENCE, "ca_file": str(issuer.ca)}}
        config["agents"][0]["identity"] = {"issuer": "idp", **identity}
        self.daemon = make_daemon(config, RULES)
        self.psql = Psql(self.daemon, server)
        self.bot = self.file("bot", issuer.token(groups=["ai-agents"]))
        self.ann = self.file("ann", issuer.token("ann@acme.com"))

    def file(self, name, token):
        path = self.folder / name
        path.write_text(token)
        path.chmod(0o600)
        return path

    def swap(self, path, token):
        self.file("new", token).rename(path)

    def shell(self, token_file=None, agent="demo"):
        return Shell(self.daemon, f"host=127.0.0.1 port={self.server.port} dbname=shop user=app", agent=agent, token_file=token_file)

    def runs(self, agent="demo"):
        return next(a for a in self.daemon.json("agents", "list") if a["name"] == agent)["runs"]

    def run_becomes(self, **members):
        [run] = wait_for(lambda: [r for r in self.runs() if all(r[n] == v for n, v in members.items())], 40, f"a run with {members}")
        return run

    def has_no_runs(self):
        wait_for(lambda: not self.runs(), 40, "the end of all runs")
        folder = pathlib.Path("/sys/fs/cgroup") / self.daemon.config["agents"][0]["cgroup"]
        assert not list(folder.glob("wayleave-run-*"))


@pytest.fixture
def make_place(make_daemon, server, issuer, tmp_path):  # noqa: F811
    def make(**identity):
        return Place(make_daemon, server, issuer, tmp_path, **identity)
    return make


def test_each_command_acts_for_whom_its_token_says(make_place):
    place = make_place()
    bot, ann = place.shell(place.bot), place.shell(place.ann)
    assert bot.ask(COUNT) == "20" and "no rule allows" in bot.ask(SECRETS)
    assert ann.ask(SECRETS) == "top secret" and "no rule allows" in ann.ask(COUNT)
    # What has no token of its own is nobody, also beside them.
    assert "wayleave run --token-file" in place.psql.error(COUNT)
    runs = {r["principal"]: r for r in place.runs()}
    assert set(runs) == {"bot@acme.com", "ann@acme.com"}
    assert runs["bot@acme.com"]["groups"] == ["ai-agents"] and runs["bot@acme.com"]["uid"] == 0
    assert "ann@acme.com" in place.daemon.wayleave("agents").stdout
    sessions = {s["principal"]: s for s in place.daemon.json("sessions", "list") if s["principal"]}
    assert {p: s["cgroup"] for p, s in sessions.items()} == {p: r["cgroup"] for p, r in runs.items()}
    bot.close()
    ann.close()
    place.has_no_runs()


def test_a_new_token_of_a_command_holds_for_it_alone(make_place, issuer):  # noqa: F811
    place = make_place()
    first, second = place.shell(place.bot), place.shell(place.file("too", place.bot.read_text()))
    assert first.ask(COUNT) == "20" and second.ask(COUNT) == "20"
    place.swap(place.bot, issuer.token("ann@acme.com"))
    place.run_becomes(principal="ann@acme.com")
    assert first.ask(SECRETS) == "top secret" and "no rule allows" in first.ask(COUNT)
    assert second.ask(COUNT) == "20" and "no rule allows" in second.ask(SECRETS)
    place.bot.unlink()
    place.run_becomes(identity="refused")
    assert "the token of this agent was refused" in first.ask(SECRETS)
    place.swap(place.bot, issuer.token("ann@acme.com"))
    place.run_becomes(principal="ann@acme.com")
    assert first.ask(SECRETS) == "top secret"
    first.close()
    second.close()


def test_a_token_that_is_not_for_this_agent(make_place, issuer):  # noqa: F811
    """Of another agent, copied over; of another audience; none at all."""
    place = make_place(client="demo-agent")
    good = place.file("good", issuer.token(groups=["ai-agents"], azp="demo-agent"))
    assert Psql(place.daemon, place.server).rows(COUNT, token_file=good) == ["20"]
    for name, token, why in (("another client", issuer.token(groups=["ai-agents"], azp="other-agent"), "another client"),
                             ("another audience", issuer.token(azp="demo-agent", aud="other"), "another audience"),
                             ("nothing", "", "refused: there is none"), ("garbage", "\x01\xff" * 50, "no signed JSON Web Token")):
        assert why in place.psql.error(COUNT, token_file=place.file("bad", token)), name
    for words, why in ((["--agent", "other", "--token-file", good], "has no identity"),
                       (["--agent", "demo", "--token-file", place.folder / "missing"], "No such file"),
                       (["--agent", "demo", "--token-file", place.file("long", "x" * 20000)], "too long")):
        done = place.daemon.wayleave("run", *words, "--", "true")
        assert done.returncode == 125 and why in done.stderr, done.stderr


def test_a_descriptor(make_place):
    place = make_place()
    read, write = os.pipe()
    os.write(write, place.bot.read_bytes())
    os.close(write)
    assert place.psql.rows(COUNT, token_file=f"/dev/fd/{read}", pass_fds=[read]) == ["20"]
    os.close(read)
    with open(place.ann) as file:
        assert place.psql.rows(SECRETS, token_file=f"/dev/fd/{file.fileno()}", pass_fds=[file.fileno()]) == ["top secret"]


def test_a_descriptor_of_a_file_is_not_the_commands_to_read(make_place):
    place = make_place()
    code = "import os, sys\nprint([os.read(int(n), 100) for n in sys.argv[1:]])"
    with open(place.ann) as file, open(place.ann) as too, open(place.file("another", "data")) as another:
        for token_file, fds, what in ((f"/dev/fd/{file.fileno()}", [file, too, another], [b"", b"", b"data"]),
                                      ("/dev/stdin", [too], [b"", b""])):
            numbers = [f.fileno() for f in fds]
            process = place.daemon.popen("/usr/bin/python3", "-c", code, *map(str, numbers), *(["0"] if len(fds) == 1 else []),
                                         stdin=file, stdout=subprocess.PIPE, text=True, token_file=token_file, pass_fds=numbers)
            assert process.communicate(timeout=30)[0] == f"{what}\n"


def test_tokens_are_found_again_by_a_daemon_that_starts_anew(make_place):
    place = make_place()
    code = "import subprocess, sys\nfor line in sys.stdin:\n    print(subprocess.run(line, shell=True, stdout=-1, stderr=-2).stdout, flush=True)"
    query = f"psql -XAt 'host=127.0.0.1 port={place.server.port} dbname=shop user=app' -c '{COUNT}'\n"

    def start(**options):
        return place.daemon.popen("/usr/bin/python3", "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)

    def ask(process):
        process.stdin.write(query)
        process.stdin.flush()
        return process.stdout.readline()

    read, write = os.pipe()
    os.write(write, place.bot.read_bytes())
    os.close(write)
    followed, once = start(token_file=place.bot), start(token_file=f"/dev/fd/{read}", pass_fds=[read])
    assert ask(followed) == ask(once) == "b'20\\n'\n"
    place.daemon.kill()
    place.daemon.start()
    wait_for(lambda: len(place.runs()) == 2 and sorted(r["identity"] for r in place.runs()) == ["known", "refused"], 60, "both runs")
    assert ask(followed) == "b'20\\n'\n"
    assert "start the command again" in ask(once)
    for process in followed, once:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
    os.close(read)
    place.has_no_runs()


def test_a_command_does_not_see_its_token(make_place):
    """Nor keeps it in a descriptor, nor can it say what its token is."""
    place = make_place()
    code = f"""
import os, socket, struct
print(repr(open({str(place.bot)!r}).read()))
print([n for n in range(3, 1000) if os.path.exists(f"/proc/self/fd/{{n}}")])
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect({str(place.daemon.socket)!r})
s.send(struct.pack("=IiQ", 16, 0, 1) + b"token")
print(s.recv(1000))
"""
    done = place.daemon.run("/usr/bin/python3", "-c", code, token_file=place.bot)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["''", "[]"], done
    assert "from inside an agent" in lines[2]


def test_nobody_else_says_what_the_token_of_a_run_is(make_place):
    place = make_place()
    shell = place.shell(place.bot)
    assert shell.ask(COUNT) == "20"
    run = place.run_becomes(principal="bot@acme.com")
    code = f"""
import os, socket, struct
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.chdir({str(place.daemon.runtime)!r})
os.setgid(65534)
os.setuid(65534)
s.connect("control.sock")
s.send(struct.pack("=IiQ", 16, 0, {int(run["cgroup"])}) + b"token")
print(s.recv(1000))
"""
    done = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, text=True, timeout=30)
    assert "there is no such run" in done.stdout, done
    assert shell.ask(COUNT) == "20"
    shell.close()


def test_suspended_with_their_agent(make_place):
    place = make_place()
    shell = place.shell(place.bot)
    assert shell.ask(COUNT) == "20"
    place.daemon.wayleave("agents", "suspend", "demo")
    assert "suspended" in shell.ask(COUNT) and "suspended" in place.psql.error(COUNT, token_file=place.ann)
    place.daemon.wayleave("agents", "resume", "demo")
    assert shell.ask(COUNT) == "20"
    shell.close()
