"""Whose turn it is to write a page: of several the one that began last, on a disk and elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.schema import UserError
from engine.store.place import Disk, Place, StaleAttempt, create, read
from engine.store.turn import Turn, turn
from tests.memory import Memory

PAGE = "report"


@pytest.fixture(params=[Disk, Memory])
def place(request, tmp_path) -> Place:
    made = request.param(tmp_path)
    made.make(PAGE)
    return made


def write(place: Place, picture: bytes, page: bytes) -> None:
    with turn(place, PAGE) as mine:
        assert mine.show("a.webp", picture) == f"images/{mine.number:06d}/a.webp"
        assert mine.put("index.html", page) == place.root / PAGE / "index.html"


def overtaken(place: Place, then: Callable[[Turn], object]) -> None:
    """A turn goes on with `then` after another has written its page."""
    with turn(place, PAGE) as late:
        late.show("a.webp", b"late")
        write(place, b"new", b"<p>new")
        then(late)


def test_a_newer_page_takes_the_place_of_the_older_and_its_pictures(place):
    write(place, b"one", b"<p>one")
    write(place, b"two", b"<p>two")
    assert read(place, f"{PAGE}/index.html") == b"<p>two"
    assert read(place, f"{PAGE}/images/000002/a.webp") == b"two"
    assert place.names(f"{PAGE}/images") == [f"{PAGE}/images/000002"]
    left = [name.removeprefix(f"{PAGE}/") for name in place.names(PAGE)]
    assert left == [".000002.turn", "images", "index.html"]


def test_a_turn_that_was_overtaken_puts_nothing_and_leaves_nothing(place):
    with pytest.raises(StaleAttempt, match="newer one was begun"):
        overtaken(place, lambda late: late.put("index.html", b"<p>late"))
    assert read(place, f"{PAGE}/index.html") == b"<p>new"
    assert place.names(f"{PAGE}/images") == [f"{PAGE}/images/000002"]


def test_pictures_that_a_newer_turn_took_away_are_told_as_that(place):
    with pytest.raises(StaleAttempt, match="newer one was begun"):
        overtaken(place, lambda late: late.show("b.webp", b"late"))
    assert place.names(f"{PAGE}/images") == [f"{PAGE}/images/000002"]


def test_a_mistake_leaves_the_page_that_was_there(place):
    write(place, b"one", b"<p>one")
    with pytest.raises(ZeroDivisionError), turn(place, PAGE) as mine:
        mine.show("a.webp", bytes(1 // 0))
    assert read(place, f"{PAGE}/index.html") == b"<p>one"
    assert place.names(f"{PAGE}/images") == [f"{PAGE}/images/000001"]


def test_what_a_killed_turn_had_begun_is_cleared_away(place):
    place.draft(f"{PAGE}/index.html", 0)
    place.draft(f"{PAGE}/index.html", 1)
    create(place, f"{PAGE}/.000001.turn", b"")
    write(place, b"new", b"<p>new")
    assert [name for name in place.names(PAGE) if name.endswith(".tmp")] == []


def test_a_turn_that_no_number_is_left_for_is_refused(place):
    create(place, f"{PAGE}/.999999.turn", b"")
    with pytest.raises(UserError, match=r"\.999999\.turn.*move this file away"), turn(place, PAGE):
        pass
    assert place.names(PAGE) == [f"{PAGE}/.999999.turn"]
