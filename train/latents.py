"""The latents that a denoiser learns from: made by the process that starts a run, read by every
worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import ModelMixin
from safetensors import SafetensorError

from engine.data.contents import Content, Contents
from engine.data.example import Example
from engine.data.latent_sets import VAE, Kept, lay_once
from engine.data.latents import LatentSettings, no_cache
from engine.data.squares import load_squares
from engine.jobs.latents import LatentAsk, bring_up
from engine.jobs.run import Schedule
from engine.models import principal_components
from engine.models.geometry import Outlines
from engine.models.patches import encoder_of
from engine.models.segmenter import Segmenter
from engine.pixels.door import RULES
from engine.stages.watch import Progress
from train.census import enough
from train.journal import Pace
from train.settings import require

Say = Callable[[str], None]
STARTING = 32
"""Photographs whose components start an autoencoder."""


@dataclass(frozen=True)
class Latents:
    """Where those of the eyes that teach and of held-out ones lie, and the autoencoder that made
    them, where it was started from the photographs."""

    taught: Kept
    held_out: Kept
    started: Path | None


@dataclass(frozen=True)
class Encoders:
    """What encodes and outlines, for whoever has work for them on this schedule; latents are kept
    below `cache`."""

    cache: Path
    vae: ModelMixin
    segmenter: Segmenter
    schedule: Schedule
    say: Say

    def encoded(
        self, examples: Sequence[Example], known: Sequence[Content], settings: LatentSettings
    ) -> Kept:
        """Where the latents of these examples lie, once they are made. UserError, RunError."""
        encoder = encoder_of(self.vae)
        outlines = Outlines(self.segmenter, encoder)
        ask = LatentAsk(
            self.cache, examples, known, settings, self.vae, encoder, self.segmenter, outlines
        )
        pace = Pace("encoded photograph", self.say, to_the_end=True)

        def tell(now: Progress) -> None:
            pace(now.committed + now.dead, now.planned)

        def wait() -> None:
            self.say("another run encodes the same photographs: waiting until they are there")

        return bring_up(ask, self.schedule, tell, wait)


def look_at(
    cache: Path, contents: Contents, examples: Sequence[Example], say: Say
) -> list[Content]:
    """What the photographs hold; those are read that nothing is recorded of."""
    known = contents.of(examples, Pace("looked at photograph", say))
    try:
        contents.keep()
    except OSError as error:
        raise no_cache(cache, error) from error
    return known


def start_autoencoder(
    cache: Path,
    preset: str,
    seed: int,
    size: int,
    photographs: Sequence[tuple[Example, Content]],
    counts: str,
) -> Path:
    """The folder of an autoencoder that is started from the components of these photographs, as
    squares of `size` pixels. It is kept in the cache: nobody reads them twice for it, and all
    workers have the same. Raises UserError, with the `counts`, where none can be read."""
    known = principal_components.PRESETS
    require(preset in known, "model.base", "", "a model that gives autoencoder and text")
    rules = ["start 1", RULES, preset, seed, size, [each.sha256 for _, each in photographs]]
    key = hashlib.sha256(json.dumps(rules).encode()).hexdigest()

    def start(folder: Path) -> None:
        torch.manual_seed(seed)
        vae = principal_components.build(preset)
        some, refused = load_squares([example for example, _ in photographs], size)
        enough(some, counts, refused)
        principal_components.start_from_components(vae, torch.stack(some))
        vae.save_pretrained(folder)

    try:
        return lay_once(cache / f"started-{key[:16]}" / VAE, start)
    except (OSError, SafetensorError) as error:
        raise no_cache(cache, error) from error
