"""Bytes of a JPEG such that what was cut short cannot be decoded.

Decoders paint grey what is missing before an end marker, and say nothing. Where the marker is
missing too they ask for more and are refused, so it is taken away: whole pictures do not need it.
"""

from __future__ import annotations

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SEQUENTIAL, _SCAN = (0xC0, 0xC1), 0xDA
_AHEAD = bytes(16)
"""Decoders look so far ahead at most; a few blocks can be made of it."""


def without_end(data: bytes) -> bytes:
    """The first picture of a JPEG less its end marker; other bytes, and those of a JPEG in several
    scans, as they are: there decoders wait for the marker."""
    scan = _only_scan(data)
    end = data.find(_END, scan) if scan else -1
    return data if end < 0 else data[:end] + _AHEAD


def _only_scan(data: bytes) -> int:
    """Where the coded pixels begin; 0 where there is more than one scan, or no JPEG."""
    at, components = len(_START), 0
    if not data.startswith(_START):
        return 0
    while at + 10 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if kind in _SEQUENTIAL:
            components = data[at + 9]
        if kind == _SCAN:
            return at + 2 + length if components == data[at + 4] else 0
        at += 1 if kind == 0xFF else 2 + length
    return 0
