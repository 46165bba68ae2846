"""From a preset's name to a finished model folder: in this process, or on workers of Ray Train.

Ray and DeepSpeed are imported only when there are workers. Under Ray, rank 0 writes what happens
into a file in the run folder that this process follows, and a file beside it asks the workers to
stop.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from engine.schema import UserError
from engine.stages.cluster import NOT_SHIPPED, ROOT
from train.forecast import forecast
from train.job import Job, make_job, nothing_left, take_up
from train.journal import EventFile, Journal
from train.loop import Emit, Outcome, Session, TrainingError
from train.stepper import OneProcess, Stepper

MAX_FAILURES = 3
"""Times that lost workers are replaced; nodes taken back by a cloud are not counted."""


def run_training(
    preset: str,
    data: list[str],
    workers: int,
    overrides: dict[str, str],
    out: Path | None,
    dry_run: bool,
) -> Path:
    """Train a preset, or go on where its run folder stopped; gives the finished model folder.

    workers: 0 trains in this process without Ray, more under Ray Train with DeepSpeed. `out` is
    `runs/PRESET` if None. A dry run writes nothing and gives the folder that would be written.
    Raises UserError for wrong input, TrainingError where training cannot go on, and SystemExit
    (128 + signal) after SIGTERM or Ctrl-C, with a checkpoint written.
    """
    job = make_job(preset, data, workers, overrides, out or Path("runs") / preset)
    folder = job.folder
    folder.check(job.settings, job.data)
    recipe = job.plan()
    if dry_run:
        forecast(job, recipe)
        return folder.model
    steps = job.settings.steps
    with folder.claimed(job.settings, job.data) as claim:
        job = replace(job, claim=claim)
        latest = take_up(job, _say)
        if nothing_left(job, latest, _say):
            _say(f"already at step {steps} of {steps}: nothing to do ({folder.model})")
            return folder.model
        _say(job.announcement())
        _say(recipe.counts)
        if latest:
            _say(f"resuming at step {latest.step} of {steps}")
        outcome, signum = _train(job, latest.step if latest else 0)
    if outcome.stopped:
        _say(
            f"stopped at step {outcome.step} of {steps}, checkpoint written: "
            "the same command goes on from here"
        )
        raise SystemExit(128 + signum)
    _say(f"step {outcome.step} of {steps} done: {folder.model}")
    return folder.model


def _train(job: Job, start: int) -> tuple[Outcome, int]:
    """Run the loop here or on workers; gives its outcome and the signal received (or 0)."""
    journal = Journal(job.folder.tensorboard, start, job.settings.steps, job.settings.batch)
    try:
        if job.workers:
            with _cluster(job.workers) as resources, noticed_signals() as received:
                outcome = _on_workers(job, resources, journal, received)
        else:
            with noticed_signals() as received:
                outcome = _in_process(job, journal, received)
        return outcome, received[0] if received else 0
    finally:
        journal.close()


def _in_process(job: Job, journal: Journal, received: list[int]) -> Outcome:
    recipe = job.build()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # Where it is installed, transformers imports DeepSpeed, which would warn that it found no GPU.
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    stepper = OneProcess(recipe.module, job.settings, device)
    return _session(job, recipe, stepper, journal, lambda: bool(received)).run()


def _session(
    job: Job,
    recipe: Any,
    stepper: Stepper,
    emit: Emit,
    asked_to_stop: Callable[[], bool],
    after_checkpoint: Callable[[dict[str, float]], None] = lambda values: None,
) -> Session:
    return Session(
        recipe=recipe,
        stepper=stepper,
        folder=job.folder,
        data=job.data,
        emit=emit,
        asked_to_stop=asked_to_stop,
        after_checkpoint=after_checkpoint,
        facts=job.facts,
    )


@contextmanager
def noticed_signals() -> Iterator[list[int]]:
    """SIGTERM and Ctrl-C go into the list instead of ending the process; a second one ends it."""
    received: list[int] = []
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}

    def note(signum: int, frame: object) -> None:
        received.append(signum)
        _say("stopping after this step")
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _cluster(workers: int) -> Iterator[dict[str, float]]:
    """Ray, embedded unless RAY_ADDRESS or a Ray job names a cluster; gives a worker's resources."""
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "300")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    import ray

    if ray.is_initialized():
        yield _resources(1, ray.cluster_resources())
        return
    address = os.environ.get("RAY_ADDRESS")
    cpus = 1 if address else max(1, (os.cpu_count() or 1) // workers)
    if address:
        # A submitted job has its runtime environment from the submission; naming one twice fails.
        job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
        code = {} if job else {"working_dir": str(ROOT), "excludes": NOT_SHIPPED}
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        ray.init(address=address, runtime_env=code, **quiet)
    else:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        # More workers than cores still start: they share them.
        ray.init(
            address="local",
            num_cpus=workers * cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    try:
        cluster = ray.cluster_resources()
        gpus = cluster.get("GPU", 0)
        if not address and 0 < gpus < workers:
            # A cluster may add machines; this one will not.
            asked = f"{workers} workers, but {gpus:.0f} GPUs"
            raise UserError(asked, field="--workers", expected=f"1 to {gpus:.0f}")
        yield _resources(cpus, cluster)
    finally:
        ray.shutdown()


def _resources(cpus: int, cluster: dict[str, float]) -> dict[str, float]:
    """What each worker takes: a GPU where the cluster has any."""
    return {"CPU": cpus, "GPU": 1} if cluster.get("GPU", 0) else {"CPU": cpus}


def _on_workers(
    job: Job, resources: dict[str, float], journal: Journal, received: list[int]
) -> Outcome:
    """Follow Ray Train from this thread, which alone gets signals, while `fit` blocks another."""
    stop, events = job.private("stop"), EventFile(job.private("events"))
    events.clear()
    how = "bf16 over NCCL" if "GPU" in resources else "float32 over gloo"
    journal.say(f"each worker has {_listed(resources)}; {how}")
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(_fit(job, resources)), daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
            events.follow(journal)
            if received:
                stop.touch()
    finally:
        stop.unlink(missing_ok=True)
        events.path.unlink(missing_ok=True)
        shutil.rmtree(job.private("ray"), ignore_errors=True)
    if isinstance(ended[0], Exception):
        raise ended[0]
    return ended[0]


def _fit(job: Job, resources: dict[str, float]) -> Outcome | Exception:
    """Ray Train's `fit`: the outcome of rank 0, or what should be raised."""
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer

    # The same (storage_path, name) would be Ray's own resume; ours reads the run folder's
    # checkpoints.
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"job": job},
        torch_config=TorchConfig(backend="nccl" if "GPU" in resources else "gloo"),
        scaling_config=train.ScalingConfig(
            num_workers=job.workers,
            use_gpu="GPU" in resources,
            resources_per_worker=resources,
        ),
        run_config=train.RunConfig(
            name=job.private("ray").name,
            storage_path=str(job.root),
            failure_config=train.FailureConfig(max_failures=MAX_FAILURES),
        ),
    )
    try:
        result: Any = trainer.fit()
    except train.WorkerGroupError as error:
        failures = "; ".join(f"worker {rank}: {e}" for rank, e in error.worker_failures.items())
        return TrainingError(f"workers kept failing; the last checkpoint is kept: {failures}")
    except Exception as error:
        return TrainingError(f"Ray Train could not run: {error}")
    return result.return_value


def _worker(config: dict[Any, Any]) -> Any:
    """One worker: gives its Outcome.

    An error that all workers see alike is given too, since Ray would retry one that is raised.
    """
    from ray import train
    from ray.train.torch import get_device

    device = get_device()
    os.environ["DS_ACCELERATOR"] = device.type
    from train.zero import Sharded, in_turn

    job: Job = config["job"]
    events = EventFile(job.private("events"))
    try:
        local = train.get_context().get_local_rank()
        recipe = in_turn(job.build, first=local == 0)
        stepper = Sharded(recipe.module, job.settings, device)
        latest = job.folder.latest()
        if stepper.rank == 0 and events.path.stat().st_size:
            step = latest.step if latest else 0
            events({"say": f"workers were replaced: going on from step {step}"})
        stop = job.private("stop")
        return _session(job, recipe, stepper, events, stop.exists, train.report).run()
    except (UserError, TrainingError) as error:
        return error


def _listed(resources: dict[str, float]) -> str:
    return " and ".join(f"{count} {name}" for name, count in resources.items())


def _say(line: str) -> None:
    print(line, flush=True)
