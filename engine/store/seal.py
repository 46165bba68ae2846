"""What ties a data card to the rows that it tells of: its last line names a digest of the commits,
the dead letters and croissant.json that it was made with. A card that an older program, a late
process or a crash left there is noticed by reading a few small files.
"""

from __future__ import annotations

import hashlib
import json
import re

from engine.store.commits import Folder, planned_rows, read_commits
from engine.store.files import NotAFile, read_small
from engine.store.parts import dead_files

LINE = "<!-- made from {digest} -->\n"
_SEAL = re.compile(rb"^<!-- made from ([0-9a-f]{64}) -->\s*\Z", re.MULTILINE)


def digest(folder: Folder, croissant: bytes) -> str:
    """Of all that a card is made from, but for the model's own card."""
    made_from = [
        planned_rows(folder),
        [[commit.part, commit.sha256] for commit in read_commits(folder)[0]],
        [path.name for path in dead_files(folder)[0]],
        hashlib.sha256(croissant).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def is_sealed(folder: Folder) -> bool:
    """Whether there is a card that was made from what is here now."""
    return _named(folder) == _true(folder)


def is_stale(folder: Folder) -> bool:
    """Whether there is a card that says of itself that it was made from other rows. Cards of
    before seals, and those of runs under way, say nothing of it.
    """
    named = _named(folder)
    return named is not None and named != _true(folder)


def _named(folder: Folder) -> str | None:
    try:
        found = _SEAL.search(read_small(folder.card))
    except FileNotFoundError:
        return None
    except NotAFile:
        return "no card"
    return found[1].decode() if found else None


def _true(folder: Folder) -> str:
    try:
        return digest(folder, read_small(folder.croissant))
    except (FileNotFoundError, NotAFile):
        return "no metadata"
