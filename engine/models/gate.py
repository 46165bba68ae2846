"""The gate network: which eye a photograph shows, what can be read in it, and where discs lie.

One convolutional trunk with three heads, 0.6 M parameters, made to judge an image in a few
milliseconds on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

SIDE = 96
"""Pixels of a side of what the network sees: the bounding square of the field of view."""
CELLS = 12
"""Cells of a side of the disc map."""

PRESETS: dict[str, dict] = {
    "tiny": {"widths": (16, 40, 80, 112), "depth": 1, "features": 128},
    "debug": {"widths": (4, 8, 8, 8), "depth": 1, "features": 16},
}


@dataclass(frozen=True)
class GateReading:
    """What the network says: `features` (B, D) of length 1, `readable` (B, 4) logits in the order
    of `schema.READABILITY`, `discs` (B, CELLS, CELLS) logits that a disc covers the cell."""

    features: torch.Tensor
    readable: torch.Tensor
    discs: torch.Tensor


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside an identity (He et al. 2016), with group norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(width, width, 1), conv(width, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same shape."""
        return x + self.body(x)


class GateNetwork(ModelMixin, ConfigMixin):
    """Squares (B, 3, SIDE, SIDE) in [-1, 1] to a `GateReading`.

    The features keep where things lie (a 4 x 4 grid before the last layer): an eye is told by the
    places of its disc, fovea and vessels more than by its colours.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (16, 40, 80, 112),
        depth: int = 1,
        features: int = 128,
    ) -> None:
        super().__init__()
        first, second, third, last = widths
        self.stem = conv(4, first, 2)
        self.shallow = nn.Sequential(conv(first, second, 2), Residual(second))
        self.middle = nn.Sequential(conv(second, third, 2), *map(Residual, [third] * depth))
        self.deep = nn.Sequential(conv(third, last, 2), Residual(last))
        self.squeeze = nn.Conv2d(last, last // 2, 1)
        self.identity = nn.Linear(last // 2 * 16, features)
        self.readable = nn.Sequential(nn.Linear(4 * last, 64), nn.SiLU(), nn.Linear(64, 4))
        self.discs = nn.Conv2d(third + last, 1, 3, padding=1)

    def forward(self, images: torch.Tensor) -> GateReading:
        """See the class."""
        middle = self.middle(self.shallow(self.stem(with_structure(images))))
        deep = self.deep(middle)
        grid = F.adaptive_avg_pool2d(F.silu(self.squeeze(deep)), 4)
        features = F.normalize(self.identity(grid.flatten(1)), dim=1)
        both = torch.cat([middle, F.interpolate(deep, scale_factor=2.0, mode="nearest")], 1)
        return GateReading(features, self.readable(summary(deep)), self.discs(both)[:, 0])


def build(preset: str) -> GateNetwork:
    """An untrained network."""
    return GateNetwork(**PRESETS[preset])


def conv(inward: int, outward: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inward, outward, 3, stride, 1, bias=False),
        nn.GroupNorm(outward // 4, outward),
        nn.SiLU(),
    )


def with_structure(images: torch.Tensor) -> torch.Tensor:
    """RGB and a fourth channel: green freed of the light's slow changes, by its local spread."""
    green = images[:, 1:2]
    fine = green - _slow(green)
    return torch.cat([images, fine / (_slow(fine.square()).sqrt() + 0.05)], 1)


def _slow(image: torch.Tensor) -> torch.Tensor:
    """What changes over more than an eighth of the side."""
    coarse = F.avg_pool2d(image, 8)
    return F.interpolate(coarse, size=image.shape[-2:], mode="bilinear", align_corners=False)


def summary(deep: torch.Tensor) -> torch.Tensor:
    """Mean, largest, smallest and spread over places: a fault may be everywhere or in one spot."""
    flat = deep.flatten(2)
    return torch.cat([flat.mean(2), flat.amax(2), flat.amin(2), flat.std(2)], 1)
