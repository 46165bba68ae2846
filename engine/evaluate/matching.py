"""What makes two sets of pictures comparable: as many of each, of the same cameras and labels, and
nothing of how they were stored.

A photograph is matched with a picture of the same camera and the nearest labels, each picture once,
so that together the labels differ least (the assignment problem, Kuhn 1955). Pictures of which
nobody knows the camera go with any.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from engine.data.example import PHANTOM
from engine.data.transforms import find_field
from engine.evaluate.sets import SIZE, Looked
from engine.pixels.door import UnreadableImage
from engine.schema import LABELS

_UNKNOWN = 0.3
"""How far a known label is from an unknown one; two known ones are at most 1 apart."""
_NEVER = 1e6
_QUALITY = 75
"""Of the JPEG that every picture becomes: what others left at a higher one is gone then."""
_ASKED = 9
"""Pictures of which the size is looked up."""


def matched(photographs: Sequence[Looked], pictures: Sequence[Looked]) -> dict[int, int]:
    """For photographs by number the number of their picture; those that got none are not there."""
    if not photographs or not pictures:
        return {}
    labels, others = _labels(photographs), _labels(pictures)
    cost = np.zeros((len(photographs), len(pictures)))
    for column in range(labels.shape[1]):
        one, other = labels[:, column, None], others[None, :, column]
        unlike = np.isnan(one) != np.isnan(other)
        cost += np.where(unlike, _UNKNOWN, np.nan_to_num(abs(one - other)))
    cost[_of_different_cameras(photographs, pictures)] = _NEVER
    rows, columns = linear_sum_assignment(cost)
    return {int(r): int(c) for r, c in zip(rows, columns) if cost[r, c] < _NEVER}


def agree(one: Looked, other: Looked) -> bool:
    """Whether no label that is known of both differs."""
    known = other.example.annotation.known()
    return all(known.get(n, value) == value for n, value in one.example.annotation.known().items())


def camera_of(picture: Looked) -> str | None:
    """Its source, where that is a camera: of a phantom it may be none."""
    source = picture.example.annotation.source
    return None if source == PHANTOM else source


def _of_different_cameras(one: Sequence[Looked], other: Sequence[Looked]) -> np.ndarray:
    """Of pairs (N, M) which are known to be of two cameras."""
    left, right = (np.array([camera_of(each) or "" for each in side]) for side in (one, other))
    apart = left[:, None] != right[None]
    return np.asarray(apart & (left[:, None] != "") & (right[None] != ""))


def _labels(pictures: Sequence[Looked]) -> np.ndarray:
    """Values (N, labels) from 0 to 1, NaN where they are unknown."""
    known = [each.example.annotation.known() for each in pictures]
    found = [[of.get(each.name, np.nan) / each.highest for each in LABELS] for of in known]
    return np.array(found, float)


def native_side(pictures: Sequence[Looked]) -> int:
    """Pixels of the side of the field of the smaller half of a set's pictures, `SIZE` at most."""
    sides = []
    for each in pictures[:: max(1, len(pictures) // _ASKED)]:
        try:
            field = find_field(each.example.read())
        except UnreadableImage:  # gone since
            continue
        sides.append(max(field.right - field.left, field.bottom - field.top))
    return min(SIZE, int(np.median(sides))) if sides else SIZE


def levelled(image: np.ndarray, side: int) -> np.ndarray:
    """A field's square (SIZE, SIZE, 3) uint8 as all are compared: of no more than `side` pixels of
    detail, saved as JPEG of one quality, and black beyond the field."""
    lit = image.max(2) > 16
    if side < SIZE:
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    _, saved = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    again = np.asarray(cv2.imdecode(saved, cv2.IMREAD_COLOR))[..., ::-1]
    return np.ascontiguousarray(np.where(lit[..., None], again, 0))
