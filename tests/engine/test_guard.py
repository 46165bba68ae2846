"""Commands that are told to end, that crash, and that leave others behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

START = "import os, signal, subprocess, sys, time\nfrom engine import guard\nguard.enter()\n"
READY = "print('ready', flush=True)\n"
INTERRUPTED = "interrupted: what is finished is safe, and the same command goes on from there\n"


@pytest.fixture
def temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rf") as folder:
        yield Path(folder)


@pytest.fixture
def command(temporary):
    """command(code): a guarded process that has come to READY."""
    started = []

    def start(code: str, ready: bool = True, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", START + code],
            env={**os.environ, "TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        if ready:
            assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for each in started:
        each.kill()


def gone(pid: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_by_way_of_every_finally_and_in_one_sentence(command, temporary, number):
    kept = temporary / "kept"
    code = f"try:\n  {READY.strip()}; time.sleep(60)\n"
    code += f"finally:\n  print('never seen'); open({str(kept)!r}, 'w')\n"
    process = command(code)
    process.send_signal(number)
    assert process.communicate(timeout=30) == ("", INTERRUPTED)
    assert process.returncode == 1
    assert list(temporary.iterdir()) == [kept]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGINT, "interrupted: nothing is kept, and the same command begins anew\n"),
        (signal.SIGABRT, "error: SIGABRT ended this command\n"),
    ],
)
def test_what_keeps_nothing_promises_nothing(command, number, said):
    process = command("guard.begins_anew()\n" + READY + "time.sleep(60)")
    to = process.pid if number == signal.SIGINT else psutil.Process(process.pid).children()[0].pid
    os.kill(to, number)
    assert process.communicate(timeout=30) == ("", said)


def test_whoever_does_not_listen_is_ended_by_a_second_signal(command):
    process = command("signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + READY + "time.sleep(60)")
    process.terminate()
    time.sleep(0.5)
    assert process.poll() is None
    process.terminate()
    assert process.communicate(timeout=30) == ("", INTERRUPTED)
    assert process.returncode == 1


def test_a_command_at_leisure_ends_in_its_own_words(command):
    code = f"try:\n  with guard.at_leisure():\n    {READY.strip()}; time.sleep(60)\n"
    code += "except KeyboardInterrupt:\n  time.sleep(1); print('done'); sys.exit(0)\n"
    process = command(code)
    process.terminate()
    assert process.communicate(timeout=30) == ("done\n", "")
    assert process.returncode == 0


def test_what_nohup_ignores_stays_ignored(command):
    process = command(
        READY + "time.sleep(1); print('done')",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=30) == ("done\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("os.abort()", 1, "error: SIGABRT ended this command; the same command goes on from there"),
        ("os.kill(os.getpid(), 9)", 1, "error: SIGKILL ended this command (for want of memory, "),
        ("sys.exit(77)", 1, ""),
        ("sys.exit(3)", 3, ""),
        ("", 0, ""),
    ],
)
def test_exit_codes_are_those_of_the_contract(command, code, exit_code, said):
    process = command(code, ready=False)
    assert process.communicate(timeout=30)[1].startswith(said)
    assert process.returncode == exit_code


LEAVE = "each = subprocess.Popen(['sleep', '77'], start_new_session=True)\n"


def test_nothing_that_was_started_outlives_the_command(command):
    process = command(LEAVE + "print('ready'); print(each.pid, flush=True)", ready=False)
    pid = int(process.communicate(timeout=30)[0].split()[1])
    assert gone(pid, 0)


def test_a_killed_guard_takes_its_command_along_and_the_next_clears_its_folder(command, temporary):
    process = command(READY + "print(os.getpid(), flush=True); time.sleep(60)")
    pid = int(process.stdout.readline())
    process.kill()
    assert gone(pid)
    assert len(list(temporary.iterdir())) == 1
    assert command("", ready=False).wait(30) == 0
    assert list(temporary.iterdir()) == []
