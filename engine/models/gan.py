"""`GeometryGan`: from a geometry map to a photograph in one evaluation, the second stage of the
dual GAN (Guibas et al. 2017, arXiv 1709.01872)."""

from __future__ import annotations

from collections.abc import Sequence
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
from engine.models.grounds import GEOMETRY
from engine.schema import Annotation

COLOURS = 3
CODES = 8
"""Of the style: mean colour of the field, and normal numbers for all else that geometry leaves
open."""
FOLD = 4
"""The map is folded by this much, so that its detail is channels and most layers are cheap."""
_GRAIN = 2


class _Block(nn.Module):
    """Two 3 x 3 convolutions round a shortcut; the style scales and shifts what is normalised."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, channels, 3, padding=1)
        self.two = nn.Conv2d(channels, channels, 3, padding=1)
        self.style = nn.Linear(style, 2 * channels)
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        scale, shift = self.style(style)[:, :, None, None].chunk(2, 1)
        inner = F.leaky_relu(self.norm(self.one(x)) * (1 + scale) + shift, 0.2)
        return x + self.two(inner)


class GeometryGan(ModelMixin, ConfigMixin):
    """The generator: a U-Net on the folded map, then two convolutions at full size.

    `colours` holds for each of `sources` the mean (3) and the lower Cholesky factor (9) of the
    field's mean colour in [-1, 1], from which a sample's colour is drawn.
    """

    config_name = "config.json"
    starts: ClassVar[bool] = False
    """Whether it begins from the ground's picture."""

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (32, 48, 80, 80),
        fine: int = 16,
        size: int = 256,
        sources: tuple[str, ...] = (),
        colours: tuple[tuple[float, ...], ...] = (),
    ) -> None:
        super().__init__()
        style = COLOURS + CODES
        first = (len(GEOMETRY) + _GRAIN) * FOLD**2
        self.stem = nn.Conv2d(first, widths[0], 3, padding=1)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList([nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs])
        self.inner = nn.ModuleList([_Block(b, style) for _, b in pairs])
        self.up = nn.ModuleList([nn.Conv2d(b + a, a, 3, padding=1) for a, b in reversed(pairs)])
        self.outer = nn.ModuleList([_Block(a, style) for a, _ in reversed(pairs)])
        self.unfold = nn.Conv2d(widths[0], fine * FOLD**2, 1)
        self.finish = nn.Conv2d(fine + len(GEOMETRY) + _GRAIN, fine, 3, padding=1)
        self.last = nn.Conv2d(fine, 3, 3, padding=1)

    def forward(self, maps: torch.Tensor, style: torch.Tensor, grain: torch.Tensor) -> torch.Tensor:
        """Maps (B, 8, S, S) in 0..1, style (B, 11), grain (B, 2, S, S) normal; S a multiple of 32.

        Gives photographs (B, 3, S, S) in [-1, 1], black outside the field.
        """
        given = torch.cat([maps, grain], 1)
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
        light = torch.sigmoid(self.last(full)) * maps[:, -1:]
        return light * 2 - 1

    @torch.inference_mode()
    def paint(
        self, geometry: np.ndarray, annotations: Sequence[Annotation], row_seeds: Sequence[int]
    ) -> np.ndarray:
        """Maps (B, S, S, 8) uint8 as photographs (B, S, S, 3) uint8 in the colour of each
        annotation's source; a row depends on its own map, source and seed alone."""
        given = torch.from_numpy(geometry).permute(0, 3, 1, 2).float() / 255
        size = given.shape[-1]
        style = seeds.noise(list(row_seeds), (COLOURS + CODES,))
        for row, annotation in enumerate(annotations):
            style[row, :COLOURS] = self._colour(annotation.source, style[row, :COLOURS])
        grain = seeds.noise(list(row_seeds), (_GRAIN, size, size))
        to = {"device": self.device, "dtype": self.dtype}
        return to_uint8(self(given.to(**to), style.to(**to), grain.to(**to)))

    def _colour(self, source: str | None, normal: torch.Tensor) -> torch.Tensor:
        known = list(self.config.sources)
        place = known.index(source) if source in known else 0
        numbers = torch.tensor(self.config.colours[place], dtype=torch.float32)
        return numbers[:3] + numbers[3:].reshape(3, 3) @ normal


def hold(unfolded: torch.Tensor) -> torch.Tensor:
    """Each pixel as the mean of FOLD x FOLD: a zero-order hold, after which an unfolded map can
    show no grid (Sugawara et al. 2018, arXiv 1806.02658, section 3)."""
    # Borders are continued by whole blocks, so that every mean has each place of a block once.
    before, after = (FOLD - 1) // 2, FOLD // 2
    for axis in (2, 3):
        first = unfolded.narrow(axis, FOLD - before, before)
        last = unfolded.narrow(axis, unfolded.shape[axis] - FOLD, after)
        unfolded = torch.cat([first, unfolded, last], axis)
    return F.avg_pool2d(unfolded, FOLD, stride=1)
