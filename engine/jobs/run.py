"""Work on a folder carried out: plan minus what is done, made by Ray actors, committed part by
part. What a row is (drawn, captioned, encoded) and who makes it is the `Work`'s to say.

A run is: take the next attempt, clear and mend the folder, cut the missing rows into chunks of
about a minute, make each chunk with one actor call, commit each as a part; then look again, and go
on until nothing is missing. The commits are the only truth, so whatever dies on the way, the same
call finishes the work.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import pyarrow as pa

from engine import cpu
from engine.jobs.work import Work
from engine.publish.card import write_card
from engine.stages.call import FatalError
from engine.stages.cluster import check, cluster, joins, worker_count
from engine.stages.failure import RunError, cause_of, disk_trouble
from engine.stages.limits import PartLimits
from engine.stages.watch import Progress, Tell, standing, watching
from engine.store import ranges
from engine.store.commits import (
    Attempt,
    Folder,
    attempts,
    check_fence,
    end_attempt,
    is_closed,
    orphans,
    read_commits,
    sweep,
    take_attempt,
)
from engine.store.parts import dead_files, read_dead, write_outcomes
from engine.store.place import StaleAttempt
from engine.store.plan import is_of_pictures, plan_of, write_plan
from engine.store.ranges import Ranges
from engine.store.seal import is_sealed
from engine.store.verify import mend, missing_rows, unsound

PART_SECONDS = 60.0
PART_ROWS = 1024
PART_BYTES = 256 << 20
CHUNKS_PER_WORKER = 8
LEAST_SECONDS = 1.0
"""A small run is cut finer than a minute, so that every worker has some parts and the last ones end
together.
"""
CHUNKS_AT_ONCE = 50_000
_LIMITS = PartLimits(2 * PART_SECONDS, PART_BYTES)

WORKER_CPU, WRITER_CPU = 0.9, 0.1
"""A worker and its writer share one processor, so no number of workers can keep a writer from
starting.
"""


@dataclass(frozen=True)
class Schedule:
    """How a run is scheduled; nothing here decides a pixel. None leaves the choice to the machine;
    with 0 workers this process does all itself, without Ray. `resources` is what each worker takes
    beside its own, by Ray's names.
    """

    workers: int | None = None
    batch: int | None = None
    address: str | None = None
    part_rows: int | None = None
    resources: dict[str, float] = field(default_factory=dict)


def carry_out(
    root: Path, work: Work, count: int | None, schedule: Schedule, tell: Tell, redrive: bool = False
) -> Progress:
    """Bring the folder to `count` rows (None: to what is planned) and return where it stands.

    Raises UserError for a plan or count that the folder refuses, RunError if the run cannot go on.
    """
    folder = Folder(root)
    if is_whole(folder, count) and not (redrive and dead_files(folder)[0]):
        return replace(standing(folder), note="nothing to do")
    if schedule.workers != 0:
        check(schedule.address)
    try:
        write_plan(root, work.plan)
        folder.make()
        attempt = take_attempt(folder, count, redrive)
        sweep(folder, attempt.number)
        mended = mend(folder, attempt.number)
        if mended.damaged_parts or mended.shared_rows:
            tell(replace(standing(folder), note=_worded(mended.damaged_parts, mended.shared_rows)))
        if missing_rows(folder, attempt.count):
            # Whoever looks into the folder before its end must not be told that it is whole.
            _describe(folder, work, attempt)
        state = _make_missing(folder, work, attempt, schedule, tell)
        _finish(folder, work, attempt)
    except StaleAttempt as error:
        raise RunError(f"{error}; this run stops and leaves the folder to the newer one") from error
    except OSError as error:
        raise RunError(disk_trouble(error, root)) from error
    # What was drawn and how fast is the watch's to say; where the folder stands is recounted.
    return replace(
        standing(folder),
        drawn=state.drawn,
        seconds=state.seconds,
        images_per_s=state.images_per_s,
    )


def is_whole(folder: Folder, count: int | None) -> bool:
    """Whether a run would have nothing to do: no row missing, no part changed, nothing left over,
    and, of pictures, a card that was made from just that.
    """
    latest = attempts(folder)[-1:]
    planned = max((attempt.count for attempt in attempts(folder)), default=0)
    if not latest or not is_closed(folder, latest[0].number):
        return False
    if (count is not None and count != planned) or missing_rows(folder, planned):
        return False
    commits, damaged = read_commits(folder)
    distinct = ranges.union(each for commit in commits for each in commit.indices)
    shared = sum(commit.rows for commit in commits) > ranges.size(distinct)
    untidy = damaged or shared or next(orphans(folder), None)
    untidy = untidy or dead_files(folder)[1] or read_dead(folder)[1]
    told = not is_of_pictures(plan_of(folder)) or is_sealed(folder)
    return told and not untidy and not unsound(folder, commits)


def rows_per_part(folder: Folder, work: Work, missing: int, workers: int) -> int:
    """Rows in a part: a minute of one worker at this folder's own pace, within rows and bytes."""
    commits, _ = read_commits(folder)
    recent = [each for each in commits if each.rows][-64:]
    seconds = median(each.worker_seconds / each.rows for each in recent) if recent else 0.0
    seconds = seconds or work.row_seconds or 1e-3
    heavy = median(each.bytes / each.rows for each in recent) if recent else 0.0
    heavy = heavy or work.row_bytes
    rows = min(PART_ROWS, PART_SECONDS / seconds, PART_BYTES / heavy)
    share = missing / (workers * CHUNKS_PER_WORKER)
    rows = min(rows, math.ceil(max(share, LEAST_SECONDS / seconds)))
    per_call = work.rows_per_call
    return max(per_call, int(rows) // per_call * per_call)


def _make_missing(
    folder: Folder, work: Work, attempt: Attempt, schedule: Schedule, tell: Tell
) -> Progress:
    """Make rows until nothing is missing, and say how that went."""
    missing = missing_rows(folder, attempt.count)
    if not missing:
        return standing(folder)
    if schedule.workers == 0:
        with watching(folder, tell) as watch:
            _until_none_is_missing(folder, work, attempt, schedule, 1, _one_pass_here)
            return watch.look()
    tell(replace(standing(folder), note="starting Ray"))
    # A job of Ray runs from shipped code, which another raylet of its machine may lay down anew
    # once this process has joined: the driver needs nothing of it from then on.
    import engine.store.sink  # noqa: F401

    joined = joins(schedule.address)
    with cluster(schedule.address, schedule.workers), watching(folder, tell) as watch:
        workers = worker_count(schedule.workers, _needs(work, schedule), joined, work.threads)
        watch.note, watch.wave = f"{workers} workers", workers
        _until_none_is_missing(folder, work, attempt, schedule, workers, _one_pass)
        return watch.look()


Pass = Callable[[Folder, Work, Attempt, list[Ranges], Schedule, int], None]


def _until_none_is_missing(
    folder: Folder, work: Work, attempt: Attempt, schedule: Schedule, workers: int, make: Pass
) -> None:
    while missing := missing_rows(folder, attempt.count):
        left = ranges.size(missing)
        rows = schedule.part_rows or rows_per_part(folder, work, left, workers)
        make(folder, work, attempt, ranges.cut(missing, rows, CHUNKS_AT_ONCE), schedule, workers)
        mend(folder, attempt.number)
        if ranges.size(missing_rows(folder, attempt.count)) >= left:
            raise RunError(f"{left} rows are still missing and this run made no headway")


def _one_pass_here(
    folder: Folder,
    work: Work,
    attempt: Attempt,
    chunks: list[Ranges],
    schedule: Schedule,
    workers: int,
) -> None:
    """These chunks made and committed by this process, one after another."""
    root, form = folder.root.resolve(), work.plan.FORM
    try:
        actor = work.actor(*work.arguments(root, attempt.number, schedule.batch, _LIMITS))
        for chunk in chunks:
            table = actor(pa.table({"chunk": [json.dumps(chunk)]}))
            write_outcomes(folder, attempt.number, work.plan.fingerprint, table, form)
    except FatalError as error:
        raise RunError(str(error)) from error


def _one_pass(
    folder: Folder,
    work: Work,
    attempt: Attempt,
    chunks: list[Ranges],
    schedule: Schedule,
    workers: int,
) -> None:
    """One Ray Data job over these chunks: a chunk is a block, a block is a task, a
    task is a part.
    """
    import ray.data

    from engine.store.sink import PartSink

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 4 * PART_BYTES
    rows = [{"chunk": json.dumps(chunk)} for chunk in chunks]
    pool = min(workers, len(chunks))
    needs = _needs(work, schedule)
    variables = cpu.environment(work.plan.versions)
    try:
        ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            work.actor,
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=pool, max_tasks_in_flight_per_actor=2),
            fn_constructor_args=work.arguments(
                folder.root.resolve(), attempt.number, schedule.batch, _LIMITS
            ),
            num_cpus=needs.pop("CPU", None),
            num_gpus=needs.pop("GPU", None),
            resources=needs or None,
            runtime_env={"env_vars": variables} if variables else None,
        ).write_datasink(
            PartSink(folder.root.resolve(), attempt.number, work.plan.fingerprint, work.plan.FORM),
            ray_remote_args={"num_cpus": WRITER_CPU},
            concurrency=pool,
        )
    except Exception as error:
        raise cause_of(error) from error


def _needs(work: Work, schedule: Schedule) -> dict[str, float]:
    """What one worker takes of the cluster, by Ray's names."""
    own = {"GPU": 1.0} if work.on_gpu else {"CPU": WORKER_CPU}
    return {**own, **schedule.resources}


def _describe(folder: Folder, work: Work, attempt: Attempt) -> None:
    plan = work.plan
    if is_of_pictures(plan):
        now = standing(folder)
        write_card(folder, attempt.number, plan, now.planned, now.committed, now.dead)


def _finish(folder: Folder, work: Work, attempt: Attempt) -> None:
    """Write the data card, close the attempt, and clear what its killed tasks left behind."""
    voided = dead_files(folder)[1]
    check_fence(folder, attempt.number)
    _describe(folder, work, attempt)
    check_fence(folder, attempt.number)
    end_attempt(folder, attempt.number)
    for name in voided:
        folder.place.delete(name)
    if not is_whole(folder, None):
        raise RunError("a late task wrote while the run was ending; repeat the command to mend it")


def _worded(damaged: int, shared: int) -> str:
    parts = [f"{damaged} damaged parts dropped"] if damaged else []
    return ", ".join([*parts, *([f"{shared} doubled rows dropped"] if shared else [])])
