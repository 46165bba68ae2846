"""The plan of latents: which photographs, in the table beside it, and all that turns them into
latents.
"""

from __future__ import annotations

from typing import Literal

from engine.store.forms import LATENTS
from engine.store.sealed import Sealed


class LatentPlan(Sealed):
    """The immutable plan of a set of latents. `rules` is the text of which, with its content, each
    photograph's key is the hash: the code's own rules, the weights of autoencoder and outliner, and
    the settings. `photographs` of them stand in the table beside the plan whose hash is
    `photographs_sha256`.
    """

    FORM = LATENTS

    kind: Literal["latents"] = "latents"
    size: int
    variants: int
    strength: float
    outlined: bool
    rules: str
    photographs: int
    photographs_sha256: str
