"""Eyes on the anatomy of photographs: by their masks, the same for the same seed, and only of those
that can be read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.example import Example
from engine.models.photographed import PhotographedAnatomies
from engine.models.segmenter import Segmenter
from engine.phantom.eye import LEFT, RIGHT, Traits
from engine.phantom.render import draw, stream
from engine.schema import MASKS, Annotation

SIZE = 256
ROW = Annotation(source="idrid")


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(0)
    return Segmenter((4, 4, 4, 4, 4, 4)).eval()


@pytest.fixture(scope="module")
def phantoms():
    asked = Annotation(dr_grade=0, eye_side=RIGHT, source="idrid")
    return [draw(asked, seed, SIZE) for seed in (3, 4)]


def written(folder, phantom, mirror=False):
    """A photograph and all its masks as files."""
    folder.mkdir()
    told = {"image": phantom.image}
    told |= {m: phantom.masks[m.removeprefix("mask_")] * np.uint8(255) for m in MASKS}
    for name, array in told.items():
        Image.fromarray(array[:, ::-1] if mirror else array).save(folder / f"{name}.png")
    masks = tuple((name, folder / f"{name}.png") for name in MASKS)
    return Example(folder / "image.png", Annotation(), masks=masks)


@pytest.fixture
def examples(tmp_path, phantoms):
    return [written(tmp_path / str(number), each) for number, each in enumerate(phantoms)]


def eye(anatomies, seed, side=RIGHT):
    return anatomies.grown(ROW, seed)(Traits(eye_side=side), stream(seed, "anatomy"))


def same(one, other):
    return np.array_equal(one.disc.centre, other.disc.centre) and all(
        np.array_equal(a.points, b.points) and a.kind == b.kind
        for a, b in zip(one.vessels, other.vessels, strict=True)
    )


def test_disc_and_fovea_are_where_people_marked_them(examples, segmenter, phantoms):
    found = eye(PhotographedAnatomies(examples[:1], segmenter), 0)
    assert found.disc.centre == pytest.approx(phantoms[0].eye.disc.centre, abs=0.02)
    assert found.disc_diameter == pytest.approx(phantoms[0].eye.disc_diameter, rel=0.1)
    assert found.fovea == pytest.approx(phantoms[0].eye.fovea, abs=0.04)
    assert {v.kind for v in found.vessels} == {"artery", "vein"}


def test_the_same_seed_is_the_same_eye_and_seeds_reach_all_photographs(examples, segmenter):
    one, other = (PhotographedAnatomies(examples, segmenter) for _ in range(2))
    assert same(eye(one, 5), eye(other, 5))
    assert len({eye(one, seed).disc.centre[0] for seed in range(8)}) == len(examples)


def test_a_left_photograph_is_kept_as_a_right_eye(tmp_path, phantoms, segmenter):
    right, left = (
        PhotographedAnatomies([written(tmp_path / name, phantoms[0], name == "left")], segmenter)
        for name in ("right", "left")
    )
    assert same(eye(right, 1), eye(left, 1))
    assert eye(right, 1, LEFT).disc.centre[0] == -eye(right, 1).disc.centre[0]


def test_what_cannot_be_read_or_shows_no_disc_is_passed_over(examples, segmenter):
    whole = eye(PhotographedAnatomies(examples[1:], segmenter), 2)
    seed = next(s for s in range(99) if stream(s, "photograph").integers(2) == 0)
    before = eye(PhotographedAnatomies(examples, segmenter), seed)
    assert not np.array_equal(before.disc.centre, whole.disc.centre)
    for spoilt in ("mask_disc.png", "image.png"):
        file = examples[0].path.with_name(spoilt)
        Image.new("L", (SIZE, SIZE)).save(file) if "mask" in spoilt else file.write_text("none")
        found = eye(PhotographedAnatomies(examples, segmenter), seed)
        assert np.array_equal(found.disc.centre, whole.disc.centre), spoilt


def test_a_table_that_shows_no_eye_says_so(examples, segmenter):
    for example in examples:
        example.path.write_bytes(b"")
    with pytest.raises(ValueError, match="no photograph of the table"):
        PhotographedAnatomies(examples, segmenter).grown(ROW, 0)


def test_a_photograph_is_read_once(examples, segmenter):
    anatomies = PhotographedAnatomies(examples[:1], segmenter)
    first = eye(anatomies, 0)
    examples[0].path.unlink()
    assert same(eye(anatomies, 0), first)
