"""Signals sent to commands at random moments, and what must be true after each."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ray_head import environment

CLI = [sys.executable, "-m", "serve.cli"]
MARK = "RETINAFORGE_TEST_SHOT"
GONE = 90.0
"""Seconds within which everything that a command started must have ended after it: an agent of
Ray's sees that its Ray was killed only once it has started, which on a busy machine takes long."""
END = 120.0
NOISE = ("Traceback", "StackTrace", "@     0x", "Exception ignored")
SENTENCES = ("interrupted: ", "checkpoint written: the same command goes on from here")


@dataclass
class Shot:
    """A signal to a command, so many seconds after its start; and what came of it."""

    number: int
    seconds: float
    again: float | None
    code: int | None = None
    said: str = ""
    left: list[str] = field(default_factory=list)

    @property
    def told(self) -> str:
        name = signal.Signals(self.number).name
        twice = f", again {self.again:.2f} s later" if self.again is not None else ""
        return f"{name} after {self.seconds:.2f} s{twice}: exit {self.code}, {self.said[-200:]!r}"

    def wrong(self, usual: int) -> str:
        """What is not as promised, or nothing. `usual` is the code of an end by itself."""
        ended = self.code == usual
        if self.left:
            return f"left running: {self.left}"
        if any(noise in self.said for noise in NOISE):
            return "a traceback or a stack dump"
        if self.number == signal.SIGKILL:
            return "" if ended or self.code == -signal.SIGKILL else "not killed"
        if ended:
            return ""
        sentences = sum(self.said.count(each) for each in SENTENCES)
        return "" if (self.code, sentences) == (1, 1) else "no exit code of ours with one sentence"


class Range:
    """Where commands are shot at: each with a temporary folder and a mark of its own."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.temporary = Path(tempfile.mkdtemp(prefix="rf"))

    def start(self, words: list[str], mark: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*CLI, *words],
            env=environment(TMPDIR=str(self.temporary), **{MARK: mark}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, words: list[str]) -> tuple[int, float, str]:
        """Undisturbed: exit code, seconds, output."""
        began = time.monotonic()
        process = self.start(words, uuid.uuid4().hex)
        said = process.communicate(timeout=600)[0]
        return process.returncode, time.monotonic() - began, said

    def shoot(self, words: list[str], within: float) -> Shot:
        """At a moment drawn from the command's usual time."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
        shot = Shot(
            self.random.choices(numbers, (3, 3, 1, 3))[0],
            self.random.uniform(0.1, within),
            self.random.uniform(0, 2) if self.random.random() < 0.3 else None,
        )
        mark = uuid.uuid4().hex
        process = self.start(words, mark)
        for wait in (shot.seconds, shot.again):
            if wait is not None and not ended_within(process, wait):
                process.send_signal(shot.number)
        try:
            shot.said = process.communicate(timeout=END)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            shot.said = f"{process.communicate()[0]}\nstill there after {END:.0f} s"
        shot.code = process.returncode
        wait_until(lambda: not marked(mark), GONE)
        for each in marked(mark):
            shot.left.append(" ".join(each.cmdline())[:200])
            each.kill()
        return shot

    def close(self) -> None:
        shutil.rmtree(self.temporary, ignore_errors=True)


def ended_within(process: subprocess.Popen[str], seconds: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def marked(mark: str) -> list[psutil.Process]:
    """Every process with this mark in its environment, whoever its parent is by now."""
    found = []
    for each in psutil.process_iter():
        try:
            if each.environ().get(MARK) == mark and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
        except psutil.Error:
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
