"""`GeometryGenerator`: from random numbers to an eye's structures, the first stage of the dual GAN
(Guibas et al. 2017, arXiv 1709.01872), and the critic that teaches it.

Inspired by theirs, which is a DCGAN from the numbers alone: in the minutes that a CPU has, that one
learned where arcades lie and no trees (docs/gan.md). Here the numbers bend an eye that a program
drew and redraw it in part, so that it looks to the critic as photographs' structures do (after
Shrivastava et al. 2017, arXiv 1612.07828, who refine what a program drew).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from engine.models.soft_layers import LAYERS, from_right, read, soften
from engine.phantom.eye import RIGHT
from engine.phantom.render import Grow, draw, stream
from engine.schema import Annotation

NUMBERS = 100
"""Random numbers of an eye, each even between -1 and 1."""
GRID = 64
NOTHING = (-1.0, 0.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0)
"""A place of the layers that holds nothing."""
_SIZE = 256
_FOLD = 2
_TRIES = 32
"""Draws of which the first whole eye is taken."""


class GeometryGenerator(ModelMixin, ConfigMixin):
    """Random numbers (B, 100) and a program's eyes (B, 8, S, S) to other eyes (B, 8, S, S), all
    layers in about -1..1 and in the order of `LAYERS`. S is a multiple of 4.

    The numbers give a smooth field of shifts, `reach` of half the side at most, on `cells` x
    `cells` places, and steer a small U-Net that says what is added or taken, `change` at most: by
    0.5 no vessel comes from nothing. By 2 the same straight trunks came into every eye.

    Made eyes whose vessels are shorter or longer in all than `length`, in radii of the field, are
    not taken.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        style: int = 64,
        widths: tuple[int, int] = (32, 64),
        cells: int = 6,
        reach: float = 0.2,
        change: float = 0.5,
        length: tuple[float, float] = (3.0, 60.0),
    ) -> None:
        super().__init__()
        near, far = widths
        folded = len(LAYERS) * _FOLD**2
        self.read = nn.Sequential(
            *(nn.Linear(NUMBERS, style), nn.LeakyReLU(0.2)),
            *(nn.Linear(style, style), nn.LeakyReLU(0.2)),
        )
        self.bend = nn.Linear(style, 2 * cells**2)
        self.stem = nn.Conv2d(folded, near, 3, padding=1)
        self.down = nn.Conv2d(near, far, 4, stride=2, padding=1)
        self.steer = nn.Linear(style, 2 * far)
        self.inner = nn.Conv2d(far, far, 3, padding=1)
        self.up = nn.Conv2d(far, near, 3, padding=1)
        self.last = nn.Conv2d(near, folded, 3, padding=1)
        # It begins as what the program drew, hardly bent.
        nn.init.normal_(self.bend.weight, std=0.02)
        for each in (self.bend.bias, self.last.weight, self.last.bias):
            nn.init.zeros_(each)

    def forward(self, numbers: torch.Tensor, eyes: torch.Tensor) -> torch.Tensor:
        """See the class."""
        style = self.read(numbers)
        bent = moved(eyes, self._shifts(style, eyes.shape[-1]))
        x = F.leaky_relu(self.stem(F.pixel_unshuffle(bent, _FOLD)), 0.2)
        y = F.leaky_relu(self.down(x), 0.2)
        scale, shift = self.steer(style)[:, :, None, None].chunk(2, 1)
        y = y + self.inner(F.leaky_relu(y * (1 + scale) + shift, 0.2))
        x = x + self.up(F.interpolate(y, scale_factor=2, mode="nearest"))
        change = F.pixel_shuffle(self.last(F.leaky_relu(x, 0.2)), _FOLD)
        return bent + self.config.change * torch.tanh(change)

    def _shifts(self, style: torch.Tensor, side: int) -> torch.Tensor:
        """By how much of half the side each place is moved (B, S, S, 2)."""
        cells = self.config.cells
        coarse = torch.tanh(self.bend(style)).unflatten(1, (2, cells, cells))
        fine = F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=True)
        return self.config.reach * fine.permute(0, 2, 3, 1)


def moved(layers: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Layers (B, 8, S, S), each place from where shifts (B, S, S, 2) in half sides point; nothing
    comes in from beyond."""
    nothing = layers.new_tensor(NOTHING)[:, None, None]
    same = torch.eye(2, 3, device=layers.device).expand(len(layers), -1, -1)
    places = F.affine_grid(same, list(layers.shape), align_corners=False) + shifts
    return F.grid_sample(layers - nothing, places, align_corners=False) + nothing


class GeometryCritic(nn.Module):
    """Layers (B, 8, S, S) to an opinion (B,), above 0 where they seem real; S is four times two to
    the number of `widths`. `bounded` by spectral norm."""

    def __init__(self, widths: tuple[int, ...], bounded: bool, grid: int = GRID) -> None:
        super().__init__()

        def bound(layer: nn.Module) -> nn.Module:
            return spectral_norm(layer) if bounded else layer

        pairs = pairwise((len(LAYERS), *widths))
        self.shrink = nn.ModuleList([bound(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairs])
        self.last = bound(nn.Linear(widths[-1] * (grid // 2 ** len(widths)) ** 2, 1))

    def forward(self, layers: torch.Tensor) -> torch.Tensor:
        """See the class."""
        for shrink in self.shrink:
            layers = F.leaky_relu(shrink(layers), 0.2)
        opinion: torch.Tensor = self.last(layers.flatten(1))[:, 0]
        return opinion


def drawn_layers(source: str | None, seed: int, size: int = _SIZE) -> np.ndarray:
    """The program's eye of a seed as layers (8, GRID, GRID): a right one, as the camera of this
    source sees it."""
    asked = Annotation(eye_side=RIGHT, source=source)
    return soften(from_right(draw(asked, seed, size, light=False).masks), GRID)


class MadeAnatomies:
    """An eye of the generator for each row, by its seed and camera: see `AnatomySource`. Lesions
    and cup are not taken, as a row's labels decide them."""

    def __init__(self, generator: GeometryGenerator) -> None:
        self._generator = generator.float().eval()

    def grown(self, annotation: Annotation, seed: int) -> Grow:
        """See `AnatomySource`. The first eye that is whole."""
        rng = stream(seed, "numbers")
        least, most = self._generator.config.length
        for _ in range(_TRIES):
            anatomy = read(self.layers(annotation.source, rng))
            if anatomy is not None and least <= anatomy.length <= most:
                return anatomy.grow
        raise ValueError(f"the generator made no whole eye in {_TRIES} tries")

    @torch.inference_mode()
    def layers(self, source: str | None, rng: np.random.Generator) -> np.ndarray:
        """Layers (8, GRID, GRID) of the next eye."""
        numbers = torch.from_numpy(rng.uniform(-1, 1, (1, NUMBERS)).astype(np.float32))
        eye = torch.from_numpy(drawn_layers(source, int(rng.integers(2**62))))[None]
        return self._generator(numbers, eye)[0].numpy()
