"""The search for vessels: each picture is marked by a network that saw none of its eye, and the
rate that learns is told from the one that does not."""

from __future__ import annotations

import pytest
import torch

from engine.evaluate.sets import Sets
from engine.schema import UserError
from train import vessel_search
from train.vessel_search import Tries, tried
from train.vessels import Labour

LABOUR = Labour(steps=2, seeds=1, pictures=8, batch=4, crop=64)


def sets_of(table, told=None):
    return Sets.read(table, table, True, (told if told is not None else []).append)


def test_the_rate_that_learns_finds_more_than_the_one_that_does_not(lined):
    told = []
    grid = Tries((1e-6, 6e-3), (40,), LABOUR)
    found = {each.name: each for each in tried(sets_of(lined("searched"), told), grid)}
    assert [*found] == ["unet.1e-06.40", "unet.6e-03.40"]
    still, learned = found.values()
    assert learned.value > still.value + 0.2
    assert learned.n == 4, "those of the train split, and no other"
    assert learned.low <= learned.value <= learned.high
    assert "search: rate 0.006, 40 steps, 2 folds" in told


def test_no_network_saw_an_eye_that_it_is_scored_by(lined, monkeypatch):
    taught, scored = [], []

    def learn(pools, labour, seed):
        taught.append({*pools[0].eyes})
        assert (labour.steps, labour.rate) == (7, 1e-3)
        return torch.nn.Conv2d(3, 1, 1)

    real = vessel_search.scored
    monkeypatch.setattr(vessel_search, "taught_by", learn)
    monkeypatch.setattr(
        vessel_search, "scored", lambda net, rows: (scored.append({*rows.eyes}), real(net, rows))[1]
    )
    tried(sets_of(lined("folded", ("train",) * 5 + ("test",))), Tries((1e-3,), (7,), LABOUR, 3))
    assert len(taught) == len(scored) == 3
    for knows, asked in zip(taught, scored, strict=True):
        assert not knows & asked
        assert len(knows | asked) == 5


def test_too_few_marked_eyes_are_refused(lined):
    for name, splits, masks in (("one", ("train", "test"), True), ("bare", ("train",) * 3, False)):
        with pytest.raises(UserError, match="eyes of the train split have marked vessels"):
            tried(sets_of(lined(name, splits, masks=masks)), Tries((1e-3,), (1,), LABOUR))
