"""Whether heat maps point at lesions: beside a map that knows only where the middle of the eye is,
and beside those of a network that never learned (Adebayo et al. 2018)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from PIL import Image

from engine.data.masked import MaskedSquare
from engine.data.transforms import to_tensor
from engine.evaluate.figures import Figure, estimate, without
from engine.evaluate.tasks import Task, said_of
from engine.explain import METHODS, Heat, heat_maps, with_random_weights
from engine.models.classifier import Classifier
from engine.models.segmenter import FIELD_LIGHT

PRIOR, RANDOM = "prior", "random"
DRAWS = 3
"""Networks of random weights beside which maps stand."""
NEAR = 1 / 32
"""Of the side: so near a lesion a map still points at it, as in Zhang et al. 2018."""
_MIDDLE = 1 / 4
"""Spread of the prior, as a share of the side."""


@dataclass(frozen=True)
class Pointed:
    """Of one eye the photograph (S, S, 3) uint8, the chance of the answer, the maps (S, S) by
    method, and those of random weights; `field` and `lesions` (S, S) bool."""

    eye: Hashable
    image: np.ndarray
    chance: float
    maps: Mapping[str, Heat]
    random: Sequence[Mapping[str, Heat]]
    field: np.ndarray
    lesions: np.ndarray


def explained(
    network: Classifier, tasks: Sequence[Task], task: Task, squares: Iterable[MaskedSquare]
) -> Iterator[Pointed]:
    """The maps of a network for the answer of a task that something is there: of two answers the
    second, of more the likeliest but the first."""
    random = [with_random_weights(network, seed) for seed in range(DRAWS)]
    number = tasks.index(task)
    before = sum(each.classes for each in tasks[:number])
    for square in squares:
        image = to_tensor(Image.fromarray(square.image))
        with torch.inference_mode():
            chances = said_of(network.eval()(image[None])[0], tasks, number).softmax(0)
        answer = 1 + int(chances[1:].argmax())
        maps = [heat_maps(each, image, before + answer) for each in (network, *random)]
        parts = [m for name, m in square.masks.items() if name.endswith("lesion")]
        field = field_of(square.image)
        lesions = np.any(parts, axis=0) if parts else np.zeros_like(field)
        chance = float(chances[answer])
        yield Pointed(square.eye, square.image, chance, maps[0], maps[1:], field, lesions & field)


def field_of(image: np.ndarray) -> np.ndarray:
    """Where a square (S, S, 3) uint8 shows the eye (S, S) bool."""
    return image.max(-1) > FIELD_LIGHT * 255


def middle(field: np.ndarray) -> Heat:
    """The prior: a hill over the middle of the field."""
    rows, columns = np.nonzero(field)
    y, x = np.indices(field.shape)
    away = (y - rows.mean()) ** 2 + (x - columns.mean()) ** 2
    return np.exp(-away / 2 / (len(field) * _MIDDLE) ** 2).astype(np.float32)


def points(heat: Heat, field: np.ndarray, lesions: np.ndarray) -> float:
    """The pointing game (Zhang et al. 2018): 1 where the highest place of the field is at a lesion,
    or so `NEAR` one; of several that are highest the share of these."""
    reach = max(1, round(len(field) * NEAR))
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    near = cv2.dilate(lesions.astype(np.uint8), shape) > 0
    inside = np.where(field, heat, -1)
    return float(near[inside == inside.max()].mean())


def precision(heat: Heat, field: np.ndarray, lesions: np.ndarray) -> float:
    """Average precision of the map over the pixels of the field, for being a lesion's."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(lesions[field], heat[field]))


_SCORES = {"points": points, "precision": precision}


def pointing(eyes: Sequence[Pointed]) -> list[Figure]:
    """Of each method: how often it `points` at a lesion and its average `precision`, with floor
    (the prior's) and control (of random weights); and by how much it is over both, eye by eye."""
    scored = [_scored(each) for each in eyes if each.lesions.any()]
    if not scored:
        return [without("points", "no photograph has a mask of lesions")]
    found: list[Figure] = []
    for method in METHODS:
        for score in _SCORES:
            rows = [(eye, told[method][score], told[PRIOR][score]) for eye, told in scored]
            of_random = [told[method][RANDOM + score] for _, told in scored]
            name = f"{method}.{score}"
            value = _mean(name, [(eye, own) for eye, own, _ in rows])
            floor, control = float(np.mean([r[2] for r in rows])), float(np.mean(of_random))
            found.append(replace(value, floor=floor, control=control))
            over = [(eye, own - prior) for eye, own, prior in rows]
            found.append(_mean(f"{name}_over_prior", over))
            fallen = [(row[0], row[1] - other) for row, other in zip(rows, of_random)]
            found.append(_mean(f"{name}_over_random", fallen))
    return found


def _scored(eye: Pointed) -> tuple[Hashable, dict[str, dict[str, float]]]:
    where = eye.field, eye.lesions
    told = {
        name: {score: of(heat, *where) for score, of in _SCORES.items()}
        for name, heat in {PRIOR: middle(eye.field), **eye.maps}.items()
    }
    for name in eye.maps:
        for score, of in _SCORES.items():
            told[name][RANDOM + score] = float(np.mean([of(m[name], *where) for m in eye.random]))
    return eye.eye, told


def _mean(name: str, values: Sequence[tuple[Hashable, float]]) -> Figure:
    by_eye: dict[Hashable, list[tuple[float, ...]]] = {}
    for eye, value in values:
        by_eye.setdefault(eye, []).append((value,))
    return estimate(name, by_eye, lambda rows: float(rows.mean()))
