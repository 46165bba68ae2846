"""Changes: phantoms do as they are asked and stay themselves; what does not is told."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from engine.evaluate import changes as module
from engine.evaluate.changes import Series, drawn_by, figures, measure, rank_correlation
from engine.evaluate.sets import Sets
from engine.phantom.render import draw
from engine.schema import Annotation, UserError


def sets(set_, real):
    return Sets.read(str(set_), str(real), True, lambda line: None)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Phantoms as if they were photographs: half of them with severe retinopathy."""
    folder = tmp_path_factory.mktemp("real")
    with (folder / "eyes.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "split", "dr_grade"])
        for number in range(12):
            phantom = draw(Annotation(dr_grade=number % 2 * 4), number, 128)
            Image.fromarray(phantom.image).save(folder / f"{number}.png")
            lines.writerow([f"{number}.png", "train" if number < 10 else "test", number % 2 * 4])
    return folder / "eyes.csv"


def test_phantoms_follow_and_stay_the_same_eye(real, monkeypatch):
    monkeypatch.setattr(module, "ENOUGH", 5)
    monkeypatch.setattr(module, "DOSES", {"dr_grade": (0, 4), "is_gc": (0, 1)})
    monkeypatch.setattr(module, "_QUICK", 2)
    told = {each.name: each for each in measure(sets("phantom:2", real))}
    follows = told["dr_grade.follows"]
    assert follows.value > 0.4
    assert follows.value == follows.floor, "a phantom beside itself"
    assert told["dr_grade.moves"].value > 0.05
    assert told["dr_grade.same_eye"].value == 1
    assert told["dr_grade.same_eye"].control < 0.5
    assert "fewer than 5 photographs" in told["is_gc.follows"].not_estimable


def test_a_set_of_nobody_says_so(real):
    with pytest.raises(UserError, match="nobody says which one model"):
        measure(sets(real.parent, real))
    assert drawn_by(sets("phantom:2", real)).name == "phantom"


def test_what_is_dealt_by_chance_follows_nothing():
    rng = np.random.default_rng(1)
    eyes = [rng.integers(0, 255, (64, 64, 3)).astype(np.uint8) for _ in range(4)]
    rising = [Series([eye] * 5, np.linspace(0, 1, 5)) for eye in eyes]
    told = {each.name: each for each in figures("dr_grade", rising, rising[:2])}
    assert told["dr_grade.follows"].value == pytest.approx(1)
    assert abs(told["dr_grade.follows"].control) < 0.3
    assert told["dr_grade.moves"].value == 1
    assert rank_correlation(np.array([0.2, 0.2, 0.2])) == 0
    assert rank_correlation(np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
