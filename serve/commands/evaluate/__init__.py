"""`evaluate`: how well a model does what it is asked, one file a measure."""

from __future__ import annotations

from serve.commands._tree import tree
from serve.commands.evaluate import (
    authenticity,
    captions,
    condition,
    geometry,
    lesions,
    outlines,
    spectrum,
    utility,
    zeroshot,
)

app = tree(
    (condition, authenticity, spectrum, lesions, geometry, outlines, captions, utility, zeroshot),
    "Measure what a model draws.",
)
