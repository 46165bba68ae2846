"""What ties a data card to the rows that it tells of: its last line names a digest of the licence,
the commits, the dead letters and croissant.json that it was made with. A card that an older
program, a late process or a crash left there, and a record that was changed since, are noticed by
reading a few small files.
"""

from __future__ import annotations

import hashlib
import json
import re

from engine.files import NotAFile
from engine.store.commits import CARD, CROISSANT, Folder, planned_rows, read_commits
from engine.store.parts import dead_files
from engine.store.place import base, read
from engine.store.plan import is_of_pictures, plan_of

LINE = "<!-- made from 2:{digest} -->\n"
_SEAL = re.compile(rb"^<!-- made from (2:)?([0-9a-f]{64}) -->\s*\Z", re.MULTILINE)
"""Without a version it is that of cards from before licence and rejects were in the digest, which
stay true by the digest that they were made with."""


def digest(folder: Folder, croissant: bytes, license: str | None) -> str:
    """Of all that a card is made from, but for the model's own card; `license` None is the digest
    of before versions.
    """
    commits = read_commits(folder)[0]
    made_from = [
        planned_rows(folder),
        [[commit.part, commit.sha256] for commit in commits],
        [base(name) for name in dead_files(folder)[0]],
        hashlib.sha256(croissant).hexdigest(),
    ]
    if license is not None:
        made_from += [license, [sorted(commit.rejects.items()) for commit in commits]]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def is_sealed(folder: Folder) -> bool:
    """Whether there is a card that was made from what is here now."""
    named = _named(folder)
    return named is not None and _is_true(folder, *named)


def is_stale(folder: Folder) -> bool:
    """Whether there is a card that says of itself that it was made from other rows. Cards of
    before seals, and those of runs under way, say nothing of it.
    """
    named = _named(folder)
    return named is not None and not _is_true(folder, *named)


def _named(folder: Folder) -> tuple[bool, str] | None:
    """Whether the card's digest has a version, and the digest."""
    try:
        found = _SEAL.search(read(folder.place, CARD))
    except FileNotFoundError:
        return None
    except NotAFile:
        return True, "no card"
    return (found[1] is not None, found[2].decode()) if found else None


def _is_true(folder: Folder, versioned: bool, named: str) -> bool:
    plan = plan_of(folder) if versioned else None
    license = plan.license if is_of_pictures(plan) else None
    try:
        croissant = read(folder.place, CROISSANT)
    except (FileNotFoundError, NotAFile):
        return False
    return named == digest(folder, croissant, license)
