"""Readers of labels that learn on phantoms and say how likely each label is of pictures that levels
draw, by their signs (`engine.evaluate.condition`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from engine.evaluate.condition import SICK, Signs, reader
from engine.evaluate.level_rows import LevelDrawer, rows
from engine.files import write_whole
from engine.phantom import VERSION
from engine.phantom.render import draw
from engine.schema import DISEASES, Annotation
from engine.specs import Spec

PHANTOMS = 320
"""That readers learn on: the readers of `evaluate condition` do with as many where they must be
quick."""
_APART = 1_000_000
"""Phantoms are of other seeds than rows."""
_SIDE = 256
_TELL = 20


def truths(specs: Sequence[Spec]) -> dict[str, np.ndarray]:
    """By label whether each row was asked to have it (N,) bool, of those that some have and some
    lack. Retinopathy counts from its severe grade on."""
    found = {}
    for label in DISEASES:
        least = SICK if label.name == "dr_grade" else 1
        asked = np.array([(s.annotation.labels()[label.name] or 0) >= least for s in specs])
        if 0 < asked.sum() < len(asked):
            found[label.name] = asked
    return found


def label_scores(
    sides: Sequence[Sequence[Signs]], labels: Sequence[str], drawer: LevelDrawer
) -> list[dict[str, np.ndarray]]:
    """For each side of rows the chance (N,) of each label."""
    asked, signs = _phantoms(drawer)
    found: list[dict[str, np.ndarray]] = [{} for _ in sides]
    for label in labels:
        least = SICK if label == "dr_grade" else 1
        has = np.array([(each.labels()[label] or 0) >= least for each in asked])
        chance = reader(signs, has)
        for side, scores in zip(sides, found):
            scores[label] = chance([*side])
    return found


def _phantoms(drawer: LevelDrawer) -> tuple[list[Annotation], list[Signs]]:
    """What phantoms were asked for and their signs, which are kept beside the rows."""
    specs = rows(_SIDE, _APART, PHANTOMS)
    told = [VERSION, drawer.onlooker.sha256, [spec.seed for spec in specs]]
    key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    file = drawer.work / f"phantoms-{key}.json"
    signs: list[Signs] = json.loads(file.read_text()) if file.exists() else []
    for number, spec in enumerate(specs[len(signs) :], len(signs) + 1):
        image = draw(spec.annotation, spec.seed, _SIDE).image
        signs.append(drawer.onlooker.signs(image))
        if number % _TELL == 0:
            drawer.work.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps(signs).encode())
            drawer.tell(f"readers: {number:,} of {PHANTOMS:,} phantoms")
    return [spec.annotation for spec in specs], signs
