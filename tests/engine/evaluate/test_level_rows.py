"""Rows of a level are the same in every measurement, are looked at once, and are kept."""

from __future__ import annotations

import numpy as np
import pytest

from engine import registry
from engine.evaluate import level_rows
from engine.evaluate.level_rows import LevelDrawer, Onlooker, rows
from engine.registry import SamplerRef
from engine.schema import DISEASES, READABILITY

SIDE = 64


@pytest.fixture(scope="module")
def onlooker():
    return Onlooker(SIDE)


@pytest.fixture(scope="module")
def painter():
    ref = registry.find(SamplerRef, "refiner-tiny")
    return ref, ref.usual_call("cpu", "float32")


def drawer(onlooker, work, said=None):
    return LevelDrawer(onlooker, work, (said if said is not None else []).append)


def test_rows_are_the_same_eyes_at_every_size_and_however_they_are_cut():
    assert rows(SIDE, 3, 2) == rows(SIDE, 0, 5)[3:]
    for one, other in zip(rows(SIDE, 0, 4), rows(512, 0, 4)):
        assert (one.seed, one.annotation, one.prompt) == (
            other.seed,
            other.annotation,
            other.prompt,
        )


def test_every_label_is_asked_of_some_and_all_eyes_can_be_read():
    labels = [spec.annotation.labels() for spec in rows(SIDE, 0, 64)]
    for label in DISEASES:
        having = sum(bool(each[label.name]) for each in labels)
        assert 5 <= having < 60, label.name
    assert all(each[label.name] == 1 for each in labels for label in READABILITY)


def test_a_row_is_drawn_once_and_kept_with_all_that_was_seen(
    onlooker, painter, tmp_path, monkeypatch
):
    specs, said = rows(SIDE, 0, 2), []
    first = drawer(onlooker, tmp_path, said).drawn("painted", *painter, specs)
    assert said == ["painted, 64 px: 1 rows to go", "painted, 64 px: 0 rows to go"]
    monkeypatch.setattr(type(painter[0]), "load", lambda *_: pytest.fail("nothing is to be drawn"))
    again = drawer(onlooker, tmp_path).drawn("painted", *painter, specs)
    for one, other in zip(first, again):
        assert (one.image == other.image).all()
        assert np.array_equal(one.features, other.features)
        assert (one.signs, one.dice, one.lesions) == (other.signs, other.dice, other.lesions)
    assert all(row.has_masks for row in again)


def test_whoever_was_stopped_draws_only_what_is_missing(onlooker, painter, tmp_path):
    specs = rows(SIDE, 0, 3)
    whole = drawer(onlooker, tmp_path).drawn("painted", *painter, specs)
    (file,) = tmp_path.glob("*/64-1.npz")
    file.unlink()
    file.with_suffix(".part.npz").write_bytes(b"cut while it was written")
    said = []
    again = drawer(onlooker, tmp_path, said).drawn("painted", *painter, specs)
    assert said == ["painted, 64 px: 0 rows to go"]
    assert (again[1].image == whole[1].image).all()


def test_another_call_other_eyes_and_another_onlooker_are_kept_apart(onlooker, painter, tmp_path):
    ref, settings = painter
    spec, mine = rows(SIDE, 0, 1), drawer(onlooker, tmp_path)
    mine.drawn("painted", ref, settings, spec)
    mine.drawn("painted", ref, settings.model_copy(update={"threads": 2}), spec)
    other = Onlooker(SIDE)
    other.sha256 = ["of other networks"]
    drawer(other, tmp_path).drawn("painted", ref, settings, spec)
    assert len([*tmp_path.glob("*/64-0.npz")]) == 3


def test_dice_and_lesions_are_those_of_the_masks_and_none_without(onlooker):
    phantom = registry.find(SamplerRef, "phantom")
    spec = next(s for s in rows(256, 0, 40) if s.annotation.dr_grade == 4)
    drawn = phantom.load(phantom.usual_call("cpu", "float32")).draw([spec])[0]
    seen = onlooker.look(drawn.image, drawn.masks)
    assert seen.dice["vessel"] > 0.5
    assert seen.lesions["dark"][1] >= seen.lesions["dark"][0] > 0
    bare = onlooker.look(drawn.image, {})
    assert bare.dice == {"vessel": None, "disc": None}
    assert bare.lesions == {"dark": (0, 0), "bright": (0, 0)}
    assert not bare.has_masks
    assert bare.signs == seen.signs


def test_at_512_px_the_finer_segmenter_outlines():
    fine = Onlooker(level_rows._FINE)
    assert fine.sha256[1] != fine.sha256[2]
