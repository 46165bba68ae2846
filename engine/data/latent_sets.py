"""What lies below the cache of latents, which runs and machines share.

    contents.parquet                 what the photographs hold (`engine.data.contents`)
    SHELF/vae  segmenter             the weights that encode, and those that outline
    SHELF/SET/                       a data set folder: the photographs that were encoded at once
    SHELF/.lock                      held by whoever encodes, so that others wait and find it done

A shelf is of its weights alone: sets of several sizes and numbers of copies stand there together. A
set is planned once and never grows; what later runs lack goes into sets of their own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.batches import in_batches
from engine.data.contents import Content
from engine.data.example import Example
from engine.data.identity import content_sha256
from engine.data.latents import Encoded, Spot
from engine.data.phantoms import PhantomExample
from engine.schema import Annotation, UserError
from engine.store import ranges
from engine.store.beside import EXAMPLES, Beside, write_table
from engine.store.commits import Folder, read_commits
from engine.store.latent_plan import LatentPlan
from engine.store.parts import read_dead
from engine.store.place import Disk
from engine.store.plan import plan_of

VAE, SEGMENTER = "vae", "segmenter"
REFUSED = "decode"
"""The stage of dead letters that say what no later run will find otherwise."""
_SET = re.compile(r"[0-9a-f]{16}")
_POLL = 0.2
_EXAMPLE = pa.schema(
    [
        ("key", pa.string()),
        ("path", pa.binary()),
        ("row", pa.int64()),
        ("masks", pa.list_(pa.struct([("column", pa.string()), ("path", pa.binary())]))),
        ("annotation", pa.string()),
        ("seed", pa.uint64()),
    ]
)
"""How an example is made again where it is encoded. Of a phantom annotation and seed are told, of
a photograph the files."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An example whose latents are wanted, and their key."""

    example: Example
    key: str


@dataclass(frozen=True)
class Kept:
    """Where the latents of some examples lie, in the examples' order; None of one that was refused.
    Small enough to be handed to every worker."""

    spots: tuple[Spot | None, ...] = ()
    contents: tuple[Content, ...] = ()
    refused: tuple[str, ...] = ()
    """Why examples are left out, one line each."""

    def of(self, examples: Sequence[Example]) -> list[Encoded]:
        """The examples that have latents. Nobody needs to open their files any more."""
        if len(examples) != len(self.spots):
            raise UserError(
                "the photographs here are not those that were encoded when this run began",
                asked="data",
                expected="the same files on every machine; repeat the command",
            )
        return [
            Encoded(replace(example, marked=content.mark), content.sha256, spot)
            for example, content, spot in zip(examples, self.contents, self.spots, strict=True)
            if spot is not None
        ]


@dataclass
class Standing:
    """What a shelf holds: where the latents of a key lie, why a key has none for good
    (`refused`) or had none so far (`failed`), and of each set the rows that it still lacks, with
    their keys."""

    spots: dict[str, Spot] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    lacking: dict[Path, dict[int, str]] = field(default_factory=dict)

    def knows(self, key: str) -> bool:
        """Whether nothing is to be done for a key."""
        return key in self.spots or key in self.refused

    def reason(self, key: str | None) -> str:
        """Why a key has no latents, in words."""
        known = self.refused.get(key or "") or self.failed.get(key or "")
        return known or "was not encoded"


def standing(shelf: Path) -> Standing:
    """By records and sizes of files alone: no part is read. Raises UserError for a plan that was
    changed by hand."""
    found = Standing()
    place = Disk(shelf)
    for name in place.names():
        if _SET.fullmatch(name):
            _add(found, shelf / name)
    return found


def _add(found: Standing, root: Path) -> None:
    folder, plan = Folder(root), plan_of_set(root)
    if plan is None:
        return
    keys = [key for batch in table_of(root, plan).batches(["key"]) for key in batch[0].to_pylist()]
    done: set[int] = set()
    for commit in read_commits(folder)[0]:
        part = root / folder.part_of(commit)
        # One that was cut by a full disk or a hand: its set is gone on with, which mends it.
        if commit.fingerprint == plan.fingerprint and _size(part) == commit.bytes:
            for at, index in enumerate(ranges.to_indices(ranges.union(commit.indices))):
                found.spots[keys[index]] = Spot(str(part), at, keys[index])
                done.add(index)
    for table in read_dead(folder)[0]:
        for letter in table.select(["index", "stage", "reason"]).to_pylist():
            is_final = letter["stage"] == REFUSED
            (found.refused if is_final else found.failed)[keys[letter["index"]]] = letter["reason"]
            done |= {letter["index"]} if is_final else set()
    if len(done) < len(keys):
        found.lacking[root] = {at: key for at, key in enumerate(keys) if at not in done}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def plan_of_set(root: Path) -> LatentPlan | None:
    """The plan of a set of latents; None where there is none."""
    plan = plan_of(Folder(root))
    return plan if plan is not None and plan.kind == "latents" else None


def table_of(root: Path, plan: LatentPlan) -> Beside:
    """The table of a set's examples."""
    return Beside(Disk(root), EXAMPLES, plan.photographs_sha256)


def set_of(shelf: Path, wanted: Iterable[Wanted]) -> tuple[Path, str]:
    """Write the table of a new set; its folder and the table's hash. The same examples are the same
    set, wherever and whenever they are wanted."""
    records = [_record(each) for each in sorted(wanted, key=lambda each: each.key)]
    told = hashlib.sha256(repr(records).encode()).hexdigest()
    root = shelf / told[:16]
    table = write_table(Disk(root), EXAMPLES, _EXAMPLE, in_batches(records, _EXAMPLE))
    return root, table.sha256


def still_wanted(root: Path, rows: Mapping[int, str], wanted: Mapping[str, Wanted]) -> bool:
    """Whether all these rows of a set, by their keys, are wanted, and are the very files that the
    set names."""
    if not all(key in wanted for key in rows.values()):
        return False
    plan = plan_of_set(root)
    if plan is None:
        return False
    table = table_of(root, plan)
    return all(_record(wanted[key]) == _plain(table.row(index)) for index, key in rows.items())


def _record(wanted: Wanted) -> tuple[Any, ...]:
    example, key = wanted.example, wanted.key
    if isinstance(example, PhantomExample):
        known = example.annotation.model_dump_json()
        return key, os.fsencode(example.path), None, [], known, example.seed
    masks = [
        {"column": column, "path": os.fsencode(path.absolute())} for column, path in example.masks
    ]
    return key, os.fsencode(example.path.absolute()), example.row, masks, None, None


def _plain(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _EXAMPLE.names)


def example_of(row: dict[str, Any]) -> Example:
    """The example of a row of a set's table."""
    path = Path(os.fsdecode(row["path"]))
    if row["annotation"] is not None:
        known = Annotation.model_validate_json(row["annotation"])
        return PhantomExample(path, known, seed=row["seed"])
    masks = tuple((each["column"], Path(os.fsdecode(each["path"]))) for each in row["masks"])
    return Example(path, Annotation(), row=row["row"], masks=masks)


def is_seen(example: Example) -> bool:
    """Whether this machine has the files of an example."""
    if isinstance(example, PhantomExample):
        return True
    return all(os.path.exists(path) for path in (example.path, *(p for _, p in example.masks)))


def content_now(example: Example) -> Content:
    """What an example holds; its files are read. Raises UnreadableImage."""
    masks = ((name, content_sha256(Example(path, Annotation()))) for name, path in example.masks)
    return Content(content_sha256(example), tuple(masks))


def lay_once(folder: Path, write: Callable[[Path], Any]) -> Path:
    """A folder with what `write` puts into an empty one, which is there whole or not at all."""
    if not folder.is_dir():
        draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp") / folder.name
        draft.mkdir(parents=True)
        try:
            write(draft)
            if not folder.is_dir():
                draft.rename(folder)
        finally:
            shutil.rmtree(draft.parent, ignore_errors=True)
    return folder


@contextmanager
def alone(shelf: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold a shelf against others that encode, which saves them from doing it twice; what they
    might write does no harm. `wait` is called once where somebody else holds it."""
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / ".lock").open("a") as file:
        waited = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waited:
                    wait()
                waited = True
                time.sleep(_POLL)
        yield
