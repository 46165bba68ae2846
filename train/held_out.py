"""Eyes that teach a denoiser nothing, with noise and times that never change: what their loss says
of one step it says of every other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from engine import seeds
from engine.data.latents import Encoded
from engine.prose.template import caption
from train.conditions import as_seen

TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
_AT_ONCE = 16


def fixed_rows(encoded: Sequence[Encoded]) -> Iterator[list[dict[str, Any]]]:
    """Rows as the recipe's own, a batch at a time: each eye at each of `TIMES`, with geometry,
    labels and a caption, nothing hidden."""
    for number, time in enumerate(TIMES):
        for first in range(0, len(encoded), _AT_ONCE):
            some = list(enumerate(encoded))[first : first + _AT_ONCE]
            yield [_row(item, i, number * len(encoded) + i, time) for i, item in some]


def _row(item: Encoded, eye: int, draw: int, time: float) -> dict[str, Any]:
    variant = item.variant(0)
    annotation, text = as_seen(item.example, variant.mirrored)
    return {
        "latent": variant.latent,
        "geometry": variant.geometry,
        "given": True,
        "noise": seeds.noise([draw], tuple(variant.latent.shape))[0],
        "time": torch.tensor(time),
        "annotation": annotation,
        "caption": text or caption(annotation, seeds.row_random(0, eye, "held out")),
    }
