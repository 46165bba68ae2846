"""A small phrase grammar: `[a|b|c]` is a choice, `[|very ]` an optional word, and choices may nest.

`<sign>` stands in front of words that name a sign. Where it is known which signs were drawn, an
option with another sign is no option, and `[<sign> words]` leaves its words out; where it is not
known, signs change nothing.

The phrase tables of this package are written in it, so that one line stands for many wordings.
Tables are written in British spelling; `american` respells a finished caption.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from random import Random

Node = str | tuple["Node", ...]
"""Text, or the options of a choice; a sequence is itself a tuple marked by `_SEQUENCE` in front."""

_SEQUENCE = "\0"
_TOKEN = re.compile(r"[\[\]|]|<[^>]+>|[^\[\]|<]+")


class Sign(str):
    """What must have been drawn before the words beside it may be said."""


def expand(pattern: str, rng: Random, drawn: Collection[str] | None = None) -> str:
    """One wording of `pattern`, drawn with `rng`, that names no sign but the `drawn` ones; None
    means that it is not known which were. ValueError for unbalanced brackets."""
    return _draw(_compile(pattern), rng, drawn)


def choose(options: Sequence[str], rng: Random, drawn: Collection[str] | None = None) -> str:
    """One wording of one of the patterns that are `sayable`."""
    said = [each for each in options if sayable(each, drawn)]
    return expand(said[int(rng.random() * len(said))], rng, drawn)


def sayable(pattern: str, drawn: Collection[str] | None) -> bool:
    """Whether the pattern has a wording that names no sign but the `drawn` ones."""
    return drawn is None or _may(_compile(pattern), drawn)


def join(parts: Sequence[str], word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) <= 1:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def phrases(parts: Sequence[str]) -> str:
    """A list of noun phrases that may hold an "and" themselves: `a and b, as well as c`."""
    if len(parts) <= 1 or not any(" and " in part or ", " in part for part in parts):
        return join(parts)
    return f"{', '.join(parts[:-1])}, as well as {parts[-1]}"


def sentence(text: str) -> str:
    """The text with a capital first letter, single spaces and a full stop."""
    text = " ".join(text.split()).replace(" ,", ",")
    text = _ARTICLE.sub(r"\1n", text)
    closed = text if text[-1] in ".:;!?" else text + "."
    return closed[0].upper() + closed[1:]


def american(text: str) -> str:
    """The same text in American spelling."""
    return _BRITISH.sub(lambda found: _SPELLING[found.group()], text)


@lru_cache(maxsize=4096)
def _compile(pattern: str) -> Node:
    tokens = _TOKEN.findall(pattern)
    node, end = _sequence(tokens, 0, pattern)
    if end != len(tokens):
        raise ValueError(f"unbalanced brackets in phrase: {pattern!r}")
    return node


def _sequence(tokens: list[str], at: int, pattern: str) -> tuple[Node, int]:
    parts: list[Node] = []
    while at < len(tokens) and tokens[at] not in ("]", "|"):
        if tokens[at] == "[":
            choice, at = _choice(tokens, at + 1, pattern)
            parts.append(choice)
        else:
            text = tokens[at]
            parts.append(Sign(text[1:-1]) if text[0] == "<" else text)
            at += 1
    if len(parts) == 1:
        return parts[0], at
    return (_SEQUENCE, *parts), at


def _choice(tokens: list[str], at: int, pattern: str) -> tuple[Node, int]:
    options: list[Node] = []
    while True:
        option, at = _sequence(tokens, at, pattern)
        options.append(option)
        if at >= len(tokens):
            raise ValueError(f"unbalanced brackets in phrase: {pattern!r}")
        if tokens[at] == "]":
            return tuple(options), at + 1
        at += 1


def _draw(node: Node, rng: Random, drawn: Collection[str] | None) -> str:
    if isinstance(node, str):
        return "" if isinstance(node, Sign) else node
    if node and node[0] == _SEQUENCE:
        return "".join([_draw(part, rng, drawn) for part in node[1:]])
    options = node if drawn is None else [option for option in node if _may(option, drawn)]
    if len(node) == 1:
        return _draw(node[0], rng, drawn) if options else ""
    return _draw(options[int(rng.random() * len(options))], rng, drawn)


def _may(node: Node, drawn: Collection[str]) -> bool:
    """Whether something of the node may be said. What is optional never forbids the rest."""
    if isinstance(node, str):
        return not isinstance(node, Sign) or node in drawn
    if node and node[0] == _SEQUENCE:
        return all(_may(part, drawn) for part in node[1:])
    return len(node) == 1 or any(_may(option, drawn) for option in node)


_ARTICLE = re.compile(r"\b([Aa])(?= (?!un[ie]|us|one|eu)[aeiou])")

_SPELLING = {
    "aemorrhag": "emorrhag",
    "oedema": "edema",
    "Oedema": "Edema",
    "olour": "olor",
    "entre": "enter",
    "grey": "gray",
    "Grey": "Gray",
    "alibre": "aliber",
    "ularis": "ulariz",
    "ualis": "ualiz",
    "naev": "nev",
    "Naev": "Nev",
    "schaem": "schem",
    "athological": "athologic",
}
_BRITISH = re.compile("|".join(_SPELLING))
