# SPDX-License-Identifier: Apache-2.0
"""scripts/demo as a newcomer runs it: what it shows is true, the commands it prints work, and nothing of it stays."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from harness import daemon as daemons  # noqa: E402


def demo(*options):
    done = subprocess.run([ROOT / "scripts" / "demo", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, timeout=240)
    assert done.returncode == 0, done.stdout
    return done.stdout


def steps(shown):
    return {title: text for title, text in re.findall(r"^== (.*)\n((?:(?!== ).*\n)*)", shown, re.M)}


def left(told):
    """What a demo left on the host, by what its end told: kernel objects, folders, mounts, processes."""
    instance = re.search(r"table inet (wayleave_\w+)", told)[1]
    tables = subprocess.run(["nft", "list", "tables"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    found = daemons.leftovers(["wayleave-demo.slice"], told)
    found += [line for line in tables if instance in line]
    found += [str(f) for f in pathlib.Path("/tmp").glob("wayleave-demo.*")]
    found += [line for line in open("/proc/self/mountinfo") if "wayleave-demo." in line]
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [command] if "/wayleave-demo." in command else []
    return found


def sh(command):
    environment = {**os.environ, "PGCONNECT_TIMEOUT": "10"}
    return subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env=environment, timeout=60)


def test_what_it_shows():
    told = demo()
    shown = steps(told)
    assert [re.split(r"[:,]| is an", title)[0] for title in shown] == [
        "A read", "A write that policy refuses", "Trying to get round it", "The recording of the second session", "The audit log"]
    read, write, round_it, recording, log = shown.values()
    assert "Ann" in read and "123-45-6789" not in read and "ann@example.com" not in read
    assert re.search(r"\*+ ?1111\b", read), read  # of the card the last four stay
    assert write.count("ERROR:") == 1 and "wayleave" in write and re.search(r"INSERT 0 1[\s\S]*count[\s\S]*\n +4\n", write), write
    assert round_it.count("ERROR:") >= 4 and "123-45-6789" not in round_it and "still has its 4 rows" in round_it, round_it
    assert re.search(r"  deny\n +update public.customers", recording), recording
    assert re.search(r"  allow .*\n +insert public.orders", recording), recording
    assert re.search(r"^\d+ records in \d+ streams, [1-9]\d* checkpoints: good$", log, re.M), log
    assert left(told) == []


def test_left_running_and_ended():
    last = list(steps(demo("--keep")).values())[-1]
    tries, end = last.split("To end it:\n")
    export, *commands = [line.strip() for line in tries.splitlines() if line.strip()]
    try:
        for command in commands:
            if "$EDITOR" in command:
                assert pathlib.Path(command.split()[1]).is_file()
                continue
            done = sh(f"{export}\n{command}" + (" -c 'select count(*) from orders'" if " psql " in command else ""))
            # What is explained is refused, and its exit status says so.
            assert done.returncode == ("policy explain" in command), (command, done.stdout)
    finally:
        ended = sh(end)
    assert ended.returncode == 0, ended.stdout
    assert left(ended.stdout) == []


def test_its_end_kills_nobody_else():
    """The number may be another process's by now."""
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wayleave-demo.", dir="/tmp"))
    try:
        (folder / "daemon").write_text(f"{other.pid}\n")
        ended = sh(f"{ROOT}/scripts/demo --end {folder}")
        assert ended.returncode == 0, ended.stdout
        assert other.poll() is None and not folder.exists()
    finally:
        other.kill()
        other.wait()
        shutil.rmtree(folder, ignore_errors=True)
