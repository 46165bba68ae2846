"""Whose turn it is to write a page: of several at once, and of one that was paused, the one that
started last.

The fence of `engine.store.commits` for what no run writes. Whoever begins takes the next number,
then clears away what older ones have under way; whoever is about to give a file its name looks
whether the number is still the highest. Marks of older turns go, so the highest is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.store.place import (
    HIDDEN,
    Place,
    StaleAttempt,
    base,
    create,
    matching,
    next_number,
    number_of,
)

_MARK = re.compile(r"\.(\d{6})\.turn")
_NUMBERED = re.compile(r"\d{6}")


@dataclass(frozen=True)
class Turn:
    """One turn at a `page`, a folder of a place: its pictures lie below `images`, under its
    number.
    """

    place: Place
    page: str
    number: int

    @property
    def images(self) -> str:
        return f"{self.page}/images"

    @property
    def pictures(self) -> str:
        return f"{self.images}/{self.number:06d}"

    def check(self) -> None:
        """Raise StaleAttempt if a newer turn was taken."""
        if max(_numbers(self.place, self.page), default=0) > self.number:
            raise StaleAttempt("a newer one was begun meanwhile")

    def show(self, name: str, data: bytes) -> str:
        """Write a picture; how the page calls it. Raises FileNotFoundError if a newer turn has
        taken the pictures away.
        """
        self.place.keep(f"{self.pictures}/{name}", data)
        return f"{self.pictures}/{name}".removeprefix(f"{self.page}/")

    def put(self, name: str, data: bytes) -> Path:
        """Write a file in one step, over what was there. Raises StaleAttempt."""
        draft = self.place.draft(f"{self.page}/{name}", self.number)
        try:
            draft.file.write(data)
            self.check()
            self.place.overwrite(draft)
        except StaleAttempt:
            self.check()
            raise
        finally:
            self.place.drop(draft)
        return self.place.root / draft.final

    def clear(self, unfinished: bool = False) -> None:
        """Remove what older turns wrote; those that are `unfinished` alone, or their pages'
        pictures too, which a page that is being replaced still needs.
        """
        for name in matching(self.place, self.page, HIDDEN):
            # Names without a number are from before turns.
            if (number_of(name) or 0) < self.number:
                self.place.clear(name)
        if unfinished:
            return
        for name in self.place.names(self.images):
            if not _NUMBERED.fullmatch(base(name)) or int(base(name)) < self.number:
                self.place.clear(name)
        for number in _numbers(self.place, self.page):
            if number < self.number:
                self.place.delete(_mark(self.page, number))


@contextmanager
def turn(place: Place, page: str) -> Iterator[Turn]:
    """The next turn at a folder, for the time of a `with`. Raises StaleAttempt where a newer one
    took away what this one had under way.
    """
    mine = _take(place, page)
    try:
        mine.clear(unfinished=True)
        place.make(mine.pictures)
        yield mine
    except BaseException as error:
        place.clear(mine.pictures)
        if isinstance(error, FileNotFoundError):
            mine.check()
        raise
    mine.clear()


def _take(place: Place, page: str) -> Turn:
    number = max(_numbers(place, page), default=0)
    while True:
        number = next_number(place, number, _mark(page, number))
        if create(place, _mark(page, number), b"", number):
            return Turn(place, page, number)


def _mark(page: str, number: int) -> str:
    return f"{page}/.{number:06d}.turn"


def _numbers(place: Place, page: str) -> list[int]:
    return [int(base(name)[1:7]) for name in matching(place, page, _MARK)]
