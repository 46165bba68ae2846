"""Asked for again: a model that draws what it was taught is told by exact figures, one that draws
without looking is not, and what cannot be asked says why."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from engine.data.example import Example
from engine.diffusion.pipeline import RetinaForgePipeline
from engine.evaluate import asked_again as module
from engine.evaluate.asked_again import NAMES, asked_again, draws
from engine.evaluate.membership import Suspects
from engine.evaluate.sets import Looked, Sets
from engine.evaluate.sheet import ASKED
from engine.models.card import write_card
from engine.phantom.render import draw
from engine.schema import Annotation, UserError
from engine.store.plan import write_plan

SIDE = 64


@pytest.fixture(scope="module")
def eyes():
    """Six phantoms that stand for photographs: (S, S, 3) uint8."""
    return [draw(Annotation(source="idrid"), 900 + k, 128).image for k in range(6)]


@pytest.fixture
def sides(tmp_path, eyes):
    """Three that taught and three that did not, as files."""
    found = []
    for number, image in enumerate(eyes):
        place = tmp_path / f"eye{number}.png"
        Image.fromarray(image).save(place)
        found.append(Looked(Example(place, Annotation(source="idrid")), image))
    return found[:3], found[3:]


@pytest.fixture
def sets(tmp_path, plan):
    write_plan(tmp_path / "set", plan)
    said: list[str] = []
    return Sets(str(tmp_path / "set"), "real.csv", [], [], [], True, said.append), said


@pytest.fixture
def model(monkeypatch):
    """model(paint): a model at 64 pixels that paints by example and seed; tells what it was
    asked."""

    def stand_in(paint):
        asked = []

        def one(example, map_, seeds):
            asked.extend((example.path.name, seed) for seed in seeds)
            assert (map_.shape, map_.dtype) == ((SIDE, SIDE, 8), np.uint8)
            return np.stack([paint(example, seed) for seed in seeds])

        monkeypatch.setattr(module, "draws", lambda folder: (one, SIDE))
        return asked

    return stand_in


def figures(sets, folder, sides):
    found = asked_again(sets, Suspects(folder, *sides))
    assert tuple(each.name for each in found) == NAMES
    return found


def test_a_model_that_draws_what_taught_it_is_told_at_full_marks(sets, sides, model, tmp_path):
    made, said = sets
    taught = {each.example.path for each in sides[0]}
    nothing = np.zeros((SIDE, SIDE, 3), np.uint8)

    def paint(example, seed):
        """By one seed in four what was learned by heart."""
        known = example.path in taught and seed % 4 == 0
        return np.asarray(example.read().resize((SIDE, SIDE))) if known else nothing

    asked = model(paint)
    nearest, copies, told = figures(made, tmp_path, sides)
    assert (copies.value, copies.n, copies.floor, copies.control) == (0.25, 16, 0, 0)
    assert nearest.value > 0.8, "of the seeds the one that comes nearest counts"
    assert (nearest.n, nearest.floor) == (2, 0)
    assert nearest.control < 0.42, "what was drawn is not the photograph that was not asked for"
    assert (told.value, told.floor) == (1, 0.5)
    assert told.low < 1, "of two and two nothing is certain"
    names = [f"eye{k}.png" for k in (0, 1, 3, 4)]
    assert asked == [(name, seed) for name in names for seed in range(8)], "quick: two, eight seeds"
    with (tmp_path / "set" / ASKED).open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["taught"] for row in rows] == ["1"] * 16 + ["0"] * 16
    near = [float(row["pixels"]) > 0.42 for row in rows]
    assert near == [seed % 4 == 0 for seed in range(8)] * 2 + [False] * 16
    assert "privacy: asked for 2 of 2 photographs again" in said


def test_a_model_that_draws_one_picture_for_all_remembers_nobody(sets, sides, model, tmp_path):
    made, _ = sets
    model(lambda example, seed: np.zeros((SIDE, SIDE, 3), np.uint8))
    nearest, copies, told = figures(made, tmp_path, sides)
    assert nearest.value == nearest.floor == nearest.control == 0
    assert (copies.value, told.value) == (0, 0.5)


def test_photographs_that_cannot_be_read_are_left_out_and_too_few_say_so(
    sets, sides, model, tmp_path
):
    made, said = sets
    model(lambda example, seed: np.zeros((SIDE, SIDE, 3), np.uint8))
    sides[0][1].example.path.write_bytes(b"no picture")
    for each in figures(made, tmp_path, sides):
        assert each.value is None
        assert each.not_estimable == (
            "1 photographs that taught and 2 of their cameras that did not, 2 of each are needed"
        )
    assert any("left out" in line and "eye1.png" in line for line in said)
    assert not (tmp_path / "set" / ASKED).exists()
    nobody = figures(made, tmp_path, ([], []))
    assert "0 photographs that taught and 0" in nobody[0].not_estimable


def test_a_painter_paints_by_map_source_and_seed_at_its_own_size(gan_folder):
    one, size = draws(gan_folder)
    assert size == SIDE
    example = Example(gan_folder / "eye.png", Annotation(source="hrf"))
    map_ = np.zeros((SIDE, SIDE, 8), np.uint8)
    map_[16:48, 16:48, -1] = 255
    found = one(example, map_, [5, 6])
    assert (found.shape, found.dtype) == ((2, SIDE, SIDE, 3), np.uint8)
    assert not found[:, :16].any(), "black beyond the field"
    assert not np.array_equal(found[0], found[1])
    alone = one(example, map_, [6])[0]
    assert np.abs(alone.astype(int) - found[1]).max() <= 1
    assert np.array_equal(one(example, map_, [5, 6]), found)
    map_[20:30, 20:30, 2] = 255
    assert not np.array_equal(one(example, map_, [5, 6]), found)


def test_a_denoiser_begins_from_noise_with_caption_labels_and_geometry(folder, monkeypatch):
    write_card(folder, {"name": "debug", "size": 64, "sampling": {"steps": 5, "guidance": 2.0}})
    seen = []
    sample = RetinaForgePipeline.sample

    def noted(self, prompts, annotations, seeds, how, **given):
        seen.append((prompts, annotations, how, given))
        return sample(self, prompts, annotations, seeds, how, **given)

    monkeypatch.setattr(RetinaForgePipeline, "sample", noted)
    one, size = draws(folder)
    example = Example(folder / "eye.png", Annotation(dr_grade=2, source="hrf"))
    map_ = np.zeros((SIDE, SIDE, 8), np.uint8)
    map_[..., -1] = 255
    found = one(example, map_, [0, 1])
    assert (size, found.shape, found.dtype) == (SIDE, (2, SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(one(example, map_, [0, 1]), found)
    map_[20:40, 20:40] = 255
    assert not np.array_equal(one(example, map_, [0, 1]), found), "the geometry is looked at"
    one(replace(example, caption="An eye."), map_, [3])
    prompts, annotations, how, given = seen[0]
    assert (prompts, annotations) == (["", ""], [example.annotation] * 2)
    assert (how.steps, how.guidance, how.t0) == (2, 2.0, 0), "half the steps that are usual"
    assert given["geometry"].shape == (2, SIDE, SIDE, 8)
    assert seen[-1][0] == ["An eye."]


def test_what_cannot_be_asked_for_a_photograph_says_why(sets, sides, refiner_folder, tmp_path):
    made, said = sets
    with pytest.raises(UserError, match="a refiner draws on a phantom's picture"):
        draws(refiner_folder)
    for each in figures(made, refiner_folder, sides):
        assert each.not_estimable.startswith("a refiner draws on a phantom's picture")
    assert said == [], "nothing was opened in vain"
    (refiner_folder / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UserError, match="refiner: this component holds no weights"):
        draws(refiner_folder)
    with pytest.raises(UserError, match="nowhere"):
        draws(tmp_path / "nowhere")
