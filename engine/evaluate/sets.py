"""What is judged and what it is held against: a set, and photographs of a train and a test split.

Every measure of the judge is a function of `Sets`, so that each picture is opened once for all that
look at the same size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from engine.data.example import Example, UnreadableImage
from engine.data.identity import eyes, recognised
from engine.data.likeness import SAME, bits_of, differing, likeness
from engine.data.outlines import read_square
from engine.data.sources import read_asked
from engine.data.splits import drawn_apart, held_out, one_per_eye, spread, teaching
from engine.evaluate.figures import Figure
from engine.schema import UserError

SIZE = 256
"""Pixels at which pictures are looked at, but for what needs more."""
QUICK = 80
"""At most so many pictures of each kind, where an answer is wanted soon."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Looked:
    """A picture that was opened: what is known of it, and its field's square (S, S, 3) uint8."""

    example: Example
    image: np.ndarray


@dataclass(frozen=True)
class Sets:
    """`judged`: the set. `taught` and `tested`: one photograph of each eye of the train and the
    test split; where no split is told, all are `tested`. `quick`: fewer of all, and shorter
    trainings. `tell` is given a line now and then. `external`: one of each eye of another site that
    is in none of these. `held_out`: all of the test split, and `external`. `features`: with what
    pictures are looked at (`engine.evaluate.lookers`); by measure, `looked_with` tells its hash,
    which the measure notes. `photographs`: all of the table, of every split. `shares` of the
    labels in %, and a folder of transformers to `start` from (`train.efficiency`)."""

    set_source: str
    real_source: str
    judged: Sequence[Example]
    taught: Sequence[Example]
    tested: Sequence[Example]
    quick: bool
    tell: Tell
    held_out: Sequence[Example] = ()
    external: Sequence[Example] = ()
    features: str = "own"
    looked_with: dict[str, dict[str, str]] = field(default_factory=dict)
    photographs: Sequence[Example] = ()
    shares: tuple[int, ...] = ()
    start: str | None = None
    _opened: dict[tuple[str, int], list[Looked]] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        set_: str,
        real: str,
        quick: bool,
        tell: Tell,
        most: int = 2000,
        external: str | None = None,
        features: str = "own",
        shares: tuple[int, ...] = (),
        start: str | None = None,
    ) -> Sets:
        """UserError where any cannot be read, or holds no picture of its kind. Of more than `most`
        those are taken that stand evenly over all."""
        judged = read_asked(set_, "set")
        if not judged:
            raise UserError("no picture in the set", file=set_)
        count = min(most, QUICK) if quick else most
        photographs = _apart(real, "real")
        sides = _by_split(photographs)
        elsewhere = _another_site(external, [*judged, *sides[0], *sides[1]])
        taught, tested = ([eye[0] for eye in one_per_eye(side)] for side in sides)
        return cls(
            set_, real, spread(judged, count), spread(taught, count), spread(tested, count),
            quick, tell, [*sides[1], *elsewhere], spread(elsewhere, count),
            features, photographs=photographs, shares=shares, start=start,
        )  # fmt: skip

    def pictures(self, side: str, size: int = SIZE) -> list[Looked]:
        """Those of "judged", "taught", "tested" or "external" that can be read, each as its
        field's square of this size; kept for whoever asks next. UserError where the set has
        none."""
        if (side, size) not in self._opened:
            self._opened[side, size] = self.opened(side, getattr(self, side), size)
        if side == "judged" and not self._opened[side, size]:
            raise UserError("no picture of the set can be read", file=self.set_source)
        return self._opened[side, size]

    def lessons(self) -> list[Looked]:
        """The set's pictures, for who is tested after learning from them: without those that show
        a tested eye, by their rows or as its photograph saved anew."""
        kept = self._opened.get(("lessons", SIZE))
        if kept is None:
            judged, tested = self.pictures("judged"), self.pictures("tested")
            if self.external:
                tested = [*tested, *self.pictures("external")]
            shown = _showing(judged, tested)
            kept = [each for each, is_shown in zip(judged, shown) if not is_shown]
            if any(shown):
                self.tell(f"judged: {sum(shown):,} show eyes that are tested, and teach nobody")
            self._opened["lessons", SIZE] = kept
        return kept

    def opened(self, name: str, examples: Sequence[Example], size: int = SIZE) -> list[Looked]:
        """Those of other examples that can be read, likewise; kept for nobody."""
        return looked_at(examples, name, self.tell, size)

    @property
    def set_folder(self) -> Path:
        """Where the set lies."""
        return Path(self.set_source)


def looked_at(examples: Sequence[Example], name: str, tell: Tell, size: int = SIZE) -> list[Looked]:
    """Those of the examples that can be read, and why others are left out."""
    found = []
    for example in examples:
        try:
            # Masks are another matter, and a broken one does not spoil its photograph.
            found.append(Looked(example, read_square(replace(example, masks=()), size)[0]))
        except UnreadableImage as error:
            tell(f"{name}: left out: {error}")
    tell(f"{name}: {len(found):,} pictures read at {size} px")
    return found


def _showing(pictures: Sequence[Looked], others: Sequence[Looked]) -> list[bool]:
    """Of each picture whether it shows an eye of the others."""
    numbers = eyes([each.example for each in (*others, *pictures)])
    known = {*numbers[: len(others)]}
    ours, theirs = (bits_of([likeness(e.image) for e in side]) for side in (pictures, others))
    return [
        number in known or bool((differing(bits, theirs) <= SAME).any())
        for number, bits in zip(numbers[len(others) :], ours)
    ]


def _apart(source: str, asked: str) -> list[Example]:
    """Its photographs; UserError where all of it was drawn."""
    _, photographs = drawn_apart(read_asked(source, asked))
    if not photographs:
        raise UserError("no photograph: all of it was drawn", file=source, asked=asked)
    return photographs


def _by_split(photographs: list[Example]) -> tuple[list[Example], list[Example]]:
    """Those that teach, and those held out."""
    if not any(each.split for each in photographs):
        return [], photographs
    return teaching(photographs), held_out(photographs)


def _another_site(source: str | None, others: Sequence[Example]) -> list[Example]:
    """One photograph of each eye that the source shows and the others do not; UserError where none
    is left."""
    if source is None:
        return []
    photographs = _apart(source, "external")
    found = recognised([*others, *photographs])
    seen = [*zip(eyes(found), found)]
    inside = {eye for eye, _ in seen[: len(others)]}
    apart = {eye: example for eye, example in reversed(seen) if eye not in inside}
    if not apart:
        raise UserError("no photograph of an eye that the others do not show", file=source)
    return [*reversed(apart.values())]


Measure = Callable[[Sets], list[Figure]]
"""What a measure says of a set. UserError where it says nothing at all, with the reason."""
