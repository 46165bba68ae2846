"""How far the labels of the rows that were kept are from those that were planned: gates refuse some
kinds of eye more often than others, and what fails is never drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from engine.data.example import PHANTOM
from engine.evaluate.figures import RESAMPLES, Figure, about, without
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
    planned = kept = None
    why = "the set has no plan that says what was asked for"
    if (sets.set_folder / PLAN).is_file():
        plan, folder = require_plan(sets.set_folder), Folder(sets.set_folder)
        why = "its rows were not drawn but captioned"
        if plan.kind == "draw":
            planned, kept = _planned(plan, planned_rows(folder)), _kept(folder)
            why = "this version words rows otherwise than the plan"
    for kind in KINDS:
        if planned is None or kept is None:
            yield without(f"drift_{kind}", why)
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
    if kind == "source" and annotation.source == PHANTOM:
        # Which is what a phantom's row says where no camera was asked for.
        return None
    return getattr(annotation, kind)


def _figure(kind: str, planned: Sequence[Hashable], kept: Sequence[Hashable]) -> Figure:
    if not kept:
        return without(f"drift_{kind}", "no row was kept")
    kinds = sorted({*planned, *kept}, key=str)
    asked, found = (_shares(each, kinds) for each in (planned, kept))
    rng, n = np.random.default_rng(0), len(kept)
    drawn = rng.multinomial(n, found, RESAMPLES) / n
    chance = rng.multinomial(n, asked, RESAMPLES) / n
    value = float(_apart(asked, found))
    floor = float(np.mean(_apart(asked, chance)))
    return Figure(f"drift_{kind}", value, *about(value, _apart(asked, drawn)), n, floor)


def _shares(values: Iterable[Hashable], kinds: Sequence[Hashable]) -> np.ndarray:
    counted = Counter(values)
    return np.array([counted[each] for each in kinds]) / counted.total()


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * np.abs(one - other).sum(-1))
