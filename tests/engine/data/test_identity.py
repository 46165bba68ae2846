"""One photograph and one patient, however they are written: no eye of a test teaches, and nobody is
taken for another without a word."""

from __future__ import annotations

import hashlib
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from engine.data import splits
from engine.data.example import Example
from engine.data.identity import doubtful_patients, eyes, patient_key
from engine.data.sources import read_examples
from engine.pixels.encode import encode_photograph
from engine.schema import Annotation, UserError
from engine.stages.outcome import as_outcomes, images
from engine.store.commits import Folder, take_attempt
from engine.store.listing import Listed, write_listing
from engine.store.parts import write_outcomes
from engine.store.plan import CaptionPlan, write_plan

CASES = Path(__file__).parents[4] / "shared" / "cases"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12", "12.0"),
        ("12", " 12\u00a0"),
        ("12", "12.00"),
        ("12", "12,0"),
        ("12", "\uff11\uff12"),
        ("12", "\u0661\u0662"),
        ("1\u200b2", "\ufeff12"),
        ("120000", "1.2e+05"),
        ("120000", "1.20E+05"),
        ("120000", "1,2E+05"),
        ("12345678", "1.2345678E7"),
        ("100000", "1E5"),
        ("12", "12."),
        ("12", "+12"),
        ("12", "'12"),
        ("12", '="12"'),
        ("12", "b'12'"),
        ("P12", "b'P12'"),
        ("12", '"12.0"'),
        ("12", "12e0"),
        ("Müller", unicodedata.normalize("NFD", "MÜLLER")),
        ("straße", "STRASSE"),
        ("p 12", "P12"),
        ("P-12", "p_12"),
        ("P-12", "P\u201312"),
    ],
)
def test_ids_of_one_patient(one, other):
    assert patient_key(one) == patient_key(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7", "007"),
        ("1-12", "11-2"),
        ("12.5", "12"),
        ("A1", "B1"),
        ("12", "120"),
        ("1.10", "1.1"),
        ("b12", "12"),
        ("=12", "12"),
        ("007", "7e0"),
        ("o'neil", "oneil"),
    ],
)
def test_ids_of_two_patients(one, other):
    assert patient_key(one) != patient_key(other)


@pytest.mark.parametrize("nobody", [None, "", " ", "nan", "NaN", "NA", "N/A", "None", "<NA>", "?"])
def test_an_unknown_patient_is_nobody_in_common(nobody):
    both = [Example(Path(n), Annotation(), patient_id=nobody) for n in "ab"]
    assert patient_key(nobody) is None
    assert eyes(both) == [0, 1]


def test_ids_that_may_be_one_patient_are_told():
    ids = ["7", "007", "7.0", "P12", "P-12", None, "8", "1-12", "11-2", "19"]
    assert doubtful_patients(ids) == [("7", "007"), ("P12", "P-12")]


@pytest.fixture
def folder(tmp_path):
    """Four photographs, a.png to d.png, of one size in bytes and of different pixels."""
    for number, name in enumerate("abcd"):
        pixels = np.full((16, 16, 3), 40 + number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.bmp")
    return tmp_path


def teach(folder, *tables):
    """The names of what teaches of these tables, each the lines of a CSV below its head."""
    paths = []
    for number, lines in enumerate(tables):
        path = folder / f"{number}.csv"
        path.write_text("file,split,patient_id\n" + "\n".join(lines) + "\n")
        paths.append(str(path))
    return [each.path.name for each in splits.teaching(read_examples(paths))]


def test_photographs_of_one_size_are_not_one(folder):
    assert teach(folder, ["a.bmp,train,", "b.bmp,train,", "c.bmp,test,"]) == ["a.bmp", "b.bmp"]


@pytest.mark.parametrize("way", ["path", "symbolic", "hard", "copy", "folder", "form"])
def test_a_test_photograph_under_another_name_does_not_teach(folder, way):
    other = folder / "other.bmp"
    if way == "path":
        other = folder / ".." / folder.name / "a.bmp"
    elif way == "symbolic":
        other.symlink_to(folder / "a.bmp")
    elif way == "hard":
        os.link(folder / "a.bmp", other)
    elif way == "copy":
        shutil.copy(folder / "a.bmp", other)
    elif way == "folder":
        (folder / "link").symlink_to(folder)
        other = folder / "link" / "a.bmp"
    else:
        shutil.copy(folder / "a.bmp", folder / unicodedata.normalize("NFD", "é.bmp"))
        other = folder / unicodedata.normalize("NFC", "é.bmp")
    assert teach(folder, [f"{other},train,", "b.bmp,train,"], ["a.bmp,test,"]) == ["b.bmp"]


def test_eyes_are_followed_in_chains(folder):
    """The test photograph has its bytes in common with one that names the patient of a third."""
    shutil.copy(folder / "a.bmp", folder / "copy.bmp")
    rows = ["copy.bmp,train,12", "b.bmp,train,12.0", "c.bmp,train,13", "a.bmp,test,"]
    assert teach(folder, rows) == ["c.bmp"]


def test_what_stands_there_twice_and_differs_is_told(folder, capsys):
    shutil.copy(folder / "a.bmp", folder / "copy.bmp")
    assert teach(folder, ["a.bmp,train,7", "b.bmp,,007", "copy.bmp,test,"]) == ["b.bmp"]
    said = capsys.readouterr().err
    assert "patient_id: '7' and '007' count as two patients" in said
    assert "1 photographs of a split that teaches are held out by another line" in said
    assert "a.bmp" in said
    assert "copy.bmp" in said


@pytest.fixture
def captioned(folder):
    """A captioned folder, of a.bmp and of a file that is gone: it keeps pixels in other bytes."""
    data = (folder / "a.bmp").read_bytes()
    listed = [
        Listed("a.bmp", len(data), sha256=hashlib.sha256(data).hexdigest()),
        Listed("gone.bmp", len(data), sha256="0" * 64),
    ]
    root = folder / "captioned"
    plan = CaptionPlan(
        image_format="webp",
        versions={},
        license="other",
        images=2,
        images_sha256=write_listing(root, listed),
        images_location="eyes",
        backend="local",
        captioner="captioner",
        weights_sha256="",
    ).sealed()
    write_plan(root, plan)
    made = Folder(root)
    made.make()
    picture = encode_photograph(Image.new("RGB", (16, 16), (40, 40, 40)), "webp", b"")
    columns = {
        "id": [f"{i:032x}" for i in range(2)],
        "index": [0, 1],
        "image": images([picture] * 2),
        "caption": ["an eye"] * 2,
    }
    attempt = take_attempt(made, 2).number
    write_outcomes(made, attempt, plan.fingerprint, as_outcomes(columns, 2))
    (folder / "test.csv").write_text("file,split\na.bmp,test\n")
    return root


def test_captioned_photographs_are_known_as_the_files_that_they_were(folder, captioned):
    examples = read_examples([str(captioned), str(folder / "test.csv")])
    assert [each.row for each in splits.teaching(examples)] == [1]
    assert [each.came_as for each in examples] == ["a.bmp", "gone.bmp", None]


def test_captions_whose_listing_is_gone_are_told(folder, captioned, capsys):
    (part,) = (captioned / "parts").glob("*.parquet")
    with pytest.raises(
        UserError, match=r"⟨data⟩: is a part of .* \(expected the folder .*captioned"
    ):
        read_examples([str(part)])
    shutil.copy(part, folder / "alone.parquet")
    next(captioned.glob("images-*.parquet")).unlink()
    for source, missing in ((captioned, "images-"), (folder / "alone.parquet", "the list of")):
        read_examples([str(source), str(folder / "test.csv")])
        told = capsys.readouterr().err
        assert f"{source}: {missing}" in told
        assert "one that is held out elsewhere teaches here" in told


@pytest.mark.parametrize("source", ["idrid", "IDRiD", "kowa", ""])
@pytest.mark.parametrize("taught", ["train_IDRiD_354.jpg", "TRAIN_idrid_354.PNG"])
def test_pairs_of_published_sets_are_known_however_they_are_written(folder, source, taught):
    for held_out in ("IDRiD_55.jpg", "idrid_55.tif", "IDRiD_55.JPG"):
        for old, new in (("a.bmp", taught), ("b.bmp", held_out)):
            shutil.copy(folder / old, folder / new)
        lines = [f"{taught},train,{source}", f"{held_out},test,{source}", f"c.bmp,train,{source}"]
        (folder / "t.csv").write_text("file,split,source\n" + "\n".join(lines) + "\n")
        examples = read_examples([str(folder / "t.csv")])
        assert [each.path.name for each in splits.teaching(examples)] == ["c.bmp"]
        assert splits.held_out(examples) == []


def test_pairs_of_published_sets_are_known_as_rows_too(folder):
    names = ["a\\train_IDRiD_354.jpg", "x/IDRiD_55.jpg", "c.jpg"]
    files = [(folder / f"{name}.bmp").read_bytes() for name in "abc"]
    rows = [{"bytes": data, "path": name} for data, name in zip(files, names)]
    columns = {"image": rows, "split": ["train", "test", "train"], "source": ["idrid"] * 3}
    pq.write_table(pa.table(columns), folder / "t.parquet")
    examples = read_examples([str(folder / "t.parquet")])
    assert [each.row for each in splits.teaching(examples)] == [2]
    assert splits.held_out(examples) == []


@pytest.mark.parametrize(
    ("tables", "taught", "of"),
    [
        (["patients-a.csv", "patients-b.csv"], 1, 6),
        (["paths-a.csv", "elsewhere/paths-b.csv"], 1, 5),
        (["polars.parquet", "path_first.parquet"], 4, 4),
    ],
)
def test_tables_as_people_have_them(tables, taught, of):
    if not CASES.is_dir():
        pytest.skip(f"the cases are not here ({CASES})")
    examples = read_examples([str(CASES / table) for table in tables])
    assert (len(splits.teaching(examples)), len(examples)) == (taught, of)


@pytest.mark.parametrize(
    ("column", "name", "told"),
    [
        ("file", "lost.bmp", "no such file"),
        ("file", "A.BMP", "a.bmp is there"),
        ("file", "a.png", "a.bmp is there"),
        ("file", "a", "a.bmp is there"),
        ("file", "sub\\b.bmp", "b.bmp is there"),
        ("file", "sub", "is a folder"),
        ("file", "pipe", "is no regular file"),
        ("file", "scan", "is a DICOM file, which `retinaforge ingest` reads"),
        ("file", "n" * 300, "File name too long"),
        ("mask_disc", "gone_OD.png", "no such file"),
        ("mask_disc", "sub", "is a folder"),
    ],
)
def test_every_file_of_a_table_is_there_before_any_work(folder, column, name, told):
    (folder / "sub").mkdir()
    shutil.copy(folder / "b.bmp", folder / "sub" / "b.bmp")
    os.mkfifo(folder / "pipe")
    (folder / "scan").write_bytes(b"\0" * 128 + b"DICM")
    cells = {"file": "a.bmp", "mask_disc": "", column: name}
    lines = ["a.bmp,", f"{cells['file']},{cells['mask_disc']}", "lost.bmp,"]
    (folder / "t.csv").write_text("file,mask_disc\n" + "\n".join(lines) + "\n")
    with pytest.raises(UserError) as error:
        read_examples([str(folder / "t.csv")])
    for words in (f"t.csv: line 3: {column}: ", told, "1 more lines name what cannot be read"):
        assert words in str(error.value)
