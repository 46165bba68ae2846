"""What the evaluators share: how a model draws for them, how far they are, and the card that keeps
their tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import usual_settings
from engine.models.card import read_card, write_card
from engine.registry import SamplerRef
from engine.specs import Spec
from serve.progress import LINE_EVERY, say

Each = TypeVar("Each")


def drawer(ref: SamplerRef) -> Callable[[Sequence[Spec]], list[np.ndarray]]:
    """Specs to photographs, drawn as the model is usually called."""
    sampler = ref.load(usual_settings(DrawAsk(), ref))
    return lambda specs: [drawn.image for drawn in sampler.draw(specs)]


def watched(each: Iterable[Each], count: int, what: str) -> Iterator[Each]:
    """The same, and every few seconds a line that says how many of about `count` are done."""
    last = time.monotonic()
    for done, one in enumerate(each, 1):
        yield one
        if time.monotonic() - last >= LINE_EVERY:
            say(f"{what} {done:,} of {count:,}")
            last = time.monotonic()


def add_to_card(folder: Path, **tables: Any) -> None:
    """Put tables into a model's card, which is sealed anew."""
    card = {key: value for key, value in read_card(folder).items() if key != "weights_sha256"}
    write_card(folder, {**card, **tables})
