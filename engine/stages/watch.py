"""Where a run stands, and who tells of it while Ray works."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from engine.store import ranges
from engine.store.commits import (
    COMMITS,
    RECORD,
    Commit,
    Folder,
    planned_rows,
    read_commit,
    read_commits,
)
from engine.store.parts import dead_rejects
from engine.store.place import matching
from engine.store.verify import dead_indices

LOOK_EVERY = 1.0


@dataclass(frozen=True)
class Progress:
    """Where a run stands, in rows; `drawn` and `seconds` are those of this run.

    `images_per_s` counts from its first commit, so that no start of Ray or of a model is in it.
    `rejects` counts by reason the images that the gates rejected, of rows that passed in the end
    and of dead letters.
    """

    planned: int
    committed: int
    dead: int = 0
    truncated: int = 0
    drawn: int = 0
    seconds: float = 0.0
    images_per_s: float = 0.0
    note: str = ""
    rejects: dict[str, int] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float | None:
        """Seconds to go at that pace; None while there is no pace."""
        left = self.planned - self.committed - self.dead
        return left / self.images_per_s if self.images_per_s else None


Tell = Callable[[Progress], None]


class Watch:
    """Counts new commits while Ray works, and tells of them every second."""

    def __init__(self, folder: Folder, tell: Tell) -> None:
        self.note = ""
        self.wave = 1
        self._folder = folder
        self._tell = tell
        self._start = standing(folder)
        self._refused = _rejects(read_commits(folder)[0])
        self._seen = set(matching(folder.place, COMMITS, RECORD))
        self._new: list[Commit] = []
        self._began = time.monotonic()
        self._over = threading.Event()

    def look(self) -> Progress:
        """Where the run stands now; reads only the records that it has not read before."""
        for name in matching(self._folder.place, COMMITS, RECORD):
            if name not in self._seen and (commit := read_commit(self._folder, name)):
                self._seen.add(name)
                self._new.append(commit)
        drawn = sum(commit.rows for commit in self._new)
        dead = dead_rejects(self._folder, [])
        return replace(
            self._start,
            committed=self._start.committed + drawn,
            truncated=self._start.truncated + sum(commit.truncated for commit in self._new),
            rejects=_rejects(self._new, dead + Counter(self._refused)),
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
def watching(folder: Folder, tell: Tell) -> Iterator[Watch]:
    watch = Watch(folder, tell)
    thread = threading.Thread(target=watch.until_over, daemon=True, name="watch")
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join()


def standing(folder: Folder) -> Progress:
    """What the folder holds, counted anew."""
    commits, _ = read_commits(folder)
    committed = ranges.union(each for commit in commits for each in commit.indices)
    return Progress(
        planned_rows(folder),
        ranges.size(committed),
        ranges.size(ranges.minus(dead_indices(folder), committed)),
        truncated=sum(commit.truncated for commit in commits),
        rejects=_rejects(commits, dead_rejects(folder, committed)),
    )


def _rejects(commits: list[Commit], before: dict[str, int] | None = None) -> dict[str, int]:
    """The most frequent reason first."""
    counts = Counter(before or {})
    for commit in commits:
        counts.update(commit.rejects)
    return dict(counts.most_common())
