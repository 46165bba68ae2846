"""What chance would give: each photograph beside another one, whose masks are laid on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Each = TypeVar("Each")


def beside_another(
    each: Iterable[Each], holds: Callable[[Each], bool]
) -> Iterator[tuple[Each, Each]]:
    """Each with the one before it that `holds` anything to lay. Two at a time and the first are
    kept in memory. The first comes last: beside it stands the last that holds."""
    rest = iter(each)
    first = next(rest, None)
    if first is None:
        return
    before = first
    for one in rest:
        yield one, before
        if holds(one):
            before = one
    yield first, before
