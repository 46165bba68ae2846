"""`evaluate`: how well a model does what it is asked, one file a measure."""

from __future__ import annotations

from serve.commands._tree import tree
from serve.commands.evaluate import (
    all,
    authenticity,
    captions,
    condition,
    geometry,
    lesions,
    outlines,
    privacy,
    spectrum,
    steering,
    utility,
    zeroshot,
)

_JUDGE = (all, authenticity, condition, lesions, privacy, utility, zeroshot)
_MORE = (steering, spectrum, geometry, outlines, captions)

app = tree(
    (*_JUDGE, *_MORE),
    "Measure what a model draws.",
)
