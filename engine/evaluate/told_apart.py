"""Whether a classifier can tell drawn pictures from photographs by what can be measured of either:
a classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv 1610.06545).

0.5 is chance, 1.0 is certainty. The classifiers see the measures of `engine.phantom.measures`
alone, all of them or a group, so what these miss may still be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.evaluate.area import plain_area
from engine.phantom.measures import MEASURES

FOLDS = 5
_COLOUR = ("red", "green_over_red", "blue_over_red", "hue_spread", "saturated")
_COLOUR_OF_DISC = ("disc_green_over_red", "disc_blue_over_red")
_LIGHT = ("falloff", "unevenness")
_STRUCTURE = ("ridge_", "disc_", "macula_")
GROUPS: dict[str, tuple[str, ...]] = {
    "colour": (*_COLOUR, *_COLOUR_OF_DISC),
    "texture": tuple(name for name in MEASURES if name.startswith(("contrast_", "tail_"))),
    "light": _LIGHT,
    "structure": tuple(
        name for name in MEASURES if name.startswith(_STRUCTURE) and name not in _COLOUR_OF_DISC
    ),
    "all": MEASURES,
}
"""The measures that a classifier sees."""
CLASSIFIERS = {"logistic": "logistic regression", "forest": "random forest"}


def held_out_chances(
    classifier: str, real: np.ndarray, drawn: np.ndarray, eyes: Sequence[int]
) -> np.ndarray:
    """Chance of being drawn, of photographs (N, K) and the drawn pictures (N, K) that are their
    partners: (N, 2), each from a classifier that was fitted to neither.

    Partners stay in one fold, as does all of one of the `eyes` (N,) of the photographs. ValueError
    for fewer pairs than `FOLDS`.
    """
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    if len(real) < FOLDS:
        raise ValueError(f"{len(real)} pairs, at least {FOLDS} are needed")
    truth = np.repeat([0, 1], len(real))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    method = {"groups": np.tile(eyes, 2), "cv": folds, "method": "predict_proba"}
    table = np.concatenate([real, drawn])
    chances = cross_val_predict(_classifier(classifier), table, truth, **method)[:, 1]
    return np.asarray(chances.reshape(2, -1).T)


def area(chances: np.ndarray) -> float:
    """Area under the receiver operating curve of chances (N, 2): how often a drawn picture is
    thought drawn rather than a photograph."""
    return plain_area(np.tile([0, 1], len(chances)), chances.ravel())


def table(measured: Sequence[dict[str, float]], group: str) -> np.ndarray:
    """The measures (N, K) of a group of `GROUPS`."""
    return np.array([[found[name] for name in GROUPS[group]] for found in measured])


def _classifier(name: str) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == "forest":
        return RandomForestClassifier(100, min_samples_leaf=2, random_state=0)
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
