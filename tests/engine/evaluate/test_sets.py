"""Sets are read once: photographs by split and eye, what was drawn apart."""

from __future__ import annotations

import csv

import pytest
from PIL import Image

from engine.evaluate import sets as module
from engine.evaluate.sets import Sets
from engine.phantom.render import draw
from engine.schema import Annotation, UserError


@pytest.fixture
def table(tmp_path):
    """table(splits): photographs of so many splits, the first two of one patient."""

    def written(splits, name="eyes.csv"):
        with (tmp_path / name).open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", "split", "source", "patient_id"])
            for number, split in enumerate(splits):
                image = draw(Annotation(source="idrid"), number, 64).image
                Image.fromarray(image).save(tmp_path / f"{number}.png")
                lines.writerow([f"{number}.png", split, "idrid", f"p{max(1, number)}"])
        return str(tmp_path / name)

    return written


def sets(set_, real, quick=False, most=2000):
    said = []
    return Sets.read(set_, real, quick, said.append, most), said


def test_one_photograph_of_each_eye_by_split(table):
    found, said = sets("phantom:5", table(["train", "train", "train", "test", "test"]))
    assert [len(each) for each in (found.judged, found.taught, found.tested)] == [5, 2, 2]
    assert [len(found.pictures(side, 64)) for side in ("judged", "taught")] == [5, 2]
    assert found.pictures("judged", 64) is found.pictures("judged", 64)
    assert found.pictures("judged", 64)[0].image.shape == (64, 64, 3)
    assert said == ["judged: 5 pictures read at 64 px", "taught: 2 pictures read at 64 px"]


def test_without_a_split_all_are_held_out_and_few_are_enough_for_a_quick_look(table, monkeypatch):
    monkeypatch.setattr(module, "QUICK", 2)
    real = table(["", "", "", ""])
    assert [len(each) for each in (sets("phantom:9", real)[0].tested, ())] == [3, 0]
    found = sets("phantom:9", real, quick=True)[0]
    assert [len(each) for each in (found.judged, found.taught, found.tested)] == [2, 0, 2]
    # Evenly over all, not the first of a table in order.
    assert [each.path.name for each in found.judged] == ["0000000", "0000004"]


def test_a_broken_picture_is_left_out_and_told(table, tmp_path):
    real = table(["train", "test", "test"])
    (tmp_path / "2.png").write_bytes(b"no picture")
    found, said = sets("phantom:1", real)
    assert len(found.pictures("tested", 64)) == len(found.tested) - 1
    assert "left out" in said[0]
    assert "2.png" in said[0]
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "eye.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"torn: no picture of the set can be read"):
        sets(str(torn), real)[0].pictures("judged", 64)


def test_what_was_drawn_is_no_photograph(table):
    with pytest.raises(UserError, match="no photograph"):
        sets("phantom:1", "phantom:3")


def test_another_site_shows_other_eyes_alone(table):
    real = table(["train", "train", "train", "test"])
    elsewhere = table(["", "", "", "", "", ""], "elsewhere.csv")
    found = Sets.read("phantom:1", real, False, [].append, external=elsewhere)
    assert [each.path.name for each in found.external] == ["4.png", "5.png"]
    with pytest.raises(UserError, match="that the others do not show"):
        Sets.read("phantom:1", real, False, [].append, external=real)
    with pytest.raises(UserError, match="⟨external⟩: no photograph: all of it was drawn"):
        Sets.read("phantom:1", real, False, [].append, external="phantom:2")
    with pytest.raises(UserError, match="⟨external⟩"):
        Sets.read("phantom:1", real, False, [].append, external="nowhere.csv")


def test_what_shows_a_tested_eye_teaches_nobody_who_is_tested(table, tmp_path):
    real = table(["train", "train", "test", "test"])
    copies = tmp_path / "copies"
    copies.mkdir()
    for number in (1, 2, 7):
        image = draw(Annotation(source="idrid"), number, 64).image
        Image.fromarray(image[:, ::-1]).resize((80, 80)).save(copies / f"{number}.jpg", quality=80)
    found, said = sets(str(copies), real)
    assert [each.example.path.name for each in found.lessons()] == ["1.jpg", "7.jpg"]
    assert "judged: 1 show eyes that are tested, and teach nobody" in said
    itself, said = sets(real, real)
    assert [each.example.path.name for each in itself.lessons()] == ["0.png", "1.png"]
    assert itself.lessons() is itself.lessons()
