"""Photographs in: labels kept true, eyes kept apart, broken files told."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import splits
from engine.data.example import Example, UnreadableImage, decode
from engine.data.sources import read_examples
from engine.data.transforms import crop_to_field
from engine.schema import Annotation, UserError

RETINAFORGE = Path(sys.executable).with_name("retinaforge")
SHARED = Path(__file__).parents[4] / "shared" / "data"


def png_of_claimed_size(width, height):
    """A PNG that claims a size and holds next to no pixels."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 50))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"not an image", "not an image"),
        (b"", "not an image"),
        (png_of_claimed_size(60_000, 60_000), "pixels"),
        (png_of_claimed_size(12_000, 12_000), "12000 x 12000 pixels"),
        (png_of_claimed_size(64, 64), "not a readable image"),
    ],
    ids=["text", "empty", "bomb", "too large", "cut"],
)
def test_broken_files_are_refused_with_the_reason(data, reason):
    with pytest.raises(UnreadableImage, match=f"eye.png: .*{reason}"):
        decode(data, "eye.png")


def test_a_cut_jpeg_is_refused(photographs):
    buffer = io.BytesIO()
    photographs[0].save(buffer, "JPEG")
    with pytest.raises(UnreadableImage):
        decode(buffer.getvalue()[:900], "eye.jpg")


@pytest.fixture
def folder(tmp_path, photographs):
    for i, photograph in enumerate(photographs[:4]):
        photograph.save(tmp_path / f"{i}.png")
    (tmp_path / "labels.csv").write_text(
        "file,split,patient_id,source,dr_grade,eye_side\n"
        "0.png,train,a,clinic,0,1\n1.png,train,b,clinic,,\n2.png,test,b,clinic,3,0\n3.png,,c,,4,\n"
    )
    return tmp_path


def test_a_csv_gives_examples_with_unknown_kept_unknown(folder):
    examples = read_examples([str(folder / "labels.csv")])
    assert [e.annotation.dr_grade for e in examples] == [0, None, 3, 4]
    assert examples[0].annotation.source == "clinic"
    assert examples[3].split is None
    assert examples[0].read().size == (256, 256)


def test_a_folder_gives_its_images_unlabelled(folder):
    examples = read_examples([str(folder)])
    assert [e.path.name for e in examples] == ["0.png", "1.png", "2.png", "3.png"]
    assert examples[0].annotation == Annotation()


def test_data_may_be_given_more_than_once(folder):
    assert len(read_examples([str(folder), str(folder / "labels.csv")])) == 8


@pytest.mark.parametrize("missing", ["nowhere.csv", "no/folder"])
def test_missing_data_is_the_users_error(tmp_path, missing):
    with pytest.raises(UserError, match="no such file or folder"):
        read_examples([str(tmp_path / missing)])


@pytest.mark.parametrize("data", ["", " "])
def test_no_name_is_not_the_folder_that_one_stands_in(folder, monkeypatch, data):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match="⟨data⟩: is empty"):
        read_examples([data])


def test_a_name_that_is_too_long_is_the_users_error():
    with pytest.raises(UserError, match="⟨data⟩: cannot be read: File name too long") as error:
        read_examples(["n" * 5000])
    assert len(str(error.value)) < 400


def test_what_a_folder_holds_and_nobody_may_read_is_told(folder, monkeypatch):
    (folder / "gone.jpg").symlink_to(folder / "nowhere")
    with pytest.raises(UserError, match=r"⟨data⟩: no such file: .*gone\.jpg"):
        read_examples([str(folder)])
    (folder / "gone.jpg").unlink()
    # The locks are made up, since nothing is locked for root.
    with monkeypatch.context() as locked:
        locked.setattr("os.access", lambda path, mode: Path(path).name != "2.png")
        with pytest.raises(UserError, match=r"⟨data⟩: may not be read: .*2\.png"):
            read_examples([str(folder)])
    scandir, stat = os.scandir, Path.stat
    (folder / "inner").mkdir()

    def no_list(path):
        if str(path).endswith("inner"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    def no_look(path, **options):
        if path.name == "plan.json":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    for owner, name, lock, where in (
        (os, "scandir", no_list, r"inner: "),
        (Path, "stat", no_look, r"plan\.json: ⟨data⟩: "),
    ):
        with monkeypatch.context() as locked:
            locked.setattr(owner, name, lock)
            with pytest.raises(UserError, match=f"{where}cannot be read: Permission denied"):
                read_examples([str(folder)])


def test_an_empty_folder_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="no photographs"):
        read_examples([str(tmp_path)])


def test_a_csv_that_names_a_missing_file_says_where(folder):
    (folder / "labels.csv").write_text("file\n0.png\nlost.png\n")
    with pytest.raises(UserError, match=r"labels\.csv: line 3: file: no such file"):
        read_examples([str(folder / "labels.csv")])


def test_an_eye_that_is_in_the_test_split_does_not_teach(folder):
    examples = read_examples([str(folder / "labels.csv")])
    assert [e.path.name for e in splits.teaching(examples)] == ["0.png", "3.png"]
    assert [e.path.name for e in splits.held_out(examples)] == ["2.png"]


@pytest.mark.parametrize("split", ["Training", "dev", "0"])
def test_an_unknown_split_is_refused_rather_than_dropped(folder, split):
    (folder / "labels.csv").write_text(f"file,split\n0.png,train\n1.png,{split}\n")
    with pytest.raises(UserError, match=rf"labels\.csv: line 3: split: unknown split '{split}'"):
        read_examples([str(folder / "labels.csv")])


def test_a_set_without_published_splits_teaches():
    eyes = [Example(path=Path(s), annotation=Annotation(), split=s) for s in ("all", "val", "test")]
    assert [e.path.name for e in splits.teaching(eyes)] == ["all"]


def test_only_committed_rows_of_a_data_set_folder_are_read(tmp_path, capsys):
    run = [RETINAFORGE, "generate", "--count", "7", "--model", "null", "--out", tmp_path / "o"]
    subprocess.run(list(map(str, run)), check=True, capture_output=True)
    examples = read_examples([str(tmp_path / "o")])
    assert len(examples) == 7
    assert examples[6].read().size == (8, 8)
    assert examples[0].annotation.source == examples[6].annotation.source
    assert "missing" not in capsys.readouterr().err
    for record in (tmp_path / "o" / "commits").iterdir():
        record.unlink()
    with pytest.raises(UserError, match="no photographs"):
        read_examples([str(tmp_path / "o")])
    assert f"{tmp_path}/o: 7 of 7 planned rows are missing" in capsys.readouterr().err


def test_some_of_many_are_spread_over_all():
    assert splits.spread(range(10), 4) == [0, 2, 5, 7]
    assert splits.spread("abc", 4) == ["a", "b", "c"]
    assert splits.spread((), 4) == []


def test_photographs_of_one_eye_are_one_group():
    eyes = [
        Example(path=Path(f"{i}"), annotation=Annotation(), patient_id=p)
        for i, p in enumerate("aba")
    ] + [Example(path=Path("3"), annotation=Annotation())]
    assert [len(group) for group in splits.one_per_eye(eyes)] == [2, 1, 1]


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real photographs beside the project")
def test_fields_of_real_photographs_touch_both_sides():
    for path in sorted(SHARED.glob("idrid_grading/images/test*.jpg"))[:12]:
        square = np.asarray(crop_to_field(Image.open(path), 128))
        lit = square[44:84, :, 0] > 25
        assert lit[:, :6].any(), path.name
        assert lit[:, -6:].any(), path.name
