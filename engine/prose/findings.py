"""Kinds of lesions that captions name and no label has: how they are worded, and read back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random

from engine.prose.grammar import expand, sentence

FINDINGS: Mapping[str, str] = {
    "soft_exudates": "[cotton-wool spots|soft exudates]",
    "hard_exudates": "[hard exudates|lipid exudates]",
    "haemorrhages": "[haemorrhages|retinal haemorrhages|blot haemorrhages]",
    "microaneurysms": "microaneurysms",
}
"""By name, what a kind is called."""
_NAMED = {
    "soft_exudates": re.compile(r"\b(?:soft exudate|cotton[ -]wool spot)", re.I),
    "hard_exudates": re.compile(r"\b(?:hard|lipid|waxy) exudate", re.I),
    "haemorrhages": re.compile(r"ha?emorrhag", re.I),
    "microaneurysms": re.compile(r"microaneurysm", re.I),
}
_DENIED = re.compile(r"\b(?:no|without|free of|absence of)\b", re.I)
_SENTENCES = re.compile(r"(?<=[a-z)]\.)\s+")
_PRESENT = "[There are|The eye has|The retina shows]"
_ABSENT = "[There are no|There are no signs of|There is no evidence of|No evidence of|No]"


def find(text: str) -> dict[str, int]:
    """Which kinds a caption says to be there (1) or not (0).

    Who lists lesions leaves none out: a kind that is not named beside others that are is not there.
    """
    found: dict[str, int] = {}
    for line in _SENTENCES.split(text):
        for name, named in _NAMED.items():
            if match := named.search(line):
                denied = _DENIED.search(line, 0, match.start()) is not None
                found[name] = max(found.get(name, 0), int(not denied))
    if any(found.values()):
        return {name: found.get(name, 0) for name in FINDINGS}
    return found


def name(finding: str, value: int, rng: Random) -> str:
    """A sentence that says that a kind is there (1) or not (0); `rng` alone draws the wording."""
    return sentence(
        f"{expand(_PRESENT if value else _ABSENT, rng)} {expand(FINDINGS[finding], rng)}"
    )
