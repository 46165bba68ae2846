"""Which photographs may teach: never an eye that is also in a test split, and each eye once an
epoch."""

from __future__ import annotations

from collections.abc import Sequence

from engine.data.sources import Example

_TEACHING = (None, "all", "train")


def teaching(examples: Sequence[Example]) -> list[Example]:
    """Examples of the train split (or of no split) whose eye is in no other split.

    Eyes are told apart by `patient_id`; where it is unknown each photograph counts as its own eye.
    """
    apart = {_eye(e) for e in examples if e.split not in _TEACHING}
    return [e for e in examples if e.split in _TEACHING and _eye(e) not in apart]


def held_out(examples: Sequence[Example]) -> list[Example]:
    """Examples of the test split."""
    return [e for e in examples if e.split == "test"]


def one_per_eye(examples: Sequence[Example]) -> list[list[Example]]:
    """Examples grouped by eye, in order of first appearance: an epoch draws one of each group."""
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(_eye(example), []).append(example)
    return list(groups.values())


def _eye(example: Example) -> str:
    return example.patient_id or str(example.path)
