"""`Refiner`: a phantom's picture gets the texture of photographs, in one evaluation.

Vessels and all that is fine are taken out of a picture, but for its lesions, and put back as
photographs have them: so a photograph teaches by its own bare picture, and a phantom's, as bare,
looks the same. How dark each vessel was and how strong the texture is measured before, and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

from engine import seeds
from engine.data.transforms import to_uint8
from engine.models.gan import FOLD, hold
from engine.models.grounds import GEOMETRY
from engine.models.plain import bare, behind, ink, texture, with_lesions
from engine.schema import Annotation

CODES = 8
"""Normal numbers for all that neither picture nor source decides."""
TOLD = 5
"""Numbers for the size and for how strong each octave of the texture is."""
GRAIN = 2
PICTURE = 3
LINES = 3
"""Arteries and veins as dark as they are (`ink`), and the mask of the field."""
_FAINTER = 1.2
"""How much darker than the phantom's vessels are told to be: they come out fainter than told. Of 40
eyes with labels of the test split they are found again at a Dice of 0.77 so, of 0.73 without."""
_LAST = torch.channels_last


@dataclass(frozen=True)
class _Eye:
    """A phantom's eye, ready to be refined: its bare `picture` (S, S, 3) uint8, its `lines`
    (3, S, S) float32, and how strong its texture is (4,)."""

    picture: np.ndarray
    lines: np.ndarray
    strength: np.ndarray


def _eye(geometry: np.ndarray, start: np.ndarray, drawn: np.ndarray | None) -> _Eye:
    """That of a map (S, S, 8), a picture (S, S, 3) and what somebody else has drawn of it
    (S, S, 3), all uint8."""
    marks = dict(zip(GEOMETRY, np.ascontiguousarray(np.moveaxis(geometry, -1, 0)) > 0))
    artery, vein, field = marks["artery"], marks["vein"], marks["field"]
    vessels, lesions = artery | vein, marks["dark_lesion"] | marks["bright_lesion"]
    half = behind(start, vessels, lesions)
    plain = bare(start, vessels, lesions, half)
    dark = np.minimum(_FAINTER * ink(start, vessels, half), 1) * ~lesions
    # Where an artery crosses a vein, it is the one that is seen.
    lines = np.stack([dark * artery, dark * (vein & ~artery), field.astype(np.float32)])
    strength = texture(start, plain, vessels | lesions)
    if drawn is not None:
        # Whoever has drawn them may have left traces beyond the field.
        clean = drawn * field[..., None]
        own = behind(clean, vessels, lesions)
        laid = with_lesions(clean, start, lesions, (own, half))
        plain = bare(laid, vessels, lesions, own)
    return _Eye(plain, lines, strength)


class _Block(nn.Module):
    """Two 3 x 3 convolutions round a shortcut; the style scales and shifts what is normalised.

    Each pixel is normalised by itself (Karras et al. 2018, arXiv 1710.10196, section 4.2), so that
    a crop is refined as the whole picture is.
    """

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, channels, 3, padding=1)
        self.two = nn.Conv2d(channels, channels, 3, padding=1)
        self.style = nn.Linear(style, 2 * channels)

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        scale, shift = self.style(style)[:, :, None, None].chunk(2, 1)
        inner = self.one(x)
        inner = inner * torch.rsqrt(inner.square().mean(1, keepdim=True) + 1e-6)
        return x + self.two(F.leaky_relu(inner * (1 + scale) + shift, 0.2))


class Refiner(ModelMixin, ConfigMixin):
    """A U-Net on the folded picture and its lines, then two convolutions at full size.

    It changes no channel by more than `reach` of [-1, 1]. Untrained it changes nothing.
    """

    config_name = "config.json"
    starts: ClassVar[bool] = True
    """Whether it begins from the ground's picture."""

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (32, 48, 64, 64),
        fine: int = 16,
        size: int = 512,
        reach: float = 0.4,
        sources: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        style, given = len(sources) + TOLD + CODES, PICTURE + LINES + GRAIN
        self.stem = nn.Conv2d(given * FOLD**2, widths[0], 3, padding=1)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList([nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs])
        self.inner = nn.ModuleList([_Block(b, style) for _, b in pairs])
        self.up = nn.ModuleList([nn.Conv2d(b + a, a, 3, padding=1) for a, b in reversed(pairs)])
        self.outer = nn.ModuleList([_Block(a, style) for a, _ in reversed(pairs)])
        self.unfold = nn.Conv2d(widths[0], fine * FOLD**2, 1)
        self.finish = nn.Conv2d(fine + given, fine, 3, padding=1)
        self.last = nn.Conv2d(fine, PICTURE, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(
        self,
        pictures: torch.Tensor,
        lines: torch.Tensor,
        style: torch.Tensor,
        grain: torch.Tensor,
    ) -> torch.Tensor:
        """Bare pictures (B, 3, S, S) in [-1, 1], lines (B, 3, S, S) in 0..1, style
        (B, sources + 5 + 8), grain (B, 2, S, S) normal; S a multiple of 32. Gives photographs
        (B, 3, S, S), unchanged outside the field."""
        # With channels last each layer takes half the time on a CPU.
        given = torch.cat([pictures, lines, grain], 1).contiguous(memory_format=_LAST)
        x = self.stem(F.pixel_unshuffle(given, FOLD).contiguous(memory_format=_LAST))
        skips = []
        for shrink, block in zip(self.down, self.inner):
            skips.append(x)
            x = block(F.leaky_relu(shrink(x), 0.2), style)
        for join, block, skip in zip(self.up, self.outer, reversed(skips)):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(F.leaky_relu(join(torch.cat([x, skip], 1)), 0.2), style)
        full = hold(F.pixel_shuffle(self.unfold(x), FOLD))
        full = F.leaky_relu(self.finish(torch.cat([full, given], 1)), 0.2)
        change = self.config.reach * torch.tanh(self.last(full))
        return pictures + change * lines[:, -1:]

    @torch.inference_mode()
    def paint(
        self,
        geometry: np.ndarray,
        start: np.ndarray,
        annotations: Sequence[Annotation],
        row_seeds: Sequence[int],
        drawn: np.ndarray | None = None,
    ) -> np.ndarray:
        """Phantoms' maps (B, S, S, 8) and pictures (B, S, S, 3), uint8, as photographs (B, S, S, 3)
        uint8 of each annotation's source; a row depends on its own phantom, source and seed
        alone. What somebody else has `drawn` of the same eyes (B, S, S, 3) uint8 gets the phantoms'
        lesions, and stands in for their pictures: vessels and texture are as strong as theirs."""
        rows, size = list(row_seeds), start.shape[1]
        eyes = [
            _eye(map_, picture, None if drawn is None else drawn[row])
            for row, (map_, picture) in enumerate(zip(geometry, start))
        ]
        style = [
            self.style(annotation.source, size, eye.strength, code)
            for annotation, eye, code in zip(annotations, eyes, seeds.noise(rows, (CODES,)))
        ]
        to = {"device": self.device, "dtype": self.dtype}
        refined = self(
            _layers(np.stack([eye.picture for eye in eyes])).to(**to) * 2 - 1,
            torch.from_numpy(np.stack([eye.lines for eye in eyes])).to(**to),
            torch.stack(style).to(**to),
            seeds.noise(rows, (GRAIN, size, size)).to(**to),
        )
        return to_uint8(refined)

    def knowing(self, source: str) -> Refiner:
        """This refiner with a place in its style for a source; one that is new to it is drawn as
        the mean of all that it knows, until it has learned."""
        known = list(self.config.sources)
        if source in known:
            return self
        # The library's own entries would have arguments of this one count as left to their default.
        told = {name: value for name, value in self.config.items() if not name.startswith("_")}
        wider = Refiner(**{**told, "sources": (*known, source)})
        weights = self.state_dict()
        for name in weights:
            if name.endswith(".style.weight"):
                sources, others = weights[name].tensor_split([len(known)], 1)
                new = sources.sum(1, keepdim=True) / max(len(known), 1)
                weights[name] = torch.cat([sources, new, others], 1)
        wider.load_state_dict(weights)
        return wider

    def style(
        self, source: str | None, size: int, strength: np.ndarray, codes: torch.Tensor
    ) -> torch.Tensor:
        """What the style tells (sources + 5 + 8,): the source, 1 at its place (the first one's for
        one that it was not taught), how often 512 pixels are doubled, how strong the texture is
        (4,), and codes (8,) normal."""
        known = list(self.config.sources)
        place = known.index(source) if source in known else 0
        told = [float(place == each) for each in range(len(known))]
        told += [float(np.log2(size / 512)), *map(float, strength)]
        return torch.cat([torch.tensor(told), codes])


def _layers(images: np.ndarray) -> torch.Tensor:
    """Images (B, S, S, C) uint8 as (B, C, S, S) float32 in 0..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
