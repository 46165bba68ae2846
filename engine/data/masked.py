"""Photographs with masks, opened one after the other: the lines of a table, phantoms, or the rows
of a data set folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.data.example import Example
from engine.data.identity import eyes, patient_key
from engine.data.outlines import PARTS, parted, read_square, squared
from engine.data.phantoms import PhantomExample
from engine.data.sources import read_asked
from engine.data.splits import drawn_apart
from engine.pixels.door import UnreadableImage, mask, picture
from engine.schema import UserError
from engine.store.commits import PLAN, Folder
from engine.store.rows import Row, batches, common_columns, require_plan, shares
from engine.store.verify import gaps

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Sought:
    """Masks that are read: of the columns in `any_of` a photograph has at least one; `beside` are
    read where they are there. `what` and `expected` word their absence."""

    what: str
    expected: str
    any_of: tuple[str, ...]
    beside: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.beside, *self.any_of)

    def in_example(self, example: Example) -> bool:
        """Whether an example has one; a phantom has all."""
        named = {column for column, _ in example.masks}
        return isinstance(example, PhantomExample) or not named.isdisjoint(self.any_of)

    def by_light(self, columns: Collection[str]) -> bool:
        """Whether lesions are read, and are parted by what they look like."""
        return "mask_lesion" in {*self.columns} & {*columns} and not parted(columns)

    def missing(self, source: str) -> UserError:
        """What is said where nothing has one."""
        return UserError(
            f"nothing here has a mask of {self.what}", file=source, expected=self.expected
        )


LESIONS = Sought(
    "lesions",
    "mask_lesion, or mask_dark_lesion and mask_bright_lesion",
    ("mask_lesion", "mask_dark_lesion", "mask_bright_lesion"),
    ("mask_disc",),
)
STRUCTURES = Sought(
    "vessels or disc",
    "mask_vessel, or mask_disc and mask_cup",
    ("mask_vessel", "mask_disc"),
    ("mask_cup",),
)


class MaskedSquare(NamedTuple):
    """Whose eye it is, its photograph (S, S, 3) uint8, its masks (S, S) bool by name, and its
    source."""

    eye: Hashable
    image: np.ndarray
    masks: dict[str, np.ndarray]
    source: str | None


@dataclass(frozen=True)
class Masked:
    """A set whose photographs have masks: at most how many, and the squares of a size, with a word
    of each that is left out. `by_light`: of some the lesions are called dark or bright by what they
    look like, as nothing tells what they are."""

    count: int
    by_light: bool
    squares: Callable[[int, Tell], Iterator[MaskedSquare]]


def masked_set(source: str, sought: Sought) -> Masked:
    """All of a table, of phantoms, or of a data set folder. UserError where none has such a
    mask."""
    if (Path(source) / PLAN).is_file():
        return _of_folder(Path(source), sought)
    found = [each for each in read_asked(source, "set") if sought.in_example(each)]
    return _of_examples(source, found, sought)


def masked_photographs(source: str, sought: Sought, bare: bool = False) -> Masked:
    """The photographs of a table: those of its test split where it has one, else all, which a
    model that looks at them may have been taught. `bare`: those without such a mask, too. UserError
    where there is none."""
    _, photographs = drawn_apart(read_asked(source, "real"))
    found = [each for each in photographs if bare or sought.in_example(each)]
    tested = [each for each in found if each.split == "test"]
    return _of_examples(source, tested or found, sought)


def _of_examples(source: str, examples: Sequence[Example], sought: Sought) -> Masked:
    if not examples:
        raise sought.missing(source)

    def squares(size: int, left_out: Tell) -> Iterator[MaskedSquare]:
        for eye, example in zip(eyes(examples), examples):
            # Of others nothing is asked: a broken one does not spoil its photograph.
            wanted = tuple(each for each in example.masks if each[0] in sought.columns)
            try:
                image, masks = read_square(replace(example, masks=wanted), size)
            except UnreadableImage as error:
                left_out(str(error))
                continue
            yield MaskedSquare(eye, image, masks, example.annotation.source)

    named = [{column for column, _ in each.masks} for each in examples]
    return Masked(len(examples), any(map(sought.by_light, named)), squares)


def _of_folder(root: Path, sought: Sought) -> Masked:
    require_plan(root)
    folder = Folder(root)
    if words := gaps(folder).words:
        print(f"{root}: {words}", file=sys.stderr)
    parts = shares(folder)
    columns = common_columns(folder, parts)
    if not any(column in columns for column in sought.any_of):
        raise sought.missing(str(root))
    read = ["image", "patient_id", "source", *sought.columns]

    def squares(size: int, left_out: Tell) -> Iterator[MaskedSquare]:
        for batch in batches(folder, parts, read):
            for row in batch:
                if any(row.get(column) for column in sought.any_of):
                    try:
                        image, masks = _squared(row, size, sought.columns)
                    except UnreadableImage as error:
                        left_out(str(error))
                        continue
                    yield MaskedSquare(_eye(row), image, masks, row.get("source"))

    return Masked(sum(share.rows for share in parts), sought.by_light(columns), squares)


def _eye(row: Row) -> Hashable:
    """Of a patient where one is told; every other row is an eye of its own."""
    return patient_key(row["patient_id"]) or row["index"]


def _squared(
    row: Row, size: int, columns: Sequence[str]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    where = f"row {row['index']}"
    photograph = picture(row["image"]["bytes"], where).image
    shapes = {}
    for column in columns:
        if row.get(column):
            found = mask(row[column]["bytes"], f"{where}, {column}", whole=column not in PARTS)
            if found.image.size != photograph.size:
                raise UnreadableImage(
                    f"{where}, {column}: {found.image.size}, its photograph is {photograph.size}"
                )
            shapes[column] = found.image
    return squared(photograph, shapes, size)
