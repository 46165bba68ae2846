"""`evaluate`: how well a model does what it is asked, one file a measure."""

from __future__ import annotations

from engine import guard
from serve.commands._tree import tree
from serve.commands.evaluate import (
    all,
    authenticity,
    captions,
    changes,
    condition,
    efficiency,
    geometry,
    lesions,
    levels,
    outlines,
    privacy,
    readings,
    search,
    spectrum,
    steering,
    towers,
    utility,
    vessels,
    zeroshot,
)

_JUDGE = (all, authenticity, condition, lesions, privacy, utility, zeroshot)
_APART = (changes, efficiency, levels, search, vessels)
_MORE = (readings, steering, spectrum, geometry, outlines, captions, towers)

app = tree(
    (*_JUDGE, *_APART, *_MORE),
    "Measure what a model draws.",
)


@app.callback()
def _measuring() -> None:
    guard.begins_anew()
