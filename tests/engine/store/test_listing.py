"""The list of photographs beside a plan: large, looked up by row, and told apart by its hash."""

from __future__ import annotations

import pytest

from engine.batches import GROUP
from engine.schema import Annotation, UserError
from engine.store.listing import (
    Listed,
    check_listing,
    listing_of,
    write_listing,
)
from engine.store.plan import read_any_plan


def some(count):
    for number in range(count):
        known = Annotation(dr_grade=number % 5, source="lab") if number % 2 else Annotation()
        yield Listed(f"{number:06d}.jpg", number, sha256=f"{number:064x}", annotation=known)


def test_rows_are_found_across_groups(tmp_path):
    count = 2 * GROUP + 3
    digest = write_listing(tmp_path, some(count))
    listing = check_listing(tmp_path, digest)
    wanted = [0, GROUP - 1, GROUP, 2 * GROUP + 2]
    assert list(listing.pick(wanted)) == [list(some(count))[index] for index in wanted]
    assert list(listing.read()) == list(some(count))


def test_equal_lists_are_one_file_and_others_are_cleared_away(tmp_path):
    one, again, other = (write_listing(tmp_path, some(n)) for n in (5, 5, 6))
    assert one == again != other
    check_listing(tmp_path, other)
    assert [path.name for path in tmp_path.iterdir()] == [listing_of(tmp_path, other).name]


def test_a_list_that_was_changed_or_lost_is_refused(tmp_path):
    digest = write_listing(tmp_path, some(5))
    (tmp_path / listing_of(tmp_path, digest).name).write_bytes(b"PAR1")
    with pytest.raises(UserError, match="was changed"):
        check_listing(tmp_path, digest)
    (tmp_path / listing_of(tmp_path, digest).name).unlink()
    assert not listing_of(tmp_path, digest).is_there()
    with pytest.raises(UserError, match="is gone"):
        check_listing(tmp_path, digest)


def test_a_run_that_died_before_its_plan_leaves_the_folder_usable(tmp_path):
    write_listing(tmp_path, some(5))
    assert read_any_plan(tmp_path) is None
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="not empty"):
        read_any_plan(tmp_path)
