"""The pictures of a set that are nearest to photographs, beside these, and how near a model came to
photographs that it was asked for: for its owner's eyes alone.

A picture of a patient and the name of the file, so it goes to the set's `private/`, which no export
carries, and to no folder that is not ours.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image

from engine.evaluate.near import KINDS, Near
from engine.evaluate.sets import Looked, Sets
from engine.schema import UserError
from engine.store.commits import PLAN, PRIVATE, Folder

SHEET, TABLE = f"{PRIVATE}/closest.png", f"{PRIVATE}/closest.csv"
ASKED = f"{PRIVATE}/asked_again.csv"
_SHOWN = 8


def keep_closest(
    sets: Sets, judged: Sequence[Looked], taught: Sequence[Looked], near: Sequence[Near]
) -> None:
    """Write the sheet of the closest pairs, and of every picture which photograph is nearest by
    each measure and how near, where the set is a data set folder; told where that fails."""
    if judged and _is_ours(sets):
        rows = _table(judged, taught, near)
        _keep(sets, "the closest pairs", {SHEET: _sheet(judged, taught, near), TABLE: rows})


def keep_asked(sets: Sets, asked: Sequence[tuple[Looked, bool, np.ndarray]]) -> None:
    """Write likewise of every photograph that was asked for whether it taught, and how near each
    seed (S,) came to it."""
    rows = [
        [looked.example.place, int(taught), seed, f"{score:.4f}"]
        for looked, taught, near in asked
        for seed, score in enumerate(near)
    ]
    if _is_ours(sets):
        _keep(
            sets,
            "what was asked for again",
            {ASKED: _csv(["photograph", "taught", "seed", "pixels"], rows)},
        )


def _is_ours(sets: Sets) -> bool:
    return (sets.set_folder / PLAN).is_file()


def _keep(sets: Sets, what: str, files: Mapping[str, bytes]) -> None:
    place = Folder(sets.set_folder).place
    try:
        place.make(PRIVATE, 0o700)
        for name, data in files.items():
            place.keep(name, data)
        sets.tell(f"privacy: {what} lies in {sets.set_folder / next(iter(files))}")
    except (OSError, UserError) as error:
        sets.tell(f"privacy: {what} could not be kept: {error}")


def _csv(names: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(names)
    lines.writerows(rows)
    # The name of a file may be no text: then it stands there byte for byte.
    return text.getvalue().encode(errors="surrogateescape")


def _sheet(judged: Sequence[Looked], taught: Sequence[Looked], near: Sequence[Near]) -> bytes:
    closest = np.argsort([-each["pixels"].score for each in near])[:_SHOWN]
    columns = [
        np.concatenate([judged[k].image, taught[near[k]["pixels"].index].image]) for k in closest
    ]
    data = io.BytesIO()
    Image.fromarray(np.concatenate(columns, 1)).save(data, "PNG")
    return data.getvalue()


def _table(judged: Sequence[Looked], taught: Sequence[Looked], near: Sequence[Near]) -> bytes:
    rows = []
    for looked, nearest in zip(judged, near):
        cells = []
        for kind in KINDS:
            found = nearest.get(kind)
            place = taught[found.index].example.place if found else ""
            cells += [f"{found.score:.4f}" if found else "", place]
        rows.append([looked.example.place, *cells])
    return _csv(["picture", *(name for kind in KINDS for name in (kind, f"{kind}_of"))], rows)
