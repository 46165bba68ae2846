"""Which photographs may teach: never an eye that is also in a test split, and each eye once an
epoch; and which of them are photographs at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from engine.data.example import Example
from engine.data.identity import MAY_TEACH, eyes
from engine.data.known_eyes import teaches_elsewhere

T = TypeVar("T")


def teaching(examples: Sequence[Example]) -> list[Example]:
    """Examples of the train split (or of no split) whose eye is in no other split.

    All that is known of an eye must be among the examples: choose among those that teach, never
    before.
    """
    seen = list(zip(eyes(examples), examples))
    apart = {eye for eye, example in seen if example.split not in MAY_TEACH}
    return [example for eye, example in seen if eye not in apart]


def held_out(examples: Sequence[Example]) -> list[Example]:
    """Examples of the test split, but for those whose eye the set's own train split shows."""
    return [e for e in examples if e.split == "test" and not teaches_elsewhere(e)]


def one_per_eye(examples: Sequence[Example]) -> list[list[Example]]:
    """Examples grouped by eye, in order of first appearance: an epoch draws one of each group."""
    groups: dict[int, list[Example]] = {}
    for eye, example in zip(eyes(examples), examples):
        groups.setdefault(eye, []).append(example)
    return list(groups.values())


def spread(items: Sequence[T], most: int) -> list[T]:
    """So many of the items at most, evenly over all: a table often stands in order of its cameras,
    and its first rows are then of one alone."""
    count = min(len(items), most)
    return [items[number * len(items) // count] for number in range(count)]


def drawn_apart(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """What a program or a model drew, and the photographs."""
    return [e for e in examples if e.synthetic], [e for e in examples if not e.synthetic]


def positives(examples: Sequence[Example], label: str) -> int:
    """How many examples have the label: any value above 0."""
    return sum((e.annotation.labels()[label] or 0) > 0 for e in examples)
