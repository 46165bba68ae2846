"""`Refiner`: a phantom's picture gets the texture of photographs, in one evaluation.

Vessels and all that is fine are taken out of a picture, but for its lesions, and put back as
photographs have them: so a photograph teaches by its own bare picture, and a phantom's, as bare,
looks the same. How dark each vessel was and how strong the texture is measured before, and told.
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
TOLD = 5
"""Numbers for the size and for how strong each octave of the texture is."""
GRAIN = 2
PICTURE = 3
LINES = 3
"""Arteries and veins as dark as they are (`ink`), and the mask of the field."""
_LINES = [GEOMETRY.index(name) for name in ("artery", "vein", "field")]
_LESIONS = [GEOMETRY.index(name) for name in ("dark_lesion", "bright_lesion")]
_REACH, _TONES = 4.0, 16.0
"""Of the smoothing at 512 pixels: how far, and between which grey levels."""
_FILL = 4
"""From how many pixels beyond it each pixel of a hole is filled."""
_EDGE = 2
"""Pixels within the field's edge that are too dim to fill a hole."""
_DENSEST, _ALONG = 0.6, 1.5
"""Optical density of a vessel that counts as 1, and over how many pixels at 512 it is told."""
_FAINTER = 1.2
"""How much darker than the phantom's vessels are told to be: they come out fainter than told. Of 40
eyes with labels of the test split they are found again at a Dice of 0.77 so, of 0.73 without."""
_OCTAVES = (1.0, 2.0, 4.0)
"""Sigmas at 512 pixels that part texture into octaves; the last has all that is coarser."""
_ORDINARY, _SPREAD = (-4.1, -4.9, -5.35, -5.95), 0.25
"""Logarithm of the contrast of photographs in each octave, and how much it differs."""
_RIM = 8
"""Pixels at 512 within the field whose texture is not measured."""
_BLACK = 15
"""Light up to which a pixel is none of the field, and fills nothing."""
_MARGIN = 3
"""Pixels round a lesion that stay as they are."""


def bare(picture: np.ndarray, vessels: np.ndarray, lesions: np.ndarray) -> np.ndarray:
    """A picture (S, S, 3) uint8 without its vessels (S, S) bool, which are filled from beside them,
    and without what is finer than an edge (Tomasi & Manduchi, ICCV 1998); its lesions (S, S) bool
    stay."""
    scale, near = len(picture) / 512, _grown(lesions, _MARGIN)
    filled = _filled(picture, vessels | near)
    plain = cv2.bilateralFilter(filled, 0, _TONES, _REACH * scale)
    # A vessel beside a lesion is put back as any other, and must not be there twice.
    kept = lesions | (near & ~_grown(vessels, 1))
    return np.where(kept[..., None], picture, plain)


def ink(picture: np.ndarray, vessels: np.ndarray) -> np.ndarray:
    """How dark a picture's vessels (S, S) bool are (S, S) float32 in 0..1: the logarithm of the
    green light that they take, smoothed along them."""
    scale = len(picture) / 512
    round_it = _filled(picture, vessels)[..., 1].astype(np.float32)
    density = np.log(np.maximum(round_it, 4) / np.maximum(picture[..., 1], 4)).clip(0)
    marked = vessels.astype(np.float32)
    told = cv2.GaussianBlur(density * marked, (0, 0), _ALONG * scale)
    told /= np.maximum(cv2.GaussianBlur(marked, (0, 0), _ALONG * scale), 1e-3)
    return marked * (told / _DENSEST).clip(0, 1)


def texture(picture: np.ndarray, plain: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """How strong the texture is that a bare picture `plain` lacks, in octaves (4,) float32, in
    spreads from an ordinary photograph's; vessels and lesions `marked` (S, S) bool are left out."""
    scale = len(picture) / 512
    rim = round(_RIM * scale)
    lit = (picture.max(-1) > _BLACK).astype(np.uint8)
    hole = _grown(marked, _MARGIN)
    inside = (cv2.erode(lit, np.ones((2 * rim + 1, 2 * rim + 1))) > 0) & ~hole
    green, light = picture[..., 1].astype(np.float32), plain[..., 1].astype(np.float32)
    layers = [np.where(hole, 0, (green - light) / np.maximum(light, _BLACK))]
    layers += [cv2.GaussianBlur(layers[0], (0, 0), sigma * scale) for sigma in _OCTAVES]
    layers.append(np.zeros_like(layers[0]))
    bands = [(fine - coarse)[inside] for fine, coarse in pairwise(layers)]
    contrast = [np.log(band.std() + 1e-4) if band.size else low
                for band, low in zip(bands, _ORDINARY)]  # fmt: skip
    return ((np.array(contrast) - _ORDINARY) / _SPREAD).clip(-4, 4).astype(np.float32)


def with_lesions(picture: np.ndarray, phantom: np.ndarray, lesions: np.ndarray) -> np.ndarray:
    """A picture (S, S, 3) uint8 of a phantom's eye with the phantom's own lesions (S, S) bool: as
    much darker or brighter than what lies round them as there."""
    hole = _grown(lesions, _MARGIN)
    here, there = (_filled(each, hole).astype(np.float32) for each in (picture, phantom))
    share = (phantom.astype(np.float32) + 1) / (there + 1)
    laid = np.round(here * share).clip(0, 255).astype(np.uint8)
    return np.where(hole[..., None], laid, picture)


def _filled(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A picture whose hole is filled from its edge inwards, so that what crosses it goes on (Telea,
    J Graphics Tools 9:23, 2004)."""
    field = picture.max(-1) > _BLACK
    hole = _grown(hole, 1) & field
    # The dim edge of the field and what lies beyond it are open too, or would be drawn in.
    open_ = hole | (_grown(field, 2 * _FILL) & _grown(~field, _EDGE))
    filled = cv2.inpaint(picture, open_.astype(np.uint8), _FILL, cv2.INPAINT_TELEA)
    return np.where(hole[..., None], filled, picture)


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
        drawn: np.ndarray | None = None,
    ) -> np.ndarray:
        """Phantoms' maps (B, S, S, 8) and pictures (B, S, S, 3), uint8, as photographs (B, S, S, 3)
        uint8 of each annotation's source; a row depends on its own phantom, source and seed
        alone. What somebody else has `drawn` of the same eyes (B, S, S, 3) uint8 gets the phantoms'
        lesions, and stands in for their pictures: vessels and texture are as strong as theirs."""
        rows, size = list(row_seeds), start.shape[1]
        marked = geometry > 0
        lines, lesions = marked[..., _LINES].astype(np.float32), np.any(marked[..., _LESIONS], -1)
        vessels = np.any(lines[..., :-1], -1)
        # Where an artery crosses a vein, it is the one that is seen.
        lines[..., 1] *= 1 - lines[..., 0]
        lines[..., :-1] *= ~lesions[..., None]
        dark = np.stack([ink(*each) for each in zip(start, vessels)])
        lines[..., :-1] *= np.minimum(_FAINTER * dark, 1)[..., None]
        pictures = plain = np.stack([bare(*each) for each in zip(start, vessels, lesions)])
        if drawn is not None:
            # Whoever has drawn them may have left traces beyond the field.
            inside = marked[..., GEOMETRY.index("field"), None]
            laid = [with_lesions(*each) for each in zip(drawn * inside, start, lesions)]
            pictures = np.stack([bare(*each) for each in zip(laid, vessels, lesions)])
        style = [
            self.style(annotation.source, size, texture(picture, smooth, marks), code)
            for annotation, picture, smooth, marks, code in zip(
                annotations, start, plain, vessels | lesions, seeds.noise(rows, (CODES,))
            )
        ]
        to = {"device": self.device, "dtype": self.dtype}
        refined = self(
            _layers(pictures).to(**to) * 2 - 1,
            torch.from_numpy(lines).permute(0, 3, 1, 2).to(**to),
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
