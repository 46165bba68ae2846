"""From a preset's name to a finished model folder: in this process, or on workers of Ray Train.

Ray and DeepSpeed are imported only when there are workers. Under Ray, rank 0 writes what happens
into a file in the run folder that this process follows, and a file beside it asks the workers to
stop.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from engine import guard
from engine.jobs.run import Schedule
from engine.schema import UserError, worded
from engine.stages.cluster import check, cluster, joins
from engine.stages.failure import RunError
from train.forecast import UNNAMED, Rent, forecast
from train.job import Job, make_job, nothing_left, take_up
from train.journal import EventFile, Journal
from train.loop import Emit, Session, SessionEnd, TrainingError
from train.recipe import OnLatents, Recipe
from train.stepper import OneProcess, Stepper

if TYPE_CHECKING:
    from ray.train.torch import TorchConfig

MAX_FAILURES = 3
"""Times that lost workers are replaced; nodes taken back by a cloud are not counted."""


def _say(line: str) -> None:
    print(worded(line), flush=True)


def run_training(
    preset: str,
    data: list[str],
    workers: int,
    overrides: dict[str, str],
    out: Path | None,
    dry_run: bool,
    say: Callable[[str], None] = _say,
    rented: Rent = UNNAMED,
) -> Path:
    """Train a preset, or go on where its run folder stopped; gives the finished model folder.

    workers: 0 trains in this process without Ray, more under Ray Train with DeepSpeed. `out` is
    `runs/PRESET` if None. What happens goes to `say`, a line each. A dry run writes nothing, tells
    what the run would take on what is `rented`, and gives the folder that would be written. Raises
    UserError for wrong input, TrainingError where training cannot go on, and SystemExit(1) after a
    signal that ends, with a checkpoint written.
    """
    if workers:
        check(None)
    job = make_job(preset, data, workers, overrides, out or Path("runs") / preset)
    folder = job.folder
    folder.check(job.settings, job.data)
    recipe = job.plan()
    if dry_run:
        forecast(job, recipe, say, rented)
        return folder.model
    steps = job.settings.steps
    with folder.claimed(job.settings, job.data) as claim:
        job = replace(job, claim=claim)
        latest = take_up(job, say)
        if nothing_left(job, latest, say):
            say(f"already at step {steps} of {steps}: nothing to do ({folder.model})")
            return folder.model
        say(job.announcement())
        say(recipe.counts)
        if latest:
            say(f"resuming at step {latest.step} of {steps}")
        outcome = _train(job, recipe, latest.step if latest else 0)
    if outcome.stopped:
        say(
            f"stopped at step {outcome.step} of {steps}, checkpoint written: "
            "the same command goes on from here"
        )
        raise SystemExit(1)
    say(f"step {outcome.step} of {steps} done: {folder.model}")
    return folder.model


def _train(job: Job, planned: Recipe, start: int) -> SessionEnd:
    """Run the loop here or on workers."""
    journal = Journal(job.root, start, job.settings.steps, job.settings.batch)
    try:
        if not job.workers:
            job = _with_latents(job, planned, Schedule(workers=0), journal.say)
            with noticed_signals() as received:
                return _in_process(job, planned, journal, received)
        journal.say("starting Ray")
        with _cluster(job.workers) as machines:
            job = _with_latents(job, planned, Schedule(), journal.say)
            with guard.at_leisure(), noticed_signals() as received:
                return _on_workers(job, machines, journal, received)
    finally:
        journal.close()


def _with_latents(job: Job, planned: Recipe, schedule: Schedule, say: Callable[[str], None]) -> Job:
    """The job, its latents made; a signal ends that as it ends any work, and what is made stays."""
    if not isinstance(planned, OnLatents):
        return job
    try:
        return replace(job, latents=planned.encode(schedule, say))
    except RunError as error:
        raise TrainingError(str(error)) from error


def _in_process(job: Job, planned: Recipe, journal: Journal, received: list[int]) -> SessionEnd:
    recipe = job.prepared(planned)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # Where it is installed, transformers imports DeepSpeed, which would warn that it found no GPU.
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    stepper = OneProcess(recipe.module, job.settings, device)
    with guard.at_leisure():
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
    """Signals go into the list instead of ending the process; a second one ends it."""
    received: list[int] = []
    every = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    # What is ignored, as under nohup, stays so.
    before = {each: was for each in every if (was := signal.getsignal(each)) != signal.SIG_IGN}

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


@dataclass(frozen=True)
class Machines:
    """Where workers run: what each takes, and whether they are all on this machine."""

    resources: dict[str, float]
    here: bool


@contextmanager
def _cluster(workers: int) -> Iterator[Machines]:
    """Ray, embedded unless RAY_ADDRESS or a Ray job names a cluster."""
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "300")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    import ray

    joined, shared = joins(None), ray.is_initialized()
    with cluster(None, workers):
        found = ray.cluster_resources()
        cpus = 1 if joined or shared else max(1, int(found["CPU"]) // workers)
        gpus = found.get("GPU", 0)
        if not (joined or shared) and 0 < gpus < workers:
            # A cluster may add machines; this one will not.
            problem = f"{workers} workers, but {gpus:.0f} GPUs"
            raise UserError(problem, asked="workers", expected=f"1 to {gpus:.0f}")
        resources: dict[str, float] = {"CPU": cpus, "GPU": 1} if gpus else {"CPU": cpus}
        yield Machines(resources, here=not joined and len(ray.nodes()) == 1)


def _on_workers(job: Job, machines: Machines, journal: Journal, received: list[int]) -> SessionEnd:
    """Follow Ray Train from this thread, which alone gets signals, while `fit` blocks another."""
    stop, events = job.private("stop"), EventFile(job.private("events"))
    events.clear()
    how = "bf16 over NCCL" if "GPU" in machines.resources else "float32 over gloo"
    journal.say(f"each worker has {_listed(machines.resources)}; {how}")
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(_fit(job, machines)), daemon=True)
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


def _fit(job: Job, machines: Machines) -> SessionEnd | Exception:
    """Ray Train's `fit`: the outcome of rank 0, or what should be raised."""
    with tempfile.TemporaryDirectory() as meeting:
        return _trained(job, machines.resources, _torch(machines, meeting))


def _torch(machines: Machines, meeting: str) -> TorchConfig:
    """How the workers' torch finds together."""
    from ray.train.torch import TorchConfig

    from train.meeting import OneMachine

    backend = "nccl" if "GPU" in machines.resources else "gloo"
    return OneMachine(backend, folder=meeting) if machines.here else TorchConfig(backend)


def _trained(job: Job, resources: dict[str, float], torch: TorchConfig) -> SessionEnd | Exception:
    from ray import train
    from ray.train.torch import TorchTrainer

    # The same (storage_path, name) would be Ray's own resume; ours reads the run folder's
    # checkpoints.
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"job": job},
        torch_config=torch,
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
    """One worker: gives its SessionEnd.

    An error that all workers see alike is given too, since Ray would retry one that is raised.
    """
    from ray import train
    from ray.train.torch import get_device

    device = get_device()
    os.environ["DS_ACCELERATOR"] = device.type
    from train.zero import Sharded, together

    job: Job = config["job"]
    events = EventFile(job.private("events"))
    try:
        recipe = together(job.build)
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
