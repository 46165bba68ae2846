"""How far a set is from photographs, beside how far photographs are from photographs.

Each photograph of the test split is matched with a picture of the set and with a photograph of the
train split, of its camera and nearest labels (`engine.evaluate.matching`); those that have both are
compared, so that set and floor are as many and of one mix. Phantoms of the same cameras and labels
have figures of their own. The control is photographs of one camera against those of another, as
many as there are. What is compared: `engine.evaluate.compared`.

Distances grow as pictures get fewer, so that one alone says nothing: what is to be quoted is
`fd_over_floor`. `own` features tell eyes and hardly see colour and blur, which classifiers do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.data.splits import one_per_eye, spread
from engine.evaluate.compared import LEAST, Observed, compared, joined, novelty, scaled
from engine.evaluate.figures import Figure, share, without
from engine.evaluate.lookers import Looker, looker
from engine.evaluate.matching import agree, camera_of, levelled, matched, native_side
from engine.evaluate.sets import SIZE, Looked, Sets
from engine.phantom import measures
from engine.phantom.render import draw
from engine.seeds import row_seed

_NEXT = 100_000
"""Rows between two drawings of the same photographs' annotations."""
_TELL_EVERY = 40
"""Pictures from line to line."""


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`. UserError for features that nobody can look with."""
    found = looker(sets.features)
    sets.looked_with["authenticity"] = {"features": found.name, "sha256": found.sha256}
    judged, taught, tested = (
        _one_per_eye(sets.pictures(side)) for side in ("judged", "taught", "tested")
    )
    pairs, beside = matched(tested, judged), matched(tested, taught)
    if unknown := sum(camera_of(each) is None for each in judged):
        sets.tell(f"authenticity: {unknown:,} of the set tell no camera, and go with any")
    mix = list(_beside(_mix(tested, judged, pairs), _mix(tested, taught, beside), []))
    rows = sorted(pairs.keys() & beside.keys())
    # With too small a train split there is no floor, and all that have a partner are compared.
    if no_floor := len(rows) < LEAST:
        rows = sorted(pairs)
    if len(rows) < LEAST:
        why = f"{len(rows)} photographs have a picture of their camera beside them"
        return [*mix, without("fd", f"{why}, at least {LEAST} are needed", len(rows))]
    eye = _Eye(sets, found, min(native_side(judged), native_side(tested)))
    real, train = eye.look("test split", tested), eye.look("train split", taught)
    set_ = eye.look("set", [judged[pairs[row]] for row in rows])
    drawn = eye.see("phantoms", _phantoms([tested[row] for row in rows]), len(rows))
    if found.scaled:
        real, train, set_, drawn = scaled(real, train, set_, drawn)
    sets.tell(f"authenticity: comparing {len(rows):,} of each")
    facing = real.of(rows)
    floor = None if no_floor else train.of([beside[row] for row in rows])
    floors = [*compared(facing, floor, floor), novelty(train, facing)] if floor else []
    control = _of_two_cameras([*tested, *taught], joined(real, train), len(rows))
    controls = _at_as_many(compared(*control), floors) if control else []
    for side, suffix in ((set_, ""), (drawn, "_phantom")):
        figures = [*compared(facing, side, floor), novelty(train, side)]
        mix += _beside(figures, floors, controls, suffix)
    return mix


@dataclass(frozen=True)
class _Eye:
    """Looks at pictures, all through one codec and with no more detail than the smallest have."""

    sets: Sets
    looker: Looker
    side: int

    def see(self, what: str, images: Iterable[np.ndarray], count: int) -> Observed:
        features, measured = [], []
        for number, image in enumerate(images, 1):
            shown = levelled(image, self.side)
            features.append(self.looker.look(shown))
            measured.append(measures.measure(shown))
            if number % _TELL_EVERY == 0 or number == count:
                self.sets.tell(f"authenticity: {what}: looked at {number:,} of {count:,}")
        return Observed(np.array(features, np.float64), measured)

    def look(self, what: str, pictures: Sequence[Looked]) -> Observed:
        return self.see(what, (each.image for each in pictures), len(pictures))


def _one_per_eye(pictures: Sequence[Looked]) -> list[Looked]:
    firsts = {id(eye[0]) for eye in one_per_eye([each.example for each in pictures])}
    return [each for each in pictures if id(each.example) in firsts]


def _mix(
    tested: Sequence[Looked], judged: Sequence[Looked], pairs: Mapping[int, int]
) -> list[Figure]:
    """How many photographs have a picture of their camera, and of how many of these no known label
    differs."""
    both = [(tested[one], judged[other]) for one, other in pairs.items()]
    found: dict[Hashable, tuple[int, int]] = {n: (int(n in pairs), 1) for n in range(len(tested))}
    met: dict[Hashable, tuple[int, int]] = {
        n: (int(agree(*pair)), 1) for n, pair in enumerate(both)
    }
    return [
        share("matched", found),
        share("labels_met", met),
    ]


def _phantoms(photographs: Sequence[Looked]) -> Iterator[np.ndarray]:
    for number, each in enumerate(photographs):
        yield draw(each.example.annotation, row_seed(0, number), SIZE).image


def _of_two_cameras(
    photographs: Sequence[Looked], seen: Observed, most: int
) -> tuple[Observed, Observed, Observed | None] | None:
    """As many photographs of one camera and of another, `most` at most, and where there are enough
    as many others of the first: of the two cameras that took most."""
    sources = [each.example.annotation.source for each in photographs]
    counted = Counter(source for source in sources if source is not None).most_common(2)
    if len(counted) < 2 or (count := min(most, counted[1][1])) < LEAST:
        return None
    one, other = (
        [n for n, source in enumerate(sources) if source == camera] for camera, _ in counted
    )
    first = spread(one, count)
    rest = [n for n in one if n not in {*first}]
    same = seen.of(spread(rest, count)) if len(rest) >= count else None
    return seen.of(first), seen.of(spread(other, count)), same


def _at_as_many(controls: Sequence[Figure], floors: Sequence[Figure]) -> list[Figure]:
    """Controls, their distances as of the floors' count of pictures. What few pictures add to a
    distance is nearly the same for all of that count (Chong & Forsyth 2020, arXiv 1911.07023,
    section 3): so what counts is how much farther than its own floor the control lies."""
    known = {each.name: each for each in controls}
    floor = next((each.value for each in floors if each.name == "fd"), None)
    far, ratio = known["fd"].value, known["fd_over_floor"].value
    if floor and far and ratio:
        reached = floor + far - far / ratio
        far, ratio = reached, reached / floor
    else:
        far = ratio = None
    known |= {n: replace(known[n], value=v) for n, v in (("fd", far), ("fd_over_floor", ratio))}
    return [*known.values()]


def _beside(
    figures: Sequence[Figure],
    floors: Sequence[Figure],
    controls: Sequence[Figure],
    suffix: str = "",
) -> Iterator[Figure]:
    """Figures with the floor and the control of their name, and the name with a suffix."""
    floor, control = ({each.name: each.value for each in side} for side in (floors, controls))
    for each in figures:
        yield replace(
            each,
            name=each.name + suffix,
            floor=floor.get(each.name),
            control=control.get(each.name),
        )
