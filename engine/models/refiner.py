"""`Refiner`: a phantom's picture gets the texture of photographs, in one evaluation.

Vessels and all that is fine are taken out of a picture, but for its lesions, and put back as
photographs have them: so a photograph teaches by its own bare picture, and a phantom's, as bare,
looks the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import cv2
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
from engine.schema import Annotation

CODES = 8
"""Normal numbers for all that neither picture nor source decides."""
GRAIN = 2
PICTURE = 3
LINES = 3
"""Masks of arteries, veins and field."""
_LINES = [GEOMETRY.index(name) for name in ("artery", "vein", "field")]
_LESIONS = [GEOMETRY.index(name) for name in ("dark_lesion", "bright_lesion")]
_REACH, _TONES = 4.0, 16.0
"""Of the smoothing at 512 pixels: how far, and between which grey levels."""
_FILL = 5.0
"""From how far at 512 pixels vessels are filled."""
_FULL, _ALONG = 0.97, 1.5
"""Quantile of the green light that a picture's vessels take which is a vessel without doubt, and
over how many pixels that is told."""
_BLACK = 15
"""Light up to which a pixel is none of the field, and fills nothing."""
_MARGIN = 3
"""Pixels round a lesion that stay as they are."""


def bare(picture: np.ndarray, vessels: np.ndarray, lesions: np.ndarray) -> np.ndarray:
    """A picture (S, S, 3) uint8 without its vessels (S, S) bool, which are filled from beside them,
    and without what is finer than an edge (Tomasi & Manduchi, ICCV 1998); its lesions (S, S) bool
    stay."""
    scale = len(picture) / 512
    plain = cv2.bilateralFilter(_filled(picture, vessels, _FILL * scale), 0, _TONES, _REACH * scale)
    kept = _grown(lesions, _MARGIN)
    return np.where(kept[..., None], picture, plain)


def ink(picture: np.ndarray, vessels: np.ndarray) -> np.ndarray:
    """How much of a photograph's vessel each pixel of a phantom's vessels is (S, S) float32 in
    0..1, by the light that it takes beside the picture's darkest: people and segmenters mark what
    stands out, a phantom's mask holds the faintest twig."""
    filled = _filled(picture, vessels, _FILL * len(picture) / 512)[..., 1].astype(np.float32)
    share = (filled - picture[..., 1]) / np.maximum(filled, 8)
    marked = vessels.astype(np.float32)
    spread = cv2.GaussianBlur(share.clip(0, 1) * marked, (0, 0), _ALONG)
    spread /= np.maximum(cv2.GaussianBlur(marked, (0, 0), _ALONG), 1e-3)
    darkest = float(np.quantile(spread[vessels], _FULL)) if vessels.any() else 1.0
    return marked * (spread / max(darkest, 1e-3)).clip(0, 1)


def _filled(picture: np.ndarray, hole: np.ndarray, reach: float) -> np.ndarray:
    """A picture with the mean of what lies round a hole in it, by distance (Knutsson & Westin, CVPR
    1993)."""
    field = picture.max(-1) > _BLACK
    hole = _grown(hole, 1) & field
    known = (~hole & field).astype(np.float32)
    share = cv2.GaussianBlur(known, (0, 0), reach)[..., None]
    light = cv2.GaussianBlur(picture * known[..., None], (0, 0), reach)
    round_it = np.round(light / np.maximum(share, 1e-3)).clip(0, 255).astype(np.uint8)
    return np.where(hole[..., None], round_it, picture)


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    """A mask (S, S) bool with what lies within so many pixels of it."""
    square = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), square) > 0


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
        style, given = len(sources) + CODES, PICTURE + LINES + GRAIN
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
        (B, sources + 8), grain (B, 2, S, S) normal; S a multiple of 32. Gives photographs
        (B, 3, S, S), unchanged outside the field."""
        given = torch.cat([pictures, lines, grain], 1)
        x = self.stem(F.pixel_unshuffle(given, FOLD))
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
    ) -> np.ndarray:
        """Phantoms' maps (B, S, S, 8) and pictures (B, S, S, 3), uint8, as photographs (B, S, S, 3)
        uint8 of each annotation's source; a row depends on its own phantom, source and seed
        alone."""
        rows, size = list(row_seeds), start.shape[1]
        marked = geometry > 0
        lines, lesions = marked[..., _LINES].astype(np.float32), np.any(marked[..., _LESIONS], -1)
        vessels = np.any(lines[..., :-1], -1)
        lines[..., :-1] *= np.stack([ink(*each) for each in zip(start, vessels)])[..., None]
        pictures = np.stack([bare(*each) for each in zip(start, vessels, lesions)])
        codes = seeds.noise(rows, (CODES,))
        sources = torch.stack([self.source(each.source) for each in annotations])
        to = {"device": self.device, "dtype": self.dtype}
        refined = self(
            _layers(pictures).to(**to) * 2 - 1,
            torch.from_numpy(lines).permute(0, 3, 1, 2).to(**to),
            torch.cat([sources, codes], 1).to(**to),
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
                sources, codes = weights[name].split([len(known), CODES], 1)
                new = sources.sum(1, keepdim=True) / max(len(known), 1)
                weights[name] = torch.cat([sources, new, codes], 1)
        wider.load_state_dict(weights)
        return wider

    def source(self, name: str | None) -> torch.Tensor:
        """A source as the style has it (sources,): 1 at its place, the first one's for another."""
        known = list(self.config.sources)
        place = known.index(name) if name in known else 0
        return F.one_hot(torch.tensor(place), len(known)).float()


def _layers(images: np.ndarray) -> torch.Tensor:
    """Images (B, S, S, C) uint8 as (B, C, S, S) float32 in 0..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
