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

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

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


def rows_committed(out: Path) -> int:
    return sum(json.loads(file.read_text())["rows"] for file in (out / "commits").glob("*.json"))


def after_one_commit(start: Callable[[list[str]], Driver], command: list[str]) -> Driver:
    """Start the command, and come back when this run (not one before it) has committed a part."""
    out = Path(command[command.index("--out") + 1])
    number = len(list((out / "attempts").glob("*.json"))) + 1
    run = start(command)
    wait_for(
        lambda: (
            any((out / "commits").glob(f"{number:06d}-*.json")) or run.process.poll() is not None
        )
    )
    assert run.process.poll() is None, "the run was over before the fault"
    return run


def test_600_rows_survive_two_driver_kills_and_a_worker_kill(tmp_path, driver):
    out = tmp_path / "o"
    command = generate(out, 600, "--model", "null:20", "--workers", "2")

    for _ in range(2):
        after_one_commit(driver, command).kill()
    assert 0 < rows_committed(out) < 600

    run = after_one_commit(driver, command)
    (victim, *_) = run.below("MapWorker")
    victim.send_signal(signal.SIGKILL)

    assert run.process.wait(150) == 0
    assert verdict(out) == whole(600)
    assert stored_indices(out) == list(range(600))
    assert len(list((out / "attempts").glob("*.json"))) == 3


def test_a_killed_raylet_takes_the_run_with_it_and_the_same_command_finishes(tmp_path, driver):
    out = tmp_path / "o"
    command = generate(out, 400, "--model", "null:20", "--workers", "2")
    run = after_one_commit(driver, command)
    for raylet in run.below("raylet/raylet"):
        raylet.send_signal(signal.SIGKILL)
    assert run.process.wait(150) != 0
    assert 0 < rows_committed(out) < 400

    assert finish(command).returncode == 0
    assert verdict(out) == whole(400)


def test_a_kill_between_the_parts_name_and_its_record(tmp_path):
    """Parts without a record, as such a kill leaves them, are cleared and drawn again."""
    out = tmp_path / "o"
    command = generate(out, 3000, "--model", "null", "--workers", "1")
    assert finish(command).returncode == 0
    for record in list((out / "commits").glob("*.json"))[:2]:
        record.unlink()
    found = verdict(out)
    assert (found["orphan"], found["committed"] + found["missing"]) == (2, 3000)

    assert finish(command).returncode == 0
    assert verdict(out) == whole(3000)
    assert stored_indices(out) == list(range(3000))


def test_a_part_cut_by_hand_is_found_and_mended_by_the_same_command(tmp_path):
    out = tmp_path / "o"
    command = generate(out, 300, "--model", "null", "--workers", "1")
    assert finish(command).returncode == 0
    part = next((out / "parts").glob("*.parquet"))
    with part.open("r+b") as file:
        file.truncate(part.stat().st_size - 1000)
    check = finish([*CLI, "verify", str(out)])
    assert (check.returncode, json.loads(check.stdout)["corrupt"]) == (1, 1)

    mended = finish(command)
    assert mended.returncode == 0
    assert "1 damaged parts dropped" in mended.stderr
    assert verdict(out) == whole(300)
    again = finish(command)
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs takes root; the file-size test stands in for it")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_full_disk_stops_the_run_clearly_and_the_same_command_goes_on(small_disk):
    out = small_disk / "o"
    command = generate(out, 4000, "--model", "null", "--workers", "1")
    full = finish(command)
    assert full.returncode == 1
    assert "No space left on device" in full.stderr
    assert "Traceback" not in full.stderr
    assert rows_committed(out) < 4000

    grow = ["mount", "-o", "remount,size=50m", str(small_disk)]
    subprocess.run(grow, check=True)
    assert finish(command).returncode == 0
    assert verdict(out) == whole(4000)


def test_a_node_of_a_cluster_is_lost(tmp_path, driver, monkeypatch):
    """Two nodes of one processor each; the one without the head dies while it draws."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    out = tmp_path / "o"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        command = generate(out, 500, "--model", "null:20", "--address", cluster.address)
        run = after_one_commit(driver, command)
        cluster.remove_node(node, allow_graceful=False)
        assert run.process.wait(200) == 0
    finally:
        cluster.shutdown()
    assert verdict(out) == whole(500)
    assert stored_indices(out) == list(range(500))
