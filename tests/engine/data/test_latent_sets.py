"""What a shelf of latents holds is told by records alone; an example is made again from its row."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from engine.data.example import Example
from engine.data.latent_sets import (
    Wanted,
    alone,
    content_now,
    example_of,
    is_seen,
    lay_once,
    set_of,
    standing,
    still_wanted,
)
from engine.data.phantoms import phantom_examples
from engine.schema import Annotation, UserError
from engine.store.beside import EXAMPLES, Beside
from engine.store.place import Disk
from tests.encoding import ask_for, encoded, files, set_folders


@pytest.fixture
def examples(tmp_path) -> list[Example]:
    return files(tmp_path / "eyes", 3)


def wanted(examples):
    return [Wanted(example, f"{number:040d}") for number, example in enumerate(examples)]


def test_an_example_is_made_again_from_its_row(tmp_path):
    masked = Example(
        Path(os.fsdecode(b"/eyes/\xff.png")),
        Annotation(dr_grade=2),
        row=3,
        masks=(("mask_disc", Path("/m/disc.png")), ("mask_cup", Path("/m/cup.png"))),
    )
    (phantom,) = phantom_examples("phantom:1")
    root, sha256 = set_of(tmp_path, wanted([masked, phantom]))
    table = Beside(Disk(root), EXAMPLES, sha256)
    table.check()
    one, other = example_of(table.row(0)), example_of(table.row(1))
    assert (one.path, one.row, one.masks) == (masked.path, 3, masked.masks)
    assert other.identity() == phantom.identity()
    assert set_of(tmp_path, reversed(wanted([masked, phantom]))) == (root, sha256)
    assert set_of(tmp_path, wanted([masked]))[0] != root
    assert is_seen(phantom)
    assert not is_seen(masked)


def test_standing_is_known_from_the_records(tmp_path, examples):
    ask = ask_for(tmp_path / "cache", examples)
    kept, _ = encoded(ask)
    (root,) = set_folders(tmp_path / "cache")
    now = standing(root.parent)
    assert set(now.spots.values()) == set(kept.spots)
    assert (now.refused, now.lacking) == ({}, {})
    (part,) = (root / "parts").iterdir()
    data = part.read_bytes()
    for damaged in (data[:-1], None):
        part.write_bytes(damaged) if damaged else part.unlink()
        now = standing(root.parent)
        assert now.spots == {}
        assert set(now.lacking[root]) == {0, 1, 2}
    assert standing(tmp_path / "nowhere").spots == {}


def test_a_plan_that_was_changed_by_hand_is_refused(tmp_path, examples):
    encoded(ask_for(tmp_path / "cache", examples))
    (root,) = set_folders(tmp_path / "cache")
    plan = root / "plan.json"
    plan.write_text(plan.read_text().replace('"variants": 2', '"variants": 3'))
    with pytest.raises(UserError, match=r"plan\.json: the plan was changed"):
        standing(root.parent)


def test_a_set_is_gone_on_with_only_for_the_files_that_it_names(tmp_path, examples):
    encoded(ask_for(tmp_path / "cache", examples))
    (root,) = set_folders(tmp_path / "cache")
    next((root / "parts").iterdir()).unlink()
    lacking = standing(root.parent).lacking[root]
    asked = {key: Wanted(example_at(examples, key, root), key) for key in lacking.values()}
    assert still_wanted(root, lacking, asked)
    fewer = dict(list(asked.items())[1:])
    assert not still_wanted(root, lacking, fewer)
    moved = {key: Wanted(Example(tmp_path / "x", Annotation()), key) for key in asked}
    assert not still_wanted(root, lacking, moved)


def example_at(examples, key, root):
    ask = ask_for(root.parent.parent, examples)
    kept, _ = encoded(ask)
    return next(e for e, spot in zip(examples, kept.spots, strict=True) if spot.key == key)


def test_a_folder_is_laid_whole_or_not_at_all(tmp_path):
    def fail(folder):
        (folder / "half").write_text("")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        lay_once(tmp_path / "vae", fail)
    assert list(tmp_path.iterdir()) == []
    lay_once(tmp_path / "vae", lambda folder: (folder / "a").write_text("1"))
    lay_once(tmp_path / "vae", fail)
    assert [path.name for path in tmp_path.rglob("*")] == ["vae", "a"]


def _hold(shelf, ready, release):
    with alone(shelf, lambda: None):
        ready.set()
        release.wait(30)


def test_who_comes_second_waits_and_one_that_dies_holds_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "shelf", ready, release))
    other.start()
    assert ready.wait(60)
    waited, began = [], time.monotonic()
    other.kill()
    with alone(tmp_path / "shelf", lambda: waited.append(1)):
        assert time.monotonic() - began < 20
    other.join()
    assert len(waited) <= 1


def test_what_an_example_holds_now_covers_its_masks(tmp_path, examples):
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"one")
    masked = Example(examples[0].path, Annotation(), masks=(("mask_disc", mask),))
    before = content_now(masked)
    mask.write_bytes(b"two")
    assert content_now(masked).sha256 == before.sha256
    assert content_now(masked).masks != before.masks
