"""How many eyes a set shows: pictures whose registered pixels are alike show one eye once more.

The judge's count and that of a published set are this one.
"""

from __future__ import annotations

from collections.abc import Iterable

from scipy.cluster.hierarchy import DisjointSet

from engine.evaluate.near import Comparable, Crowd

DOUBLE = 0.42
"""Registered correlation from which two pictures of a set show one eye; of real pairs of different
eyes none exceeds 0.40."""


class Doubles:
    """Which eye each picture of a set shows, looked at one after another."""

    def __init__(self, views: Iterable[Comparable] = ()) -> None:
        self._crowd = Crowd()
        self._chains = DisjointSet()
        for view in views:
            self.add(view)

    def add(self, view: Comparable) -> None:
        """One more picture: what correlates from `DOUBLE` on is one eye, in chains."""
        number = len(self._crowd.views)
        self._chains.add(number)
        for score, other in self._crowd.compared(view, "pixels"):
            if score >= DOUBLE:
                self._chains.merge(number, other)
        self._crowd.join(view)

    @property
    def distinct(self) -> int:
        """How many eyes are shown."""
        return self._chains.n_subsets

    def firsts(self) -> list[bool]:
        """Of each picture, whether it is the first that shows its eye."""
        eyes = [self._chains[number] for number in range(len(self._crowd.views))]
        first = {eye: number for number, eye in reversed([*enumerate(eyes)])}
        return [first[eye] == number for number, eye in enumerate(eyes)]
