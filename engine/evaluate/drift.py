"""How far the labels of the rows that were kept are from those that were planned: gates refuse some
kinds of eye more often than others, and what fails is never drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from engine.evaluate.figures import COVERAGE, RESAMPLES, Figure, without
from engine.evaluate.sets import Sets
from engine.schema import LABEL_NAMES, Annotation, UserError
from engine.store.commits import PLAN, Folder, planned_rows
from engine.store.plan import Plan
from engine.store.rows import columns_of, require_plan, shares

KINDS = ("dr_grade", "diseases", "eye_side", "source")
"""What is compared: each grade, how many diseases a row has, the side of the eye, the camera."""
_MOST = 2048
"""Planned rows that are worded to know what was asked for."""


def drift(sets: Sets) -> Iterator[Figure]:
    """`drift_KIND`: the total variation distance between rows planned and rows kept, 0 where they
    are alike and 1 where they share nothing; `floor` is what as many rows drawn from the plan would
    have by chance."""
    if not (sets.set_folder / PLAN).is_file():
        for kind in KINDS:
            yield without(f"drift_{kind}", "the set has no plan that says what was asked for")
        return
    plan, folder = require_plan(sets.set_folder), Folder(sets.set_folder)
    if not isinstance(plan, Plan):
        raise UserError("its rows were not drawn but captioned", file=sets.set_source)
    planned = _planned(plan, planned_rows(folder))
    kept = _kept(folder)
    for kind in KINDS:
        if planned is None:
            yield without(f"drift_{kind}", "this version words rows otherwise than the plan")
        else:
            yield _figure(kind, [_of(kind, a) for a in planned], [_of(kind, a) for a in kept])


def _planned(plan: Plan, count: int) -> list[Annotation] | None:
    rows = min(count, _MOST)
    try:
        return [
            plan.recipe.spec(number * count // rows, plan.fingerprint).annotation
            for number in range(rows)
        ]
    except UserError:
        return None


def _kept(folder: Folder) -> list[Annotation]:
    names = [*LABEL_NAMES, "source"]
    return [
        Annotation(**{name: row[name] for name in names})
        for share in shares(folder)
        for row in columns_of(folder, share, names).to_pylist()
    ]


def _of(kind: str, annotation: Annotation) -> Hashable:
    if kind == "diseases":
        known = annotation.known()
        return sum(known[n] > 0 for n in known if n.startswith("is_") and "readable" not in n)
    return getattr(annotation, kind)


def _figure(kind: str, planned: Sequence[Hashable], kept: Sequence[Hashable]) -> Figure:
    if not kept:
        return without(f"drift_{kind}", "no row was kept")
    kinds = sorted({*planned, *kept}, key=str)
    asked, found = (_shares(each, kinds) for each in (planned, kept))
    rng, n = np.random.default_rng(0), len(kept)
    drawn = rng.multinomial(n, found, RESAMPLES) / n
    chance = rng.multinomial(n, asked, RESAMPLES) / n
    ends = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
    value = float(_apart(asked, found))
    low, high = np.quantile(_apart(asked, drawn), ends)
    # A distance has no middle of resamples that it lies at: they are always farther than it is.
    return Figure(
        f"drift_{kind}", value, min(float(low), value), max(float(high), value), n,
        floor=float(np.mean(_apart(asked, chance))),
    )  # fmt: skip


def _shares(values: Iterable[Hashable], kinds: Sequence[Hashable]) -> np.ndarray:
    counted = Counter(values)
    return np.array([counted[each] for each in kinds]) / counted.total()


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * np.abs(one - other).sum(-1))
