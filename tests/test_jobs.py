"""Jobs on a real Ray head without a processor of its own: submitted, attached to, stopped, finished
by the same command; by `retinaforge submit` and by Ray's own `ray job submit`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from ray_head import RAY, Head, wait_for

from serve import clusterjob
from serve.commands import app
from serve.jobserver import client_of
from serve.submission import checked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

ROOT = Path(__file__).parent.parent
CLI = [sys.executable, "-m", "serve.cli"]


def up(head: Head) -> Head:
    wait_for(lambda: "Ray runtime started" in Path(head.log.name).read_text())
    return head


def with_worker(head: Head) -> subprocess.Popen:
    """A node with two processors, as a cluster's pool has them."""
    flags = [f"--address={head.address}", "--num-cpus=2", "--num-gpus=0", "--block"]
    flags += ["--object-store-memory=100000000", "--disable-usage-stats"]
    flags += ["--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={head.folder}"]
    return subprocess.Popen(
        [str(RAY), "start", *flags],
        env=head.environment,
        stdout=head.log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    head = up(Head())
    worker = with_worker(head)
    yield head
    head.end(worker)


@pytest.fixture
def guarded(tmp_path) -> Iterator[Head]:
    """A head, a worker and a user with one token at home, as cluster.yaml makes them."""
    home = {"HOME": str(tmp_path / "home"), "RAY_AUTH_MODE": "token"}
    make = [str(RAY), "get-auth-token", "--generate"]
    subprocess.run(make, env={**os.environ, **home}, check=True, capture_output=True)
    head = up(Head(**home))
    worker = with_worker(head)
    yield head
    head.end(worker)


def submitted(head: Head, *words: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    command = [*CLI, "submit", "--address", head.url, *flags, "--", *words]
    return subprocess.run(
        command, env=head.environment, capture_output=True, text=True, timeout=240
    )


def generate(out: Path, count: int, *flags: str) -> list[str]:
    return ["generate", "--count", str(count), "--out", str(out), *flags]


def verdict(out: Path) -> dict[str, int]:
    done = subprocess.run([*CLI, "verify", str(out)], capture_output=True, text=True)
    return json.loads(done.stdout)


def whole(rows: int) -> dict[str, int]:
    zeros = dict.fromkeys(("missing", "duplicate", "corrupt", "orphan", "dead"), 0)
    return {"planned": rows, "committed": rows, **zeros}


def until(condition: Callable[[], object]) -> None:
    wait_for(condition, 90)


def test_a_job_is_attached_to_stopped_and_finished_by_the_same_command(head, tmp_path):
    from ray.job_submission import JobSubmissionClient

    out = tmp_path / "o"
    words = generate(out, 300, "--model", "null:300", "--workers", "2")
    first = submitted(head, *words, flags=("--no-wait",))
    name = first.stdout.strip()
    assert (first.returncode, len(name)) == (0, 64), first.stderr
    until(lambda: any((out / "commits").glob("[0-9]*.json")))

    again = submitted(head, *words, flags=("--no-wait",))
    assert (again.returncode, again.stdout.strip()) == (0, name)
    assert "running already; attached" in again.stderr
    other = submitted(head, *generate(out, 301, "--model", "null:300"), flags=("--no-wait",))
    assert other.returncode == 2
    assert f"job {name} is at work in {out} with other flags" in other.stderr

    client = JobSubmissionClient(head.url)
    client.stop_job(name)
    until(lambda: client.get_job_status(name).is_terminal())
    assert client.get_job_status(name) == "STOPPED"
    assert 0 < verdict(out)["missing"] < 300
    assert name == json.loads((out / "plan.json").read_text())["fingerprint"]

    finished = submitted(head, *words)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"job {name}-2 submitted" in finished.stderr
    assert "300 of 300 rows" in finished.stdout
    assert verdict(out) == whole(300)

    nothing = submitted(head, *words, flags=("--json",))
    assert json.loads(nothing.stdout) == {
        "submission_id": f"{name}-3",
        "status": "SUCCEEDED",
        "exit_code": 0,
    }
    assert "nothing to do" in nothing.stderr


def test_the_exit_code_is_the_commands_own(head, tmp_path):
    out = tmp_path / "o"
    assert submitted(head, *generate(out, 3, "--model", "null")).returncode == 0
    nothing = submitted(head, "verify", str(tmp_path))
    assert (nothing.returncode, "holds no plan.json" in nothing.stdout) == (2, True)
    next((out / "parts").glob("*.parquet")).write_bytes(b"")
    assert submitted(head, "verify", str(out)).returncode == 1


def test_a_model_that_training_starts_from_travels(head, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = ["train", "text-debug", "--workers", "0", "--set", "steps=2"]
    first = subprocess.run([*CLI, *train, "--out", "first"], capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    again = [*train, "--set", "init=first/model", "--out", str(tmp_path / "second")]
    done = submitted(head, *again)
    assert done.returncode == 0, done.stdout + done.stderr
    parents = json.loads((tmp_path / "second/model/model_card.json").read_text())["parents"]
    started = json.loads((tmp_path / "first/model/model_card.json").read_text())
    assert [each["weights_sha256"] for each in parents] == [started["weights_sha256"]]


def test_rays_own_command_sends_the_same_job_and_ours_finds_it(head, tmp_path):
    def ran(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=head.environment, capture_output=True, text=True, timeout=240
        )

    # A seed of its own: a job is known by its plan, and other tests' plans are the same.
    words = generate(tmp_path / "o", 80, "--model", "null:300", "--workers", "2", "--seed", "80")
    name = ran(*CLI, "submit", "--dry-run", "--", *words).stdout.strip()
    by_hand = [str(RAY), "job", "submit", "--address", head.url, "--submission-id", name]
    by_hand += ["--working-dir", str(ROOT), "--entrypoint-num-cpus", "0", "--no-wait", "--"]
    by_hand += ["python", "-m", "serve.cli", *words]
    first = ran(*by_hand)
    assert first.returncode == 0, first.stdout + first.stderr

    ours = submitted(head, *words)
    assert ours.returncode == 0, ours.stdout + ours.stderr
    assert f"job {name} is running already; attached" in ours.stderr
    assert verdict(tmp_path / "o") == whole(80)
    assert name == json.loads((tmp_path / "o" / "plan.json").read_text())["fingerprint"]
    twice = ran(*by_hand)
    assert twice.returncode != 0
    assert "already exists" in twice.stdout + twice.stderr


def test_a_head_that_is_lost_is_told_of(tmp_path, monkeypatch):
    """While its job waits for a machine."""
    monkeypatch.setattr(clusterjob, "PATIENCE", 3.0)
    head = up(Head())
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        if "starting Ray" in text and head.process.poll() is None:
            head.end()

    try:
        client = client_of(head.url)
        words = generate(tmp_path / "o", 3, "--model", "null", "--workers", "1")
        name = clusterjob.submit(client, checked(typer.main.get_command(app), words), told.append)
        with pytest.raises(clusterjob.Unreachable, match="answers no more"):
            clusterjob.followed(client, name, tell)
    finally:
        head.end()
    assert any("starting Ray" in text for text in told)


def test_a_token_guards_jobs_and_drivers(guarded, tmp_path):
    out = tmp_path / "o"
    words = generate(out, 20, "--model", "null")

    def told(command: list[str], **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [*CLI, *command],
            env={**guarded.environment, **environment},
            capture_output=True,
            text=True,
            timeout=240,
        )
        return done.returncode, done.stdout + done.stderr

    job = ["submit", "--address", guarded.url, "--", *words]
    for message, environment in (
        ("wants a token", {"RAY_AUTH_MODE": "disabled"}),
        ("wants a token", {"HOME": str(tmp_path)}),
        ("refuses this token", {"RAY_AUTH_TOKEN": "another" * 6}),
    ):
        code, text = told(job, **environment)
        assert (code, message in text, "Traceback" in text) == (2, True, False), text
    assert not out.exists()

    code, text = told(job)
    assert code == 0, text
    assert verdict(out) == whole(20)

    driver = [*generate(out, 30, "--model", "null"), "--address", guarded.address]
    code, text = told(driver, HOME=str(tmp_path))
    assert (code, "if it wants a token" in text, "Traceback" in text) == (2, True, False), text
    code, text = told(driver)
    assert code == 0, text
    assert verdict(out) == whole(30)
