"""From a soft map of where vessels may run to branches that grow out of the disc.

A network's ridges have gaps and crumbs. Each end of a ridge is joined to the disc by the path of
least cost through the map (Cohen and Kimmel 1997, IJCV 24:57), so that what is drawn is a tree, and
a path that would have to cross much dark is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold
from skimage.graph import MCP_Geometric
from skimage.morphology import skeletonize

_LOW, _HIGH = 0.28, 0.5
"""Of the ridge: what may belong to a vessel, and what one must reach somewhere."""
_CRUMB = 10
"""Pixels of skeleton below which a piece is no vessel."""
_CREST = 2
"""Pixels from a tree within which the skeleton is drawn already."""
_DARK = 18
"""Pixels without ridge that a branch may cross."""
_SHORT = 13
"""Pixels below which a branch is a spur of the skeleton."""
_FLOOR = 0.03
_SMOOTH = 5
_APART = 5.0
"""Pixels between an artery and the vein beside it, from the disc's margin on."""
_AROUND = np.ones((3, 3), int)


@dataclass(frozen=True)
class Branch:
    """From where it leaves its mother to its tip: `path` (N, 2) rows and columns. `mother` is a
    place in the list of branches, which lies before this one, and `joins` one in her path; a trunk,
    which comes out of the disc, has -1. `opinion` is above 0 for arteries."""

    path: np.ndarray
    mother: int
    joins: int
    opinion: float
    kind: str = ""


def trace(ridge: np.ndarray, artery: np.ndarray, disc: np.ndarray) -> list[Branch]:
    """Branches of a ridge (T, T) in 0..1 and an opinion (T, T), above 0 for arteries and below for
    veins, round a disc (T, T) bool that is not empty. T is about 256."""
    centre = tuple(int(x) for x in np.argwhere(disc).mean(0).round())
    paths = MCP_Geometric(1 / (_FLOOR + np.clip(ridge, 0, 1) ** 2))
    far, _ = paths.find_costs([centre])
    done = np.zeros(ridge.shape, bool)
    whose, where = np.full(ridge.shape, -1), np.zeros(ridge.shape, int)
    dark = (ridge < _LOW) & ~disc
    branches: list[Branch] = []
    for tip in _ends(crests(apply_hysteresis_threshold(ridge, _LOW, _HIGH) & ~disc), far):
        if done[tip]:
            continue
        path = np.array(paths.traceback(tip))
        mothers = np.where(disc[tuple(path.T)], -1, whose[tuple(path.T)])
        start = int(np.flatnonzero(mothers >= 0)[-1]) if mothers.max() >= 0 else 0
        own = path[start:]
        _mark(done, own)
        if len(own) < _SHORT or dark[tuple(own.T)].sum() > _DARK:
            continue
        opinion = float(artery[tuple(own.T)].mean())
        joins = int(where[tuple(own[0])]) if mothers[start] >= 0 else -1
        whose[tuple(own[1:].T)] = len(branches)
        where[tuple(own[1:].T)] = np.arange(1, len(own))
        branches.append(Branch(own.astype(float), int(mothers[start]), joins, opinion))
    return branches


def crests(mask: np.ndarray) -> np.ndarray:
    """The skeleton of a mask (T, T) bool without its crumbs."""
    skeleton = skeletonize(mask)
    numbered, _ = ndimage.label(skeleton, _AROUND)
    lengths = np.bincount(numbered.ravel())
    lengths[0] = 0
    return np.asarray((lengths >= _CRUMB)[numbered])


def _ends(skeleton: np.ndarray, far: np.ndarray) -> list[tuple[int, ...]]:
    """Where paths begin: ends of ridges first, from the farthest on, then all other places, as a
    loop has no end."""
    neighbours = ndimage.convolve(skeleton.astype(int), _AROUND, mode="constant") - 1
    ends = skeleton & (neighbours == 1)
    places = np.argwhere(skeleton)
    order = np.lexsort((-far[skeleton], ~ends[skeleton]))
    return [tuple(int(x) for x in place) for place in places[order]]


def _mark(done: np.ndarray, path: np.ndarray) -> None:
    steps = range(-_CREST, _CREST + 1)
    for down in steps:
        for right in steps:
            rows, columns = np.clip(path + np.array([down, right]), 0, len(done) - 1).T
            done[rows, columns] = True


def parted(branches: list[Branch], margin: float) -> list[Branch]:
    """Branches of which each is an artery or a vein, half of their length either, by rank of their
    opinions: what a few pixels say of one branch alone is weak.

    Trunks and their daughters are told one by one, all others are as their mothers. Daughters that
    are not as their trunk come from another one, which is drawn beside it: on a coarse map an
    artery and the vein along it are one ridge. `margin` in pixels is how far from a trunk's
    beginning the disc's edge lies.
    """
    heads = [_head(branches, number) for number in range(len(branches))]
    lengths, votes = np.zeros(len(branches)), np.zeros(len(branches))
    for head, branch in zip(heads, branches):
        lengths[head] += len(branch.path)
        votes[head] += len(branch.path) * branch.opinion
    order = np.argsort(-votes / np.maximum(lengths, 1), kind="stable")
    before = np.cumsum(lengths[order]) - lengths[order] / 2
    arteries = {int(head) for head in order[before < lengths.sum() / 2]}
    kinds = ["artery" if head in arteries else "vein" for head in heads]
    told = [replace(branch, kind=kind) for branch, kind in zip(branches, kinds)]
    return _accompanied(told, margin)


def _head(branches: list[Branch], number: int) -> int:
    """The trunk, or the daughter of one, that a branch hangs on."""
    while (mother := branches[number].mother) >= 0 and branches[mother].mother >= 0:
        number = mother
    return number


def _accompanied(branches: list[Branch], margin: float) -> list[Branch]:
    made = list(branches)
    for trunk, branch in enumerate(branches):
        if branch.mother >= 0:
            continue
        others = [n for n, b in enumerate(branches) if b.mother == trunk and b.kind != branch.kind]
        if not others:
            continue
        last = max(others, key=lambda number: branches[number].joins)
        beside = _beside(branch.path[: branches[last].joins + 1], branches[last].path, margin)
        for number in others:
            joins = branches[number].joins
            path = np.concatenate([beside[joins : joins + 1], branches[number].path[2:]])
            made[number] = replace(made[number], path=path, mother=len(made))
        made.append(Branch(beside, -1, -1, branches[last].opinion, branches[last].kind))
    return made


def _beside(path: np.ndarray, goes_on: np.ndarray, margin: float) -> np.ndarray:
    """A path (N, 2) that runs beside this one, on the side to which its last daughter leaves."""
    smooth = ndimage.uniform_filter1d(path, 2 * _SMOOTH + 1, 0, mode="nearest")
    course = np.gradient(smooth, axis=0) if len(path) > 1 else np.zeros_like(path)
    course /= np.linalg.norm(course, axis=1, keepdims=True) + 1e-9
    normal = np.stack([-course[:, 1], course[:, 0]], 1)
    side = np.sign(float((goes_on[-1] - path[-1]) @ normal[-1])) or 1.0
    away = _APART * np.clip(np.arange(len(path)) / max(margin, 1), 0.3, 1)
    return np.asarray(path + side * away[:, None] * normal)
