"""A mix of annotations: prevalences, what occurs together, strata, and how much is left unknown.

Every row is drawn from its own generator, with the same number of draws whatever the rules say, so
that one changed prevalence changes that label alone and what depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from random import Random

from pydantic import BaseModel, ConfigDict

from engine.schema import LABEL_NAMES, Annotation

_FROZEN = ConfigDict(extra="forbid", frozen=True)


class Rule(BaseModel):
    """The weights of `label`'s values where each label of `given` has one of the values named
    there."""

    model_config = _FROZEN

    label: str
    given: dict[str, tuple[int, ...]]
    weights: tuple[float, ...]

    def holds(self, values: dict[str, int]) -> bool:
        """Whether all the conditions are met by the values drawn so far."""
        return all(values[name] in allowed for name, allowed in self.given.items())


class Stratum(BaseModel):
    """A cell of every cycle: `rows` rows with these labels; the others are drawn."""

    model_config = _FROZEN

    annotation: dict[str, int]
    rows: int = 1


class Mix(BaseModel):
    """How annotations are drawn. `weights` names all sixteen labels: one weight for each value from
    0.

    `unknown` is the share of rows in which a label is hidden. Of the `rules` of a label the first
    that holds replaces its weights. `source` weighs the sources; empty leaves the source unknown.
    """

    model_config = _FROZEN

    weights: dict[str, tuple[float, ...]]
    unknown: dict[str, float] = {}
    rules: tuple[Rule, ...] = ()
    strata: tuple[Stratum, ...] = ()
    source: dict[str, float] = {}

    def draw(self, index: int, rng: Random) -> Annotation:
        """The annotation of row `index`, drawn with the row's own generator."""
        fixed = self.stratum(index)
        values: dict[str, int] = {}
        for name in self.order:
            share = rng.random()
            drawn = pick(self._weights(name, values), share)
            values[name] = fixed.get(name, drawn)
        hidden = {
            name for name in LABEL_NAMES if rng.random() < self.unknown.get(name, 0.0)
        } - fixed.keys()
        source = None
        if self.source:
            names = list(self.source)
            source = names[pick([self.source[name] for name in names], rng.random())]
        known = {name: value for name, value in values.items() if name not in hidden}
        return Annotation(**known, source=source)

    def stratum(self, index: int) -> dict[str, int]:
        """The labels that row `index` has by its stratum; empty without strata."""
        if not self.strata:
            return {}
        place = index % self._ends[-1]
        return next(cell.annotation for cell, end in zip(self.strata, self._ends) if place < end)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The labels in an order in which every rule finds its conditions drawn. ValueError for a
        circle."""
        needs = {
            name: {key for rule in self._by_label.get(name, ()) for key in rule.given}
            for name in LABEL_NAMES
        }
        order: list[str] = []
        while len(order) < len(LABEL_NAMES):
            ready = [
                name for name in LABEL_NAMES if name not in order and needs[name] <= set(order)
            ]
            if not ready:
                left = [name for name in LABEL_NAMES if name not in order]
                raise ValueError(f"rules go in a circle among {', '.join(left)}")
            order.append(ready[0])
        return tuple(order)

    @cached_property
    def _by_label(self) -> dict[str, tuple[Rule, ...]]:
        return {
            name: tuple(rule for rule in self.rules if rule.label == name) for name in LABEL_NAMES
        }

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        return tuple(accumulate(cell.rows for cell in self.strata))

    def _weights(self, name: str, values: dict[str, int]) -> tuple[float, ...]:
        for rule in self._by_label[name]:
            if rule.holds(values):
                return rule.weights
        return self.weights[name]


def pick(weights: Sequence[float], share: float) -> int:
    """The place at which the running sum of the weights passes `share` (0..1) of their total."""
    goal = share * sum(weights)
    total = 0.0
    last = 0
    for place, weight in enumerate(weights):
        total += weight
        if weight > 0:
            last = place
            if goal < total:
                return place
    return last


def prevalence(share: float) -> tuple[float, float]:
    """The weights of 0 and 1 for a share of ones."""
    return (1.0 - share, share)


def default_mix() -> Mix:
    """A screening population with more disease than there is, so that every finding gets its
    images.

    Grades of retinopathy fall off as in screening sets; edema of the macula comes with retinopathy;
    membranes and vein occlusions, glaucoma and myopia lean on each other as they do in clinics; one
    photograph in fifty has a part that cannot be read.
    """
    ones = {
        "is_amd": 0.08,
        "is_aon": 0.03,
        "is_crp": 0.03,
        "is_dm": 0.03,
        "is_dme": 0.0,
        "is_em": 0.05,
        "is_gc": 0.07,
        "is_htr": 0.06,
        "is_pm": 0.01,
        "is_rvo": 0.03,
        "is_fundus": 1.0,
        "is_macular_readable": 0.98,
        "is_optic_disc_readable": 0.985,
        "is_retinal_region_readable": 0.985,
        "eye_side": 0.5,
    }
    weights = {"dr_grade": (0.5, 0.14, 0.2, 0.09, 0.07)}
    return Mix(
        weights={**weights, **{name: prevalence(share) for name, share in ones.items()}},
        rules=tuple(
            Rule(label=label, given=given, weights=prevalence(share))
            for label, given, share in _TOGETHER
        ),
    )


_TOGETHER: tuple[tuple[str, dict[str, tuple[int, ...]], float], ...] = (
    ("is_dme", {"dr_grade": (1,)}, 0.04),
    ("is_dme", {"dr_grade": (2,)}, 0.25),
    ("is_dme", {"dr_grade": (3, 4)}, 0.5),
    ("is_em", {"dr_grade": (3, 4)}, 0.12),
    ("is_htr", {"dr_grade": (1, 2, 3, 4)}, 0.12),
    ("is_rvo", {"is_htr": (1,)}, 0.08),
    ("is_rvo", {"dr_grade": (3, 4)}, 0.01),
    ("is_pm", {"is_dm": (1,)}, 0.6),
    ("is_gc", {"is_dm": (1,)}, 0.14),
    ("is_crp", {"is_pm": (1,)}, 0.15),
    ("is_amd", {"is_pm": (1,)}, 0.02),
    ("is_macular_readable", {"is_retinal_region_readable": (0,)}, 0.2),
    ("is_optic_disc_readable", {"is_retinal_region_readable": (0,)}, 0.3),
)
