"""The generate job: plan minus what is done, drawn by a pool of Ray actors, committed part by part.

A run is: take the next attempt, clear and mend the folder, cut the missing rows into chunks of
about a minute, draw each chunk with one actor call, commit each as a part; then look again, and go
on until nothing is missing. The commits are the only truth, so whatever dies on the way, the same
call finishes the work.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from engine.registry import ModelRef
from engine.stages.cluster import cluster, worker_count
from engine.stages.draw import DrawActor, Limits
from engine.stages.failure import RunError, disk_trouble, understood
from engine.store import ranges
from engine.store.card import write_card
from engine.store.commits import (
    Attempt,
    Commit,
    Folder,
    StaleAttempt,
    attempts,
    check_fence,
    close_attempt,
    is_closed,
    leftovers,
    planned_rows,
    read_commit,
    read_commits,
    sweep,
    take_attempt,
)
from engine.store.parts import dead_files, read_dead
from engine.store.plan import Plan, write_plan
from engine.store.ranges import Ranges
from engine.store.verify import dead_indices, mend, missing_rows, unsound

PART_SECONDS = 60.0
PART_ROWS = 1024
PART_BYTES = 256 << 20
BYTES_PER_PIXEL = 1.5
CHUNKS_PER_WORKER = 8
LEAST_SECONDS = 1.0
"""A small run is cut finer than a minute, so that every worker has some parts and the last ones end
together.
"""
CHUNKS_AT_ONCE = 50_000
LOOK_EVERY = 1.0

WORKER_CPU, WRITER_CPU = 0.9, 0.1
"""A worker and its writer share one processor, so no number of workers can keep a writer from
starting.
"""


@dataclass(frozen=True)
class How:
    """How a run is scheduled; nothing here decides a pixel. None leaves the choice
    to the machine.
    """

    workers: int | None = None
    batch: int | None = None
    address: str | None = None
    part_rows: int | None = None


@dataclass(frozen=True)
class Progress:
    """Where a run stands, in rows; `drawn` and `seconds` are those of this run.

    `images_per_s` counts from its first commit, so that no start of Ray or of a model is in it.
    """

    planned: int
    committed: int
    dead: int = 0
    truncated: int = 0
    drawn: int = 0
    seconds: float = 0.0
    images_per_s: float = 0.0
    note: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Seconds to go at that pace; None while there is no pace."""
        left = self.planned - self.committed - self.dead
        return left / self.images_per_s if self.images_per_s else None


Tell = Callable[[Progress], None]


def run(
    root: Path,
    plan: Plan,
    ref: ModelRef,
    count: int | None,
    how: How,
    tell: Tell,
    redrive: bool = False,
) -> Progress:
    """Bring the folder to `count` rows (None: to what is planned) and return where it stands.

    Raises UserError for a plan or count that the folder refuses, RunError if the run cannot go on.
    """
    folder = Folder(root)
    if is_whole(folder, count) and not (redrive and dead_files(folder)[0]):
        return replace(_standing(folder), note="nothing to do")
    try:
        write_plan(root, plan)
        folder.make()
        attempt = take_attempt(folder, count, redrive)
        sweep(folder, attempt.number)
        mended = mend(folder, attempt.number)
        if mended.damaged_parts or mended.shared_rows:
            tell(replace(_standing(folder), note=_worded(mended.damaged_parts, mended.shared_rows)))
        state = _draw_missing(folder, plan, ref, attempt, how, tell)
        _finish(folder, plan, attempt)
    except StaleAttempt as error:
        raise RunError(f"{error}; this run stops and leaves the folder to the newer one") from error
    except OSError as error:
        raise RunError(disk_trouble(error, root)) from error
    # What was drawn and how fast is the watch's to say; where the folder stands is recounted.
    return replace(
        _standing(folder),
        drawn=state.drawn,
        seconds=state.seconds,
        images_per_s=state.images_per_s,
    )


def is_whole(folder: Folder, count: int | None) -> bool:
    """Whether a run would have nothing to do: no row missing, no part changed,
    nothing left over.
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
    untidy = damaged or shared or next(leftovers(folder), None)
    untidy = untidy or dead_files(folder)[1] or read_dead(folder)[1]
    return not untidy and not unsound(folder, commits)


def rows_per_part(folder: Folder, plan: Plan, ref: ModelRef, missing: int, workers: int) -> int:
    """Rows in a part: a minute of one worker at this folder's own pace, within rows and bytes."""
    commits, _ = read_commits(folder)
    recent = [each for each in commits if each.rows][-64:]
    size = plan.recipe.size
    seconds = median(each.worker_seconds / each.rows for each in recent) if recent else 0.0
    seconds = seconds or ref.expected_seconds(plan.settings, size) or 1e-3
    heavy = median(each.bytes / each.rows for each in recent) if recent else 0.0
    heavy = heavy or size * size * BYTES_PER_PIXEL
    rows = min(PART_ROWS, PART_SECONDS / seconds, PART_BYTES / heavy)
    share = missing / (workers * CHUNKS_PER_WORKER)
    rows = min(rows, math.ceil(max(share, LEAST_SECONDS / seconds)))
    per_call = plan.settings.rows_per_call
    return max(per_call, int(rows) // per_call * per_call)


def _draw_missing(
    folder: Folder, plan: Plan, ref: ModelRef, attempt: Attempt, how: How, tell: Tell
) -> Progress:
    """Draw until nothing is missing, and say how that went."""
    missing = missing_rows(folder, attempt.count)
    if not missing:
        return _standing(folder)
    tell(replace(_standing(folder), note="starting Ray"))
    gpu = plan.settings.device == "cuda"
    with cluster(how.address, how.workers), _watching(folder, tell) as watch:
        workers = worker_count(how.workers, gpu)
        watch.note, watch.wave = f"{workers} workers", workers
        while missing:
            left = ranges.size(missing)
            rows = how.part_rows or rows_per_part(folder, plan, ref, left, workers)
            _one_pass(
                folder, plan, attempt, ranges.cut(missing, rows, CHUNKS_AT_ONCE), how, workers
            )
            mend(folder, attempt.number)
            missing = missing_rows(folder, attempt.count)
            if ranges.size(missing) >= left:
                raise RunError(f"{left} rows are still missing and this run made no headway")
        return watch.look()


class _Watch:
    """Counts new commits while Ray works, and tells of them every second."""

    def __init__(self, folder: Folder, tell: Tell) -> None:
        self.note = ""
        self.wave = 1
        self._folder = folder
        self._tell = tell
        self._start = _standing(folder)
        self._seen = {path.stem for path in folder.commits.glob("[0-9]*.json")}
        self._new: list[Commit] = []
        self._began = time.monotonic()
        self._over = threading.Event()

    def look(self) -> Progress:
        """Where the run stands now; reads only the records that it has not read before."""
        for path in self._folder.commits.glob("[0-9]*.json"):
            if path.stem not in self._seen and (commit := read_commit(path)):
                self._seen.add(path.stem)
                self._new.append(commit)
        drawn = sum(commit.rows for commit in self._new)
        return replace(
            self._start,
            committed=self._start.committed + drawn,
            truncated=self._start.truncated + sum(commit.truncated for commit in self._new),
            dead=ranges.size(dead_indices(self._folder)),
            drawn=drawn,
            seconds=time.monotonic() - self._began,
            images_per_s=self._pace(),
            note=self.note,
        )

    def _pace(self) -> float:
        """Rows drawn in a second; none before every worker has drawn two parts."""
        commits = sorted(self._new, key=lambda commit: commit.drawn)
        if len(commits) < 2 * self.wave + 1:
            return 0.0
        took = commits[-1].drawn - commits[self.wave - 1].drawn
        return sum(commit.rows for commit in commits[self.wave :]) / took if took > 0 else 0.0

    def until_over(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            self._tell(self.look())

    def stop(self) -> None:
        self._over.set()


@contextmanager
def _watching(folder: Folder, tell: Tell) -> Iterator[_Watch]:
    watch = _Watch(folder, tell)
    thread = threading.Thread(target=watch.until_over, daemon=True, name="watch")
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join()


def _one_pass(
    folder: Folder, plan: Plan, attempt: Attempt, chunks: list[Ranges], how: How, workers: int
) -> None:
    """One Ray Data job over these chunks: a chunk is a block, a block is a task, a
    task is a part.
    """
    import ray.data

    from engine.store.sink import PartSink

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 4 * PART_BYTES
    gpu = plan.settings.device == "cuda"
    rows = [{"chunk": json.dumps(chunk)} for chunk in chunks]
    limits = Limits(2 * PART_SECONDS, PART_BYTES)
    pool = min(workers, len(chunks))
    try:
        ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            DrawActor,
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=pool, max_tasks_in_flight_per_actor=2),
            fn_constructor_args=(str(folder.root.resolve()), how.batch, limits),
            num_cpus=None if gpu else WORKER_CPU,
            num_gpus=1 if gpu else None,
        ).write_datasink(
            PartSink(folder.root.resolve(), attempt.number, plan.fingerprint),
            ray_remote_args={"num_cpus": WRITER_CPU},
            concurrency=pool,
        )
    except Exception as error:
        raise understood(error) from error


def _finish(folder: Folder, plan: Plan, attempt: Attempt) -> None:
    """Write the data card, close the attempt, and clear what its killed tasks left behind."""
    standing = _standing(folder)
    check_fence(folder, attempt.number)
    write_card(folder, attempt.number, plan, standing.planned, standing.committed, standing.dead)
    check_fence(folder, attempt.number)
    close_attempt(folder, attempt.number)
    for path in leftovers(folder, older_than=attempt.number + 1):
        path.unlink(missing_ok=True)
    for path in dead_files(folder)[1]:
        path.unlink(missing_ok=True)
    if not is_whole(folder, None):
        raise RunError("a late task wrote while the run was ending; repeat the command to mend it")


def _standing(folder: Folder) -> Progress:
    commits, _ = read_commits(folder)
    committed = ranges.union(each for commit in commits for each in commit.indices)
    return Progress(
        planned_rows(folder),
        ranges.size(committed),
        ranges.size(ranges.minus(dead_indices(folder), committed)),
        truncated=sum(commit.truncated for commit in commits),
    )


def _worded(damaged: int, shared: int) -> str:
    parts = [f"{damaged} damaged parts dropped"] if damaged else []
    return ", ".join([*parts, *([f"{shared} doubled rows dropped"] if shared else [])])
