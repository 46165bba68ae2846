"""The loss by noise level: quarters of the time that runs from noise (0) to image (1).

A step's values are means over rows, whichever worker and pass has them, and only some rows have a
level. So a row gives its loss and that it counts, both 0 at other levels, and the two means divide.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

LEVELS = ("0.00-0.25", "0.25-0.50", "0.50-0.75", "0.75-1.00")
_LOSS, _ROWS = "loss of time ", "rows of time "


def by_level(loss: Tensor, times: Tensor) -> dict[str, Tensor]:
    """Of rows' losses and times (B,): what `split_off` makes the loss of each level from."""
    loss, found = loss.detach(), {}
    level = (times * len(LEVELS)).long().clamp(max=len(LEVELS) - 1)
    for number, name in enumerate(LEVELS):
        inside = level == number
        found[_LOSS + name] = torch.where(inside, loss, 0.0)
        found[_ROWS + name] = inside.float()
    return found


def split_off(values: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """A step's values without those of `by_level`, and the mean loss of each level that any row
    had."""
    levels = {
        name: values[_LOSS + name] / values[_ROWS + name]
        for name in LEVELS
        if values.get(_ROWS + name)
    }
    rest = {k: v for k, v in values.items() if not k.startswith((_LOSS, _ROWS))}
    return rest, levels
