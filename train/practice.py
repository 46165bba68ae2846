"""How the small networks of a measure learn: what they see of pictures, in which order, how each is
changed before it is seen, and how they step. The same for all that are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

_QUALITY = 90
RATE, _DECAY = 1e-3, 0.05
_TURN, _GROW, _LIGHT = 0.2, 0.1, 0.15
"""Radians, share of the size and share of the brightness by which a picture is changed at most."""
_STRONG = 2.5
"""How many times as much it is changed where many more pictures are to be made of few."""


def seen(images: Iterable[np.ndarray], side: int) -> torch.Tensor:
    """Squares (S, S, 3) uint8 as networks see them (N, 3, side, side) uint8: all by one codec, so
    that none is known by the traces of its own."""
    rows = []
    for image in images:
        _, coded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
        again = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
        rows.append(cv2.resize(again, (side, side), interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)


def scaled(images: torch.Tensor) -> torch.Tensor:
    """uint8 to what networks take, in [-1, 1]."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def changed(images: torch.Tensor, chance: torch.Generator, strong: bool = False) -> torch.Tensor:
    """Pictures (B, 3, S, S) uint8 to `scaled` ones, each mirrored, turned, resized and lit anew."""
    much = _STRONG if strong else 1.0
    rows = len(images)

    def drawn(most: float, *shape: int) -> torch.Tensor:
        return (torch.rand(rows, *shape, generator=chance) * 2 - 1) * most * much

    angle, size = drawn(_TURN), 1 + drawn(_GROW)
    mirror = torch.randint(2, (rows,), generator=chance) * 2.0 - 1
    cos, sin, none = angle.cos() * size, angle.sin() * size, torch.zeros(rows)
    places = torch.stack([cos * mirror, -sin, none, sin * mirror, cos, none], 1).view(-1, 2, 3)
    grid = F.affine_grid(places, list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, align_corners=False)
    return scaled((moved * (1 + drawn(_LIGHT, 3, 1, 1))).clamp(0, 255))


def order(count: int, rows: int, chance: torch.Generator) -> torch.Tensor:
    """So many rows of positions below `count`: one epoch after the other, each in its own order."""
    epochs = -(-rows // count)
    return torch.cat([torch.randperm(count, generator=chance) for _ in range(epochs)])[:rows]


def learn(
    network: nn.Module, steps: int, loss_at: Callable[[int], torch.Tensor], rate: float = RATE
) -> None:
    """Steps of AdamW under one cycle of its rate (Smith & Topin 2018) down the loss at each; `rate`
    is its highest."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=_DECAY)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for step in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss_at(step).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        cycle.step()


@torch.inference_mode()
def said(network: nn.Module, images: torch.Tensor, at_once: int = 64) -> torch.Tensor:
    """What a network says (N, …) of pictures (N, 3, S, S) uint8."""
    network.eval()
    return torch.cat([network(scaled(rows)) for rows in images.split(at_once)])
