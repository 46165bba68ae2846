"""A source becomes a folder that training reads: nothing personal in it, nothing twice, nothing
guessed, and the same after a kill."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from eyes import eye
from PIL import Image, ImageCms, ImageDraw, ImageFont

from engine.data.sources import read_examples
from engine.ingest import read as reading
from engine.ingest.record import Record
from engine.ingest.run import IngestAsk, ingest
from engine.ingest.tables import ungraded
from engine.labels import as_csv
from engine.pixels.mark import identify
from engine.prose.parse import grades, parse
from engine.schema import UserError

SIZE = 160
EYES = [eye(number, SIZE) for number in range(6)]
SECRET = "Mustermann"


def quiet(done: int, total: int) -> None:
    pass


def take_in(src: Path, out: Path, **asked):
    return ingest(IngestAsk(src, out, **asked), quiet)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(out: Path, private: bool = False) -> dict[str, bytes]:
    files = (file for file in out.rglob("*") if file.is_file())
    inner = {file.relative_to(out).as_posix(): file.read_bytes() for file in files}
    return {name: data for name, data in inner.items() if private or name[:8] != "private/"}


def save(folder: Path, name: str, image: Image.Image, **how) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / name, **how)
    return folder / name


def clinic(root: Path) -> Path:
    """A clinic's photographs and table: names that are people's, metadata, doubles, odd files."""
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = f"{SECRET} Erika"
    exif.get_ifd(0x8825)[1] = "N"
    for number, image in enumerate(EYES[:4]):
        save(root, f"{SECRET}_{number}.jpg", image, quality=95, exif=exif)
    shutil.copy(root / f"{SECRET}_0.jpg", root / "copy.jpg")
    with Image.open(root / f"{SECRET}_1.jpg") as decoded:
        save(root, "same pixels.png", decoded.convert("RGB"))
        save(root, "saved anew.jpg", decoded.resize((120, 120)), quality=70)
    save(root, "inks.tif", EYES[4].convert("CMYK"))
    save(root, "unasked.png", EYES[5])
    (root / "cut.jpg").write_bytes((root / f"{SECRET}_2.jpg").read_bytes()[:900])
    lines = (
        "Bild;Fall;Befund;DME;Auge;Einwilligung;Lizenz",
        f"{SECRET}_0.jpg;P-1;keine;0;OD;ja;CC-BY-4.0",
        f"{SECRET}_1.jpg;P-1;NPDR;1;OS;ja;CC-BY-4.0",
        f"{SECRET}_2.jpg;P-2;PDR;;;ja;",
        f"{SECRET}_3.jpg;P-3;{SECRET}s Netzhaut;;;nein;",
        "copy.jpg;p_1;3;;;;",
        "same pixels.png;P-9;;;;;",
        "saved anew.jpg;;;;;;",
        "inks.tif;;;;;;",
        "cut.jpg;;;;;;",
        "lost.jpg;;;;;;",
    )
    (root / "befunde.csv").write_text("\n".join(lines))
    return root


CLINIC = {
    "columns": (
        "file=Bild,patient_id=Fall,dr_grade=Befund,is_dme=DME,eye_side=Auge",
        "consent=Einwilligung,license=Lizenz",
    ),
    "values": ("dr_grade: keine=0, NPDR=unknown>0, PDR=4",),
    "source": "visucam",
}


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    root = tmp_path_factory.mktemp("clinic")
    src = clinic(root / "src")
    table = src / "befunde.csv"
    table.write_text(table.read_text().replace(";ja;", ";yes;").replace(";nein;", ";no;"))
    return src, root / "out", take_in(src, root / "out", **CLINIC)


def test_the_folder_is_data_that_training_reads(taken):
    _, out, report = taken
    examples = read_examples([str(out / "labels.csv")])
    assert len(examples) == report.kept == 4
    assert {each.annotation.source for each in examples} == {"visucam"}
    graded = next(each for each in examples if each.annotation.dr_grade == 4)
    assert graded.read().size == (SIZE, SIZE)


def test_every_photograph_is_kept_or_counted(taken):
    _, _, report = taken
    assert report.public()["dropped"] == {
        "inks": 1,
        "not a readable image": 1,
        "no consent": 1,
    }
    assert {reason: len(files) for reason, files in report.doubled.items()} == {
        "the same file as another": 1,
        "the same pixels as another": 1,
    }
    assert report.alike == [(f"{SECRET}_1.jpg", "saved anew.jpg")] or report.alike == [
        ("same pixels.png", "saved anew.jpg")
    ]
    assert (report.gone, report.unnamed) == (["lost.jpg"], ["unasked.png"])
    assert report.photographs == 9
    assert not report.whole
    told = "\n".join(report.lines())
    for words in ("no consent (first: Mustermann_3.jpg)", "inks", "lost.jpg", "unasked.png"):
        assert words in told


def test_what_copies_say_is_joined_and_their_contradictions_unknown(taken):
    _, out, report = taken
    first = next(row for row in rows_of(out) if row["is_dme"] == "0")
    # `keine` and 3 of one photograph.
    assert first["dr_grade"] == ""
    assert report.contradicted == {"dr_grade": 1}
    assert report.unread["Befund"] == {f"{SECRET}s Netzhaut": 1}


def test_patients_are_grouped_by_ids_and_by_looks(taken):
    _, out, report = taken
    patients = [row["patient_id"] for row in rows_of(out)]
    # P-1's two eyes, P-9's double of one of them, and what was saved anew are one patient's.
    assert sorted(patients.count(each) for each in set(patients)) == [1, 3]
    assert report.patients == 2


def test_retinopathy_without_a_grade_is_said_in_words(taken):
    _, out, report = taken
    row = next(row for row in rows_of(out) if row["is_dme"] == "1")
    assert report.ungraded == 1
    assert row["dr_grade"] == ""
    assert grades(row["caption"]) == (1, 4)
    assert parse(row["caption"]).items() <= {"is_dme": 1, "eye_side": 1}.items()


@pytest.mark.parametrize("least", [1, 2])
def test_whatever_the_wording_the_grade_stays_open_and_no_label_is_made_up(least):
    for number in range(60):
        rng = Random(number)
        names = ("is_dme", "is_gc", "is_amd", "is_rvo", "eye_side", "is_fundus")
        labels = {name: rng.randint(0, 1) for name in names if rng.random() < 0.6}
        words = ungraded(Record("eye", labels, least), str(number))
        if labels.get("is_fundus") == 0:
            assert words == ""
            continue
        assert grades(words) == (least, 4), words
        assert parse(words).items() <= labels.items(), words


def test_licences_stay_and_consent_too(taken):
    _, out, _ = taken
    with (out / "terms.csv").open(newline="") as file:
        terms = list(csv.DictReader(file))
    assert [each["license"] for each in terms].count("CC-BY-4.0") == 2
    assert {each["consent"] for each in terms} == {"1"}
    only_licence = [{"file": "a.webp", "license": "CC-BY-4.0", "consent": ""}]
    assert (
        as_csv(only_licence, ("file", "license", "consent")) == b"file,license\na.webp,CC-BY-4.0\n"
    )
    assert {each["file"] for each in terms} <= {row["file"] for row in rows_of(out)}


def test_nothing_personal_is_outside_private(taken):
    _, out, _ = taken
    for name, data in contents(out).items():
        assert SECRET not in name
        assert SECRET.encode() not in data
        for word in (b"P-1", b"copy.jpg", b"befunde", b"Exif"):
            assert word not in data or (name.endswith(".webp") and word == b"P-1")
    assert (out / "private").stat().st_mode & 0o077 == 0
    assert SECRET.encode() in contents(out, private=True)["private/report.json"]


def test_dicom_passes_with_its_side_and_without_its_person(tmp_path, monkeypatch):
    pytest.importorskip("pydicom")
    from dicoms import PERSONAL, as_jpeg, personal, write

    pixels = [np.asarray(each) for each in EYES]
    src = tmp_path / "src" / PERSONAL["PatientName"]
    write(src, f"{PERSONAL['PatientID']}_R.dcm", personal(pixels[0], ImageLaterality="R"))
    write(src, "IM00001", personal(pixels[1], ImageLaterality="L"))
    study = {"PatientID": "", "StudyInstanceUID": "1.2.3.4"}
    write(src, "a.dcm", as_jpeg(pixels[2], **study))
    write(src, "b.dcm", as_jpeg(pixels[3], **study))
    write(src, "c.dcm", personal(pixels[4], SOPClassUID="1.2.840.10008.5.1.4.1.1.7"))
    write(src, "d.dcm", personal(pixels[5], BurnedInAnnotation="YES"))
    report = take_in(tmp_path / "src", tmp_path / "out")
    assert report.public()["dropped"] == {
        "Secondary Capture Image Storage, not Ophthalmic Photography": 1,
        "says that text is burnt in, and none was found outside the field": 1,
    }
    rows = rows_of(tmp_path / "out")
    assert sorted(row["eye_side"] for row in rows) == ["", "", "0", "1"]
    assert sorted(row["source"] for row in rows) == ["", "", "visucam-500", "visucam-500"]
    assert report.patients == 2
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match="the extra `ingest`"):
        take_in(tmp_path / "src", tmp_path / "without")
    personal_words = [word for value in PERSONAL.values() for word in value.split("^")]
    for name, data in contents(tmp_path / "out").items():
        for word in (*personal_words, "1.2.3.4", "IM00001"):
            assert word not in name
            assert word.encode() not in data


def test_depth_profile_and_mark_pass_through_the_door(tmp_path):
    src = tmp_path / "src"
    src.mkdir()
    import cv2

    deep = np.asarray(EYES[0]).astype(np.uint16)[..., ::-1] * 257
    cv2.imwrite(str(src / "deep.png"), deep)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save(src, "profiled.tif", EYES[1], icc_profile=profile)
    from engine.pixels.encode import Origin, encode

    drawn = encode(np.asarray(EYES[2]), "png", Origin("tiny", "0" * 64, 7))
    (src / "drawn.png").write_bytes(drawn)
    take_in(src, tmp_path / "out", image_format="png")
    files = sorted((tmp_path / "out" / "images").iterdir())
    shown = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    for image in EYES[:3]:
        assert any((each == np.asarray(image)).all() for each in shown)
    assert sorted(identify(file).synthetic for file in files) == [False, False, True]


def test_burnt_in_text_drops_a_photograph_or_is_blanked(tmp_path):
    wide = Image.new("RGB", (320, 240))
    wide.paste(EYES[0], (80, 40))
    ImageDraw.Draw(wide).text((4, 4), "MUSTERMANN", "white", ImageFont.load_default(14))
    save(tmp_path / "src", "eye.png", wide)
    save(tmp_path / "src", "plain.png", EYES[1])
    report = take_in(tmp_path / "src", tmp_path / "out")
    assert report.public()["dropped"] == {"burnt-in text outside the field": 1}
    report = take_in(tmp_path / "src", tmp_path / "blank", blank_outside=True)
    assert (report.kept, report.text) == (2, ["eye.png"])
    for row in rows_of(tmp_path / "blank"):
        shown = np.asarray(Image.open(tmp_path / "blank" / row["file"]))
        assert shown[:25, :100].max() <= 16 or shown.shape[:2] == (SIZE, SIZE)


class Killed(BaseException):
    """Stands for a signal."""


def test_a_killed_run_goes_on_to_the_same_folder(tmp_path, monkeypatch):
    src = tmp_path / "src"
    for number, image in enumerate([*EYES, EYES[0]]):
        save(src, f"eye_{number}.png", image)

    def die(done: int, total: int) -> None:
        if done == 3:
            raise Killed

    out = tmp_path / "out"
    with pytest.raises(Killed):
        ingest(IngestAsk(src, out), die)
    assert not (out / "labels.csv").exists()
    journal = out / "private" / "journal.jsonl"
    text = journal.read_text()
    journal.write_text(text[: len(text) - 40])
    (out / "images" / ".half.webp.tmp").write_bytes(b"RIFF")
    whole = tmp_path / "whole"
    shutil.copytree(out / "private", whole / "private")
    (whole / "private" / "journal.jsonl").unlink()
    for folder in ("images", "masks"):
        (whole / folder).mkdir()

    read: list[str] = []
    taking = reading.take
    monkeypatch.setattr(
        reading, "take", lambda file, *of: read.append(file.name) or taking(file, *of)
    )
    ingest(IngestAsk(src, out), quiet)
    assert sorted(read) == [f"eye_{number}.png" for number in range(2, 7)]
    ingest(IngestAsk(src, whole), quiet)
    assert contents(out) == contents(whole)
    read.clear()
    ingest(IngestAsk(src, out), quiet)
    assert read == []


def test_what_changes_in_the_source_changes_in_the_folder(tmp_path):
    for number in range(3):
        save(tmp_path / "src", f"eye_{number}.png", EYES[number])
    take_in(tmp_path / "src", tmp_path / "out")
    (tmp_path / "src" / "eye_0.png").unlink()
    save(tmp_path / "src", "eye_1.png", EYES[4])
    report = take_in(tmp_path / "src", tmp_path / "out")
    assert report.kept == 2
    files = {row["file"] for row in rows_of(tmp_path / "out")}
    images = {f"images/{file.name}" for file in (tmp_path / "out" / "images").iterdir()}
    assert files == images


def test_a_copy_of_what_has_no_consent_is_dropped_too(tmp_path):
    src = save(tmp_path / "src", "a.png", EYES[0]).parent
    save(src, "b.tif", EYES[0])
    save(src, "c.png", EYES[1])
    (src / "t.csv").write_text("file,consent\na.png,\nb.tif,no\nc.png,yes\n")
    for _ in range(2):
        report = take_in(src, tmp_path / "out")
        assert report.dropped == {"no consent": ["a.png", "b.tif"]}
        assert len([*(tmp_path / "out" / "images").iterdir()]) == report.kept == 1


def test_two_runs_at_once_do_not_mix(tmp_path):
    src, out = save(tmp_path / "src", "eye.png", EYES[0]).parent, tmp_path / "out"

    def meddle(done: int, total: int) -> None:
        with pytest.raises(UserError, match="another run writes it"):
            take_in(src, out)

    ingest(IngestAsk(src, out), meddle)
    assert len(rows_of(out)) == 1


def test_names_tell_nothing_without_the_key(tmp_path):
    save(tmp_path / "src", "eye.png", EYES[0])
    names = set()
    for out in ("a", "b"):
        take_in(tmp_path / "src", tmp_path / out)
        names |= {row["file"] for row in rows_of(tmp_path / out)}
    assert len(names) == 2


def test_mistakes_are_named_before_anything_is_read(tmp_path):
    src = save(tmp_path / "src", "eye.png", EYES[0]).parent
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    take_in(src, tmp_path / "out")
    for asked, why in (
        ({"src": tmp_path / "no"}, "no such folder or table"),
        ({"src": tmp_path / "full"}, "no photographs here"),
        ({"out": tmp_path / "full"}, "holds something else"),
        ({"out": src / "in"}, "one lies in the other"),
        ({"image_format": "jpeg"}, "expected webp or png"),
        ({"image_format": "png"}, "was begun with format webp, not png"),
        ({"source": "Dr. X, Y"}, "32 at most"),
        ({"columns": ["file=Name"]}, r"0 tables \(none\)"),
        ({"columns": ["file=Name"], "layout": "aptos"}, "no ⟨layout⟩ beside it"),
    ):
        with pytest.raises(UserError, match=why):
            ingest(IngestAsk(**{"src": src, "out": tmp_path / "out", **asked}), quiet)


def test_a_source_of_which_nothing_is_kept_says_why(tmp_path):
    save(tmp_path / "src", "inks.tif", EYES[0].convert("CMYK"))
    with pytest.raises(UserError, match="nothing was kept: inks"):
        take_in(tmp_path / "src", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["dropped"] == {"inks": 1}
