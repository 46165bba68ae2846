"""What a caption server may answer: one tensor with one text. All else is nonsense."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np

MOST_CHARACTERS = 4000
OUTPUT = "CAPTION"


class Nonsense(ValueError):
    """An answer that is no caption; the message says what it is."""


def caption_of(result: Any) -> str:
    """The caption in a server's answer (a tritonclient `InferResult`). Raises Nonsense."""
    outputs = result.get_response().outputs
    named = {output.name: output for output in outputs}
    if OUTPUT not in named:
        raise Nonsense(f"no output {OUTPUT}, but {', '.join(sorted(named)) or 'none'}")
    if named[OUTPUT].datatype != "BYTES":
        raise Nonsense(f"{OUTPUT} is {named[OUTPUT].datatype}, not BYTES")
    try:
        texts = np.asarray(result.as_numpy(OUTPUT))
    except Exception as error:
        raise Nonsense(f"{OUTPUT} cannot be read: {error}") from error
    if texts.size != 1:
        raise Nonsense(f"{texts.size} texts for one photograph")
    return plain_text(texts.reshape(-1)[0])


def plain_text(answer: object) -> str:
    """One text as it may be stored. Raises Nonsense for what is not UTF-8, empty, too long, without
    a letter, or holds control characters.
    """
    if not isinstance(answer, bytes | str):
        raise Nonsense(f"a {type(answer).__name__}, not a text")
    try:
        text = answer if isinstance(answer, str) else answer.decode()
    except UnicodeDecodeError as error:
        raise Nonsense(f"not UTF-8 at byte {error.start}") from error
    text = text.strip()
    if not text:
        raise Nonsense("an empty text")
    if len(text) > MOST_CHARACTERS:
        raise Nonsense(f"{len(text):,} characters, more than {MOST_CHARACTERS:,}")
    strange = [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") and c != "\n"]
    if strange:
        raise Nonsense(f"a control character, U+{ord(strange[0]):04X}")
    if not any(c.isalpha() for c in text):
        raise Nonsense("a text without a letter")
    return text
