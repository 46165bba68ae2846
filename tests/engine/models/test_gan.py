"""The painter's last layers."""

from __future__ import annotations

import torch

from engine.models.gan import FOLD, hold


def test_a_zero_orderhold_leaves_no_grid_of_a_constant():
    cells = torch.randn(1, 2 * FOLD**2, 1, 1).expand(-1, -1, 5, 6)
    held = hold(torch.nn.functional.pixel_shuffle(cells, FOLD))
    assert held.shape == (1, 2, 5 * FOLD, 6 * FOLD)
    assert held.std((2, 3)).max() < 1e-6
