"""Photographs of one clinic: all of its source, and the camera that took them, measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.data import splits
from engine.data.example import Example
from engine.data.outlines import read_square
from engine.models.segmenter import Segmenter
from engine.phantom.cameras import CAMERAS, Camera
from engine.phantom.fitting import fit
from engine.phantom.framing import LIT, SIZE, View
from engine.schema import UserError
from train.journal import counted

LEAST = 5
"""Photographs below which nothing can be said of a camera."""
_MOST = 120
"""Photographs that are measured, one of each eye, spread over all."""


def of_clinic(examples: Sequence[Example], source: str) -> list[Example]:
    """The same photographs, each of this source; as they are where it is empty. UserError for a
    source that is a known camera's, and for a photograph of another."""
    if not source:
        return list(examples)
    if source in CAMERAS:
        raise UserError(
            f"{source!r} is a camera that is known already",
            asked="source",
            expected=f"a name of the clinic's own, not {', '.join(CAMERAS)}",
        )
    for example in examples:
        other = example.annotation.source
        if other not in (None, source):
            raise UserError(
                f"{example.place} is of the source {other!r}",
                asked="source",
                expected=f"{other}, or photographs of {source!r} alone",
            )
    return [
        replace(each, annotation=each.annotation.model_copy(update={"source": source}))
        for each in examples
    ]


def measured(examples: Sequence[Example], segmenter: Segmenter) -> Camera:
    """The camera of photographs that can be read: at most 120, one of each eye. Telling how far it
    is. UserError where all are black."""
    some = splits.spread([eye[0] for eye in splits.one_per_eye(examples)], _MOST)
    views = [_view(each, segmenter) for each in counted("photograph measured", some)]
    if not any((view.square > LIT).any() for view in views):
        raise UserError("all photographs are black", asked="data", expected="photographs of eyes")

    def watch(what: str, numbers: Iterable[int]) -> Iterable[int]:
        return counted(f"camera: {what}", [*numbers])

    return fit(views, [each.annotation for each in some], watch)


def _view(example: Example, segmenter: Segmenter) -> View:
    square, _ = read_square(replace(example, masks=()), SIZE)
    found = segmenter.masks(square)
    return View(square, found["disc"], found["fovea"], example.annotation.eye_side)
