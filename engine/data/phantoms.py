"""Phantoms as examples: `--data phantom[:COUNT]`, drawn when they are read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from engine.data.example import PHANTOM, Example
from engine.phantom import VERSION
from engine.phantom.render import Phantom, complete, draw, stream
from engine.schema import UserError
from engine.seeds import row_random, row_seed
from engine.specs.mix import default_mix

NAME = PHANTOM
COUNT = 1000
SIZE = 512
"""Pixels of a phantom that is read as a photograph file would be."""


@dataclass(frozen=True)
class PhantomExample(Example):
    """One phantom by its seed; nothing of it lies on a disk."""

    drawn_by: str | None = NAME
    seed: int = 0

    def draw(self, size: int) -> Phantom:
        """The phantom, its photograph (size, size, 3) uint8 and all its masks."""
        return draw(self.annotation, self.seed, size)

    def read_bytes(self) -> bytes:
        """The photograph as PNG."""
        file = io.BytesIO()
        Image.fromarray(self.draw(SIZE).image).save(file, "PNG", compress_level=1)
        return file.getvalue()

    def identity(self) -> bytes:
        """The version of the drawing, the annotation and the seed: the same picture every time."""
        return f"phantom {VERSION} {self.annotation.model_dump_json()} {self.seed}".encode()


def phantom_examples(text: str) -> list[PhantomExample]:
    """The examples of `phantom` or `phantom:COUNT`; phantom 3 is the same in every count.

    Raises UserError for a count that is no number from 1.
    """
    _, _, count = text.partition(":")
    if text not in (NAME, f"{NAME}:{count}") or (count and not count.isdecimal()) or count == "0":
        raise UserError(f"{text!r}", asked="data", expected="phantom or phantom:COUNT")
    return [_example(index) for index in range(int(count or COUNT))]


def _example(index: int) -> PhantomExample:
    asked = default_mix().draw(index, row_random(0, index, "phantom labels"))
    seed = row_seed(0, index)
    known = complete(asked.model_copy(update={"source": NAME}), stream(seed, "side"))
    return PhantomExample(path=Path(NAME) / f"{index:07d}", annotation=known, seed=seed)
