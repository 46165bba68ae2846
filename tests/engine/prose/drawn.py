"""Random annotations for the tests of prose: from unknown to wholly known, healthy and sick."""

from __future__ import annotations

from random import Random

from engine.schema import LABELS, READABILITY, Annotation

READABLE = {label.name for label in READABILITY}


def annotation(rng: Random) -> Annotation:
    """One annotation; also ones that no eye has, since a user's table may hold them."""
    unknown = rng.choice([0.0, 0.2, 0.6, 0.95])
    sick = rng.choice([0.0, 0.1, 0.1, 0.5])
    values: dict[str, int] = {}
    for label in LABELS:
        if rng.random() < unknown:
            continue
        if label.name == "eye_side":
            values[label.name] = rng.randint(0, 1)
        elif label.name in READABLE:
            values[label.name] = int(rng.random() < 0.93)
        else:
            values[label.name] = rng.randint(1, label.highest) if rng.random() < sick else 0
    return Annotation.model_validate(values)
