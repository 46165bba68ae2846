"""Waiting for a process that stops itself (SIGSTOP) somewhere inside the code under test."""

from __future__ import annotations

import time
from pathlib import Path

import pytest


def is_stopped(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rsplit(")", 1)[1].split()[0] == "T"


def wait_until_stopped(pid: int) -> None:
    if not Path(f"/proc/{pid}/stat").exists():
        pytest.skip("needs /proc to see that a process has stopped")
    end = time.monotonic() + 60
    while not is_stopped(pid):
        assert time.monotonic() < end
        time.sleep(0.05)
