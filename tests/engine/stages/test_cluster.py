"""Which Ray a run joins."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_head import Head, wait_for

from engine import device
from engine.schema import UserError
from engine.stages.cluster import NODES_WAIT, cluster, default_workers, worker_count

TIMEOUT = "RAY_DATA_EXECUTION_NO_PROGRESS_TIMEOUT_S"


@pytest.fixture
def head() -> Iterator[Head]:
    head = Head()
    wait_for(lambda: "Ray runtime started" in Path(head.log.name).read_text())
    yield head
    head.end()


def test_an_address_for_jobs_is_not_taken_for_a_clusters(monkeypatch):
    """As it is set for `retinaforge submit` and `ray job`."""
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(UserError, match="retinaforge submit"), cluster(None, 1):
        raise AssertionError


def test_a_port_where_nobody_listens_is_told_at_once_and_nothing_is_written(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        command = [sys.executable, "-m", "serve.cli", "generate", "--count", "2"]
        command += ["--model", "null", "--out", str(tmp_path / "o"), "--address", address]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2
    assert f"no Ray cluster answers at {address}" in run.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(("threads", "workers"), [(1, 6), (2, 3), (4, 1), (9, 1)])
def test_a_worker_is_counted_as_so_many_processors_as_it_has_threads(threads, workers, monkeypatch):
    monkeypatch.setattr(device, "cpu_count", lambda: 6)
    monkeypatch.setattr(device, "free_memory", lambda: 100 * device.WORKER_MEMORY)
    assert default_workers(gpu=False, threads=threads) == workers


@pytest.mark.parametrize(("wanted", "threads", "workers"), [(None, 2, 4), (None, 1, 8), (6, 2, 6)])
def test_a_run_that_asks_for_no_number_has_a_processor_for_each_thread(
    wanted, threads, workers, monkeypatch
):
    import ray

    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "memory": 1e15})
    assert worker_count(wanted, {"CPU": 0.9}, False, threads) == workers


WAITING = """
import sys
from engine.stages.cluster import cluster
with cluster(sys.argv[1], None):
    import ray.data
    print(ray.data.DataContext.get_current().execution_no_progress_timeout_s)
"""


@pytest.mark.slow
def test_a_run_waits_long_for_machines_and_says_so_when_it_gives_up(head, tmp_path):
    def told(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            env={**head.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    patient = told("-c", WAITING, head.address)
    assert float(patient.stdout) == NODES_WAIT, patient.stderr
    # No machine of this cluster will ever have one.
    words = ["generate", "--count", "3", "--model", "null", "--out", str(tmp_path / "o")]
    needs = ["--workers", "1", "--needs", "moon=1", "--address", head.address]
    given_up = told("-m", "serve.cli", *words, *needs, **{TIMEOUT: "5"})
    assert given_up.returncode == 1
    assert "error: no worker could start or end a part" in given_up.stderr, given_up.stderr
    assert "Traceback" not in given_up.stderr
