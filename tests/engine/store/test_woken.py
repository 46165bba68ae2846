"""Drivers, workers and writers that are paused at a random moment while another run finishes, then
woken: rows, cards and `verify` stay as that run left them.

`WOKEN_POINTS` asks for more points, `WOKEN_SEED` for others.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from engine.store.commits import Folder, read_commits

POINTS = int(os.environ.get("WOKEN_POINTS", "2"))
SEED = int(os.environ.get("WOKEN_SEED", "1"))
ROWS, MILLISECONDS = 300, 40
COMMAND = [sys.executable, "-m", "serve.cli"]
MOMENTS = ("before Ray", "after rows", "at the end")
WHO = ("driver", "worker", "writer")
PATIENCE = 300


def start(*arguments: object) -> subprocess.Popen:
    """A command in a group of processes of its own."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True)


def generate(out: Path) -> tuple[object, ...]:
    return ("generate", "--model", f"null:{MILLISECONDS}", "--count", ROWS, "--workers", 2,
            "--out", out)  # fmt: skip


def below(pid: int) -> dict[int, str]:
    """All descendants of a process and what they call themselves."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit():
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                )
                names[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return {each: names[each] for each in found - {pid}}
        found |= more


def wait_for(condition, process: subprocess.Popen, why: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition() and process.poll() is None:
        assert time.monotonic() < end, why
        time.sleep(0.01)


def committed(out: Path) -> int:
    return len(list((out / "commits").glob("[0-9]*.json"))) if out.exists() else 0


def pause(victim: str, driver: subprocess.Popen, out: Path, rng: random.Random) -> list[int]:
    """Stop the victim somewhere in the run; the pids that were stopped."""
    moment = rng.choice(MOMENTS if victim == "driver" else MOMENTS[1:2])
    if moment == "before Ray":
        time.sleep(rng.uniform(0.5, 6))
    else:
        least = rng.randrange(1, 6)
        wait_for(lambda: committed(out) >= least, driver, "no commit")
        if moment == "at the end":
            closing = out / "README.md"
            before = closing.stat().st_mtime_ns
            wait_for(lambda: closing.stat().st_mtime_ns != before, driver, "no card")
        else:
            time.sleep(rng.uniform(0, 1.5))
    pids: list[int] = []

    def seen() -> bool:
        if victim == "driver":
            # The command itself, below the process that takes its signals.
            pids[:] = [each.pid for each in psutil.Process(driver.pid).children()]
        else:
            name = "MapWorker" if victim == "worker" else "Write"
            pids[:] = [pid for pid, said in below(driver.pid).items() if name in said]
        return bool(pids)

    with suppress(psutil.NoSuchProcess):
        wait_for(seen, driver, f"no {victim}")
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    return pids


def contents(out: Path) -> dict[str, str]:
    """Every file that stays, by name: its bytes' hash."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.endswith(".tmp") and path.parent.name != "attempts"
    }


def end(process: subprocess.Popen, pids: list[int], family: set[int]) -> str:
    """Wake the paused, wait until the command and all it started are gone; what it said."""
    alive = {process.pid, *family}
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    try:
        told = process.communicate(timeout=PATIENCE)[1]
        until = time.monotonic() + PATIENCE
        while any(is_alive(pid) for pid in {*alive, *pids}) and time.monotonic() < until:
            time.sleep(0.2)
        return told
    finally:
        for pid in {*alive, *pids}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Index and image of every row of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("woken") / "o"
    assert call(*generate(out)).returncode == 0
    return rows_of(out)


def rows_of(out: Path) -> list[tuple[int, str, bytes]]:
    import pyarrow.parquet as pq

    rows = [
        (row["index"], row["id"], row["image"]["bytes"])
        for commit in read_commits(Folder(out))[0]
        for row in pq.read_table(out / "parts" / commit.part).to_pylist()
    ]
    return sorted(rows)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE * 6)
@pytest.mark.parametrize("point", range(POINTS))
def test_whoever_is_paused_and_woken_changes_nothing(point, undisturbed, tmp_path):
    rng = random.Random(SEED * 1000 + point)
    victim = WHO[point % len(WHO)]
    out = tmp_path / "o"
    driver = start(*generate(out))
    paused: list[int] = []
    family: set[int] = set()
    try:
        paused = pause(victim, driver, out, rng)
        family |= {*below(driver.pid)}
        if victim != "driver" and driver.poll() is None:
            driver.kill()
        newer = call(*generate(out))
        assert newer.returncode == 0, newer.stderr
        before = contents(out)
        assert call("verify", out).returncode == 0
    finally:
        told = end(driver, paused, family)
    print(f"{victim}: {paused}, exit {driver.returncode}: {told.strip().splitlines()[-1:]}")
    assert "Traceback" not in told
    assert driver.returncode in (0, 1, -signal.SIGKILL)
    verdict = call("verify", out)
    assert (verdict.returncode, json.loads(verdict.stdout)["committed"]) == (0, ROWS)
    assert contents(out) == before
    assert rows_of(out) == undisturbed
    assert f"{ROWS} of {ROWS} planned" in (out / "README.md").read_text()
