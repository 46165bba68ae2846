"""The law of a camera's photographs is found again in them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from engine.phantom import fitting
from engine.phantom.appearance import KNOBS, ORDINARY
from engine.phantom.cameras import CAMERAS
from engine.phantom.framing import View
from engine.phantom.measures import MEASURES, measure
from engine.phantom.render import draw
from engine.schema import Annotation

NOTHING = np.zeros((256, 256), bool)


def views(source: str) -> list[View]:
    eyes = [draw(Annotation(source=source), seed, 256) for seed in range(8)]
    return [View(eye.image, eye.masks["disc"], NOTHING, eye.annotation.eye_side) for eye in eyes]


def test_phantoms_of_a_fitted_camera_look_like_its_photographs(monkeypatch):
    monkeypatch.setattr(fitting, "PHANTOMS", 40)
    told = []

    def watch(what: str, numbers: Iterable[int]) -> Iterable[int]:
        told.append(what)
        return numbers

    photographs = views("chase")
    camera = fitting.fit(photographs, [Annotation()] * 8, watch)
    assert told == ["round 1 of 2: phantoms", "round 2 of 2: phantoms"]
    real = np.array([[*measure(each.square).values()] for each in photographs])
    apart = {}
    for name, cameras in (("fitted", {"own": camera}), ("any", CAMERAS)):
        drawn = [draw(Annotation(source="own"), s, 256, cameras=cameras) for s in range(100, 112)]
        seen = np.array([[*measure(each.image).values()] for each in drawn])
        apart[name] = np.abs((seen.mean(0) - real.mean(0)) / (real.std(0) + 1e-3)).mean()
    assert apart["fitted"] < 0.75 * apart["any"]


def test_the_mean_and_the_spread_behind_measures_are_found():
    rng = np.random.default_rng(0)
    slopes = rng.normal(0, 1, (len(KNOBS), len(MEASURES)))

    def measured(looks: np.ndarray) -> np.ndarray:
        return looks @ slopes + rng.normal(0, 0.02, (len(looks), len(MEASURES)))

    ordinary = np.array(ORDINARY)
    trial = rng.normal(0, 1, (200, len(KNOBS))) * ordinary
    behind = 1.5 * ordinary + rng.normal(0, 0.3, (100, len(KNOBS))) * ordinary
    mean, covariance = fitting._likeliest(
        trial, measured(trial), measured(behind), np.zeros(len(KNOBS)), np.diag(ordinary**2)
    )
    assert np.allclose(mean / ordinary, 1.5, atol=0.35)
    assert (np.sqrt(np.diag(covariance)) < 0.8 * ordinary).all()


def test_no_photographs_are_no_camera():
    with pytest.raises(ValueError, match="no photographs"):
        fitting.fit([], [], lambda what, numbers: numbers)
