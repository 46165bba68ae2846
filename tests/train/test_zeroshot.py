"""Zero-shot reading: towers learn what captions say of spots, wrong captions teach wrongly, and
what captions do not say is not estimated."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from engine.evaluate.sets import Sets
from train.zeroshot import Schooling, zeroshot

EFFORT = Schooling(32, 80, 1)
ILL = "Fundus photograph. The eye has severe NPDR."
WELL = "Fundus photograph. There is no sign of diabetic retinopathy."


@pytest.fixture
def table(tmp_path):
    """table(name): 24 pictures of each split, half of them with spots and ill."""

    def written(name, splits=("train", "test"), captions=(WELL, ILL), seed=0, source=""):
        rng = np.random.default_rng(seed)
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", "split", "source", "dr_grade", "caption"])
            for number in range(24 * len(splits)):
                image = np.full((64, 64, 3), (150, 80, 40)) + rng.integers(-20, 20, (64, 64, 3))
                ill = number % 2
                for row, column in rng.integers(16, 48, (4 * ill, 2)):
                    image[row - 3 : row + 3, column - 3 : column + 3] = 20
                Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"{name}{number}.png")
                row = [f"{name}{number}.png", splits[number // 24], source, ill * 3, captions[ill]]
                lines.writerow(row)
        return str(tmp_path / f"{name}.csv")

    return written


def figures(set_, real, effort=EFFORT, external=None):
    said = []
    found = zeroshot(Sets.read(set_, real, True, said.append, external=external), effort)
    return {each.name: each for each in found}, said


def test_captions_teach_what_they_say_and_wrong_ones_teach_wrongly(table):
    real = table("real")
    right, said = figures(table("set", ("train",), seed=1), real)
    found = right["dr"]
    assert found.value > 0.8
    assert found.low <= found.value <= found.high
    assert found.floor > 0.8
    assert (found.control, found.n) == (0.5, 24)
    assert right["grade"].value > 0.2
    assert abs(right["random.dr"].value - 0.5) < abs(found.value - 0.5)
    assert right["dr_over_real"].value == pytest.approx(found.value - found.floor)
    assert "zeroshot: real: 1 of 1 trainings of 80 steps" in said
    wrong, _ = figures(table("wrong", ("train",), captions=(ILL, WELL), seed=1), real)
    assert wrong["dr"].value < 0.3


def test_figures_are_the_same_again_and_what_is_not_said_is_not_estimated(table, tmp_path):
    real, effort = table("real"), Schooling(32, 3, 2)
    found, _ = figures(real, real, effort)
    assert found == figures(real, real, effort)[0]
    assert "0 pictures of the test" in found["gc"].not_estimable
    silent = table("silent", ("train",), captions=("A fundus photograph.",) * 2)
    bare, _ = figures(silent, real, effort)
    assert "of the set, by their captions" in bare["dr"].not_estimable
    alike = table("alike", ("train",), captions=(ILL, ILL))
    assert "one value" in figures(alike, real, effort)[0]["dr"].not_estimable
    (tmp_path / "one.csv").write_text("file,dr_grade\nreal0.png,0\n")
    one, said = figures(real, str(tmp_path / "one.csv"))
    assert "1 pictures of the test" in one["dr"].not_estimable
    assert not any("trainings" in line for line in said)
    unsplit, _ = figures(real, table("unsplit", ("", ""), seed=3), effort)
    assert unsplit["dr"].floor is None
    assert unsplit["dr"].value is not None


def test_each_source_has_its_figures_and_an_absent_class_has_none(table, tmp_path):
    real, effort = table("real", source="idrid"), Schooling(32, 3, 1)
    site, alone = table("site", ("",), seed=5, source="hrf"), tmp_path / "alone.csv"
    found, _ = figures(table("set", ("train",), seed=1), real, effort, external=site)
    assert (found["idrid_dr"].n, found["hrf_dr"].n) == (24, 24)
    assert found["hrf_dr"].value is not None
    assert found["idrid_dr"].control == 0.5
    assert found["random.hrf_dr"].floor is None
    assert "have the label" in found["soft_exudates"].not_estimable
    lines = (tmp_path / "site.csv").read_text().splitlines()
    alone.write_text("\n".join([lines[0], *(line for line in lines if ",3," in line)]))
    found, _ = figures(str(tmp_path / "set.csv"), real, effort, external=str(alone))
    assert "one value" in found["hrf_dr"].not_estimable
    assert found["idrid_dr"].value is not None
    assert all(np.isfinite(each.value) for each in found.values() if each.not_estimable is None)
