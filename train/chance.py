"""What is random in a sample of a training run, drawn from (seed, position) alone."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import torch

from engine.schema import LABELS, Annotation


def generator_at(seed: int, position: int) -> torch.Generator:
    """The generator of one sample of a run: all that is random in it comes from here."""
    digest = hashlib.sha256(f"train:{seed}:{position}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def random_annotation(rng: random.Random) -> Annotation:
    """An annotation with more findings and more gaps than any clinic has, so that each is
    learned."""
    findings = rng.choice((0.0, 0.15, 0.4))
    known = rng.choice((0.3, 0.7, 1.0))
    values: dict[str, Any] = {}
    for label in LABELS:
        usual = label.name.startswith("is_") and label.name.endswith(("readable", "fundus"))
        if rng.random() < known:
            positive = rng.random() < (0.85 if usual else findings)
            values[label.name] = rng.randint(1, label.highest) if positive else 0
    values["eye_side"] = rng.randint(0, 1)
    if rng.random() < 0.4:
        del values["eye_side"]
    return Annotation(**values)
