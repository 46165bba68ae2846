"""What was seen of photographs, a line each, so that a killed run goes on and a repeated one looks
at nothing twice. A line that is cut short counts as not written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.data.example import Example
from engine.files import hold
from engine.prose.statements import Statement
from engine.purify.ruling import Sight
from engine.schema import UserError

NAME = "sights.jsonl"


class Notes:
    """The file of a folder, open to be added to; `examiner` is the key of who looks."""

    def __init__(self, folder: Path, examiner: str) -> None:
        self._path = folder / NAME
        self._examiner = examiner
        self._known = dict(_read(self._path))
        self._file = self._path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def of(self, example: Example, caption: str) -> tuple[str, Sight | None]:
        """The key of an example as it lies there with this caption, and what was seen of it."""
        try:
            state = example.path.stat()
            told = f"{state.st_size} {state.st_mtime_ns}"
        except OSError:
            told = "gone"
        labels = example.annotation.model_dump_json()
        parts = (self._examiner, str(example.path.absolute()), str(example.row), told, labels)
        key = hashlib.sha256(json.dumps([*parts, caption]).encode()).hexdigest()[:32]
        return key, self._known.get(key)

    def add(self, key: str, sight: Sight) -> None:
        """Note what was seen; a line begins anew whatever stood cut short before it."""
        self._known[key] = sight
        self._file.write(f"\n{json.dumps({'key': key, **asdict(sight)})}")
        self._file.flush()


def _read(path: Path) -> Iterator[tuple[str, Sight]]:
    with suppress(FileNotFoundError):
        for text in path.read_text("utf-8", "replace").split("\n"):
            with suppress(json.JSONDecodeError, KeyError, TypeError):
                line = json.loads(text)
                said = tuple(Statement(**each) for each in line["said"])
                unfit, odd = tuple(line["unfit"]), tuple(line["odd"])
                yield line["key"], Sight(unfit, odd, line["camera"], said, line["better"])


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """The time of a run, which no other on this folder shares. Raises UserError."""
    with (folder / NAME).open("a") as held:
        if not hold(held):
            raise UserError("another run writes it", file=folder, asked="out")
        yield
