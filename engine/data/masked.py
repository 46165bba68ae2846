"""Photographs with masks of lesions, opened one after the other: the lines of a table, phantoms, or
the rows of a data set folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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

_LESIONS = ("mask_lesion", "mask_dark_lesion", "mask_bright_lesion")
_COLUMNS = ("mask_disc", *_LESIONS)

Tell = Callable[[str], None]
Square = tuple[Hashable, np.ndarray, dict[str, np.ndarray]]
"""Whose eye it is, its photograph (S, S, 3) uint8 and its masks (S, S) bool by name."""


@dataclass(frozen=True)
class Masked:
    """A set whose photographs have masks of lesions: at most how many, and the squares of a size,
    with a word of each that is left out. `by_light`: of some the lesions are called dark or bright
    by what they look like, as nothing tells what they are."""

    count: int
    by_light: bool
    squares: Callable[[int, Tell], Iterator[Square]]


def masked_set(source: str) -> Masked:
    """All of a table, of phantoms, or of a data set folder. UserError where none has a mask of
    lesions."""
    if (Path(source) / PLAN).is_file():
        return _of_folder(Path(source))
    return _of_examples(source, read_asked(source, "set"))


def masked_photographs(source: str) -> Masked:
    """The photographs of a table: those of its test split where it has one. That a model may have
    seen them does not matter, as nothing is asked of a model. UserError where none has a mask of
    lesions."""
    _, photographs = drawn_apart(_masked(read_asked(source, "real")))
    tested = [each for each in photographs if each.split == "test"]
    return _of_examples(source, tested or photographs)


def _of_examples(source: str, examples: Sequence[Example]) -> Masked:
    masked = _masked(examples)
    if not masked:
        raise _without_masks(source)
    named = [{column for column, _ in each.masks} for each in masked]

    def squares(size: int, left_out: Tell) -> Iterator[Square]:
        for eye, example in zip(eyes(masked), masked):
            # Of others nothing is asked: a broken one does not spoil its photograph.
            wanted = tuple(each for each in example.masks if each[0] in _COLUMNS)
            try:
                yield (eye, *read_square(replace(example, masks=wanted), size))
            except UnreadableImage as error:
                left_out(str(error))

    return Masked(len(masked), any("mask_lesion" in n and not parted(n) for n in named), squares)


def _masked(examples: Sequence[Example]) -> list[Example]:
    return [
        each
        for each in examples
        if isinstance(each, PhantomExample) or any(column in _LESIONS for column, _ in each.masks)
    ]


def _of_folder(root: Path) -> Masked:
    require_plan(root)
    folder = Folder(root)
    if words := gaps(folder).words:
        print(f"{root}: {words}", file=sys.stderr)
    parts = shares(folder)
    columns = common_columns(folder, parts)
    if not any(column in columns for column in _LESIONS):
        raise _without_masks(str(root))

    def squares(size: int, left_out: Tell) -> Iterator[Square]:
        for batch in batches(folder, parts, ["image", "patient_id", *_COLUMNS]):
            for row in batch:
                if any(row.get(column) for column in _LESIONS):
                    try:
                        yield (_eye(row), *_squared(row, size))
                    except UnreadableImage as error:
                        left_out(str(error))

    return Masked(sum(share.rows for share in parts), not parted(columns), squares)


def _eye(row: Row) -> Hashable:
    """Of a patient where one is told; every other row is an eye of its own."""
    return patient_key(row["patient_id"]) or row["index"]


def _squared(row: Row, size: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    where = f"row {row['index']}"
    photograph = picture(row["image"]["bytes"], where).image
    shapes = {}
    for column in _COLUMNS:
        if row.get(column):
            found = mask(row[column]["bytes"], f"{where}, {column}", whole=column not in PARTS)
            if found.image.size != photograph.size:
                raise UnreadableImage(
                    f"{where}, {column}: {found.image.size}, its photograph is {photograph.size}"
                )
            shapes[column] = found.image
    return squared(photograph, shapes, size)


def _without_masks(source: str) -> UserError:
    return UserError(
        "nothing here has a mask of lesions",
        file=source,
        expected="mask_lesion, or mask_dark_lesion and mask_bright_lesion",
    )
