"""Recipes that learn from geometry: the segmenter, the painter, and what they share."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from engine.models.gan import GeometryGan
from engine.models.geometry import GeometryEncoder
from engine.models.grounds import GEOMETRY, geometry_map
from engine.models.segmenter import SEGMENTS, Segmenter
from engine.phantom.render import draw
from engine.schema import Annotation, UserError
from train import gan, segmenter
from train.presets import PRESETS
from train.settings import override

DATA = ["phantom:6"]


def settings(name, **changes):
    changes = {k.replace("__", "."): str(v) for k, v in changes.items()}
    return override(PRESETS[name].settings, changes)


@pytest.fixture(scope="module")
def painter():
    return gan.build(settings("photo-gan-debug"), DATA)


@pytest.fixture(scope="module")
def outliner():
    return segmenter.build(settings("segmenter-debug", data__phantoms=1), [])


def test_rows_are_their_positions_alone(painter, outliner):
    for recipe in (painter, outliner):
        whole, parts = recipe.batch(range(4)), [recipe.batch([0, 1]), recipe.batch([2, 3])]
        for name, rows in whole.items():
            assert torch.equal(rows, torch.cat([part[name] for part in parts])), name


def test_the_critic_learns_from_being_told_apart_alone(painter):
    batch = painter.batch(range(2))
    values = painter.module(batch)
    critic = list(painter.module.critic.parameters())
    all_of_it = torch.autograd.grad(values["loss"].sum(), critic, retain_graph=True)
    told = torch.autograd.grad(values["told"].sum(), critic, retain_graph=True)
    for one, other in zip(all_of_it, told, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    generator = list(painter.module.generator.parameters())
    taught = torch.autograd.grad(values["told"].sum(), generator, allow_unused=True)
    assert all(gradient is None for gradient in taught), "the critic's lesson is not the painter's"


@pytest.mark.parametrize("change", ["pixels=100", "slope=1", "bounded=true", "moves=true"])
def test_every_way_to_teach_the_painter_is_another_lesson(painter, change):
    name, _, value = change.partition("=")
    other = gan.GanRecipe(settings("photo-gan-debug", **{f"model__{name}": value}), DATA).sketch()
    batch, same = painter.batch(range(2)), gan.GanRecipe(settings("photo-gan-debug"), DATA).sketch()
    for module in (other, same):
        module.generator.load_state_dict(painter.module.generator.state_dict())
    told, usual = other(batch), same(batch)
    assert not torch.allclose(told["loss"], usual["loss"], atol=1e-4)
    assert torch.allclose(told["pixels"], usual["pixels"])
    learned = torch.autograd.grad(told["loss"].sum(), [*other.parameters()], allow_unused=True)
    assert all(torch.isfinite(each).all() for each in learned if each is not None)
    with torch.no_grad():
        assert torch.isfinite(other(batch)["loss"]).all()


def test_structures_that_nobody_drew_cost_nothing(outliner):
    batch = outliner.batch(range(2))
    batch["known"][:, SEGMENTS.index("vessel")] = 0
    before = outliner.module(batch)["loss"]
    batch["masks"][:, SEGMENTS.index("vessel")] = 1
    assert torch.equal(outliner.module(batch)["loss"], before)


def test_a_perfect_outline_costs_nothing_and_a_wrong_one_does():
    masks = (torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    assert segmenter.soft_dice_loss(masks, masks).max() < 1e-3
    assert segmenter.soft_dice_loss(1 - masks, masks).min() > 0.9


def test_arteries_are_told_from_veins_on_vessels_alone():
    masks = torch.zeros(1, len(SEGMENTS), 8, 8)
    masks[0, segmenter.ARTERY, 0], masks[0, segmenter.VEIN, 1] = 1, 1
    logits = torch.zeros_like(masks)
    undecided = segmenter.which_vessel(logits, masks)
    assert undecided.item() == pytest.approx(np.log(2), rel=1e-5)
    logits[0, segmenter.ARTERY, 0], logits[0, segmenter.VEIN, 1] = 9, 9
    logits[0, segmenter.VEIN, 5:] = 9
    assert segmenter.which_vessel(logits, masks).item() < 1e-3


def test_known_masks_stand_in_for_what_was_found():
    torch.manual_seed(0)
    network = Segmenter(features=(8, 8, 8, 8, 8, 8)).eval()
    phantom = draw(Annotation(dr_grade=3), 1, 64)
    found = network.masks(phantom.image)
    assert not (found["artery"] & found["vein"]).any()
    vessel = phantom.masks["vessel"]
    known = network.masks(phantom.image, {"vessel": vessel})
    assert np.array_equal(known["artery"] | known["vein"], vessel)
    whole = network.masks(phantom.image, phantom.masks)
    assert np.array_equal(geometry_map(whole), geometry_map(phantom.masks))
    assert set(GEOMETRY) <= found.keys()


def test_a_painted_row_is_its_own_map_source_and_seed_alone():
    torch.manual_seed(0)
    flat = (-0.2, -0.5, -0.8, *np.eye(3).ravel() * 0.05)
    painter = GeometryGan((8, 8), 4, 64, ("one", "two"), (flat, tuple(-x for x in flat))).eval()
    eyes = [geometry_map(draw(Annotation(), seed, 64, light=False).masks) for seed in (1, 2)]
    asked = [Annotation(source="one"), Annotation(source="two")]
    both = painter.paint(np.stack(eyes), asked, [5, 6])
    alone = painter.paint(eyes[1][None], asked[1:], [6])[0]
    assert np.abs(both[1].astype(int) - alone).max() <= 1
    for other in (
        painter.paint(eyes[0][None], asked[1:], [6])[0],
        painter.paint(eyes[1][None], asked[:1], [6])[0],
        painter.paint(eyes[1][None], asked[1:], [7])[0],
    ):
        assert not np.array_equal(other, alone)
    outside = eyes[1][..., GEOMETRY.index("field")] == 0
    assert (alone[outside] == 0).all()


def test_geometry_begins_as_nothing_and_its_absence_is_one_token():
    encoder = GeometryEncoder(channels=4, patch_size=2, width=8)
    latents = torch.randn(2, 20, 4, 4)
    assert encoder(latents, torch.tensor([True, False])).eq(0).all()
    torch.nn.init.ones_(encoder.null)
    torch.nn.init.ones_(encoder.linear.weight)
    given, absent = encoder(latents, torch.tensor([True, False]))
    assert absent.eq(1).all()
    assert not torch.equal(given[0], given[1])


@pytest.mark.parametrize("name", ["photo-gan-debug", "segmenter-debug"])
def test_a_folder_loads_again_and_scores_are_told(name, tmp_path, painter, outliner):
    recipe, kind = (painter, GeometryGan) if "gan" in name else (outliner, Segmenter)
    recipe.export(tmp_path, {"scores": recipe.score()})
    loaded = kind.from_pretrained(tmp_path)
    assert sum(p.numel() for p in loaded.parameters()) > 1000
    scores = json.loads((tmp_path / "model_card.json").read_text())["scores"]
    assert all(0 <= value <= 1 for value in scores.values())
    assert recipe.sheet() is not None


def test_nothing_to_learn_from_is_the_users_error():
    with pytest.raises(UserError, match="no photograph with masks"):
        segmenter.build(settings("segmenter-debug"), [])
    with pytest.raises(UserError, match="no segmenter of that name"):
        gan.build(settings("photo-gan-debug", model__segmenter="nowhere"), DATA)
