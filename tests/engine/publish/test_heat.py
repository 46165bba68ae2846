"""Sheets and page of heat maps: what is hot is seen, and what stands beside it is as it was."""

from __future__ import annotations

import re

import numpy as np
import pytest

from engine.evaluate.figures import Figure, without
from engine.evaluate.pointing import Pointed
from engine.publish.heat import page, sheet

SIDE, GAP = 40, 4
OUTLINE = (90, 255, 220)


def pointed(*maps, lesion=True):
    """A grey-red eye with a square lesion, these maps, and flat ones of random weights."""
    image = np.full((SIDE, SIDE, 3), (120, 60, 30), np.uint8)
    lesions = np.zeros((SIDE, SIDE), bool)
    lesions[10:20, 10:20] = lesion
    told = {f"method{number}": each for number, each in enumerate(maps)}
    flat = {name: np.zeros((SIDE, SIDE), np.float32) for name in told}
    return Pointed("eye", image, 0.5, told, [flat, flat], ~lesions | lesions, lesions)


def spot(side, value=1.0):
    heat = np.zeros((SIDE, SIDE), np.float32)
    heat[25 : 25 + side, 5 : 5 + side] = value
    return heat


def tile(eye, down, across):
    found = np.asarray(sheet(eye))
    step = SIDE + GAP
    return found[down * step + GAP : (down + 1) * step, across * step + GAP : (across + 1) * step]


@pytest.mark.parametrize("count", [1, 3])
def test_a_sheet_has_a_place_for_the_eye_and_each_map_in_two_rows(count):
    found = sheet(pointed(*[spot(10)] * count))
    assert found.mode == "RGB"
    assert found.size == ((count + 1) * (SIDE + GAP), 2 * (SIDE + GAP))
    edges = np.asarray(found)
    assert (edges[:GAP] == 255).all()
    assert (edges[:, :GAP] == 255).all()


def test_lesions_are_outlined_on_one_of_two_photographs():
    eye = pointed(spot(10))
    before = eye.image.copy()
    outlined, plain = tile(eye, 0, 0), tile(eye, 1, 0)
    ring = eye.lesions.copy()
    ring[11:19, 11:19] = False
    assert np.array_equal((outlined == OUTLINE).all(-1), ring)
    assert np.array_equal(outlined[~ring], before[~ring])
    assert np.array_equal(plain, before)
    assert np.array_equal(eye.image, before), "what is measured afterwards is not drawn on"


def test_without_lesions_nothing_is_outlined():
    eye = pointed(spot(10), lesion=False)
    assert np.array_equal(tile(eye, 0, 0), eye.image)


def test_what_is_hot_is_lit_and_the_rest_is_the_grey_eye():
    found = tile(pointed(spot(10)), 0, 1).astype(int)
    hot = spot(10) > 0
    assert found[hot].min(0)[0] > 240, "inferno ends in a bright yellow"
    assert found[hot].min(0)[1] > found[hot].max(0)[2]
    assert (found[~hot].max(-1) - found[~hot].min(-1) <= 3).all()
    assert found[~hot][:, 0] == pytest.approx(0.75 * 70, abs=2)


@pytest.mark.parametrize("value", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("side", [1, 2, 10])
def test_a_map_is_seen_whatever_its_scale_and_however_small_its_place(value, side):
    usual, scaled = (tile(pointed(spot(side, each)), 0, 1) for each in (1.0, value))
    assert np.abs(usual.astype(int) - scaled).max() <= 1
    assert scaled[25, 5, 0] > 240


def test_a_map_of_nothing_lights_nothing():
    found = tile(pointed(spot(10)), 1, 1).astype(int)
    assert np.ptp(found[..., 0]) == 0
    assert found[..., 0].max() < 70


def test_each_map_stands_in_its_own_place():
    eye = pointed(spot(10), spot(10)[::-1])
    assert tile(eye, 0, 1)[30, 10, 0] > 240 > tile(eye, 0, 2)[30, 10, 0]
    assert tile(eye, 0, 2)[9, 10, 0] > 240 > tile(eye, 0, 1)[9, 10, 0]


FIGURES = [
    Figure("explain.grad_cam.points", 0.5, 0.25, 0.75, 1234, floor=0.4, control=0.125),
    without("explain.points", "no photograph has <lesions>"),
]


@pytest.fixture(scope="module")
def html():
    files = [("eye-001.png", 0.987), ("eye-002.png", 0.0)]
    return page("<b>tiny</b>", "dr & dme", files, FIGURES)


def test_the_page_tells_each_figure_beside_floor_and_control_or_why_not(html):
    rows = re.findall(r"<tr>.*?</tr>", html.partition("<tbody>")[2], re.DOTALL)
    one, other = (re.findall(r">([^<>]+)</t[hd]>", row) for row in rows)
    assert one[1:] == ["0.50 (0.25 to 0.75)", "floor 0.40, control 0.12", "1,234"]
    assert "grad cam" in one[0]
    assert "no photograph has &lt;lesions&gt;" in other


def test_sheets_stand_in_order_with_the_chance_of_the_answer(html):
    assert re.findall(r'src="([^"]+)"', html) == ["eye-001.png", "eye-002.png"]
    told = [
        html.index(f"eye-00{n}.png: answered with a chance of {c}")
        for n, c in ((1, "0.99"), (2, "0.00"))
    ]
    assert told == sorted(told)


def test_names_are_text_and_nothing_comes_from_elsewhere(html):
    assert "<b>tiny" not in html
    assert "&lt;b&gt;tiny&lt;/b&gt; looks for: dr &amp; dme" in html
    assert "://" not in html


def test_a_page_without_figures_or_sheets_is_a_page():
    assert "<img" not in page("tiny", "dr", [], [])
