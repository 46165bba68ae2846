"""The pictures of a set that are nearest to photographs, beside these: for its owner's eyes alone.

A picture of a patient and the name of the file, so it goes to the set's `private/`, which no export
carries, and to no folder that is not ours.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from engine.evaluate.near import KINDS, Near
from engine.evaluate.sets import Looked, Sets
from engine.store.commits import PLAN, PRIVATE, Folder

SHEET, TABLE = f"{PRIVATE}/closest.png", f"{PRIVATE}/closest.csv"
_SHOWN = 8


def keep_closest(
    sets: Sets, judged: Sequence[Looked], taught: Sequence[Looked], near: Sequence[Near]
) -> None:
    """Write the sheet of the closest pairs, and of every picture which photograph is nearest by
    each measure and how near, where the set is a data set folder; told where that fails."""
    folder = Folder(sets.set_folder)
    if not (sets.set_folder / PLAN).is_file() or not judged:
        return
    try:
        folder.place.make(PRIVATE, 0o700)
        folder.place.keep(SHEET, _sheet(judged, taught, near))
        folder.place.keep(TABLE, _table(judged, taught, near))
        sets.tell(f"privacy: the closest pairs lie in {sets.set_folder / SHEET}")
    except OSError as error:
        sets.tell(f"privacy: the closest pairs could not be kept: {error}")


def _sheet(judged: Sequence[Looked], taught: Sequence[Looked], near: Sequence[Near]) -> bytes:
    closest = np.argsort([-each["pixels"].score for each in near])[:_SHOWN]
    columns = [
        np.concatenate([judged[k].image, taught[near[k]["pixels"].index].image]) for k in closest
    ]
    data = io.BytesIO()
    Image.fromarray(np.concatenate(columns, 1)).save(data, "PNG")
    return data.getvalue()


def _table(judged: Sequence[Looked], taught: Sequence[Looked], near: Sequence[Near]) -> bytes:
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(["picture", *(name for kind in KINDS for name in (kind, f"{kind}_of"))])
    for looked, nearest in zip(judged, near):
        cells = []
        for kind in KINDS:
            found = nearest.get(kind)
            place = taught[found.index].example.place if found else ""
            cells += [f"{found.score:.4f}" if found else "", place]
        lines.writerow([looked.example.place, *cells])
    return text.getvalue().encode()
