"""A level is held against a reference row by row, and a bound is broken by what it guards."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluate import level_figures as figures
from engine.evaluate.level_rows import LevelRow
from engine.schema import UserError

SIDE = 48
COUNT = 24


def row(number, **changed):
    """A smooth eye with a bright disc; no two are alike."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    light = np.where(np.hypot(x, y) < 0.48, 120 + 60 * np.cos(5 * x + number), 0)
    image = np.repeat(light[..., None], 3, -1).astype(np.uint8)
    facts = {
        "image": image,
        "features": rng.normal(size=6),
        "signs": {},
        "dice": {"vessel": 0.7, "disc": 0.9},
        "lesions": {"dark": (8, 10), "bright": (3, 4)},
    }
    return LevelRow(**{**facts, **changed})


REFERENCE = [row(number) for number in range(COUNT)]
OTHERS = [row(number + 100) for number in range(COUNT)]


def broken(drawn, reference=REFERENCE):
    return {each.name for each in figures.beside(drawn, reference, OTHERS) if not each.holds}


def test_the_reference_itself_keeps_every_bound():
    found = {each.name: each for each in figures.beside(REFERENCE, REFERENCE, OTHERS)}
    assert broken(REFERENCE) == set()
    assert found["drift_grey"].value == 0 < found["drift_grey"].most
    assert found["drift_ssim"].value == pytest.approx(1)
    for name in ("vessel_dice", "disc_dice", "visible_dark", "visible_bright", "recall"):
        assert found[name].value == found[name].reference
        assert found[name].low == found[name].high == 0


def test_drift_is_bounded_by_what_jpeg_changes_in_the_same_pictures():
    more = [np.where(each.image > 0, each.image + np.uint8(3), np.uint8(0)) for each in REFERENCE]
    lighter = [row(number, image=image) for number, image in enumerate(more)]
    assert broken(lighter) == {"drift_grey"}
    found = {each.name: each for each in figures.drift(lighter, REFERENCE)}
    assert found["drift_grey"].value == pytest.approx(3)
    assert found["drift_psnr_db"].value == pytest.approx(10 * np.log10(255**2 / 9))
    assert 0 < found["drift_grey"].most < 3


def test_black_round_the_field_is_no_part_of_a_drift():
    one, other = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    other[2:4, 2:4] = 100
    one[2:4, 2:4], one[7, 7] = 90, 250
    assert figures.apart(one, other) == 10


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"dice": {"vessel": 0.66, "disc": 0.9}}, "vessel_dice"),
        ({"dice": {"vessel": 0.7, "disc": 0.86}}, "disc_dice"),
        ({"lesions": {"dark": (7, 10), "bright": (3, 4)}}, "visible_dark"),
        ({"lesions": {"dark": (8, 10), "bright": (2, 4)}}, "visible_bright"),
    ],
)
def test_each_bound_is_broken_by_what_it_guards(changed, named):
    assert broken([row(number, **changed) for number in range(COUNT)]) == {named}


def test_more_than_the_reference_breaks_nothing():
    better = {
        "dice": {"vessel": 0.8, "disc": 0.95},
        "lesions": {"dark": (10, 10), "bright": (4, 4)},
    }
    assert broken([row(number, **better) for number in range(COUNT)]) == set()


def test_a_loss_in_few_eyes_is_wide_and_so_not_shown_to_be_small():
    worse = [row(n, dice={"vessel": 0.7 - 0.3 * (n < 1), "disc": 0.9}) for n in range(COUNT)]
    found = {each.name: each for each in figures.beside(worse, REFERENCE, OTHERS)}["vessel_dice"]
    assert found.value - found.reference > figures.DICE > found.low
    assert not found.holds


def test_pictures_that_are_all_alike_lose_recall():
    same = [row(n, features=REFERENCE[0].features + 1e-6 * n) for n in range(COUNT)]
    assert broken(same) >= {"recall", "coverage"}


def test_without_masks_nothing_is_said_of_structures():
    bare = [
        row(n, dice={"vessel": None, "disc": None}, lesions={"dark": (0, 0), "bright": (0, 0)})
        for n in range(COUNT)
    ]
    names = {each.name for each in figures.beside(bare, bare, OTHERS)}
    assert names == {"drift_grey", "drift_psnr_db", "drift_ssim", "recall", "coverage"}


def test_rows_that_stand_on_structures_without_any_lesion_are_too_few():
    none = [row(n, lesions={"dark": (1, 2), "bright": (0, 0)}) for n in range(COUNT)]
    with pytest.raises(UserError, match="no row has anything for visible_bright"):
        broken(none, none)


def test_an_eye_without_a_disc_is_left_out_of_the_discs():
    known = [row(n, dice={"vessel": 0.7, "disc": None if n % 2 else 0.9}) for n in range(COUNT)]
    found = {each.name: each for each in figures.beside(known, known, OTHERS)}
    assert found["disc_dice"].n == COUNT // 2
    assert found["disc_dice"].value == pytest.approx(0.9)


def test_labels_are_compared_by_the_mean_of_their_areas():
    truth = {"is_gc": np.arange(COUNT) % 2 == 0, "is_amd": np.arange(COUNT) % 3 == 0}
    right = {name: has.astype(float) for name, has in truth.items()}
    wrong = {**right, "is_amd": 1 - right["is_amd"]}
    same = figures.labels_read(truth, [right, right])
    assert (same.value, same.reference, same.holds) == (1, 1, True)
    worse = figures.labels_read(truth, [wrong, right])
    assert (worse.value, worse.reference, worse.holds) == (0.5, 1, False)


def test_without_any_label_that_differs_there_is_nothing_to_read():
    with pytest.raises(UserError, match="the same labels"):
        figures.labels_read({}, [{}, {}])
