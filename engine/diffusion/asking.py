"""A call by diffusers' conventions as rows of ours: prompts, annotations and seeds; and what it is
given in return."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from engine.diffusion.solvers import After
from engine.prose.parse import parse
from engine.schema import Annotation

SEEDS = 2**63 - 1
OUTPUTS = ("pil", "np", "pt", "latent")
Labels = Mapping[str, Any]
Generators: TypeAlias = torch.Generator | Sequence[torch.Generator] | None


@dataclass(frozen=True)
class Asked:
    """One prompt, annotation and seed for each image."""

    prompts: list[str]
    annotations: list[Annotation]
    seeds: list[int]


def asked(
    prompt: str | Sequence[str] | None,
    labels: Labels | Sequence[Labels] | None,
    images_per_prompt: int,
    generator: Generators,
) -> Asked:
    """The rows of a call. A row's labels are those that were given with it, else those that its
    prompt states, as `retinaforge generate` reads them. Raises ValueError.
    """
    prompts = [prompt or ""] if isinstance(prompt, str | None) else list(prompt)
    given = [labels or {}] if isinstance(labels, Mapping | None) else list(labels)
    if 1 in (len(given), len(prompts)) and given and prompts:
        rows = max(len(given), len(prompts))
        prompts, given = prompts * (rows // len(prompts)), given * (rows // len(given))
    if len(prompts) != len(given) or not prompts or images_per_prompt < 1:
        raise ValueError(
            f"{len(prompts)} prompts, {len(given)} sets of labels, {images_per_prompt} images each:"
            " expected as many of both, and at least one image"
        )
    annotations = [
        Annotation.model_validate({**parse(words), **known})
        for words, known in zip(prompts, given, strict=True)
    ]
    rows = len(prompts) * images_per_prompt
    return Asked(
        [each for each in prompts for _ in range(images_per_prompt)],
        [each for each in annotations for _ in range(images_per_prompt)],
        _seeds(generator, rows),
    )


def _seeds(generator: Generators, rows: int) -> list[int]:
    several = [generator] * rows if isinstance(generator, torch.Generator | None) else generator
    if len(several) != rows:
        raise ValueError(f"{len(several)} generators for {rows} images")
    return [_next_seed(each) for each in several]


def _next_seed(generator: torch.Generator | None) -> int:
    """A new generator's own seed, so that its first image is the row of that seed; then whatever it
    draws."""
    if generator is None:
        return secrets.randbelow(SEEDS)
    seed = generator.initial_seed()
    new = torch.Generator(generator.device).manual_seed(seed)
    fresh = torch.equal(generator.get_state(), new.get_state())
    drawn = torch.randint(SEEDS, (), generator=generator, device=generator.device)
    return seed if fresh else int(drawn)


def shown(pixels: np.ndarray, output_type: str) -> Any:
    """Photographs (B, H, W, 3) uint8 as diffusers gives them."""
    if output_type == "pil":
        return [Image.fromarray(each) for each in pixels]
    images = pixels.astype(np.float32) / 255
    return images if output_type == "np" else torch.from_numpy(images).permute(0, 3, 1, 2)


def telling(pipeline: Any, bar: Any, callback: Callable[..., Any] | None) -> After:
    """Moves the bar, and hands each step's latents to a callback, which may change them."""

    def after(step: int, timestep: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        bar.update()
        if callback is None:
            return latents
        changed = callback(pipeline, step, timestep, {"latents": latents})
        return (changed or {}).get("latents", latents)

    return after
