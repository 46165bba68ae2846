"""Planted copies are found and others are not, doubles are counted, and an eye learned by heart is
told by its loss. Phantoms stand for photographs."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.registered import correlation, thumbnail
from engine.data.transforms import to_tensor
from engine.evaluate.asked_again import asked_again
from engine.evaluate.doubles import DOUBLE
from engine.evaluate.membership import membership, suspects_of
from engine.evaluate.near import NearestPicture
from engine.evaluate.privacy import measure, plant
from engine.evaluate.sets import Sets
from engine.evaluate.sheet import ASKED, SHEET, TABLE, keep_closest
from engine.features import Observer
from engine.gates.privacy import Privacy, Reference
from engine.models.card import read_card, write_card
from engine.models.gan import CODES, GeometryGan
from engine.models.geometry import to_layers
from engine.models.grounds import geometry_map
from engine.models.naming import LIKENESSES
from engine.phantom.render import draw
from engine.registry import find
from engine.registry.gate import GateRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import Annotation
from engine.shipped import GATE, SEGMENTER
from engine.store.plan import write_plan
from train.census import keep_likenesses

SIDE, TAUGHT, HELD_OUT = 128, 12, 22


@pytest.fixture(scope="module")
def eyes():
    """Phantoms that are as clear as photographs that teach."""
    return [draw(Annotation(source="idrid"), 900 + k, SIDE).image for k in range(44)]


@pytest.fixture
def written(tmp_path):
    """written(name, images, splits): a table of photographs."""

    def table(name, images, splits):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", "split", "source"])
            for number, (image, split) in enumerate(zip(images, splits)):
                place = tmp_path / f"{name}{number}.png"
                Image.fromarray(image).save(place)
                lines.writerow([place.name, split, "idrid"])
        return str(tmp_path / f"{name}.csv")

    return table


def read(set_, real, quick=True):
    said: list[str] = []
    return Sets.read(set_, real, quick, said.append), said


@pytest.fixture
def real(written, eyes):
    splits = ["train"] * TAUGHT + ["test"] * HELD_OUT
    return written("real", eyes, splits)


def test_copies_are_found_and_strangers_are_not(written, real, eyes):
    copies, strangers = plant(eyes[:4]), eyes[40:44]
    sets, said = read(written("set", [*copies, *strangers], [""] * 8), real)
    found = {each.name: each for each in measure(sets)}
    for kind in ("features", "pixels", "vessels"):
        figure = found[f"copies_{kind}"]
        # Vessels of pictures half as large as those that the segmenter learned are found less well.
        assert 0.375 <= figure.value <= 0.75, kind
        assert figure.control >= 0.9
        assert figure.floor < 0.35
        assert figure.low < figure.value < figure.high
    anew = found["copies_saved_anew"]
    assert (anew.value in (0.375, 0.5), anew.floor, anew.control) == (True, 0, 1)
    assert found["same_eye_score"].value > 0.5
    assert found["doubles"].value == 0
    assert found["doubles"].control >= 0.75
    assert (found["distinct"].value, found["distinct"].n) == (8, 8)
    assert found["membership_auc"].not_estimable == "the model that drew the set is not at hand"
    assert "privacy: 8 files, 8 distinct" in said


def test_what_cannot_be_told_says_why(written, eyes):
    sets, _ = read(written("one", eyes[:1], [""]), written("few", eyes[1:4], [""] * 3))
    found = {each.name: each for each in measure(sets)}
    assert found["copies_pixels"].not_estimable == "no photograph of a train split is told"
    assert (found["distinct"].value, found["distinct"].n) == (1, 1)
    assert "names a photograph" in found["copies_saved_anew"].not_estimable


def test_one_copy_is_one_however_few_eyes_are_held_out(written, eyes):
    few = written("split", eyes[1:5], ["train", "train", "test", "test"])
    set_ = written("a", [eyes[1], eyes[0]], [""] * 2)
    found = {each.name: each for each in measure(read(set_, few)[0])}
    assert found["copies_vessels"].not_estimable == "2 held-out eyes, 20 set a limit"
    for name in ("copies_saved_anew", "copies_pixels"):
        assert (found[name].value, found[name].floor, found[name].control) == (0.5, 0, 1), name
        assert found[name].low < 0.5 < found[name].high


def learned_by_heart(folder, images):
    """A painter that has seen these alone, and often."""
    segmenter = find(SegmenterRef, SEGMENTER).load()
    with torch.no_grad():
        found = [geometry_map(segmenter.masks(each)) for each in images]
    maps = torch.stack([to_layers(each) for each in found])
    shown = torch.stack([to_tensor(Image.fromarray(each)) for each in images])
    field = maps[:, -1:]
    colour = (shown * field).sum((2, 3)) / field.sum((2, 3)).clamp_min(1)
    count, side = len(images), images[0].shape[0]
    torch.manual_seed(0)
    usual = (*colour.mean(0).tolist(), *[0.0] * 9)
    painter = GeometryGan((16, 24), 8, side, ("idrid",), (usual,))
    optimiser = torch.optim.Adam(painter.parameters(), 4e-3)
    for _ in range(150):
        style = torch.cat([colour, torch.randn(count, CODES)], 1)
        painted = painter(maps, style, torch.randn(count, 2, side, side))
        loss = (painted - shown).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    painter.save_pretrained(folder)


def refused_by(taught):
    """The privacy gate over photographs that taught."""
    observer, views = Observer(find(GateRef, GATE).load()), [thumbnail(e.image) for e in taught]
    features = np.stack([observer.look(each.image).features for each in taught])
    ids = tuple(f"{number:02x}" for number in range(len(taught)))
    gate = Privacy(Reference(features, ids, np.stack(views), "", nearest=1 - DOUBLE))
    return lambda square: gate.is_copy(gate.nearest(observer.look(square)))


def drawn_again(folder, taught):
    """What a painter paints on the geometry of photographs."""
    segmenter, painter = find(SegmenterRef, SEGMENTER).load(), GeometryGan.from_pretrained(folder)
    for number, each in enumerate(taught):
        map_ = geometry_map(segmenter.masks(each.image))
        yield painter.paint(map_[None], [each.example.annotation], [number])[0]


def test_a_painter_that_learned_eight_eyes_by_heart_is_told(real, tmp_path, plan_of):
    folder = tmp_path / "painter"
    sets, _ = read("phantom:1", real)
    learned = sets.photographs[:8]
    small = sets.opened("learned", learned, 64)
    learned_by_heart(folder, [each.image for each in small])
    keep_likenesses(learned, folder)
    write_card(folder, {"size": 64})
    weights = read_card(folder)["weights_sha256"]
    told = {"model_location": str(folder), "weights_sha256": weights, "model": "painter"}
    write_plan(tmp_path / "set", plan_of("null").model_copy(update=told).sealed())
    sets = replace(sets, set_source=str(tmp_path / "set"))
    taught = sets.pictures("taught")
    suspects = suspects_of(sets, taught)
    figure = membership(sets, suspects)
    assert figure.n == 8
    assert figure.value >= 0.9
    assert figure.floor < 0.8
    nearest, copies, told = asked_again(sets, suspects)
    # Vessels that are given make pictures resemble photographs that did not teach too.
    assert nearest.value > nearest.floor > nearest.control + 0.2
    assert (copies.value, copies.n, copies.control) == (1, 16, 0)
    assert told.value > 0.9
    with (tmp_path / "set" / ASKED).open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 2 * 8
    drawn = [*drawn_again(folder, small)]
    near = [
        correlation(thumbnail(picture), thumbnail(each.image)[None])[0] >= DOUBLE
        for picture, each in zip(drawn, small)
    ]
    assert sum(near) >= 6
    assert [*map(refused_by(small), drawn)] == near
    (folder / LIKENESSES).unlink()
    suspects = suspects_of(sets, taught)
    assert "0 photographs that taught" in membership(sets, suspects).not_estimable
    assert "0 photographs that taught" in asked_again(sets, suspects)[0].not_estimable


def test_the_closest_pairs_are_kept_in_private_of_our_folders_alone(real, tmp_path, plan):
    sets, said = read("phantom:2", real)
    judged, taught = sets.pictures("judged"), sets.pictures("taught")
    near = [
        {"features": NearestPicture(0.5, 3), "pixels": NearestPicture(0.2 + k, k)} for k in range(2)
    ]
    keep_closest(replace(sets, set_source=str(tmp_path)), judged, taught, near)
    assert not (tmp_path / SHEET).exists()
    write_plan(tmp_path / "set", plan)
    keep_closest(replace(sets, set_source=str(tmp_path / "set")), judged, taught, near)
    with (tmp_path / "set" / TABLE).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["pixels_of"].endswith(f"real{k}.png") for k, row in enumerate(rows)] == [True] * 2
    assert rows[0]["vessels"] == ""
    assert Image.open(tmp_path / "set" / SHEET).size == (512, 512)
    assert "closest.png" in said[-1]
