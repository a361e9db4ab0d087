# SPDX-License-Identifier: Apache-2.0
"""Processes killed in the middle of work: what the recording then says is true, and nothing half-done stays."""
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest
from conftest import Psql, make_config
from harness.records import audit, records_of, recorded_texts, verify
from harness.shell import Shell
from harness.waiting import wait_for
from test_disk import daemon_on, fill, small_disk

ALL = [{"name": "all", "operations": ["*"], "allow": {}}]
ROWS = "".join(f"{i}\t1\titem-{i}\t{i}.00\n" for i in range(100000, 100500))


def url(server):
    return f"host=127.0.0.1 port={server.port} dbname=shop user=app"


@pytest.fixture
def daemon(server, make_daemon):
    return make_daemon(make_config(server.port, workers=1), ALL)


def count(server):
    return server.sql("select count(*) from orders where id >= 100000", "shop")


def kill_worker(daemon, how=signal.SIGKILL):
    pid = daemon.workers()[0]
    os.kill(pid, how)
    wait_for(lambda: daemon.workers() not in ([pid], [0]) and daemon.status()["workers"][0]["ready"], what="another worker")


def end_monitor(daemon):
    workers = daemon.workers()
    daemon.kill()
    wait_for(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in workers), what="the workers' end")


def kill_monitor(daemon):
    end_monitor(daemon)
    daemon.start()


def backends(server):
    return server.sql("select count(*) from pg_stat_activity where usename = 'app'")


def only_lost_session(daemon):
    sessions = wait_for(lambda: [s for s in daemon.json("sessions", "list") if s["state"] == "abnormal"], what="an abnormal session")
    assert len(sessions) == 1
    return sessions[0]


def assert_shown_as_cut_off(daemon, session, text):
    """The last action is there, and nobody says how it ended."""
    actions, results = records_of(daemon, session), records_of(daemon, session, "result")
    last = actions[-1]
    assert last["text"] == text and last["verdict"] == "allow"
    assert last["action"] not in [r["action"] for r in results]
    shown = daemon.wayleave("sessions", "show", session["id"]).stdout
    assert "abnormal" in shown and "end: " not in shown, shown
    status, text = verify(daemon)
    assert status == 0 and "ended in a crash" in text and "BROKEN" not in text, text


@pytest.mark.parametrize("kill", [kill_worker, kill_monitor])
def test_in_the_middle_of_a_copy(daemon, server, kill):
    text = "copy orders from stdin"
    agent = daemon.popen("psql", "-X", url(server), "-c", text, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    agent.stdin.write(ROWS)
    agent.stdin.flush()
    wait_for(lambda: server.sql("select bytes_processed > 0 from pg_stat_progress_copy", "shop") == "t", what="the copy")
    kill(daemon)
    _, errors = agent.communicate(timeout=20)
    assert agent.returncode != 0 and errors
    wait_for(lambda: backends(server) == "0", what="the backend's end")
    assert count(server) == "0", "the server saw no end of the copy"
    assert_shown_as_cut_off(daemon, only_lost_session(daemon), text)
    assert Psql(daemon, server).rows("select 1") == ["1"]


@pytest.mark.parametrize("kill", [kill_worker, kill_monitor])
def test_in_the_middle_of_a_transaction(daemon, server, kill):
    shell = Shell(daemon, url(server))
    assert shell.ask("begin; insert into orders values (100000, 1, 'x', 1); select 'inserted'") == "inserted"
    shell.send("select pg_sleep(60);")
    wait_for(lambda: server.sql("select state from pg_stat_activity where query like 'select pg_sleep%'") == "active", what="the query")
    kill(daemon)
    assert "closed the connection" in shell.ask("commit") or "reset" in shell.text
    server.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")  # it would sleep on, as without us
    wait_for(lambda: backends(server) == "0", what="the backend's end")
    assert count(server) == "0"
    assert_shown_as_cut_off(daemon, only_lost_session(daemon), "select pg_sleep(60);")
    shell.close()


def test_the_monitor_while_many_sessions_run(server, make_daemon):
    d = make_daemon(make_config(server.port, workers=2), ALL)
    before = len(server.executed())

    def work(name):
        d.run("psql", "-X", "-A", "-t", "-q", url(server), input="".join(f"select 'k-{name}-{i}';\n" for i in range(20000)), timeout=60)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    wait_for(lambda: server.executed()[before:].count("select 'k-") > 1000, what="statements")
    kill_monitor(d)
    for t in threads:
        t.join()
    seen = {line.split("'")[1] for line in server.executed()[before:].splitlines() if "select 'k-" in line}
    assert 500 < len(seen) < 6 * 20000
    recorded = {t.split("'")[1] for t in recorded_texts(d) if t.startswith("select 'k-")}
    assert seen <= recorded, sorted(seen - recorded)[:5]
    status, text = verify(d)
    assert status == 0, text


def broken(text):
    return [line for line in text.splitlines() if line.startswith("BROKEN")]


def stop_monitor(daemon):
    daemon.stop()


@pytest.mark.parametrize("end", [stop_monitor, end_monitor])
def test_the_monitor_on_a_full_disk(server, tmp_path, end):
    """A new one does not begin to govern without being able to record, wherever the room ends; with room again it does, and all
    the time the log holds together."""
    started = []
    with small_disk(tmp_path / "disk", "16m") as disk, daemon_on(disk, server, tmp_path) as d:
        for pages in range(4):
            assert Psql(d, server).rows(f"select 'before-{pages}'") == [f"before-{pages}"]
            fill(disk / "filler")
            wait_for(lambda: Psql(d, server)(f"select '{'x' * 3000}'").returncode, what="a refusal")
            end(d)
            status, text = verify(d, "--state-dir", d.state)
            assert status == 0 and "ended in a crash" in text, text
            os.truncate(disk / "filler", (disk / "filler").stat().st_size - 4096 * pages)
            try:
                d.start()
                started.append(pages)
            except RuntimeError as e:
                assert "No space left on device" in str(e)
            status, text = verify(d, "--state-dir", d.state)
            assert status == 0, (pages, broken(text))
            (disk / "filler").unlink()
            if pages not in started:
                d.start()
            wait_for(lambda: Psql(d, server)("select 'after'").stdout == "after\n", what="recovery")
            status, text = verify(d)
            assert status == 0, (pages, broken(text))
        texts = recorded_texts(d)
        assert 0 not in started
        assert "select 'after'" in texts and all(f"select 'before-{pages}'" in texts for pages in range(4))
        assert [r for r in audit(d) if "was alive when the last monitor ended" in str(r.get("detail"))]


def kill_session(daemon):
    [session] = [s for s in daemon.json("sessions", "list") if not s["end"]]
    assert daemon.wayleave("sessions", "kill", session["id"]).returncode == 0


def stop_daemon(daemon):
    daemon.stop()


def remove_resource(daemon):
    daemon.config["resources"][0]["hosts"] = ["127.0.0.1:9"]
    daemon.write_config()
    daemon.reload()


@pytest.mark.parametrize("end", [kill_session, stop_daemon, remove_resource])
def test_what_a_session_that_is_ended_asked_for_ends_too(daemon, server, end):
    """It would go on for a minute, and be committed: the server notices nobody's leaving while it works."""
    text = "update orders set amount = amount from pg_sleep(120) where id = 1"
    told = "canceling statement due to user request"
    shell, before = Shell(daemon, url(server)), server.executed().count(told)
    shell.send(text + ";")
    wait_for(lambda: server.sql(f"select state from pg_stat_activity where query like '{text}%'") == "active", what="the statement")
    end(daemon)
    wait_for(lambda: backends(server) == "0", 60, what="the backend's end")
    assert server.executed().count(told) == before + 1
    shell.close()


def test_a_worker_that_dies_again_and_again(daemon):
    """Each time it is waited for longer, and each death is in the audit log: by a mistake of its own, too."""
    waits, ends = [], [signal.SIGKILL, signal.SIGSEGV, signal.SIGKILL, signal.SIGSEGV]
    for how in ends:
        started = time.monotonic()
        kill_worker(daemon, how)
        waits.append(time.monotonic() - started)
    assert all(least <= wait for least, wait in zip((0.25, 0.5, 1, 2), waits)), waits
    gone = [r for r in audit(daemon) if r["record"] == "host" and r["event"] == "worker_gone"]
    assert len(gone) == 4 and all(f"killed by signal {how}" in r["detail"] for how, r in zip(map(int, ends), gone)), gone
    # What the journal reads of each line is how serious it is (sd-daemon(3)).
    assert all(re.match(r"<[0-7]>\w+[ \w]*: ", line) for line in daemon.text().splitlines()), daemon.text()
    # Connections are served again.
    assert daemon.status()["workers"][0]["ready"]
