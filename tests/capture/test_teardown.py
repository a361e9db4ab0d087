# SPDX-License-Identifier: Apache-2.0
#
# wayleaved --teardown takes away what a daemon left in the kernel, whatever has become of its files.
import os
import subprocess

import pytest

from conftest import BUILD, LAYOUT, SERVER4, sh, wait_until


def attempt(agent):
    return agent.python(f"result = attempt({SERVER4!r})")


def tear_down(daemon):
    """Its exit status and what it says."""
    done = subprocess.run(daemon.daemon_command("--teardown"), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def is_gone(daemon, agent, network):
    return (not daemon.pins.exists() and not daemon.cgroup.exists() and not agent.path.exists()
            and daemon.instance not in network.in_host("nft", "list", "tables")
            and daemon.instance not in sh("/usr/sbin/bpftool", "link", "show"))


def test_leaves_nothing(host, network):
    daemon, agent = host.govern()
    attempt(agent)
    daemon.kill()
    status, said = tear_down(daemon)
    assert status == 0 and is_gone(daemon, agent, network)
    for part in (str(daemon.pins), f"wayleave_{daemon.instance}", f"removed cgroup {agent.cgroup}"):
        assert part in said, said
    # Once more: nothing to do, which is no error.
    status, said = tear_down(daemon)
    assert status == 0 and "no hooks" in said and "no rules" in said


def test_keeps_foreign_cgroups(host):
    agent = host.agent()
    agent.path.mkdir(parents=True)
    daemon = host.start(agent)
    daemon.kill()
    status, said = tear_down(daemon)
    assert status == 0 and agent.path.exists() and f"cgroup {agent.cgroup} stays" in said


def test_agents_that_run_are_let_go(host):
    """Their cgroup stays; nothing holds them any more."""
    daemon, agent = host.govern()
    process = agent.start(f"""
        for line in sys.stdin:
            print(attempt({SERVER4!r}).get("error"), flush=True)
    """)
    daemon.kill()
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ECONNREFUSED\n"
    status, said = tear_down(daemon)
    assert status == 0 and f"cgroup {agent.cgroup} stays" in said
    process.kill()
    process.wait()
    assert not daemon.pins.exists()


UNUSABLE = {
    "not YAML": lambda f: f.write_text("agents: [\n\t}"),
    "empty": lambda f: f.write_text(""),
    "bytes": lambda f: f.write_bytes(os.urandom(5000)),
    "a folder": lambda f: f.mkdir(),
    "a list": lambda f: f.write_text("- a\n"),
    "state_dir is no text": lambda f: f.write_text("state_dir: [a]\n"),
    "state_dir is relative": lambda f: f.write_text("state_dir: a\n"),
    "gone": lambda f: None,
}
# What becomes of the files of a daemon that was killed.
BROKEN = {
    "gone": lambda d: d.config_file.unlink(),
    "its folder is gone": lambda d: sh("rm", "-r", str(d.folder)),
    "not YAML": lambda d: UNUSABLE["not YAML"](d.config_file),
    "unknown keys": lambda d: d.config_file.write_text(f"state_dir: {d.state}\nnonsense: 1\nagents: 7\n"),
    "another state_dir": lambda d: d.config_file.write_text(f"state_dir: {d.folder}/elsewhere\n"),
    "a policy is broken": lambda d: d.policy_file.write_text("rules: 5\n"),
}


@pytest.mark.parametrize("how", UNUSABLE)
def test_unusable_file_alone(tmp_path, how):
    """Nothing is known of it, and nothing taken away."""
    file = tmp_path / "wayleave.yaml"
    UNUSABLE[how](file)
    done = subprocess.run([str(BUILD / "bin" / "wayleaved"), "--config", str(file), "--teardown"], capture_output=True, text=True)
    assert done.returncode == 1 and f"no daemon was started with {file}" in done.stderr
    assert "removed" not in done.stderr


def repair(daemon):
    """As its fixture wants to find it."""
    sh("rm", "-rf", str(daemon.config_file))
    daemon.folder.mkdir(exist_ok=True)
    daemon.write_config()


@pytest.mark.parametrize("how", BROKEN)
def test_broken_configuration(host, network, how):
    daemon, agent = host.govern()
    daemon.kill()
    BROKEN[how](daemon)
    try:
        status, said = tear_down(daemon)
        assert status == 0 and is_gone(daemon, agent, network), said
    finally:
        repair(daemon)


def test_another_file(host, network):
    """A file that no daemon was started with takes away nothing: it may be a slip of the pen."""
    daemon, agent = host.govern()
    daemon.kill()
    daemon.config_file = daemon.config_file.with_name("typo.yaml")
    status, said = tear_down(daemon)
    assert status == 1 and "no daemon was started with" in said
    assert daemon.pins.exists() and attempt(agent)["error"] == "ECONNREFUSED"
    daemon.config_file = daemon.config_file.with_name("wayleave.yaml")
    status, _ = tear_down(daemon)
    assert status == 0 and is_gone(daemon, agent, network)


def test_not_while_it_runs(host):
    daemon, agent = host.govern()
    daemon.config_file.rename(daemon.folder / "moved")
    status, said = tear_down(daemon)
    assert status == 1 and "another daemon" in said
    (daemon.folder / "moved").rename(daemon.config_file)
    assert attempt(agent)["data"] == "ping"


def test_damaged_pins(host, network):
    """Pins of which some are missing, or are something else."""
    daemon, agent = host.govern()
    daemon.kill()
    sh("rm", "-r", str(daemon.pins / LAYOUT / "maps"))
    daemon.pin(agent, "steer_connect4").unlink()
    status, said = tear_down(daemon)
    assert status == 0 and is_gone(daemon, agent, network), said


def test_a_new_start_is_noted(host, network):
    """The file that counts is the one of the last start."""
    daemon, agent = host.govern()
    daemon.stop()
    daemon.config_file = daemon.config_file.rename(daemon.folder / "other.yaml")
    daemon.start()
    wait_until(lambda: attempt(agent).get("data") == "ping")
    daemon.kill()
    daemon.config_file.unlink()
    status, said = tear_down(daemon)
    assert status == 0 and is_gone(daemon, agent, network), said
    daemon.write_config()
