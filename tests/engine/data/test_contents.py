"""What photographs hold is known without reading them again, and never wrongly."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from engine.data import contents as module
from engine.data.contents import NAME, Contents
from engine.data.example import Example
from engine.data.phantoms import phantom_examples
from engine.data.sources import read_examples
from engine.pixels.encode import Origin, encode
from engine.schema import Annotation

OLD = time.time_ns() - 10**12


@pytest.fixture
def read(monkeypatch):
    """The files that were read, in order."""
    seen, real = [], Example.read_bytes

    def read_bytes(self):
        seen.append(self.path.name)
        return real(self)

    monkeypatch.setattr(Example, "read_bytes", read_bytes)
    return seen


@pytest.fixture
def photographs(tmp_path, monkeypatch) -> list[Example]:
    # Whatever a test has just written would be too young to be trusted.
    monkeypatch.setattr(module, "SETTLED", -60.0)
    (tmp_path / "eyes").mkdir()
    for name in "abc":
        (tmp_path / f"eyes/{name}.png").write_bytes(name.encode() * 50)
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"mask")
    masks = (("mask_disc", mask),)
    return [Example(p, Annotation(), masks=masks) for p in sorted((tmp_path / "eyes").iterdir())]


def hashes(folder: Path, examples) -> list[str]:
    contents = Contents(folder)
    found = contents.of(examples, lambda *_: None)
    contents.keep()
    return [each.sha256 or each.refused for each in found]


def test_a_second_start_reads_nothing(tmp_path, photographs, read):
    first = hashes(tmp_path / "cache", photographs)
    assert first == [hashlib.sha256(name * 50).hexdigest() for name in (b"a", b"b", b"c")]
    assert sorted(read) == ["a.png", "b.png", "c.png"]
    read.clear()
    assert hashes(tmp_path / "cache", photographs) == first
    assert read == []
    (content, *_) = Contents(tmp_path / "cache").of(photographs, lambda *_: None)
    assert content.masks == (("mask_disc", hashlib.sha256(b"mask").hexdigest()),)


def test_what_changed_is_read_again_also_where_size_and_time_are_the_old_ones(
    tmp_path, photographs, read
):
    hashes(tmp_path / "cache", photographs)
    read.clear()
    changed = photographs[1].path
    told = changed.stat()
    changed.write_bytes(b"B" * 50)
    os.utime(changed, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert hashes(tmp_path / "cache", photographs)[1] == hashlib.sha256(b"B" * 50).hexdigest()
    assert read == ["b.png"]


def test_a_file_that_was_changed_just_now_is_not_recorded(tmp_path, photographs, read, monkeypatch):
    monkeypatch.setattr(module, "SETTLED", 5.0)
    for _ in range(2):
        hashes(tmp_path / "cache", photographs)
    assert len(read) == 6
    assert not (tmp_path / "cache" / NAME).exists()


@pytest.mark.parametrize("damage", [b"", b"PAR1 nonsense", None])
def test_a_record_that_is_damaged_costs_a_reading(tmp_path, photographs, read, damage):
    first = hashes(tmp_path / "cache", photographs)
    record = tmp_path / "cache" / NAME
    record.write_bytes(record.read_bytes()[:-40] if damage is None else damage)
    read.clear()
    assert hashes(tmp_path / "cache", photographs) == first
    assert len(read) == 3
    read.clear()
    assert hashes(tmp_path / "cache", photographs) == first
    assert read == []


def test_two_runs_that_record_at_once_lose_nothing_of_each_other(tmp_path, photographs, read):
    one, other = Contents(tmp_path / "cache"), Contents(tmp_path / "cache")
    one.of(photographs[:1], lambda *_: None)
    other.of(photographs[1:], lambda *_: None)
    one.keep()
    other.keep()
    read.clear()
    hashes(tmp_path / "cache", photographs)
    assert read == []


def test_what_cannot_be_read_says_why_and_is_asked_again(tmp_path, photographs):
    photographs[0].path.unlink()
    photographs[2].masks[0][1].unlink()
    gone, *others = Contents(tmp_path / "cache").of(photographs, lambda *_: None)
    assert gone.refused == f"{photographs[0].path}: No such file or directory"
    assert all("mask.png: No such file" in each.refused for each in others)


def test_phantoms_are_what_their_program_draws(tmp_path, read):
    (example,) = phantom_examples("phantom:1")
    (content,) = Contents(tmp_path).of([example], lambda *_: None)
    assert content.sha256 == hashlib.sha256(example.identity()).hexdigest()
    assert read == []


def test_photographs_are_recognised_by_the_record_too(tmp_path, photographs, read):
    """Files as large as each other are read to tell whether they are one; by a record, once."""
    for _ in range(2):
        read.clear()
        contents = Contents(tmp_path / "cache")
        examples = read_examples([str(tmp_path / "eyes")], contents.sha256)
        contents.keep()
        assert len({each.photograph for each in examples}) == 3
    assert read == []


def test_what_a_mark_says_is_known_too(tmp_path, photographs, read):
    made = photographs[1].path
    pixels = np.zeros((8, 8, 3), np.uint8)
    made.write_bytes(encode(pixels, "png", Origin("tiny", "ab", 1)))
    for _ in range(2):
        read.clear()
        contents = Contents(tmp_path / "cache")
        found = contents.of(photographs, lambda *_: None)
        contents.keep()
        assert [each.mark for each in found] == ["", photographs[1].maker, ""]
    assert read == []
    assert photographs[1].maker
