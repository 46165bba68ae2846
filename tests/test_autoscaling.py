"""Real autoscaling: a run that needs GPUs makes nodes appear, loses one of them, and ends whole.

Ray's own autoscaler works here as on a cloud; only its nodes are raylets on this machine, and their
GPUs are made up (the null model touches none).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset
import pytest
from ray_head import Head, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

CLI = [sys.executable, "-m", "serve.cli"]
GPU_NODE = {
    "resources": {"CPU": 1, "GPU": 1, "object_store_memory": 100_000_000},
    "node_config": {},
    "min_workers": 0,
    "max_workers": 2,
}


@pytest.fixture
def head() -> Iterator[Head]:
    head = Head({"gpu": GPU_NODE})
    yield head
    head.end()


def commits(out: Path) -> int:
    return len(list((out / "commits").glob("[0-9]*.json")))


def test_nodes_come_for_the_gpus_asked_for_one_is_killed_the_run_ends_whole_and_they_go(
    head, tmp_path
):
    out = tmp_path / "o"
    wait_for(lambda: "Ray runtime started" in Path(head.log.name).read_text())
    assert head.raylets() == []
    flags = ["--model", "null:50", "--workers", "2", "--needs", "GPU=1"]
    run = subprocess.Popen(
        [*CLI, "generate", "--count", "600", "--out", str(out), *flags, "--address", head.address],
        env=head.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: commits(out) >= 2 or run.poll() is not None, 90)
        assert run.poll() is None, f"the run was over before the fault: {run.communicate()[1]}"
        first = head.raylets()
        assert len(first) == 2, "a node for each worker"
        first[0].send_signal(signal.SIGKILL)
        _, told = run.communicate(timeout=120)
    finally:
        run.kill()
    assert run.returncode == 0, told

    verify = [*CLI, "verify", str(out), "--json"]
    check = subprocess.run(verify, env=head.environment, capture_output=True, text=True)
    zeros = dict.fromkeys(("missing", "duplicate", "corrupt", "orphan", "dead"), 0)
    assert json.loads(check.stdout) == {"planned": 600, "committed": 600, **zeros}
    rows = pyarrow.dataset.dataset(out / "parts").to_table(["index"])["index"].to_pylist()
    assert sorted(rows) == list(range(600))
    wait_for(lambda: head.raylets() == [])


def test_without_a_number_of_workers_a_cluster_with_no_gpu_yet_is_told_of(head, tmp_path):
    wait_for(lambda: "Ray runtime started" in Path(head.log.name).read_text())
    command = [*CLI, "generate", "--count", "3", "--out", str(tmp_path / "o"), "--model", "null"]
    command += ["--needs", "GPU=1", "--address", head.address]
    done = subprocess.run(
        command, env=head.environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 2
    assert "each worker takes 1 GPU and this cluster has 0 now" in done.stderr
    assert "--workers N waits" in done.stderr
