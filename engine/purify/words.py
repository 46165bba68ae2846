"""Captions against what is known: which sentences say otherwise, and what is left without them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from engine.prose.statements import Statement, read

_ENDS = re.compile(r"(?<=[.!?])\s+")
_LEAST_WORDS = 6
"""A caption of fewer words than these describes nothing."""


def stated(caption: str) -> frozenset[Statement]:
    """All that the sentences of a caption state, one by one: a caption that says yes and no says
    both."""
    return frozenset(said for sentence in _sentences(caption) for said in read(sentence))


def against(said: Iterable[Statement], known: Collection[Statement]) -> Iterator[Statement]:
    """Those statements that leave no value which one that is known of the same label leaves."""
    for each in said:
        if any(each.label == other.label and not _agree(each, other) for other in known):
            yield each


def without(caption: str, known: Collection[Statement]) -> str:
    """The caption without each sentence that is against what is known; empty where too little is
    left, or where what is left is still against it."""
    left = [s for s in _sentences(caption) if not any(against(read(s), known))]
    text = " ".join(left)
    if len(text.split()) < _LEAST_WORDS or any(against(read(text), known)):
        return ""
    return text


def _sentences(caption: str) -> list[str]:
    return [each for each in _ENDS.split(caption.strip()) if each]


def _agree(one: Statement, other: Statement) -> bool:
    return one.least <= other.most and other.least <= one.most
