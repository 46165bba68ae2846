"""Faults with real processes: drivers and workers killed, a disk that fills up, a part cut by hand.

Whatever happens, the same command finishes the run, and `verify` proves that no row is lost or
doubled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow.dataset
import pytest

CLI = [sys.executable, "-m", "serve.cli"]
ENVIRONMENT = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONUNBUFFERED": "1"}
ENVIRONMENT.pop("RAY_ADDRESS", None)


def generate(out: Path, count: int, *flags: str) -> list[str]:
    return [*CLI, "generate", "--count", str(count), "--seed", "3", "--out", str(out), *flags]


def finish(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)


def verdict(out: Path) -> dict[str, int]:
    return json.loads(finish([*CLI, "verify", str(out), "--json"]).stdout)


def whole(rows: int) -> dict[str, int]:
    zeros = dict.fromkeys(("missing", "duplicate", "corrupt", "orphan", "dead"), 0)
    return {"planned": rows, "committed": rows, **zeros}


def stored_indices(out: Path) -> list[int]:
    return sorted(pyarrow.dataset.dataset(out / "parts").to_table(["index"])["index"].to_pylist())


def commits(out: Path) -> int:
    return len(list((out / "commits").glob("*.json")))


def wait_for(condition: Callable[[], bool], seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


class Driver:
    """A generate command in a process group of its own, and what runs below it."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def below(self, title: str) -> list[psutil.Process]:
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if title in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.Error:
                continue
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def driver() -> Iterator[Callable[[list[str]], Driver]]:
    started: list[Driver] = []

    def start(command: list[str]) -> Driver:
        started.append(Driver(command))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.kill()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_600_rows_survive_two_driver_kills_and_a_worker_kill(tmp_path, driver):
    out = tmp_path / "o"
    command = generate(out, 600, "--model", "null:20", "--workers", "2")

    for kill in (1, 2):
        before = commits(out)
        run = driver(command)
        wait_for(lambda before=before: commits(out) >= before + 2)
        run.kill()
        done = sum(json.loads(f.read_text())["rows"] for f in (out / "commits").glob("*.json"))
        assert 0 < done < 600, f"kill {kill} missed the run"

    before = commits(out)
    run = driver(command)
    wait_for(lambda: commits(out) > before)
    victims = run.below("MapWorker")
    assert victims
    victims[0].send_signal(signal.SIGKILL)

    assert run.process.wait(150) == 0
    assert verdict(out) == whole(600)
    assert stored_indices(out) == list(range(600))
    assert len(list((out / "attempts").glob("*.json"))) == 3
