"""A refiner learns from photographs and phantoms that were never pairs."""

from __future__ import annotations

import json

import pytest
import torch
from discs import discs, settings

from engine.models.grounds import GEOMETRY
from engine.models.refiner import Refiner
from engine.schema import UserError
from train import refiner
from train.frozen import load_segmenter
from train.refiner import Refining


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    table = discs(tmp_path_factory.mktemp("photographs"))
    return refiner.build(settings("refiner-debug"), [str(table)])


def test_rows_are_their_positions_alone(recipe):
    whole, parts = recipe.batch(range(4)), [recipe.batch([0, 1]), recipe.batch([2, 3])]
    for name, rows in whole.items():
        assert torch.equal(rows, torch.cat([part[name] for part in parts])), name


def test_a_phantom_meets_photographs_of_its_camera_and_grade(recipe):
    for number in range(4):
        asked, _, _ = recipe._phantom(number)
        for eye in recipe._alike[refiner._kind(asked)]:
            for example in eye:
                assert example.annotation.source == asked.annotation.source == "clinic"
                assert example.annotation.dr_grade == asked.annotation.dr_grade
    taught = [e for eyes in recipe._alike.values() for eye in eyes for e in eye]
    assert len(taught) == 5, "what is held out never teaches"


def test_critics_see_neither_the_border_nor_beyond_a_field(recipe):
    batch = recipe.batch(range(8))
    seen, field = batch["seen"], batch["maps"][:, -1:]
    assert set(seen.unique().tolist()) <= {0.0, 1.0}
    assert 0.2 < seen.mean() < field.mean()
    assert not (seen * (1 - field)).any()
    before = recipe.module._views(batch["photographs"], batch)
    batch["photographs"][(seen == 0).expand(-1, 3, -1, -1)] = 0.7
    for one, other in zip(recipe.module._views(batch["photographs"], batch), before, strict=True):
        assert torch.equal(one, other)


def test_critics_learn_from_telling_apart_and_the_refiner_does_not(recipe):
    torch.manual_seed(0)
    values = recipe.module(recipe.batch(range(2)))
    critics = list(recipe.module.critics.parameters())
    own = values["told"] + refiner._STEEP / 2 * values["steep"]
    grads = [
        torch.autograd.grad(x.sum(), critics, retain_graph=True) for x in (values["loss"], own)
    ]
    for one, other in zip(*grads, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    painted = list(recipe.module.refiner.parameters())
    taught = torch.autograd.grad(own.sum(), painted, allow_unused=True)
    assert all(gradient is None for gradient in taught)


def test_a_change_costs_more_where_a_lesion_is():
    maps = torch.zeros(1, len(GEOMETRY), 16, 16)
    maps[0, GEOMETRY.index("dark_lesion"), 8, 8] = 1
    maps[0, GEOMETRY.index("vein"), 0] = 1
    weight = refiner._importance(maps)[0, 0]
    assert weight[8, 8] == weight[6, 10] == 7
    assert (weight[0, 0], weight[5, 8]) == (3, 1)


def test_critics_that_see_nothing_are_not_steep_and_cannot_tell():
    module = Refining(Refiner((8, 8), 4, 96, 0.4, ("one",)), load_segmenter("", 0), 8)
    for critic in module.critics:
        for part in critic:
            if isinstance(part, torch.nn.Conv2d):
                torch.nn.init.zeros_(part.weight)
                torch.nn.init.zeros_(part.bias)
    batch = {
        "pictures": torch.zeros(1, 3, 96, 96),
        "photographs": torch.ones(1, 3, 96, 96),
        "maps": torch.ones(1, len(GEOMETRY), 96, 96),
        "style": torch.zeros(1, 9),
        "grain": torch.zeros(1, 2, 96, 96),
        "radius": torch.zeros(1, 1, 96, 96),
        "seen": torch.ones(1, 1, 96, 96),
    }
    values = module(batch)
    assert values["steep"].item() == 0
    assert values["told"].item() == pytest.approx(4 * torch.log(torch.tensor(2.0)).item())


def test_a_finished_folder_loads_and_goes_on(recipe, tmp_path):
    recipe.export(tmp_path / "one", {"scores": recipe.score(few=True)})
    card = json.loads((tmp_path / "one/model_card.json").read_text())
    assert card["data"]["photographs"] == len(card["image_hashes"]) == 5
    assert card["size"] == 128
    again = recipe.__class__(
        settings("refiner-debug", init=tmp_path / "one"), [str(p) for p in recipe_table(recipe)]
    )
    for name, weight in again.module.refiner.state_dict().items():
        assert torch.allclose(weight, recipe.module.refiner.state_dict()[name], atol=1e-3), name
    assert recipe.sheet(few=True).size == (128, 3 * 128)


def recipe_table(recipe):
    return {example.path.parent / "labels.csv" for example in recipe._teaching}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data__crop": 160}, "data.crop"),
        ({"data__crop": 64}, "data.crop"),
        ({"data__size": 100}, "data.size"),
        ({"data__phantoms": 0}, "data.phantoms"),
    ],
)
def test_sizes_that_do_not_fit_are_told_by_name(tmp_path, changes, told):
    with pytest.raises(UserError, match=told):
        refiner.build(settings("refiner-debug", **changes), [str(discs(tmp_path))])
