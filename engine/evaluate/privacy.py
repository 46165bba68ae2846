"""Does a set show eyes that taught its model, or one eye twice?

- Saved anew: pictures whose perceptual hash (`engine.data.likeness`) is that of a photograph that
  taught, of the table or named by any model of the set's tree. It needs no limit, so that one
  picture is enough.
- Copies: the nearest training photograph by features, registered pixels and registered vessels
  (`engine.evaluate.near`). Of held-out eyes, which are nobody's copies, one in a hundred lies
  nearer than the limit; the floor is the share of one half of them under the other half's limit.
  By pixels `SURE` is one whatever held-out eyes there are. Control: training photographs
  recoloured, compressed, cropped and mirrored.
- Same eye: registered vessels and pixels are one score, which pairs of exposures of one eye set far
  apart from strangers. Learned features do not tell two exposures apart from two eyes, so they only
  name candidates.
- Doubles: pictures of the set that show one eye (`engine.evaluate.doubles`).
- Membership: `engine.evaluate.membership`.
- Asked again: `engine.evaluate.asked_again`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.data.example import Example
from engine.data.identity import eyes
from engine.data.likeness import SAME, bits_of, differing, likeness
from engine.data.planted import Shown, disguise, move
from engine.data.splits import spread, teaching
from engine.evaluate.area import above
from engine.evaluate.asked_again import NAMES as ASKED
from engine.evaluate.asked_again import asked_again
from engine.evaluate.doubles import DOUBLE, Doubles
from engine.evaluate.figures import Figure, counted, without
from engine.evaluate.lineage import tree_of
from engine.evaluate.membership import NAME as MEMBERSHIP
from engine.evaluate.membership import membership, suspects_of
from engine.evaluate.near import KINDS, Comparable, Crowd, Eyesight, Near
from engine.evaluate.sets import Looked, Sets
from engine.evaluate.sheet import keep_closest
from engine.schema import UserError

FALSE_ALARM = 0.01
ENOUGH = 20
"""Held-out eyes below which they set no limit."""
SURE = {"pixels": DOUBLE}
"""By each of `KINDS` from where on two pictures show one eye, whoever else is there."""
_QUICK, _MOST, _OUTLINED = 240, 2000, 600
"""Training photographs that are looked at, quickly (then a copy of another is not found) or not,
and pictures of each kind whose vessels are outlined."""
_PLANTED = 40
_KEPT = 0.97
"""Of the side, in a planted copy."""
_PAIRS = 40


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`."""
    eyesight = Eyesight()
    judged = sets.pictures("judged")
    views = _look(eyesight, sets, judged, "pictures of the set")
    taught = sets.opened("training photographs", _taught(sets))
    if not taught:
        why = "no photograph of a train split is told"
        held = _look(eyesight, sets, sets.pictures("tested"), "held-out eyes")
        names = [*(f"copies_{kind}" for kind in KINDS), "same_eye_score"]
        told = [_saved_anew(sets, [], []), *(without(each, why) for each in names)]
        unknown = [without(each, why) for each in (MEMBERSHIP, *ASKED)]
        return [*told, *_doubles(eyesight, views, held, sets), *unknown]
    crowd = Crowd(_look(eyesight, sets, taught, "training photographs"))
    held = _look(eyesight, sets, sets.pictures("tested"), "held-out eyes")
    near, strangers = ([crowd.nearest(view) for view in each] for each in (views, held))
    copies = plant([each.image for each in spread(taught, _PLANTED)])
    planted = [crowd.nearest(eyesight.look(each)) for each in copies]
    keep_closest(sets, judged, taught, near)
    pairs = _same_eyes(eyesight, sets)
    return [
        _saved_anew(sets, taught, copies),
        *(_copies(kind, near, strangers, planted) for kind in KINDS),
        _same_eye(near, strangers, pairs),
        *_doubles(eyesight, views, held, sets),
        *_of_the_model(sets, taught),
    ]


def plant(squares: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Copies of squares (S, S, 3) uint8: recoloured, compressed, cropped, every other mirrored."""
    rng = np.random.default_rng(0)
    moved = [
        move(Shown(square), 0.0, 1 / _KEPT, (0.0, 0.0), bool(number % 2)).image
        for number, square in enumerate(squares)
    ]
    return [disguise(each, rng, 0.5) for each in moved]


def _of_the_model(sets: Sets, taught: Sequence[Looked]) -> list[Figure]:
    """What the model that drew the set remembers."""
    try:
        suspects = suspects_of(sets, taught)
    except UserError as error:
        return [without(name, error.problem) for name in (MEMBERSHIP, *ASKED)]
    return [membership(sets, suspects), *asked_again(sets, suspects)]


def _taught(sets: Sets) -> list[Example]:
    if not any(each.split for each in sets.photographs):
        return []
    return spread(teaching(sets.photographs), _QUICK if sets.quick else _MOST)


def _look(
    eyesight: Eyesight, sets: Sets, pictures: Sequence[Looked], name: str
) -> list[Comparable]:
    return eyesight.look_at([each.image for each in pictures], name, sets.tell, _OUTLINED)


def _saved_anew(sets: Sets, taught: Sequence[Looked], planted: Sequence[np.ndarray]) -> Figure:
    """How many pictures are a training photograph, saved anew."""
    named = [each.named.likenesses for each in tree_of(sets)]
    known = np.concatenate([bits_of([likeness(each.image) for each in taught]), *named])
    if not len(known):
        return without("copies_saved_anew", "nobody names a photograph that taught")

    def found(squares: Sequence[np.ndarray]) -> list[bool]:
        shown = bits_of([likeness(each) for each in squares])
        return [bool((differing(each, known) <= SAME).any()) for each in shown]

    ours, held, copies = (
        found(each)
        for each in (
            [each.image for each in sets.pictures("judged")],
            [each.image for each in sets.pictures("tested")],
            planted,
        )
    )
    floor, control = (float(np.mean(each)) if each else None for each in (held, copies))
    return replace(counted("copies_saved_anew", sum(ours), len(ours)), floor=floor, control=control)


def _copies(
    kind: str, near: Sequence[Near], strangers: Sequence[Near], planted: Sequence[Near]
) -> Figure:
    name = f"copies_{kind}"
    ours, held, copies = (
        [each[kind].score for each in those if kind in each] for those in (near, strangers, planted)
    )
    sure = SURE.get(kind, np.inf)
    if len(held) < ENOUGH and sure == np.inf:
        return without(name, f"{len(held)} held-out eyes, {ENOUGH} set a limit", len(ours))

    def passing(scores: Sequence[float], others: Sequence[float]) -> list[bool]:
        set_ = np.quantile(others, 1 - FALSE_ALARM) if len(held) >= ENOUGH else np.inf
        return [score > set_ or score >= sure for score in scores]

    halves = (held[::2], held[1::2])
    passed = [each for pair in (halves, halves[::-1]) for each in passing(*pair)]
    floor = float(np.mean(passed)) if passed else None
    control = float(np.mean(passing(copies, held))) if copies else None
    return replace(counted(name, sum(passing(ours, held)), len(ours)), floor=floor, control=control)


def _same_eye(near: Sequence[Near], strangers: Sequence[Near], pairs: Sequence[Near]) -> Figure:
    """The chance that a picture looks more like a training eye than a stranger does."""
    ours, held, same = ([*filter(None, map(_verified, each))] for each in (near, strangers, pairs))
    if len(ours) < 2 or len(held) < 2:
        return without("same_eye_score", "fewer than two pictures, or held-out eyes", len(ours))
    found = above("same_eye_score", {0: (ours, held)})
    floor = above("", {0: (held[::2], held[1::2])}).value
    return replace(found, floor=floor, control=above("", {0: (same, held)}).value)


def _verified(near: Near) -> float | None:
    if "vessels" not in near:
        return None
    return (near["vessels"].score + near["pixels"].score) / 2


def _same_eyes(eyesight: Eyesight, sets: Sets) -> list[Near]:
    """How near two exposures of one real eye are: those of one patient or known pair whose sides
    do not differ, and which are not one photograph saved twice."""
    first: dict[tuple[int, int | None], Example] = {}
    pairs: list[tuple[Example, Example]] = []
    for eye, example in zip(eyes(sets.photographs), sets.photographs):
        other = first.setdefault((eye, example.annotation.eye_side), example)
        if other is not example and other.photograph != example.photograph:
            pairs.append((other, example))
    found, pairs = [], spread(pairs, 2 * _PAIRS)
    opened = sets.opened("exposures of one eye", [each for pair in pairs for each in pair])
    squares = {each.example.place: each.image for each in opened}
    for pair in pairs:
        if not all(each.place in squares for each in pair):
            continue
        left, right = (squares[each.place] for each in pair)
        if differing(bits_of([likeness(left)])[0], bits_of([likeness(right)]))[0] > SAME:
            found.append(Crowd([eyesight.look(left)]).nearest(eyesight.look(right)))
        if len(found) == _PAIRS:
            break
    return found


def _doubles(
    eyesight: Eyesight, views: Sequence[Comparable], held: Sequence[Comparable], sets: Sets
) -> list[Figure]:
    """How many pictures show an eye of the set once more, and how many eyes there are. Control: the
    share that is found of copies put among them."""
    count, seen = len(views), Doubles(views)
    distinct = seen.distinct
    sets.tell(f"privacy: {count:,} files, {distinct:,} distinct")
    squares = [each.image for each in spread(sets.pictures("judged"), _PLANTED)]
    planted = plant(squares)
    for each in planted:
        seen.add(eyesight.look(each, vessels=False))
    more = seen.distinct - distinct
    control = 1 - more / len(planted) if planted else None
    floor = 1 - Doubles(held).distinct / len(held) if held else None
    found = counted("doubles", count - distinct, count)
    doubles = replace(found, floor=floor, control=control)
    return [doubles, Figure("distinct", float(distinct), float(distinct), float(distinct), count)]
