"""A mirrored photograph is of the other eye: swap what a caption says of sides, and nothing
else."""

from __future__ import annotations

import re

_SWAPS = {"left": "right", "right": "left", "od": "os", "os": "od"}
_SIDES = re.compile(r"\b(left|right|OD|OS)\b", re.IGNORECASE)


def mirror(text: str) -> str:
    """Left and right (OD, OS) exchanged; nasal, temporal, superior and inferior stay true."""

    def swap(match: re.Match[str]) -> str:
        word = match[0]
        other = _SWAPS[word.lower()]
        if word.isupper():
            return other.upper()
        return other.capitalize() if word[0].isupper() else other

    return _SIDES.sub(swap, text)
