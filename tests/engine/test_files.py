"""The lock of a folder: one at a time, and a moment's patience for who is just dying."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from engine.files import hold

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
time.sleep({})
"""


@pytest.fixture
def held(tmp_path):
    """held(seconds) -> a file that another process holds for so long."""
    running = []

    def start(seconds):
        file = tmp_path / "lock"
        file.touch()
        command = [sys.executable, "-c", HOLD.format(seconds), str(file)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        running[-1].stdout.readline()
        return file

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_lock_that_another_keeps_is_not_had(held):
    with held(60).open() as file:
        assert not hold(file, patience=0.3)


def test_a_lock_that_another_soon_lets_go_is_had(held):
    with held(0.4).open() as file:
        begun = time.monotonic()
        assert hold(file, patience=30)
        assert time.monotonic() - begun < 20
        with open(file.name) as other:
            assert not hold(other, patience=0)
