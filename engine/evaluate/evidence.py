"""What taught each label to a model, and whether asking for it changes what is drawn.

Readers learn a disease from real eyes where at least `ENOUGH` of the training split have it and as
many have not, and `ENOUGH_HELD_OUT` of the test split each; else from phantoms: then a steered
label proves that the model follows the phantom, not that it knows the disease.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice

import numpy as np

from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.evaluate.signs import signs
from engine.evaluate.steering import Steering, steering
from engine.models.segmenter import Segmenter
from engine.phantom.render import draw
from engine.prose.template import caption
from engine.schema import DISEASES, READABILITY, Annotation, Label
from engine.seeds import row_random, row_seed
from engine.specs import Spec

ENOUGH = 20
ENOUGH_HELD_OUT = 10
"""Readable real eyes with a label, and as many without: on fewer, a reader's own area says nothing
of the reader."""
SICK_GRADES = (3, 4)
"""Grades of retinopathy that are told from none: severe and proliferative."""
SIZE = 256

HEALTHY = Annotation.model_validate(
    {each.name: int(each in READABILITY) for each in (*DISEASES, *READABILITY)}
)

_APART = 100_000
"""Samples are of other seeds than the phantoms that readers learn from."""

Signs = dict[str, float]
Rows = list[Signs]
Draw = Callable[[Sequence[Spec]], list[np.ndarray]]
"""Specs to photographs (256, 256, 3) uint8."""


@dataclass(frozen=True)
class Evidence:
    """One label's row of the table: photographs that teach and have the label (`real`) or are known
    to lack it (`real_without`), phantoms that taught, and its steering."""

    label: str
    real: int
    real_without: int
    phantom: int
    auc: float
    low: float
    high: float
    reader_auc: float
    read_on: str


@dataclass(frozen=True)
class Counts:
    """Eyes of each kind: to fit readers to, to test readers on, and to draw."""

    taught: int = 100
    held_out: int = 20
    drawn: int = 24


def label_evidence(
    draw_specs: Draw,
    examples: Sequence[Example],
    phantoms: int,
    segmenter: Segmenter,
    counts: Counts,
    source: str | None,
    labels: Sequence[Label] = (*DISEASES, *READABILITY),
) -> Iterator[Evidence]:
    """The evidence of each of the labels, one by one.

    draw_specs: the model. examples: the photographs it was trained with and those held out.
    phantoms: how many it was trained with. source: the camera asked of every sample.
    """
    real = _RealEyes(examples, segmenter, counts)
    phantom_eyes = _Drawings(draw_phantoms, source, segmenter)
    samples = _Drawings(draw_specs, source, segmenter)
    for label in labels:
        usual = HEALTHY.labels()[label.name] or 0
        values = SICK_GRADES if label.name == "dr_grade" else (1 - usual,)
        asked = [HEALTHY.model_copy(update={label.name: v}) for v in (usual, *values)]
        groups = real.groups(label.name, values)
        read_on = "real eyes" if groups else "phantoms"
        taught, held_out = groups or (
            phantom_eyes.groups(asked, 0, counts.taught),
            phantom_eyes.groups(asked, counts.taught, counts.held_out),
        )
        drawn = samples.groups(asked, _APART, counts.drawn)
        found = steering(taught, held_out, drawn)
        yield _row(label.name, real.with_and_without(label.name), phantoms, found, read_on)


def _row(
    label: str, real: tuple[int, int], phantoms: int, found: Steering, read_on: str
) -> Evidence:
    rounded = {k: round(v, 3) for k, v in asdict(found).items()}
    return Evidence(
        label, *real, phantoms, rounded["auc"], rounded["low"], rounded["high"],
        rounded["reader"], read_on,
    )  # fmt: skip


class _RealEyes:
    """Signs of photographs, each read once. What was drawn is not among them, whatever split it
    says."""

    def __init__(self, examples: Sequence[Example], segmenter: Segmenter, counts: Counts) -> None:
        _, photographs = splits.drawn_apart(examples)
        self._photographs = splits.teaching(photographs)
        self._teaching = [eye[0] for eye in splits.one_per_eye(self._photographs)]
        self._held_out = splits.held_out(photographs)
        self._segmenter, self._counts = segmenter, counts
        self._read: dict[Example, Signs | None] = {}

    def with_and_without(self, label: str) -> tuple[int, int]:
        """How many photographs that teach have the label, and how many are known to lack it."""
        known = sum(e.annotation.labels()[label] is not None for e in self._photographs)
        having = splits.positives(self._photographs, label)
        return having, known - having

    def groups(
        self, label: str, values: tuple[int, ...]
    ) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]] | None:
        """Training and held-out signs, each without and with the label; None if too few can be
        read."""
        healthy = HEALTHY.labels()[label]
        found = []
        for eyes, most, enough in (
            (self._teaching, 2 * self._counts.taught, ENOUGH),
            (self._held_out, 2 * self._counts.held_out, ENOUGH_HELD_OUT),
        ):
            pair = [_one_of_each(eyes, label, wanted) for wanted in ((healthy,), values)]
            # Nothing is read for a label that too few eyes have.
            if min(map(len, pair)) < enough:
                return None
            without, with_ = (self._signs(each, most) for each in pair)
            if min(len(without), len(with_)) < enough:
                return None
            found.append((without, with_))
        return found[0], found[1]

    def _signs(self, examples: list[Example], most: int) -> Rows:
        """Of the first `most` that can be read."""
        readable = (found for e in examples if (found := self._signs_of(e)) is not None)
        return list(islice(readable, most))

    def _signs_of(self, example: Example) -> Signs | None:
        if example not in self._read:
            try:
                # Masks are no sign, and a broken one does not spoil its photograph.
                square, _ = read_square(replace(example, masks=()), SIZE)
                self._read[example] = signs(square, self._segmenter)
            except UnreadableImage:
                self._read[example] = None
        return self._read[example]


def _one_of_each(
    examples: Sequence[Example], label: str, values: tuple[int | None, ...]
) -> list[Example]:
    """A photograph of each eye that has one of these values."""
    having = [e for e in examples if e.annotation.labels()[label] in values]
    return [eye[0] for eye in splits.one_per_eye(having)]


class _Drawings:
    """Signs of samples of one maker, each drawn once: all labels share the eyes without them."""

    def __init__(self, draw_specs: Draw, source: str | None, segmenter: Segmenter) -> None:
        self._draw, self._source, self._segmenter = draw_specs, source, segmenter
        self._read: dict[tuple[Annotation, int], Signs] = {}

    def groups(self, asked: list[Annotation], first: int, count: int) -> tuple[Rows, Rows]:
        """`count` samples of the first annotation and as many of the others by turns, of the same
        seeds."""
        return self._some(asked[:1], first, count), self._some(asked[1:], first, count)

    def _some(self, annotations: list[Annotation], first: int, count: int) -> Rows:
        keys = [
            (annotations[i % len(annotations)].model_copy(update={"source": self._source}), i)
            for i in range(first, first + count)
        ]
        fresh = [key for key in keys if key not in self._read]
        images = self._draw([_spec(*key) for key in fresh])
        for key, image in zip(fresh, images, strict=True):
            self._read[key] = signs(image, self._segmenter)
        return [self._read[key] for key in keys]


def _spec(annotation: Annotation, index: int) -> Spec:
    words = caption(annotation, row_random(0, index, "evidence"))
    seed = row_seed(0, index)
    return Spec(
        id=f"{index:032x}", index=index, seed=seed, annotation=annotation, prompt=words, size=SIZE
    )


def draw_phantoms(specs: Sequence[Spec]) -> list[np.ndarray]:
    """The phantoms of these specs."""
    return [draw(spec.annotation, spec.seed, spec.size).image for spec in specs]
