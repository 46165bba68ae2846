"""Whether a set shows what its rows say: labels, and what captions tell of the eye.

Readers are forests (Breiman 2001) on what `signs` reads off a picture. Of each label one learns
from real eyes where at least `ENOUGH` of the train split have it and as many are known to lack it,
else from phantoms of random labels, and its figure's name ends so: a label read on phantoms proves
that the set follows the phantom, not that it knows the disease. `floor` is the same reader's area
on eyes of its own kind that it never saw, `control` on the set with its labels dealt anew.

Captions are held against what the segmenter finds: the cup's height over the disc's, lesions by
quadrant, winding, and the side of the eye by where the disc lies. `drift_*` tell how far the labels
of committed rows are from those that were planned, by total variation distance: what gates refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine import registry
from engine.data.splits import spread
from engine.evaluate.area import plain_area
from engine.evaluate.drift import drift
from engine.evaluate.figures import Figure, estimate, without
from engine.evaluate.quadrants import asked_quadrants, lesions_by_quadrant
from engine.evaluate.sets import Looked, Sets
from engine.evaluate.signs import signs_of
from engine.evaluate.vessels import course
from engine.models.segmenter import Segmenter
from engine.phantom.render import draw
from engine.prose.anatomy import QUADRANTS
from engine.registry.segmenter import SegmenterRef
from engine.schema import DISEASES, READABILITY, SOURCES, Annotation, Label
from engine.seeds import row_random

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

ENOUGH = 20
"""Real eyes with a label, and as many without, for a reader to learn from."""
FEWEST = 5
"""Rows with a label, and as many without, for an area."""
SICK = 3
"""The grade from which retinopathy counts as there; without is none at all."""
_PHANTOMS, _QUICK = 800, 320
_MOST = 600
"""Pictures of a set that are read: of as many, an area is known to about 0.04."""
_PRESENT = 0.2
"""How often a phantom that teaches has each disease, and each fault."""
_TREES = 200
_TELL = 20
"""Pictures from one line to the next."""
_RATIO = re.compile(r"cup-to-disc ratio\s+(?:of\s+)?(?:about |around )?(0?\.\d+)", re.IGNORECASE)

Signs = dict[str, float]
Read = tuple[Annotation, str | None, Signs]
"""What a picture's row says of it, its caption, and its signs."""


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`."""
    segmenter = registry.find(SegmenterRef, "segmenter").load()
    judged = _read(sets, "judged", segmenter)
    taught, tested = (_read(sets, side, segmenter) for side in ("taught", "tested"))
    labels = (*DISEASES, *READABILITY)
    # Phantoms take minutes: where no label needs them, none is drawn.
    wanted = any(
        _has(with_and_without(judged, each), FEWEST)
        and not _has(with_and_without(taught, each), ENOUGH)
        for each in labels
    )
    count = (_QUICK if sets.quick else _PHANTOMS) * wanted
    drawn = _phantoms(count, segmenter, sets)
    found = [each for label in labels for each in _labels(label, judged, taught, tested, drawn)]
    return [*found, *_captions(judged), *drift(sets)]


def _read(sets: Sets, side: str, segmenter: Segmenter) -> list[Read]:
    found = []
    pictures = spread(sets.pictures(side), _MOST)
    for number, looked in enumerate(pictures, 1):
        found.append(_signs(looked, segmenter))
        if number % _TELL == 0:
            sets.tell(f"condition: {side}: {number:,} of {len(pictures):,} read")
    return found


def _signs(looked: Looked, segmenter: Segmenter) -> Read:
    masks = segmenter.masks(looked.image)
    found = signs_of(looked.image, masks)
    winding = course(masks["vessel"], len(looked.image) / 2)
    found["winding"] = (winding.tortuosity if winding else None) or 1.0
    found.update(lesions_by_quadrant(masks, looked.example.annotation.eye_side))
    columns = np.flatnonzero(masks["disc"].any(0))
    found["disc_column"] = float(columns.mean() / len(looked.image)) if len(columns) else 0.5
    return looked.example.annotation, looked.example.caption, found


def _phantoms(count: int, segmenter: Segmenter, sets: Sets) -> list[Read]:
    """Phantoms of random labels: each disease in a fifth of them, each fault in a tenth."""
    cameras = sorted({s for each in sets.judged if (s := each.annotation.source) in SOURCES})
    found: list[Read] = []
    for index in range(count):
        rng = row_random(0, index, "condition readers")
        values = {each.name: int(rng.random() < _PRESENT) for each in DISEASES}
        values |= {each.name: int(rng.random() > _PRESENT / 2) for each in READABILITY}
        values["dr_grade"] = rng.randrange(5)
        if not values["is_fundus"]:
            values |= {each.name: 0 for each in READABILITY}
        camera = rng.choice(cameras) if cameras else None
        asked = Annotation.model_validate({**values, "source": camera})
        phantom = draw(asked, rng.getrandbits(63), 256)
        found.append((asked, None, signs_of(phantom.image, segmenter.masks(phantom.image))))
        if (index + 1) % _TELL == 0:
            sets.tell(f"condition: phantoms: {index + 1:,} of {count:,} read")
    return found


def _labels(
    label: Label,
    judged: Sequence[Read],
    taught: Sequence[Read],
    tested: Sequence[Read],
    drawn: Sequence[Read],
) -> Iterator[Figure]:
    """A label's figure, read by the reader that there is."""
    real = [with_and_without(side, label) for side in (taught, tested)]
    on = "real" if _has(real[0], ENOUGH) else "phantoms"
    name, asked = f"{label.name}_read_on_{on}", with_and_without(judged, label)
    if not _has(asked, FEWEST):
        yield without(name, f"fewer than {FEWEST} rows say {label.name} and as many deny it")
        return
    learn = real[0] if on == "real" else with_and_without(drawn, label)
    chance = reader(*learn)
    if on == "real":
        scores, truth = (chance(real[1][0]) if real[1][0] else np.zeros(0)), real[1][1]
    else:
        scores, truth = _unseen(*learn), learn[1]
    read = chance(asked[0])
    dealt = np.random.default_rng(0).permutation(asked[1])
    floor, control = _area(name, scores, truth).value, _area(name, read, dealt).value
    yield replace(_area(name, read, asked[1]), floor=floor, control=control)


def with_and_without(reads: Sequence[Read], label: Label) -> tuple[list[Signs], np.ndarray]:
    """Signs of those of which it is known, and whether they have it (N,) bool."""
    usual = int(label in READABILITY)
    known = [
        (found, value != usual)
        for annotation, _, found in reads
        if (value := annotation.labels()[label.name]) is not None
        and (label.name != "dr_grade" or value == 0 or value >= SICK)
    ]
    return [found for found, _ in known], np.array([has for _, has in known], bool)


def _has(table: tuple[list[Signs], np.ndarray], enough: int) -> bool:
    return bool(min(table[1].sum(), (~table[1]).sum()) >= enough)


def reader(rows: list[Signs], truth: np.ndarray) -> Callable[[list[Signs]], np.ndarray]:
    """What gives the chance (n,) of a label by the signs of others, of whom some are known to have
    it and some to lack it."""
    names = sorted(rows[0])
    forest = _forest().fit(_values(rows, names), truth)
    return lambda others: np.asarray(forest.predict_proba(_values(others, names))[:, 1])


def _unseen(rows: list[Signs], truth: np.ndarray) -> np.ndarray:
    """What readers say (N,) of the rows themselves, each of one that learned from others."""
    from sklearn.model_selection import cross_val_predict

    table = _values(rows, sorted(rows[0]))
    return np.asarray(
        cross_val_predict(_forest(), table, truth, cv=4, method="predict_proba")[:, 1]
    )


def _forest() -> RandomForestClassifier:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        _TREES, min_samples_leaf=2, class_weight="balanced", random_state=0
    )


def _values(rows: list[Signs], names: list[str]) -> np.ndarray:
    return np.nan_to_num(np.array([[row.get(name, 0.0) for name in names] for row in rows]))


def _area(name: str, scores: np.ndarray, truth: np.ndarray) -> Figure:
    """Area under the receiver operating curve, each row an eye."""
    values = _each_an_eye(zip(scores, truth))
    return estimate(name, values, lambda pairs: plain_area(pairs[:, 1], pairs[:, 0]), 2 * FEWEST)


def _each_an_eye(pairs: Iterable[tuple[float, float]]) -> dict[Hashable, list[tuple[float, ...]]]:
    return {eye: [(float(one), float(other))] for eye, (one, other) in enumerate(pairs)}


def _captions(judged: Sequence[Read]) -> Iterator[Figure]:
    """What captions say of the eye, against what is found, by Spearman's rank correlation."""
    told = [(text or "", annotation, found) for annotation, text, found in judged]
    ratios = [
        (float(said[1]), found["cup_disc_ratio"])
        for text, _, found in told
        if (said := _RATIO.search(text)) and found["cup_disc_ratio"] > 0
    ]
    winding = [(float("tortuous" in text.lower()), found["winding"]) for text, _, found in told]
    quadrants = [
        pair
        for text, _, found in told
        if (asked := asked_quadrants(text)) is not None
        for pair in ((float(name in asked), found[f"lesions_{name}"]) for name in QUADRANTS)
    ]
    sides = [
        (float(annotation.eye_side), found["disc_column"])
        for _, annotation, found in told
        if annotation.eye_side is not None
    ]
    for name, pairs in (
        ("caption_cup_disc", ratios),
        ("caption_winding", winding),
        ("caption_lesion_quadrants", quadrants),
    ):
        yield estimate(name, _each_an_eye(pairs), spearman, FEWEST)
    # A left eye's disc lies in the left half.
    yield _area("eye_side", -np.array([c for _, c in sides]), np.array([s for s, _ in sides]))


def spearman(pairs: np.ndarray) -> float:
    """Rank correlation of pairs (N, 2); NaN where one of both never varies."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(column) for column in pairs.T])
    if ranks.std(1).min() == 0:
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])
