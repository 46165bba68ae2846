"""Photographs as pages show them: rows written as files, with what is said of each and how it can
be filtered. The report page shows a sample, a site all of them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from engine.pixels.door import decode, picture
from engine.publish.mix import GRADES, value_words
from engine.schema import DISEASES, LABELS, MASKS, READABILITY
from engine.store.commits import Folder
from engine.store.rows import Row, Share, sample
from engine.store.turn import Turn

PICTURES = 256
THUMBNAIL = 256
"""Pixels; a larger photograph gets a small copy for the gallery, marked as it is itself."""
LIGHT = 16 << 10
"""Bytes; so does a heavier one."""
COLOURS: dict[str, tuple[int, int, int]] = {
    "mask_disc": (255, 214, 77),
    "mask_cup": (255, 150, 40),
    "mask_fovea": (199, 125, 255),
    "mask_vessel": (255, 255, 255),
    "mask_artery": (255, 92, 77),
    "mask_vein": (84, 140, 255),
    "mask_lesion": (61, 220, 132),
    "mask_dark_lesion": (40, 200, 235),
    "mask_bright_lesion": (255, 90, 200),
}
"""Of each mask's layer, from the lowest to the uppermost: what is small lies over what is large."""
OPACITY = 165
NAMELESS = "none named"
"""The source of a row that names none."""
ONCE, AGAIN = "once", "again"
"""Tokens of photographs whose doubles were looked for."""
UNREADABLE = {
    "is_fundus": "no fundus",
    "is_macular_readable": "macula unreadable",
    "is_optic_disc_readable": "disc unreadable",
    "is_retinal_region_readable": "retina unreadable",
}
COLUMNS = (
    *("id", "image", "width", "height", "caption", "caption_source", "seed", "source"),
    *("attempts", "model", "weights_sha256"),
    *("quality_score", "nearest_distance"),
    *(label.name for label in LABELS),
    *MASKS,
)


Show = Callable[[str, bytes], str]
"""Writes a picture under a name; how the page calls it."""


@dataclass(frozen=True)
class Chip:
    """A small word on a card, and what it is short for."""

    words: str
    title: str
    kind: str = ""


@dataclass(frozen=True)
class Exhibit:
    """One card of the gallery. `file` and `thumb` are relative to the page; `tokens` are what
    filters match; `facts` are shown when it is enlarged.
    """

    index: int
    seed: str
    file: str
    thumb: str
    width: int
    height: int
    caption: str
    chips: tuple[Chip, ...]
    tokens: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    masks: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Option:
    """One choice of a filter and how many photographs of the sample have it."""

    token: str
    words: str
    count: int


@dataclass(frozen=True)
class Filter:
    """One drop-down of the page."""

    key: str
    name: str
    options: tuple[Option, ...]


def pictures(
    folder: Folder, parts: Sequence[Share], mine: Turn, extension: str, most: int = PICTURES
) -> list[Exhibit]:
    """Write up to `most` photographs and their masks beside the page."""
    return [_picture(row, mine, extension) for row in sample(folder, parts, most, COLUMNS)]


def filters(counts: Mapping[str, int]) -> list[Filter]:
    """The filters that can tell photographs apart of whose tokens there are so many."""
    findings = {"healthy": "no finding"}
    findings |= {f"dr_grade-{grade}": f"DR {grade}: {word}" for grade, word in enumerate(GRADES)}
    findings |= {f"{each.name}-1": each.meaning for each in DISEASES if each.highest == 1}
    readable = {"readable": "all readable", "unreadable": "something unreadable"}
    readable |= {f"{each.name}-0": f"not: {each.meaning}" for each in READABILITY}
    sources, models, masks = (_named(kind, counts) for kind in ("source", "model", "mask"))
    sources |= {f"source:{_joined(NAMELESS)}": NAMELESS}
    masks = {token: words.replace("_", " ") for token, words in masks.items()}
    sides = {"eye_side-0": "right", "eye_side-1": "left"}
    offered = (
        ("finding", "Finding", findings),
        ("readability", "Readability", readable),
        ("source", "Source", sources),
        ("side", "Eye", sides),
        ("mask", "Mask", masks),
        ("model", "Model", models),
        ("once", "Doubles", {ONCE: "each eye once", AGAIN: "eyes shown again"}),
    )
    made = [
        Filter(key, name, tuple(Option(t, w, counts[t]) for t, w in words.items() if t in counts))
        for key, name, words in offered
    ]
    return [each for each in made if each.options]


def _named(kind: str, counts: Mapping[str, int]) -> dict[str, str]:
    found = sorted(token for token in counts if token.startswith(f"{kind}:"))
    return {token: token.removeprefix(f"{kind}:") for token in found}


def _picture(row: Row, mine: Turn, extension: str) -> Exhibit:
    file = mine.show(f"{row['index']:08d}.{extension}", row["image"]["bytes"])
    return exhibit(row, file, mine.show)


def exhibit(row: Row, file: str, show: Show) -> Exhibit:
    """What is said of a row whose photograph is the page's `file`; `show` is given its small copy
    and the layers of its masks."""
    name = f"{row['index']:08d}"
    masks = tuple(_masks(row, show, name))
    shown = (f"mask:{mask['name']}" for mask in masks)
    return Exhibit(
        index=row["index"],
        seed=str(row["seed"]),
        file=file,
        thumb=_thumbnail(row, show, name) or file,
        width=row["width"],
        height=row["height"],
        caption=row["caption"] or "",
        chips=_chips(row),
        tokens=(*_tokens(row), *shown),
        facts=_facts(row),
        masks=masks,
    )


def _thumbnail(row: Row, show: Show, name: str) -> str | None:
    light = len(row["image"]["bytes"]) <= LIGHT
    if light and max(row["width"], row["height"]) <= THUMBNAIL:
        return None
    shown = picture(row["image"]["bytes"], name)
    shown.image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    shown.image.save(file, "WEBP", quality=85, xmp=shown.packet)
    return show(f"{name}-small.webp", file.getvalue())


def _masks(row: Row, show: Show, name: str) -> list[dict[str, str]]:
    """Each mask as a see-through layer in its colour: pages on a disk may not cut one out."""
    found = []
    for column in COLOURS:
        if not row.get(column):
            continue
        shape = np.asarray(decode(row[column]["bytes"], column).convert("1"))
        if not shape.any():
            continue
        layer = Image.fromarray(shape.astype(np.uint8), "P")
        colour, short = COLOURS[column], column.removeprefix("mask_")
        layer.putpalette([0, 0, 0, *colour])
        file = io.BytesIO()
        layer.save(file, "PNG", transparency=bytes([0, OPACITY]))
        shown = show(f"{name}-{short}.png", file.getvalue())
        found.append({"name": short, "file": shown, "colour": f"rgb{colour}"})
    return found


def _chips(row: Row) -> tuple[Chip, ...]:
    chips = []
    for label in DISEASES:
        if row[label.name]:
            short = label.name.removeprefix("is_").upper()
            words = f"DR {row['dr_grade']}" if label.name == "dr_grade" else short
            chips.append(Chip(words, value_words(label, row[label.name]), "finding"))
    if "healthy" in _tokens(row):
        chips.append(Chip("no finding", "every disease that is known is absent"))
    for label in READABILITY:
        if row[label.name] == 0:
            chips.append(Chip(UNREADABLE[label.name], value_words(label, 0), "unreadable"))
    if row["eye_side"] is not None:
        chips.append(Chip(("right", "left")[row["eye_side"]], "laterality"))
    if row["source"]:
        chips.append(Chip(row["source"], "the camera or data set"))
    return tuple(chips)


def _tokens(row: Row) -> tuple[str, ...]:
    known = [label for label in LABELS if row[label.name] is not None]
    tokens = [f"{label.name}-{row[label.name]}" for label in known]
    diseases = [row[label.name] for label in DISEASES if row[label.name] is not None]
    readable = [row[label.name] for label in READABILITY]
    if diseases and not any(diseases):
        tokens.append("healthy")
    if 0 in readable:
        tokens.append("unreadable")
    elif None not in readable:
        tokens.append("readable")
    tokens.append(f"source:{_joined(row['source'] or NAMELESS)}")
    if row["model"] is not None:
        tokens.append(f"model:{_joined(row['model'])}")
    return tuple(tokens)


def _joined(words: str) -> str:
    """A name, which is the user's own; a space would part the token."""
    return "_".join(words.split())


def _facts(row: Row) -> tuple[tuple[str, str], ...]:
    facts: list[tuple[str, Any]] = [("id", row["id"])]
    facts += [("size", f"{row['width']} × {row['height']} px")]
    facts += [("source", row["source"] or NAMELESS)]
    if row["model"] is None:
        facts += [("file", row["image"]["path"]), ("caption by", row["caption_source"])]
    else:
        facts += [("model", row["model"]), ("weights", row["weights_sha256"])]
        facts += [("seed", row["seed"]), ("drawn", f"{row['attempts']} ×")]
    for name in ("quality_score", "nearest_distance"):
        if row[name] is not None:
            facts.append((name.replace("_", " "), f"{row[name]:.3f}"))
    facts += [
        (label.name, "unknown" if row[label.name] is None else row[label.name]) for label in LABELS
    ]
    return tuple((name, str(value)) for name, value in facts)
