"""What a run's samples are worth while it trains: how far they lie from held-out eyes, and whether
labels steer them. The model is judged as it would be exported and as it is usually called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from engine import registry
from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.evaluate.distance import frechet, kernel
from engine.evaluate.evidence import ENOUGH, SIZE, Counts, Draw, label_evidence
from engine.features import Observer
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import usual_settings
from engine.prose.template import caption
from engine.registry import SamplerRef
from engine.registry.gate import GateRef
from engine.schema import DISEASES
from engine.seeds import row_random, row_seed
from engine.specs import Spec
from train.frozen import load_segmenter
from train.recipe import Judgeable

COUNT = 32
"""Held-out eyes and as many samples; also samples with each label and without."""


def judge(recipe: Judgeable, facts: dict[str, Any]) -> dict[str, float]:
    """Figures by name of the recipe's present weights."""
    with TemporaryDirectory() as folder:
        recipe.export(Path(folder), facts, few=True)
        ref = registry.examine(SamplerRef, Path(folder))
        return judged(ref, recipe.examples, recipe.settings.data["size"])


def judged(ref: SamplerRef, examples: Sequence[Example], size: int) -> dict[str, float]:
    """`fd` and `kd`, Fréchet and kernel distance from held-out eyes, of samples of the same labels
    (`..._floor`: of as many photographs that teach); and the area under the curve of steering for
    each disease that enough photographs that teach have."""
    draw = _drawer(ref, size)
    _, photographs = splits.drawn_apart(examples)
    return {**_distances(draw, ref, photographs), **_steering(draw, ref, photographs)}


def _drawer(ref: SamplerRef, size: int) -> Draw:
    sampler = ref.load(usual_settings(DrawAsk(), ref))

    def draw(specs: Sequence[Spec]) -> list[np.ndarray]:
        drawn = sampler.draw([spec.model_copy(update={"size": size}) for spec in specs])
        return [cv2.resize(d.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for d in drawn]

    return draw


def _distances(draw: Draw, ref: SamplerRef, examples: Sequence[Example]) -> dict[str, float]:
    held_out, taught = _read(splits.held_out(examples)), _read(splits.teaching(examples))
    count = min(len(held_out), len(taught))
    if count < 2:
        return {}
    held_out, taught = (splits.spread(each, count) for each in (held_out, taught))
    specs = [_spec(example, i, ref) for i, (example, _) in enumerate(held_out)]
    observer = Observer(registry.find(GateRef, "gate").load())
    sets = draw(specs), *([image for _, image in some] for some in (held_out, taught))
    drawn, real, other = (np.stack([observer.look(i).features for i in each]) for each in sets)
    return {
        "fd": frechet(drawn, real),
        "fd_floor": frechet(other, real),
        "kd": kernel(drawn, real),
        "kd_floor": kernel(other, real),
    }


def _read(examples: Sequence[Example]) -> list[tuple[Example, np.ndarray]]:
    """One photograph of an eye, of `COUNT` eyes those that can be read."""
    found = []
    for example in splits.spread([eye[0] for eye in splits.one_per_eye(examples)], COUNT):
        try:
            found.append((example, read_square(replace(example, masks=()), SIZE)[0]))
        except UnreadableImage:
            continue
    return found


def _spec(example: Example, index: int, ref: SamplerRef) -> Spec:
    known = ref.sources is None or example.annotation.source in ref.sources
    source = example.annotation.source if known else None
    annotation = example.annotation.model_copy(update={"source": source})
    return Spec(
        id=f"{index:032x}",
        index=index,
        seed=row_seed(0, index),
        annotation=annotation,
        prompt=caption(annotation, row_random(0, index, "judging")),
        size=SIZE,
    )


def _steering(draw: Draw, ref: SamplerRef, examples: Sequence[Example]) -> dict[str, float]:
    taught = splits.teaching(examples)
    labels = [each for each in DISEASES if splits.positives(taught, each.name) >= ENOUGH]
    source = next(iter(ref.sources or ()), None)
    outliner, counts = load_segmenter("segmenter", 0), Counts(drawn=COUNT)
    rows = label_evidence(draw, examples, 0, outliner, counts, source, labels)
    return {f"steering_{row.label}": row.auc for row in rows}
