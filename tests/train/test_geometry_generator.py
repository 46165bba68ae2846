"""The recipe of the generator of structures: what a row is, who learns from what, and its end."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from engine import registry
from engine.models.card import read_card
from engine.models.geometry_generator import NUMBERS, MadeAnatomies
from engine.phantom.render import draw
from engine.registry.geometry_generator import GeometryGeneratorRef
from engine.schema import Annotation, UserError
from train.geometry_generator import Making, build, turned
from train.presets import PRESETS
from train.settings import override

DATA = ["phantom:3"]
ANY_LENGTH = [0.0, 1000.0]


def settings(**changes):
    named = {k.replace("__", "."): str(v) for k, v in changes.items()}
    return override(PRESETS["geometry-debug"].settings, named)


@pytest.fixture(scope="module")
def recipe():
    return build(settings(data__phantoms=3, model__bounded=False), DATA)


def test_rows_are_their_positions_alone(recipe):
    whole, parts = recipe.batch(range(4)), [recipe.batch([0, 1]), recipe.batch([2, 3])]
    for name, rows in whole.items():
        assert torch.equal(rows, torch.cat([part[name] for part in parts])), name
    assert whole["numbers"].shape == (4, NUMBERS)
    assert whole["numbers"].abs().max() <= 1


def test_each_network_learns_from_its_own_part(recipe):
    """The generator not to be told apart, the critic nothing of that."""
    batch = recipe.batch(range(2))
    made = recipe.module
    plain = Making(made.generator, made.critic, slope=0.0, moves=True)
    loss = plain(batch)["loss"].sum()
    generator = torch.autograd.grad(loss, [*made.generator.parameters()], retain_graph=True)
    assert any(gradient.abs().sum() > 0 for gradient in generator)
    critic = torch.autograd.grad(loss, [*made.critic.parameters()])
    told = plain(batch)
    real, false = torch.logit(told["true"]), torch.logit(told["false"])
    own = (torch.nn.functional.softplus(-real) + torch.nn.functional.softplus(false)).sum()
    alone = torch.autograd.grad(own, [*made.critic.parameters()])
    for one, other in zip(critic, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_steep_critic_costs(recipe):
    batch, made = recipe.batch(range(2)), recipe.module
    flat, steep = (Making(made.generator, made.critic, each, True)(batch) for each in (0.0, 9.0))
    assert (steep["loss"] > flat["loss"]).all()
    with torch.no_grad():
        assert torch.isfinite(Making(made.generator, made.critic, 9.0, True)(batch)["loss"]).all()


def test_a_turn_is_undone_by_its_opposite():
    layers = torch.zeros(8, 32, 32)
    layers[:, 12:20, 8:16] = 0.5
    there = turned(layers, 0.1, 1.0, torch.zeros(2))
    back = turned(there, -0.1, 1.0, torch.zeros(2))
    assert (there - layers)[:, 4:-4, 4:-4].abs().max() > 0.1
    assert (back - layers)[:, 4:-4, 4:-4].abs().mean() < 0.05


def test_the_finished_folder_is_a_generator_with_its_card(recipe, tmp_path):
    recipe.export(tmp_path, {"name": "made"})
    ref = registry.find(GeometryGeneratorRef, tmp_path)
    assert ref.load().config.widths == [8, 8]
    card = read_card(tmp_path)
    assert card["outlines"] == {"with_masks_of_people": 3, "pseudo": 0, "phantoms": 3}
    assert {*recipe.score(few=True)} == {
        "fractal_in_band", "calibre_in_band", "tortuosity_in_band",
    }  # fmt: skip
    assert recipe.sheet(few=True).size == (256, 768)


def taught_length(folder, *data, **changes):
    """Between which lengths a generator that learned from `data` takes its eyes."""
    folder.mkdir()
    build(settings(**changes), [*map(str, data)]).export(folder, {"name": "made"})
    return registry.find(GeometryGeneratorRef, folder).load().config.length


@pytest.fixture
def photographs(tmp_path):
    """Nine phantoms as if they were photographs of which nobody marked anything."""
    rows = ["file,split,patient_id"]
    for number in range(9):
        Image.fromarray(draw(Annotation(), number, 64).image).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,train,{number}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path / "labels.csv"


def test_made_eyes_have_vessels_as_long_as_those_that_were_marked(tmp_path):
    low, high = taught_length(tmp_path / "nine", "phantom:9", data__phantoms=1)
    assert 3 < low < high < 60
    made = MadeAnatomies(registry.find(GeometryGeneratorRef, tmp_path / "nine").load())
    assert made.grown(Annotation(), 0).__self__.length <= high
    few = taught_length(tmp_path / "seven", "phantom:7", data__phantoms=1)
    assert few == ANY_LENGTH, "of seven eyes nobody can say what is usual"


def test_an_untrained_outliner_says_nothing_of_lengths_and_eyes_can_be_drawn_on(
    photographs, tmp_path
):
    assert taught_length(tmp_path / "noise", photographs, data__phantoms=1) == ANY_LENGTH
    trained = taught_length(
        tmp_path / "found", photographs, data__phantoms=1, model__segmenter="segmenter"
    )
    assert trained[1] < ANY_LENGTH[1]
    made = MadeAnatomies(registry.find(GeometryGeneratorRef, tmp_path / "noise").load())
    eyes = [made.grown(Annotation(), seed) for seed in range(3)]
    assert len({*eyes}) == 3


@pytest.mark.parametrize(("name", "value"), [("data.size", "48"), ("data.phantoms", "0")])
def test_settings_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(UserError, match=name):
        build(override(PRESETS["geometry-debug"].settings, {name: value}), DATA)
