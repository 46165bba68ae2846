"""Sets of row indices as sorted, disjoint, half-open ranges [(start, stop), ...]: a million rows in
a few numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Ranges = list[tuple[int, int]]


def from_indices(indices: Iterable[int]) -> Ranges:
    """The ranges that hold exactly these indices, given in any order, repeats ignored."""
    ranges: Ranges = []
    for index in sorted(set(indices)):
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
    return ranges


def to_indices(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Every index of the ranges, in their order."""
    for start, stop in ranges:
        yield from range(start, stop)


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """One sorted, disjoint list out of ranges in any order that may overlap."""
    merged: Ranges = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        elif stop > start:
            merged.append((start, stop))
    return merged


def size(ranges: Iterable[tuple[int, int]]) -> int:
    """How many indices disjoint ranges hold."""
    return sum(stop - start for start, stop in ranges)


def minus(ranges: Ranges, taken: Ranges) -> Ranges:
    """The indices of `ranges` that are not in `taken`; both sorted and disjoint."""
    left: Ranges = []
    position = 0
    for start, stop in ranges:
        while position < len(taken) and taken[position][1] <= start:
            position += 1
        at, ahead = start, position
        while ahead < len(taken) and taken[ahead][0] < stop:
            if taken[ahead][0] > at:
                left.append((at, taken[ahead][0]))
            at = max(at, taken[ahead][1])
            ahead += 1
        if at < stop:
            left.append((at, stop))
    return left


def cut(ranges: Ranges, rows: int, most: int | None = None) -> list[Ranges]:
    """Consecutive chunks of `rows` indices (the last may be shorter), at most `most` chunks."""
    chunks: list[Ranges] = []
    chunk: Ranges = []
    room = rows
    for first, stop in ranges:
        start = first
        while start < stop:
            if most is not None and len(chunks) == most:
                return chunks
            end = min(stop, start + room)
            chunk.append((start, end))
            room -= end - start
            start = end
            if room == 0:
                chunks.append(chunk)
                chunk, room = [], rows
    return [*chunks, chunk] if chunk and (most is None or len(chunks) < most) else chunks
