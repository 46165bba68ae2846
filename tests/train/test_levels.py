"""The loss of each noise level is its rows' own mean, however the rows are cut and shared."""

import pytest
import torch

from train.levels import LEVELS, by_level, split_off
from train.stepper import add_means

LOSS = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
TIMES = torch.tensor([0.0, 0.1, 0.25, 0.74, 0.75, 1.0])


def test_passes_of_unlike_levels_give_the_mean_of_each_levels_rows():
    totals = {}
    for rows in (slice(0, 2), slice(2, 6)):
        loss = LOSS[rows]
        add_means(totals, {"loss": loss, **by_level(loss, TIMES[rows])}, len(loss) / len(LOSS))
    values, levels = split_off({name: float(value) for name, value in totals.items()})
    assert values == {"loss": pytest.approx(3.5)}
    assert levels == pytest.approx(dict(zip(LEVELS, (1.5, 3.0, 4.0, 5.5))))


def test_a_level_without_rows_has_no_loss_and_another_rows_nan_is_not_its_own():
    found = by_level(torch.tensor([float("nan"), 2.0]), torch.tensor([0.1, 0.9]))
    _, levels = split_off({name: float(value.mean()) for name, value in found.items()})
    assert levels.keys() == {LEVELS[0], LEVELS[3]}
    assert levels[LEVELS[3]] == 2.0
