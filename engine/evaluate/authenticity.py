"""Whether what a model draws can be told from photographs of the same cameras and known labels.

A classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv 1610.06545): 0.5 is chance, 1.0 is
certainty. The classifiers see the measures of `engine.phantom.measures` alone, so what they miss
may still be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data import identity
from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.phantom.measures import measure
from engine.prose.template import caption
from engine.seeds import row_random, row_seed
from engine.specs import Spec

SIZE = 256
FOLDS = 5
_NEXT = 100_000
"""Rows between two drawings of the same photographs' annotations."""

Draw = Callable[[Sequence[Spec]], list[np.ndarray]]
"""Specs to photographs (256, 256, 3) uint8."""


@dataclass(frozen=True)
class Told:
    """Area under the receiver operating curve of one classifier on one drawing, on all pairs and on
    those of each source."""

    drawing: int
    classifier: str
    pairs: int
    auc: float
    by_source: dict[str, float]


def authenticity(draw: Draw, examples: Sequence[Example], drawings: int) -> Iterator[Told]:
    """For each drawing, how well each classifier tells the photographs from as many samples.

    A sample is asked for the camera and the known labels of one photograph; both stay in one fold,
    as does all of one eye. ValueError for fewer photographs than folds.
    """
    pairs = [(each, found) for each in examples if (found := _measured(each)) is not None]
    if len(pairs) < FOLDS:
        raise ValueError(f"{len(pairs)} readable photographs, at least {FOLDS} are needed")
    names = sorted(pairs[0][1])
    real = np.array([[found[name] for name in names] for _, found in pairs])
    eyes = identity.eyes([each for each, _ in pairs])
    sources = np.array([each.annotation.source or "unknown" for each, _ in pairs])
    for drawing in range(drawings):
        images = draw([_spec(each, drawing * _NEXT + i) for i, (each, _) in enumerate(pairs)])
        drawn = np.array([[found[name] for name in names] for found in map(measure, images)])
        for name, model in _classifiers():
            chance = _held_out_chances(model, np.concatenate([real, drawn]), eyes)
            areas = {s: _area(chance[np.tile(sources == s, 2)]) for s in np.unique(sources)}
            yield Told(drawing, name, len(pairs), _area(chance), areas)


def _measured(example: Example) -> dict[str, float] | None:
    try:
        return measure(read_square(example, SIZE)[0])
    except UnreadableImage:
        return None


def _spec(example: Example, index: int) -> Spec:
    words = caption(example.annotation, row_random(0, index, "authenticity"))
    return Spec(
        id=f"{index:032x}",
        index=index,
        seed=row_seed(0, index),
        annotation=example.annotation,
        prompt=words,
        size=SIZE,
    )


def _classifiers() -> list[tuple[str, Any]]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    forest = RandomForestClassifier(300, min_samples_leaf=2, random_state=0)
    return [("logistic regression", linear), ("random forest", forest)]


def _held_out_chances(model: Any, table: np.ndarray, eyes: Sequence[int]) -> np.ndarray:
    """Chance (2 N,) of being drawn, of rows that the classifier was not fitted to: N photographs,
    then their N samples."""
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    truth = np.repeat([0, 1], len(eyes))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    groups = [*eyes, *eyes]
    method = {"groups": groups, "cv": folds, "method": "predict_proba"}
    return np.asarray(cross_val_predict(model, table, truth, **method)[:, 1])


def _area(chance: np.ndarray) -> float:
    """Of photographs followed by as many samples."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(np.repeat([0, 1], len(chance) // 2), chance))
