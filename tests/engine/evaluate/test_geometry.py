"""Structures of masks that photographs show: phantoms as the shipped segmenter sees them, beside
the same with masks that were moved; shapes of known ratios; bands of known numbers."""

from __future__ import annotations

import numpy as np
import pytest

from engine import registry
from engine.data.masked import MaskedSquare
from engine.evaluate.geometry import (
    Match,
    Traced,
    cup_disc_ratio,
    dice,
    figures,
    floors,
    left_out,
    pearson,
    trace,
)
from engine.evaluate.vessels import Course
from engine.phantom.render import draw
from engine.registry.segmenter import SegmenterRef
from engine.schema import Annotation
from engine.seeds import row_seed

SIDE = 256
NAMES = ("vessel", "disc", "cup")


@pytest.fixture(scope="module")
def segmenter():
    return registry.find(SegmenterRef, "segmenter").load()


@pytest.fixture(scope="module")
def squares():
    drawn = [draw(Annotation(source="idrid"), row_seed(4, n), SIDE) for n in range(5)]
    return [
        MaskedSquare(n, each.image, {name: each.masks[name] for name in NAMES}, "idrid")
        for n, each in enumerate(drawn)
    ]


def by_name(rows):
    return {each.name: each for each in rows}


def test_masks_that_are_there_and_masks_that_were_moved(segmenter, squares):
    moved = [
        s._replace(masks={name: np.roll(mask, 40, 0) for name, mask in s.masks.items()})
        for s in squares
    ]
    shown, wrong = ([*trace(each, segmenter)] for each in (squares, moved))
    found, lost = by_name(figures(shown, shown)), by_name(figures(wrong, shown))
    for name, least in (("vessel_dice", 0.4), ("disc_dice", 0.7)):
        assert least < found[name].value == found[name].floor
        assert found[name].low <= found[name].value <= found[name].high
        assert found[name].control < 0.75 * found[name].value
        assert lost[name].value < 0.6 * found[name].value
        assert lost[name].floor == found[name].value
    assert found["cup_disc_r"].n + left_out(shown) == 5
    assert found["cup_disc_bias"].control is None
    assert abs(found["cup_disc_bias"].value) < 0.3
    # Five photographs are no band.
    assert not [name for name in found if name.endswith("in_band")]
    back = by_name(figures([*trace(squares[::-1], segmenter)], []))
    assert back["vessel_dice"].value == found["vessel_dice"].value
    assert back["vessel_dice"].floor is None


def ellipse(row, height, width=20):
    y, x = np.mgrid[:SIDE, :SIDE]
    return ((y - row) / (height / 2)) ** 2 + ((x - 128) / (width / 2)) ** 2 < 1


def test_the_ratio_is_vertical_and_of_a_whole_disc():
    lit = np.ones((SIDE, SIDE), bool)
    disc = ellipse(120, 60, 50)
    for height in (15, 30, 48):
        masks = {"disc": disc, "cup": ellipse(120, height)}
        assert cup_disc_ratio(masks, lit) == pytest.approx(height / 60, abs=0.03)
    speck = {"disc": disc | ellipse(230, 10), "cup": ellipse(120, 30) | ellipse(230, 8)}
    assert cup_disc_ratio(speck, lit) == pytest.approx(0.5, abs=0.03)
    assert cup_disc_ratio({"disc": disc, "cup": disc & ~disc}, lit) == 0
    for nothing in ({"disc": disc}, {"disc": disc & ~disc, "cup": disc}):
        assert cup_disc_ratio(nothing, lit) is None
    for cut in (ellipse(10, 60), ellipse(250, 60)):
        assert cup_disc_ratio({"disc": cut, "cup": cut}, lit) is None
    masks["disc"] = disc
    assert cup_disc_ratio(masks, lit & (np.arange(SIDE) < 150)) is None
    assert cup_disc_ratio(masks, lit & ~ellipse(120, 20)) is not None


def test_dice_and_correlation():
    disc = ellipse(120, 60)
    assert dice(disc, disc) == 1
    assert dice(disc, disc & (np.arange(SIDE) < 128)) == pytest.approx(2 / 3, abs=0.03)
    assert dice(disc & ~disc, disc) == 0
    assert dice(disc, None) is dice(disc, disc & ~disc) is None
    pairs = np.array([(0.2, 0.1), (0.3, 0.3), (0.5, 0.45), (0.4, 0.6)])
    assert pearson(pairs) == pytest.approx(np.corrcoef(pairs.T)[0, 1])
    assert np.isnan(pearson(np.array([(0.2, 0.1), (0.2, 0.3)])))


def traced(eye, value, source="hrf", ratios=None):
    winding = None if value is None else Course(value, value, None)
    return Traced(eye, source, Match(None, None, ratios), None, True, winding)


def test_the_band_is_of_photographs_of_the_same_source():
    real = [traced(n, 1 + n / 20) for n in range(21)]
    real += [traced(100 + n, 5 + n / 20, "chase") for n in range(21)]
    drawn = [traced(0, 1.5), traced(1, 2.1), traced(2, 0.9), traced(3, None)]
    drawn += [traced(4, 1.5, "chase"), traced(5, 5.5, "chase")]
    others = [traced(6, 1.5, "idrid"), traced(7, 1.5, None)]
    found = by_name(figures(drawn + others, real))
    assert (found["fractal_in_band"].value, found["fractal_in_band"].n) == (2 / 6, 6)
    assert found["calibre_in_band"].value == 2 / 6
    # No piece of any photograph was long enough: there is no band to be in.
    assert "tortuosity_in_band" not in found
    # The lowest and the highest of each source lie beyond the others.
    assert 0.8 < found["fractal_in_band"].floor == floors(real)[0].value < 1
    assert not figures(drawn[:1], real[:7])


def test_ratios_that_cannot_be_told_are_counted():
    drawn = [traced(n, None, ratios=(n / 10 + 0.1, n / 10)) for n in range(4)] + [traced(9, None)]
    found = by_name(figures(drawn, []))
    assert found["cup_disc_r"].value == pytest.approx(1)
    assert found["cup_disc_bias"].value == pytest.approx(0.1)
    assert (found["cup_disc_r"].n, left_out(drawn)) == (4, 1)
    assert "cup_disc_r" not in by_name(figures(drawn[4:], []))
