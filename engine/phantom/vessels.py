"""The retinal vessel tree: arcades of arteries and veins, their branches, and what disease makes
of their course and calibre.

Everything here is in the disc's frame: origin at the disc's centre, one vertical disc diameter as
the unit, x towards the nose and y down, so that a left eye is a right eye mirrored. Every branching
obeys Murray's law in calibre (r0^3 = r1^3 + r2^3) and in angle (C. D. Murray, PNAS 12:207, 1926,
and J Gen Physiol 9:835, 1926).
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from random import Random

import numpy as np

from engine.phantom.eye import Traits, Vessel

Point = tuple[float, float]

AVASCULAR = 0.28
"""Radius of the foveal avascular zone, somewhat over the anatomical 0.15-0.25 disc diameters
because its last capillaries cannot be seen on a photograph."""
VEIN_RADIUS, ARTERY_RADIUS = 0.043, 0.029
"""Radii at the disc: a venule of some 130 um and an arteriole of two thirds of it on a disc of 1.5
to 1.8 mm (Hubbard et al., Ophthalmology 106:2269, 1999)."""
_THINNEST = 0.0075
_CELL = 0.09
"""Width of the cells in which a vessel keeps others of its kind away."""
_TEMPORAL: tuple[Point, ...] = ((-0.35, 1.15), (-1.25, 1.9), (-2.6, 2.2), (-4.2, 2.15), (-6.5, 2.0))
_NASAL: tuple[Point, ...] = ((0.6, 1.15), (1.4, 2.0), (2.5, 3.0), (4.5, 4.6))


@dataclass(frozen=True)
class Retina:
    """Where vessels may grow: the fovea, and the photographed field (its centre and radius)."""

    fovea: Point
    field: Point
    reach: float

    def holds(self, x: float, y: float) -> bool:
        return math.hypot(x - self.field[0], y - self.field[1]) < self.reach

    def spares(self, x: float, y: float) -> bool:
        """Whether a place lies in the foveal avascular zone."""
        return math.hypot(x - self.fovea[0], y - self.fovea[1]) < AVASCULAR


@dataclass(frozen=True)
class _Tip:
    """Where a stretch is to begin and which waypoints it steers for."""

    kind: str
    at: Point
    heading: float
    radius: float
    order: int
    parent: int
    waypoints: tuple[Point, ...]
    arcade: bool = False


@dataclass
class Tree:
    """The growing tree. Wide tips grow first, so that twigs fill what arcades leave."""

    retina: Retina
    traits: Traits
    dice: Random
    vessels: list[Vessel] = field(default_factory=list)
    _tips: list[tuple[float, int, _Tip]] = field(default_factory=list)
    _taken: dict[str, dict[tuple[int, int], int]] = field(
        default_factory=lambda: {"artery": {}, "vein": {}}
    )
    _pushed: int = 0

    def plant(self, tip: _Tip) -> None:
        self._pushed += 1
        heapq.heappush(self._tips, (-tip.radius, self._pushed, tip))

    def grow(self) -> None:
        """Grow until no tip is left."""
        while self._tips:
            tip = heapq.heappop(self._tips)[2]
            path, alive, heading, waypoints = self._walk(tip)
            if len(path) < 3:
                continue
            radii = np.full(len(path), tip.radius)
            branches = alive and tip.radius > 1.25 * _THINNEST
            if not branches:
                tail = min(len(path), 14)
                radii[-tail:] *= np.linspace(1, 0.45, tail)
            self.vessels.append(Vessel(tip.kind, np.array(path), radii, tip.order, tip.parent))
            if branches:
                self._branch(tip, path[-1], heading, waypoints)

    def _walk(self, tip: _Tip) -> tuple[list[Point], bool, float, tuple[Point, ...]]:
        """One stretch: its points, whether it lives on, and its heading and waypoints there."""
        dice, wind = self.dice, 0.25 * self.traits.tortuosity
        step = 0.06 if tip.radius < 0.015 else 0.07
        spacing = dice.uniform(0.3, 0.75) if tip.arcade else 0.12 + 26 * tip.radius
        steps = int(spacing * dice.uniform(0.6, 1.4) / step) + 3
        x, y = tip.at
        heading, drift, goals = tip.heading, 0.0, tip.waypoints
        path = [tip.at]
        for index in range(steps):
            goal = goals[0]
            if math.hypot(goal[0] - x, goal[1] - y) < 0.3:
                if len(goals) == 1:
                    return path, False, heading, goals
                goals = goals[1:]
                goal = goals[0]
            turn = math.remainder(math.atan2(goal[1] - y, goal[0] - x) - heading, math.tau)
            drift = 0.82 * drift + wind * dice.gauss(0, 1) * (0.5 if tip.arcade else 1.0)
            heading += step * (2.2 if tip.arcade else 1.3) * turn + 2.0 * step * drift
            x, y = x + step * math.cos(heading), y + step * math.sin(heading)
            if not self._free(tip, x, y, heading, index):
                return path, False, heading, goals
            path.append((x, y))
        return path, True, heading, goals

    def _free(self, tip: _Tip, x: float, y: float, heading: float, index: int) -> bool:
        """Whether a stretch may go on to here; it takes the cell if so."""
        if not self.retina.holds(x, y) or self.retina.spares(x, y):
            return False
        me, taken = len(self.vessels), self._taken[tip.kind]
        if index > 4 and not tip.arcade:
            ahead = _cell(x + 0.1 * math.cos(heading), y + 0.1 * math.sin(heading))
            if taken.get(ahead, me) != me:
                return False
        taken[_cell(x, y)] = me
        return True

    def _branch(self, tip: _Tip, at: Point, heading: float, goals: tuple[Point, ...]) -> None:
        """Two daughters by Murray's law; the wider one goes on where the mother went."""
        dice, mother = self.dice, len(self.vessels) - 1
        share = dice.uniform(0.5, 0.9) if tip.arcade else dice.uniform(0.5, 0.95)
        major, minor = split(tip.radius, share)
        if minor < _THINNEST:
            minor = _THINNEST
            major = (tip.radius**3 - minor**3) ** (1 / 3)
        turn_major, turn_minor = angles(tip.radius, major, minor)
        side = dice.choice((-1.0, 1.0))
        if tip.arcade:
            turn_major *= 0.5
        self.plant(
            _Tip(
                tip.kind,
                at,
                heading - side * turn_major,
                major,
                tip.order + (not tip.arcade),
                mother,
                goals,
                tip.arcade,
            )
        )
        lateral = heading + side * turn_minor
        goal = self._goal(at, heading, side, goals[-1], tip.arcade)
        self.plant(_Tip(tip.kind, at, lateral, minor, tip.order + 1, mother, (goal,)))

    def _goal(self, at: Point, heading: float, side: float, mothers: Point, arcade: bool) -> Point:
        """Where a side branch is bound for: the macula from the inner side of an arcade, else away
        from its mother."""
        dice, fovea = self.dice, self.retina.fovea
        towards = math.atan2(fovea[1] - at[1], fovea[0] - at[0])
        inwards = math.cos(towards - heading - side * math.pi / 2)
        near = math.hypot(at[0] - fovea[0], at[1] - fovea[1]) < 3.2
        temporal = at[0] < -0.2
        if temporal and near and inwards > 0.3:
            angle = towards + math.pi + dice.gauss(0, 0.45)
            distance = dice.uniform(0.0, 1.0)
            return (fovea[0] + distance * math.cos(angle), fovea[1] + distance * math.sin(angle))
        spread = heading + side * dice.uniform(0.45, 1.1)
        far = (at[0] + 5 * math.cos(spread), at[1] + 5 * math.sin(spread))
        if arcade or dice.random() < 0.6:
            return far
        return (0.5 * far[0] + 0.5 * mothers[0], 0.5 * far[1] + 0.5 * mothers[1])


def _cell(x: float, y: float) -> tuple[int, int]:
    return int(x / _CELL + 1000), int(y / _CELL + 1000)


def split(radius: float, share: float) -> tuple[float, float]:
    """Radii of the daughters, the minor being `share` of the major: r0^3 = r1^3 + r2^3."""
    major = radius / (1 + share**3) ** (1 / 3)
    return major, share * major


def angles(mother: float, major: float, minor: float) -> tuple[float, float]:
    """By how much each daughter turns from the mother's course (Murray 1926, least work)."""

    def turn(this: float, other: float) -> float:
        cosine = (mother**4 + this**4 - other**4) / (2 * mother**2 * this**2)
        return math.acos(min(max(cosine, -1.0), 1.0))

    return turn(major, minor), min(turn(minor, major), 1.25)


def grow_tree(
    retina: Retina, hilum: Point, traits: Traits, rng: np.random.Generator
) -> list[Vessel]:
    """All vessels of an eye, mothers before daughters, from the hilum in the disc."""
    tree = Tree(retina, traits, Random(int(rng.integers(2**62))))
    for kind in ("artery", "vein"):
        for up in (-1.0, 1.0):
            _plant_arcades(tree, kind, up, hilum)
        _plant_twigs(tree, kind, hilum)
    tree.grow()
    return tree.vessels


def _plant_arcades(tree: Tree, kind: str, up: float, hilum: Point) -> None:
    """A papillary trunk, up (-1) or down (+1), which divides near the disc's margin into the
    temporal and the nasal arcade."""
    dice = tree.dice
    radius = VEIN_RADIUS if kind == "vein" else ARTERY_RADIUS
    radius *= tree.traits.vein_calibre if kind == "vein" else tree.traits.artery_calibre
    radius *= math.exp(dice.gauss(0, 0.06))
    shift = dice.gauss(0.0, 0.05) + (0.05 if kind == "vein" else -0.06)
    end = (hilum[0] + shift, hilum[1] + up * dice.uniform(0.12, 0.5))
    side = 0.03 if kind == "vein" else -0.03
    start = (hilum[0] + side + dice.gauss(0, 0.02), hilum[1] - up * 0.02 + dice.gauss(0, 0.015))
    path = _curve(start, end, dice.gauss(0, 0.16), 8)
    major, minor = split(radius, dice.uniform(0.72, 0.98))
    if dice.random() < 0.2:
        major, minor = minor, major
    tree.vessels.append(Vessel(kind, path, np.full(len(path), radius), 0))
    mother, heading = len(tree.vessels) - 1, up * math.pi / 2
    temporal = _waypoints(_TEMPORAL, up, tree, kind)
    nasal = _waypoints(_NASAL, up, tree, kind)
    tree.plant(_Tip(kind, end, heading + up * 0.45, major, 1, mother, temporal, True))
    tree.plant(_Tip(kind, end, heading - up * 0.5, minor, 1, mother, nasal, True))


def _waypoints(course: tuple[Point, ...], up: float, tree: Tree, kind: str) -> tuple[Point, ...]:
    """An arcade's course for this eye; artery and vein run side by side and change sides."""
    dice, reach = tree.dice, tree.retina.fovea[0] / -2.5
    height = dice.gauss(1.0, 0.07)
    slide = 0.1 * dice.choice((-1, 1)) * (1 if kind == "vein" else 0.6)
    points = []
    for index, (x, y) in enumerate(course):
        beside = slide + dice.gauss(0, 0.09) * (1 + 0.4 * index)
        height_here = height * y + beside
        points.append((x * reach + dice.gauss(0, 0.08), up * height_here))
    return tuple(points)


def _plant_twigs(tree: Tree, kind: str, hilum: Point) -> None:
    """Small vessels straight from the disc to the macula and to the nasal retina."""
    dice, fovea = tree.dice, tree.retina.fovea
    wide = 1.0 if kind == "vein" else 0.85
    for _ in range(dice.choice((1, 2))):
        angle = math.pi + dice.gauss(0, 0.5)
        goal = (fovea[0] + dice.uniform(0.2, 0.6), fovea[1] + dice.gauss(0, 0.4))
        start = (hilum[0] - 0.2, hilum[1] + dice.gauss(0, 0.12))
        tree.plant(_Tip(kind, start, angle, wide * dice.uniform(0.009, 0.014), 1, -1, (goal,)))
    for _ in range(dice.choice((1, 2, 3))):
        angle = dice.gauss(0, 0.8)
        goal = (5 * math.cos(angle), 5 * math.sin(angle))
        start = (hilum[0] + 0.08, hilum[1] + dice.gauss(0, 0.12))
        tree.plant(_Tip(kind, start, angle, wide * dice.uniform(0.011, 0.019), 1, -1, (goal,)))


def _curve(start: Point, end: Point, bow: float, count: int) -> np.ndarray:
    """A shallow bow from start to end, (count, 2)."""
    along = np.linspace(0, 1, count)[:, None]
    a, b = np.array(start), np.array(end)
    normal = np.array([a[1] - b[1], b[0] - a[0]])
    return a + along * (b - a) + bow * np.sin(np.pi * along) * normal
