"""What lies in a photograph beside what surrounds it, freed of what cameras and eyes differ in:
networks that see this take what they learned of phantoms along to photographs."""

from __future__ import annotations

import torch
from torch.nn import functional as F

_DARK, _DIM, _RIM, _EVEN, _MOST_SPREADS, _CELLS = 0.04, 0.16, 3, 0.02, 6.0, 16
"""Light that is not told from none, least light of the field, pixels of its rim, least spread of
logarithms, most spreads, and cells of a side in which light changes slowly."""


def evened(images: torch.Tensor, fade: int = 0) -> torch.Tensor:
    """Pictures (B, 3, S, S) in [-1, 1] to their contrasts: of each channel the logarithm of its
    light over that around it, by the spread of green's; 0 outside the field. Towards its edge they
    fade within about `fade` pixels: light falls there, and that is nothing of the eye's."""
    light = ((images + 1) / 2).clamp(0, 1) + _DARK
    dark = (light.amax(1, keepdim=True) < _DIM).to(light)
    field = _far_from(dark, _RIM)
    around = (_slow(light * field) + 1e-3) / (_slow(field) + 1e-3)
    fine = (light / around).log() * field
    share = field.mean((2, 3), keepdim=True) + 1e-3
    spread = (fine[:, 1:2].square().mean((2, 3), keepdim=True) / share).sqrt()
    even = (fine / (spread + _EVEN)).clamp(-_MOST_SPREADS, _MOST_SPREADS) / 2
    if not fade:
        return even
    return even * F.avg_pool2d(_far_from(dark, fade), 2 * fade + 1, 1, fade)


def _far_from(dark: torch.Tensor, pixels: int) -> torch.Tensor:
    wide = 2 * pixels + 1
    rows = F.max_pool2d(F.pad(dark, (pixels,) * 4, value=1.0), (wide, 1), 1)
    return 1 - F.max_pool2d(rows, (1, wide), 1)


def _slow(images: torch.Tensor) -> torch.Tensor:
    """What changes over more than a sixth of the side."""
    coarse = F.interpolate(images, size=(_CELLS, _CELLS), mode="area")
    for _ in range(2):
        coarse = F.avg_pool2d(coarse, 3, 1, 1)
    return F.interpolate(coarse, size=images.shape[-2:], mode="bilinear", align_corners=False)
