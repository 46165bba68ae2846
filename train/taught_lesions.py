"""Measure: what a set's pictures and masks are worth to who must find lesions, dark and bright
together, as `train.vessels` has it of vessels."""

from __future__ import annotations

from engine.evaluate.figures import Figure
from engine.evaluate.sets import Sets
from train.vessels import ANY_LESION, LONG, SHORT, marked


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`: `f1_real`, `f1_synthetic`, `f1_both`, and `share`."""
    return marked(sets, SHORT if sets.quick else LONG, ANY_LESION)
