"""Whose turn it is to write a page: of several at once, and of one that was paused, the one that
started last.

The fence of `engine.store.commits` for what no run writes. Whoever begins takes the next number,
then clears away what older ones have under way; whoever is about to give a file its name looks
whether the number is still the highest. Marks of older turns go, so the highest is looked for.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.store.files import (
    StaleAttempt,
    listed,
    next_number,
    number_of,
    remove,
    replace,
    temporary,
    write_durably,
)

_MARK = re.compile(r"\.(\d{6})\.turn")
_HIDDEN = re.compile(r"\..*\.tmp")
_NUMBERED = re.compile(r"\d{6}")


@dataclass(frozen=True)
class Turn:
    """One turn at a folder: its pictures lie in `pictures` below `images`, under its number."""

    place: Path
    number: int

    @property
    def images(self) -> Path:
        return self.place / "images"

    @property
    def pictures(self) -> Path:
        return self.images / f"{self.number:06d}"

    def check(self) -> None:
        """Raise StaleAttempt if a newer turn was taken."""
        if max(_numbers(self.place), default=0) > self.number:
            raise StaleAttempt("a newer one was begun meanwhile")

    def put(self, name: str, data: bytes) -> Path:
        """Write a file in one step, over what was there. Raises StaleAttempt."""
        final = self.place / name
        written = temporary(final, self.number)
        try:
            write_durably(written, data)
            self.check()
            replace(written, final)
        except StaleAttempt:
            self.check()
            raise
        finally:
            written.unlink(missing_ok=True)
        return final

    def clear(self, unfinished: bool = False) -> None:
        """Remove what older turns wrote; those that are `unfinished` alone, or their pages'
        pictures too, which a page that is being replaced still needs.
        """
        for path in listed(self.place, _HIDDEN):
            # Names without a number are from before turns.
            if (number_of(path) or 0) < self.number:
                _remove_all(path)
        if unfinished:
            return
        for path in listed(self.images, re.compile(r".*")):
            if not _NUMBERED.fullmatch(path.name) or int(path.name) < self.number:
                _remove_all(path)
        for number in _numbers(self.place):
            if number < self.number:
                remove(_mark(self.place, number))


@contextmanager
def turn(place: Path) -> Iterator[Turn]:
    """The next turn at a folder, for the time of a `with`. Raises StaleAttempt where a newer one
    took away what this one had under way.
    """
    mine = _take(place)
    try:
        mine.clear(unfinished=True)
        mine.pictures.mkdir(parents=True)
        yield mine
    except BaseException as error:
        _remove_all(mine.pictures)
        if isinstance(error, FileNotFoundError):
            mine.check()
        raise
    mine.clear()


def _take(place: Path) -> Turn:
    number = max(_numbers(place), default=0)
    while True:
        number = next_number(number, _mark(place, number))
        try:
            _mark(place, number).touch(exist_ok=False)
        except FileExistsError:
            continue
        return Turn(place, number)


def _mark(place: Path, number: int) -> Path:
    return place / f".{number:06d}.turn"


def _numbers(place: Path) -> list[int]:
    return [int(path.name[1:7]) for path in listed(place, _MARK)]


def _remove_all(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        remove(path)
