"""What the records of a folder tell of its runs: refusals, failures, speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine.store import ranges
from engine.store.commits import Commit, Folder, read_commits
from engine.store.parts import dead_rejects, read_dead

MOST_REASONS = 12


@dataclass(frozen=True)
class Pace:
    """How fast one run drew: rows, seconds of workers, and rows per second from its first commit
    to its last (None where one commit holds all).
    """

    attempt: int
    rows: int
    worker_seconds: float
    images_per_s: float | None


def rejects(folder: Folder) -> Counter[str]:
    """Drawn images that a gate refused, by reason, as the commit records and the dead letters count
    them.
    """
    commits = read_commits(folder)[0]
    committed = ranges.union(each for commit in commits for each in commit.indices)
    counts = dead_rejects(folder, committed)
    for commit in commits:
        counts.update(commit.rejects)
    return counts


def failures(folder: Folder) -> Counter[str]:
    """Dead letters by stage and reason."""
    counts: Counter[str] = Counter()
    for table in read_dead(folder)[0]:
        for row in table.select(["stage", "reason"]).to_pylist():
            counts[f"{row['stage']}: {row['reason']}"] += 1
    return counts


def most_common(counts: Counter[str]) -> list[tuple[str, int]]:
    """The commonest reasons, and all others together."""
    shown = counts.most_common(MOST_REASONS)
    rest = counts.total() - sum(number for _, number in shown)
    return [*shown, ("all other reasons", rest)] if rest else shown


def paces(commits: Sequence[Commit]) -> list[Pace]:
    """The speed of each run that committed anything, oldest first."""
    found = []
    for attempt in sorted({commit.attempt for commit in commits}):
        own = sorted((c for c in commits if c.attempt == attempt), key=lambda c: c.finished)
        rows = sum(commit.rows for commit in own)
        wall = own[-1].finished - own[0].finished
        speed = (rows - own[0].rows) / wall if wall > 0 else None
        found.append(Pace(attempt, rows, sum(c.worker_seconds for c in own), speed))
    return found
