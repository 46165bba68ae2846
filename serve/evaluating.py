"""What the evaluators share: how a model draws for them, and the card that keeps their tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import usual_settings
from engine.models.card import read_card, write_card
from engine.registry import SamplerRef
from engine.specs import Spec


def drawer(ref: SamplerRef) -> Callable[[Sequence[Spec]], list[np.ndarray]]:
    """Specs to photographs, drawn as the model is usually called."""
    sampler = ref.load(usual_settings(DrawAsk(), ref))
    return lambda specs: [drawn.image for drawn in sampler.draw(specs)]


def add_to_card(folder: Path, **tables: Any) -> None:
    """Put tables into a model's card, which is sealed anew."""
    card = {key: value for key, value in read_card(folder).items() if key != "weights_sha256"}
    write_card(folder, {**card, **tables})
