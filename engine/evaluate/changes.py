"""Measure: one eye, one thing changed (a counterfactual). Does what a reader sees move with what
was asked, and does all else stay?

The model that drew the set is asked for a few eyes again, each with the same seed and a rising dose
of one disease. Readers learned on photographs what severe retinopathy, edema or glaucoma is.

- `dr_grade.follows`: how the reader's answer rises with the dose (Spearman's rank correlation
  within an eye, its mean over eyes). Floor: of phantoms by the same seeds and labels, which do what
  is asked. Control: the same answers with doses dealt anew.
- `dr_grade.moves`: the answer at the highest dose less that at none.
- `dr_grade.same_eye`: how many of the changed pictures a verifier takes for the eye without the
  disease. Control: for another eye without it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from engine import registry
from engine.data.registered import correlation, thumbnail
from engine.evaluate.condition import ENOUGH, reader, with_and_without
from engine.evaluate.doubles import DOUBLE
from engine.evaluate.evidence import HEALTHY, draw_phantoms
from engine.evaluate.figures import Figure, Values, estimate, share, without
from engine.evaluate.sets import SIZE, Sets
from engine.evaluate.signs import signs
from engine.models.segmenter import Segmenter
from engine.prose.template import caption
from engine.registry.sampler import SamplerRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import DISEASES, Annotation, UserError
from engine.seeds import row_random, row_seed
from engine.shipped import SEGMENTER
from engine.specs import Spec
from engine.store.commits import PLAN
from engine.store.plan import read_any_plan

DOSES = {"dr_grade": (0, 1, 2, 3, 4), "is_dme": (0, 1), "is_gc": (0, 1)}
"""Of each label that is changed what is asked for, from none upwards."""
_EYES, _QUICK = 8, 3
_TELL = 50
_FAMILY = 1 << 21
"""From this number on eyes are seeded, so that none is of the set."""

Draw = Callable[[Sequence[Spec]], list[np.ndarray]]
"""Specs to photographs (S, S, 3) uint8."""


Read = Callable[[list[dict[str, float]]], np.ndarray]
"""Signs of pictures to the chance of a disease (n,)."""


@dataclass(frozen=True)
class Series:
    """An eye at each dose: pictures (S, S, 3) uint8, and what a reader says of each (doses,)."""

    pictures: Sequence[np.ndarray]
    said: np.ndarray


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`. UserError where nobody says which model drew the set."""
    ref = drawn_by(sets)
    sampler = ref.load(ref.usual_call("cpu", "float32"))
    segmenter = registry.find(SegmenterRef, SEGMENTER).load()
    makers: dict[str, Draw] = {
        ref.name: lambda specs: [each.image for each in sampler.draw(specs)],
        "phantoms": draw_phantoms,
    }
    taught = _taught(sets, segmenter)
    found: list[Figure] = []
    for label in (each for each in DISEASES if each.name in DOSES):
        rows, has = with_and_without(taught, label)
        if min(has.sum(), (~has).sum()) < ENOUGH:
            few = (
                f"fewer than {ENOUGH} photographs of the train split have {label.name}, or lack it"
            )
            found += [without(f"{label.name}.{name}", few) for name in NAMES]
            continue
        read, sides = reader(rows, has), []
        for name, draw in makers.items():
            sets.tell(f"changes: {label.name} in eyes by {name}")
            specs = _specs(label.name, _source(sets), _QUICK if sets.quick else _EYES)
            sides.append([_series(eye, draw, read, segmenter) for eye in specs])
        found += figures(label.name, *sides)
    return found


def _taught(sets: Sets, segmenter: Segmenter) -> list[tuple[Annotation, None, dict[str, float]]]:
    """What readers learn from: signs of the photographs that teach."""
    found, pictures = [], sets.pictures("taught")
    for number, each in enumerate(pictures, 1):
        found.append((each.example.annotation, None, signs(each.image, segmenter)))
        if number % _TELL == 0:
            sets.tell(f"changes: {number:,} of {len(pictures):,} photographs read for readers")
    return found


def drawn_by(sets: Sets) -> SamplerRef:
    """The model that the set's plan names, or its rows. UserError where that is none, or more than
    one, or not at hand."""
    root = Path(sets.set_source)
    plan = read_any_plan(root) if (root / PLAN).is_file() else None
    makers = {each.maker for each in sets.judged if each.maker}
    name = plan.model_location if plan is not None and plan.kind == "draw" else None
    if name is None and len(makers) == 1:
        name = makers.pop()
    if name is None:
        raise UserError("nobody says which one model drew the set", file=sets.set_source)
    return registry.find(SamplerRef, name)


def figures(name: str, drawn: Sequence[Series], phantoms: Sequence[Series]) -> list[Figure]:
    """What series of a model say beside those of phantoms."""
    follows, moves, same = (f"{name}.{each}" for each in NAMES)
    floors = {each: _mean(each, phantoms, of).value for each, of in _TOLD.items()}
    rng = np.random.default_rng(0)
    dealt = [replace(each, said=rng.permutation(each.said)) for each in drawn for _ in range(20)]
    controls = {each: _mean(each, dealt, of).value for each, of in _TOLD.items()}
    return [
        replace(_mean(full, drawn, _TOLD[each]), floor=floors[each], control=controls[each])
        for full, each in zip((follows, moves), _TOLD)
    ] + [
        replace(
            _same_eye(same, drawn, 0),
            floor=_same_eye(same, phantoms, 0).value,
            control=_same_eye(same, drawn, 1).value,
        )
    ]


def rank_correlation(said: np.ndarray) -> float:
    """Spearman's, of what is said (doses,) with the dose; 0 where all is said alike."""
    if np.ptp(said) == 0:
        return 0.0
    return float(spearmanr(np.arange(len(said)), said).statistic)


_TOLD: dict[str, Callable[[np.ndarray], float]] = {
    "follows": rank_correlation,
    "moves": lambda said: float(said[-1] - said[0]),
}
NAMES = (*_TOLD, "same_eye")


def _mean(name: str, series: Sequence[Series], of: Callable[[np.ndarray], float]) -> Figure:
    values: Values = {number: [(of(each.said),)] for number, each in enumerate(series)}
    return estimate(name, values, lambda rows: float(rows.mean()))


def _same_eye(name: str, series: Sequence[Series], beside: int) -> Figure:
    """How many changed pictures are the eye without the disease that stands so many further."""
    shown = [[thumbnail(each) for each in one.pictures] for one in series]
    counts: dict[Hashable, tuple[int, int]] = {}
    for number, eye in enumerate(shown):
        plain = shown[(number + beside) % len(shown)][0]
        alike = correlation(plain, np.stack(eye[1:]))
        counts[number] = int((alike >= DOUBLE).sum()), len(alike)
    return share(name, counts)


def _source(sets: Sets) -> str | None:
    """The camera of the set, where it has one."""
    sources = {each.annotation.source for each in sets.judged}
    return sources.pop() if len(sources) == 1 else None


def _specs(label: str, source: str | None, eyes: int) -> list[list[Spec]]:
    """Of each eye a spec for each dose, alike in all else."""
    found = []
    for index in range(_FAMILY, _FAMILY + eyes):
        asked = [HEALTHY.model_copy(update={label: d, "source": source}) for d in DOSES[label]]
        found.append(
            [
                Spec(
                    id=f"{index:032x}", index=index, seed=row_seed(0, index), annotation=each,
                    prompt=caption(each, row_random(0, index, "counterfactual")), size=SIZE,
                )
                for each in asked
            ]
        )  # fmt: skip
    return found


def _series(specs: Sequence[Spec], draw: Draw, read: Read, segmenter: Segmenter) -> Series:
    pictures = draw(specs)
    return Series(pictures, read([signs(each, segmenter) for each in pictures]))
