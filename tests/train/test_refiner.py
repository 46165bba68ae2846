"""A refiner learns to give photographs their texture back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from discs import discs, settings
from PIL import Image

from engine.schema import UserError
from train import refiner


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    table = discs(tmp_path_factory.mktemp("photographs"))
    return refiner.build(settings("refiner-debug"), [str(table)])


def test_rows_are_their_positions_alone(recipe):
    whole, parts = recipe.batch(range(4)), [recipe.batch([0, 1]), recipe.batch([2, 3])]
    for name, rows in whole.items():
        assert torch.equal(rows, torch.cat([part[name] for part in parts])), name


def test_what_is_held_out_never_teaches(recipe):
    taught = [each for eye in recipe._eyes for each in eye]
    assert len(taught) == 5
    assert all(each.split == "train" for each in taught)


def test_the_critic_learns_from_telling_apart_and_the_refiner_does_not(recipe):
    values = recipe.module(recipe.batch(range(2)))
    critic = list(recipe.module.critic.parameters())
    grads = [
        torch.autograd.grad(values[name].sum(), critic, retain_graph=True)
        for name in ("loss", "told")
    ]
    for one, other in zip(*grads, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    painted = list(recipe.module.refiner.parameters())
    taught = torch.autograd.grad(values["told"].sum(), painted, allow_unused=True)
    assert all(gradient is None for gradient in taught)


def test_a_pixel_of_a_lesion_weighs_more(recipe):
    batch = recipe.batch(range(1))
    batch["lines"][:, :-1], batch["lesions"][:] = 0, 0
    plain = recipe.module(batch)["near"]
    assert plain > 0
    batch["lesions"][:] = 1
    assert torch.allclose(recipe.module(batch)["near"], 7 * plain)


def test_strengths_differ_by_the_logarithm_of_a_contrast():
    generator = torch.Generator().manual_seed(0)
    pictures = 0.1 * torch.randn((1, 3, 64, 64), generator=generator)
    apart = refiner.strengths(2 * pictures) - refiner.strengths(pictures)
    assert torch.allclose(apart, torch.full_like(apart, np.log(2)), atol=0.01)


def test_lesions_that_people_marked_are_shown_as_they_are(tmp_path, recipe):
    """In the bare picture too, and more often than others."""
    table = discs(tmp_path)
    mask = np.zeros((96, 128), bool)
    mask[50:60, 60:70] = True
    Image.fromarray(mask).save(tmp_path / "lesions.png")
    lines = table.read_text().splitlines()
    marked = [lines[0] + ",mask_lesion", lines[1] + ",lesions.png", *(f"{x}," for x in lines[2:])]
    table.write_text("\n".join(marked) + "\n")
    made = refiner.build(settings("refiner-debug", data__marked=1), [str(table)])
    assert [[each.path.name for each in eye] for eye in made._marked] == [["0.png", "1.png"]]
    example = next(each for each in made._train if each.path.name == "0.png")
    shown, _ = made._shown(example, 64)
    lesions = shown[..., -1] > 0
    assert lesions.any()
    assert np.array_equal(shown[lesions][:, :3], shown[lesions][:, 3:6])
    assert made.batch(range(8))["lesions"].any()
    assert not recipe.batch(range(8))["lesions"].any()


def test_a_finished_folder_loads_and_goes_on(recipe, tmp_path):
    recipe.export(tmp_path / "one", {"scores": recipe.score(few=True)})
    card = json.loads((tmp_path / "one/model_card.json").read_text())
    assert card["data"]["photographs"] == len(card["image_hashes"]) == 5
    assert card["size"] == 64
    again = recipe.__class__(
        settings("refiner-debug", init=tmp_path / "one"), [str(p) for p in recipe_table(recipe)]
    )
    for name, weight in again.module.refiner.state_dict().items():
        assert torch.allclose(weight, recipe.module.refiner.state_dict()[name], atol=1e-3), name
    assert recipe.sheet(few=True).size == (64, 3 * 64)


def recipe_table(recipe):
    return {example.path.parent / "labels.csv" for example in recipe._teaching}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data__crop": 96}, "data.crop"),
        ({"data__crop": 48}, "data.crop"),
        ({"data__size": 100}, "data.size"),
    ],
)
def test_sizes_that_do_not_fit_are_told_by_name(tmp_path, changes, told):
    with pytest.raises(UserError, match=told):
        refiner.build(settings("refiner-debug", **changes), [str(discs(tmp_path))])
