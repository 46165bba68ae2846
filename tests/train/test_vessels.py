"""The worth of a set to who must find vessels: networks learn what masks say, and a weak rival is
no rival."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.evaluate.sets import Sets
from engine.schema import UserError
from train.vessels import VESSELS, Labour, MarkedPictures, figures, marked

LABOUR = Labour(steps=36, seeds=1, pictures=8, batch=4, crop=64)
FLEETING = Labour(steps=2, seeds=1, pictures=4, batch=2, crop=32)


def measured(set_, real, labour=LABOUR):
    sets = Sets.read(set_, real, True, lambda line: None)
    return {each.name: each for each in marked(sets, labour, VESSELS)}


def test_networks_learn_what_masks_say_wrong_ones_too(lined):
    found = measured(lined("wrong", ("",) * 4, right=False, seed=1), lined("real"))
    real = found["f1_real"]
    assert real.value > 0.75
    for arm in ("real", "synthetic", "both"):
        each = found[f"f1_{arm}"]
        assert each.low <= each.value <= each.high
        assert (each.n, each.floor) == (3, pytest.approx(real.value))
        assert each.control < 0.3
    assert found["f1_synthetic"].value < 0.4
    assert found["share"].value == pytest.approx(found["f1_synthetic"].value / real.value)
    assert found["share"].high < 0.6


def test_a_set_without_masks_teaches_nothing_and_photographs_without_test_nothing(lined):
    real = lined("real")
    found = measured(lined("bare", ("",) * 2, masks=False), real, FLEETING)
    assert "nothing with marked vessels" in found["f1_synthetic"].not_estimable
    assert found["f1_real"].value is not None
    assert "needs marked photographs" in found["share"].not_estimable
    with pytest.raises(UserError, match="no photograph to test with has a mask of vessels"):
        measured(real, lined("unmarked", ("train", "test"), masks=False), FLEETING)


def test_beside_a_weak_rival_a_share_is_void():
    masks = np.eye(8, dtype=bool)[None].repeat(4, 0)
    tested = MarkedPictures(torch.zeros(4, 3, 8, 8), masks, masks, [1, 1, 2, 3])
    weak, strong = np.full(4, VESSELS.enough - 0.01), np.array([0.8, 0.7, 0.8, 0.9])
    found = {
        each.name: each for each in figures({"real": weak, "synthetic": strong}, tested, VESSELS)
    }
    assert found["share"].not_estimable == "void: photographs teach F1 0.69, below 0.70"
    assert "nothing with marked vessels" in found["f1_both"].not_estimable
    found = {
        each.name: each for each in figures({"real": strong, "synthetic": strong}, tested, VESSELS)
    }
    share = found["share"]
    assert share.value == share.low == share.high == pytest.approx(1)
