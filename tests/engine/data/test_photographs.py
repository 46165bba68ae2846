"""A user's photographs: found, hashed, labelled, and read without what their cameras wrote."""

from __future__ import annotations

import io
import os
import unicodedata
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from engine.data import photographs, splits
from engine.data.example import UnreadableImage
from engine.data.photographs import differing, find, hashed, labelled, read
from engine.data.sources import read_examples
from engine.pixels.encode import Origin, encode, encode_photograph
from engine.pixels.mark import identify
from engine.schema import IMAGE_TYPE, Annotation, UserError, row_schema
from engine.store.listing import Listed


def picture(size=(12, 8), colour=(200, 90, 30)) -> Image.Image:
    image = Image.new("RGB", size, colour)
    image.putpixel((0, 0), (9, 8, 7))
    return image


def save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or picture()).save(path, **options)
    return path


def quiet(seen, of):
    assert 0 < seen <= of


def names(found):
    return [each.path for each in found.listed]


def test_a_folder_gives_its_images_in_order_and_counts_the_rest(tmp_path):
    """What bears a photograph's name is listed, whatever it is: it is told of where it is read."""
    for name in ("b.png", "sub/a.JPG", "sub/deep/c.webp"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    os.mkfifo(tmp_path / "pipe.png")
    found = find(str(tmp_path))
    assert names(found) == ["b.png", "pipe.png", "sub/a.JPG", "sub/deep/c.webp"]
    assert found.others == 1


def test_what_is_hidden_and_links_to_folders_are_passed_over_and_counted(tmp_path):
    folder = tmp_path / "in"
    for name in ("a.png", "._a.png", ".thumbnails/a.png", "../elsewhere/b.png"):
        save(folder / name)
    (folder / "linked.png").symlink_to(folder / "a.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    found = find(str(folder))
    assert names(found) == ["a.png", "linked.png"]
    assert found.others == 4


def test_a_folder_that_is_locked_is_told_by_name(tmp_path, monkeypatch):
    """The lock is made up, since nothing is locked for root."""
    for name in ("a.png", "locked/b.png"):
        save(tmp_path / name)
    scandir = os.scandir

    def locked(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(UserError, match=r"locked: cannot be read: Permission denied"):
        find(str(tmp_path))


def test_names_that_are_no_text_are_told_and_the_others_listed(tmp_path):
    whole = save(tmp_path / "a.png").read_bytes()
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(odd, "wb") as file:
        file.write(whole)
    for images in (str(tmp_path), str(tmp_path / "*.png")):
        found = find(images)
        assert [each.path for each in found.listed] == ["a.png"]
        assert found.nameless == (f"{tmp_path}/caf\\xe9.png",)
        assert found.others == 0
    (tmp_path / "a.png").unlink()
    for images in (str(tmp_path), str(tmp_path / "*.png"), os.fsdecode(odd)):
        with pytest.raises(UserError, match=r"caf\\xe9\.png: the name is not UTF-8"):
            find(images)


def test_a_folder_whose_own_name_is_no_text_is_refused(tmp_path, monkeypatch):
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    monkeypatch.chdir(os.fsencode(tmp_path) + b"/\xff")
    save(Path("a.png"))
    for images in (".", "*.png", "a.png"):
        with pytest.raises(UserError, match=r"xff.*: the name is not UTF-8"):
            find(images)


def test_a_pattern_takes_the_images_that_it_matches(tmp_path):
    save(tmp_path / "x/1.png")
    save(tmp_path / "y/2.png")
    (tmp_path / "y/2.csv").write_text("no image")
    found = find(str(tmp_path / "*" / "*"))
    assert (found.root, names(found), found.others) == (tmp_path, ["x/1.png", "y/2.png"], 1)
    assert names(find(str(tmp_path / "x/1.png"))) == ["1.png"]
    with pytest.raises(UserError, match="no photographs here"):
        find(str(tmp_path / "*" / "*.csv"))


@pytest.mark.parametrize("images", ["nowhere", "nowhere/*.jpg", ""])
def test_nothing_is_told(tmp_path, images):
    with pytest.raises(UserError, match=r"⟨images⟩|no such"):
        find(str(tmp_path / images) if images else str(tmp_path))


@pytest.mark.parametrize("images", ["", " "])
def test_no_name_is_not_the_folder_that_one_stands_in(tmp_path, monkeypatch, images):
    save(tmp_path / "x.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="⟨images⟩: is empty"):
        find(images)


def test_a_table_is_no_image(tmp_path):
    (tmp_path / "eyes.csv").write_text("file\na.png\n")
    with pytest.raises(UserError, match=r"eyes\.csv: ⟨images⟩: is no image by its name"):
        find(str(tmp_path / "eyes.csv"))


def test_a_name_that_is_too_long_is_told():
    with pytest.raises(UserError, match="⟨images⟩: cannot be read: File name too long") as error:
        find("n" * 5000)
    assert len(str(error.value)) < 400


def parquet(path, rows, extra=()):
    columns = {"image": pa.array(rows, IMAGE_TYPE), **dict(extra)}
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_parquet_rows_are_photographs_with_the_labels_they_bring(tmp_path):
    file = io.BytesIO()
    picture().save(file, "PNG")
    rows = [{"bytes": file.getvalue(), "path": None}] * 2 + [None]
    parquet(tmp_path / "a.parquet", rows, {"is_gc": [1, None, 0], "other": ["x"] * 3}.items())
    found = find(str(tmp_path / "a.parquet"))
    assert [(e.path, e.row, e.annotation.is_gc) for e in found.listed] == [
        ("a.parquet", 0, 1),
        ("a.parquet", 1, None),
        ("a.parquet", 2, 0),
    ]
    listed = hashed(found, quiet)
    assert np.array_equal(read(found.root, listed[1]).image, picture())
    with pytest.raises(UnreadableImage):
        read(found.root, listed[2])


def test_parquet_without_images_and_broken_parquet_are_refused(tmp_path):
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="no image column"):
        find(str(tmp_path / "a.parquet"))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"b\.parquet"):
        find(str(tmp_path / "b.parquet"))


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ({"dr_grade": [1, 9]}, r"a\.parquet: row 1: dr_grade: 9 is out of range"),
        ({"is_gc": ["1", "maybe"]}, r"row 1: is_gc: 'maybe' is not a whole number"),
        ({"patient_id": [[], [17]]}, r"row 0: patient_id: \[\] is no id"),
        ({"dr_grade": [False, True]}, r"row 0: dr_grade: False is not a whole number"),
        ({"source": [3, 3]}, r"row 0: source: 3 is no text"),
    ],
)
def test_wrong_labels_in_parquet_are_told_by_row(tmp_path, column, why):
    file = parquet(tmp_path / "a.parquet", [{"bytes": b"x", "path": None}] * 2, column.items())
    with pytest.raises(UserError, match=why):
        find(str(file))


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("Split", "split"),
        ("SPLIT", "split"),
        ("Patient_ID", "patient_id"),
        ("patient id", "patient_id"),
        ("PatientId", "patient_id"),
        ("patient", "patient_id"),
        ("dr_grad", "dr_grade"),
        (" source", "source"),
    ],
)
def test_a_column_of_parquet_that_is_nearly_ours_is_refused(tmp_path, column, meant):
    rows = [{"bytes": b"x", "path": None}]
    file = parquet(tmp_path / "a.parquet", rows, {column: ["test"]}.items())
    for reading in (find, lambda name: read_examples([name])):
        with pytest.raises(UserError) as error:
            reading(str(file))
        assert f"a.parquet: {column}: unknown column {column!r}, did you mean {meant!r}?" in str(
            error.value
        )


def test_foreign_columns_of_parquet_are_told(tmp_path, capsys):
    rows = [{"bytes": b"x", "path": None}]
    foreign = ("label", "file_name", "image_id", "age", "fold", "camera", "mask_disc")
    file = parquet(tmp_path / "a.parquet", rows, {name: ["x"] for name in foreign}.items())
    assert len(read_examples([str(file)])) == 1
    told = f"a.parquet: nothing is read from the columns {', '.join(foreign)}\n"
    assert capsys.readouterr().err.endswith(told)


@pytest.mark.parametrize("without", [(), ("mask_dark_lesion", "mask_bright_lesion")])
def test_a_part_that_lies_alone_is_known_whenever_it_was_written(tmp_path, capsys, without):
    file = save(tmp_path / "eye.png")
    fields = [field for field in row_schema() if field.name not in without]
    row = dict.fromkeys([field.name for field in fields])
    row["image"] = {"bytes": file.read_bytes(), "path": None}
    pq.write_table(pa.Table.from_pylist([row], pa.schema(fields)), tmp_path / "part.parquet")
    read_examples([str(tmp_path / "part.parquet")])
    assert "the list of photographs is not there" in capsys.readouterr().err


def test_rows_of_parquet_that_hold_no_bytes_are_told(tmp_path):
    rows = [{"bytes": b"torn", "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}]
    file = parquet(tmp_path / "a.parquet", rows)
    for reading in (find, lambda name: read_examples([name])):
        with pytest.raises(UserError, match=r"a\.parquet: row 1: image: names a file \(b\.jpg\)"):
            reading(str(file))


def test_rows_of_parquet_without_an_image_are_several_photographs(tmp_path):
    file = parquet(tmp_path / "a.parquet", [None, None], {"split": ["train", "test"]}.items())
    examples = read_examples([str(file)])
    assert [each.row for each in splits.teaching(examples)] == [0]
    with pytest.raises(UnreadableImage, match=r"a\.parquet, row 0: not an image"):
        examples[0].read()


def as_others_write(file):
    """Image columns of other programs, each with two rows of this file."""
    values = [{"bytes": file, "path": "a.jpg", "camera": "x"}] * 2
    binary = [pa.binary(), pa.large_binary(), pa.binary_view()]
    fields = [("path", pa.string_view()), ("camera", pa.string())]
    structs = [pa.struct([*fields, ("bytes", kind)]) for kind in binary]
    columns = [pa.array([file] * 2, kind) for kind in binary]
    columns += [pa.array(values, kind) for kind in structs]
    return [*columns, pa.array([file] * 2, pa.binary()).dictionary_encode()]


def test_parquet_of_other_programs_is_read_by_caption_and_train_alike(tmp_path):
    file = io.BytesIO()
    picture().save(file, "PNG")
    labels = {
        "is_gc": pa.array([True, None]),
        "dr_grade": pa.array([3.0, float("nan")]),
        "is_amd": pa.array([1, 0], pa.uint64()),
        "is_rvo": pa.array([Decimal(1), None], pa.decimal128(10, 2)),
        "patient_id": pa.array([7.0, None]),
        "split": pa.array(["train", "test"]).dictionary_encode(),
    }
    for column in as_others_write(file.getvalue()):
        pq.write_table(pa.table({"image": column, **labels}), tmp_path / "a.parquet")
        found = find(str(tmp_path / "a.parquet"))
        told = [each.annotation.known() for each in found.listed]
        assert told == [{"is_gc": 1, "dr_grade": 3, "is_amd": 1, "is_rvo": 1}, {"is_amd": 0}], (
            column.type
        )
        assert [each.patient_id for each in found.listed] == ["7", None]
        assert np.array_equal(read(found.root, found.listed[1]).image, picture())
        examples = read_examples([str(tmp_path / "a.parquet")])
        assert [each.annotation for each in examples] == [e.annotation for e in found.listed]
        assert [each.split for each in examples] == ["train", "test"]
        assert np.array_equal(examples[1].read(), picture())


def test_dicom_is_named(tmp_path):
    (tmp_path / "eye").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 90)
    with pytest.raises(UserError, match="1 of them are DICOM: `retinaforge ingest`"):
        find(str(tmp_path))
    (tmp_path / "eye").rename(tmp_path / "eye.jpg")
    (listed,) = hashed(find(str(tmp_path)), quiet)
    with pytest.raises(UnreadableImage, match="a DICOM file, which `retinaforge ingest` reads"):
        read(tmp_path, listed)


def test_labels_find_a_photograph_whose_name_has_another_form(tmp_path):
    save(tmp_path / unicodedata.normalize("NFD", "é.png"))
    name = unicodedata.normalize("NFC", "é.png")
    for table in ("labels.csv", "elsewhere/labels.csv"):
        (tmp_path / table).parent.mkdir(exist_ok=True)
        (tmp_path / table).write_text(f"file,is_gc\n{name},1\n")
        found, strangers = labelled(find(str(tmp_path)), tmp_path / table)
        assert ([e.annotation.is_gc for e in found.listed], strangers) == ([1], 0)


def test_labels_go_by_path_or_by_a_name_that_stands_once(tmp_path):
    for name in ("p/one.png", "p/two.png", "q/two.png", "p/three.png"):
        save(tmp_path / "images" / name)
    table = tmp_path / "labels.csv"
    table.write_text(
        "file,dr_grade,patient_id\nimages/p/two.png,3,P2\nelsewhere/one.png,1,P1\n"
        "elsewhere/two.png,4,P9\nstranger.png,0,P0\n"
    )
    found, strangers = labelled(find(str(tmp_path / "images")), table)
    told = {e.path: (e.annotation.dr_grade, e.patient_id) for e in found.listed}
    assert told == {
        "p/one.png": (1, "P1"),
        "p/two.png": (3, "P2"),
        "q/two.png": (None, None),
        "p/three.png": (None, None),
    }
    assert strangers == 2


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("file,is_gc\nx.png,1\nx.png,0\n", "line 2 names this photograph too"),
        ("file,is_gc\nother.png,1\n", "no line names"),
        ("is_gc\n1\n", "names no file"),
        ("file,is_gc\nx.png,7\n", "out of range"),
        ("file,glaucoma\nx.png,1\n", "unknown column"),
        ("file,is_gc\nx\0.png,1\n", "line 2: file: holds a NUL"),
    ],
)
def test_labels_that_are_wrong_are_told(tmp_path, lines, why):
    save(tmp_path / "x.png")
    (tmp_path / "labels.csv").write_text(lines)
    with pytest.raises(UserError, match=why):
        labelled(find(str(tmp_path)), tmp_path / "labels.csv")


def test_a_photograph_is_upright_and_loses_all_metadata_but_no_pixel(tmp_path):
    image = picture()
    exif = image.getexif()
    exif[0x0112] = 6
    exif[0x013B] = "Patient Secret"
    exif[0x0132] = "2019:03:04 05:06:07"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + b"Dr. Secret"
    save(tmp_path / "x.png", image, exif=exif, icc_profile=profile, dpi=(99, 99))
    (listed,) = hashed(find(str(tmp_path)), quiet)
    found = read(tmp_path, listed)
    assert np.array_equal(found.image, np.rot90(np.asarray(image), -1))
    for image_format in ("webp", "png"):
        file = encode_photograph(found.image, image_format, found.mark)
        assert b"Secret" not in file
        assert b"2019" not in file
        stored = Image.open(io.BytesIO(file))
        assert not {"exif", "icc_profile", "xmp", "dpi"} & stored.info.keys()
        assert np.array_equal(stored, found.image)


@pytest.mark.parametrize("image_format", ["webp", "png", "jpeg"])
def test_a_synthetic_image_goes_on_saying_so(tmp_path, image_format):
    origin = Origin("tiny", "0" * 64, 7)
    (tmp_path / "x.png").write_bytes(encode(np.asarray(picture()), image_format, origin))
    (listed,) = hashed(find(str(tmp_path)), quiet)
    found = read(tmp_path, listed)
    (tmp_path / "y.webp").write_bytes(encode_photograph(found.image, "webp", found.mark))
    told = identify(tmp_path / "y.webp")
    assert (told.synthetic, told.model, told.seed) == (True, "tiny", 7)


FOREIGN = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:retinaforge="https://retinaforge.invalid/ns/1.0/"
 Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{kind}"
 xmp:CreatorTool="Secret Studio" dc:creator="Dr. Secret" exif:GPSLatitude="48,Secret"
 retinaforge:model="Secret"/></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("kind", ["trainedAlgorithmicMedia", "algorithmicMedia"])
def test_of_a_strangers_mark_only_the_kind_is_kept(tmp_path, kind, encoding):
    packet = FOREIGN.format(kind=kind).encode(encoding)
    save(tmp_path / "x.webp", lossless=True, xmp=packet)
    (listed,) = hashed(find(str(tmp_path)), quiet)
    found = read(tmp_path, listed)
    for image_format in ("webp", "png"):
        stored = tmp_path / f"stored.{image_format}"
        stored.write_bytes(encode_photograph(found.image, image_format, found.mark))
        assert b"Secret" not in stored.read_bytes().replace(b"\0", b"")
        told = identify(stored)
        assert (told.synthetic, told.source_type, told.model, told.tool) == (True, kind, None, None)


def test_other_xmp_is_not_kept(tmp_path):
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta xmlns:x='adobe:ns:meta/'>Secret</x:xmpmeta>")
    save(tmp_path / "x.png", pnginfo=info)
    (listed,) = hashed(find(str(tmp_path)), quiet)
    assert read(tmp_path, listed).mark == b""


@pytest.mark.parametrize("kind", ["I", "F"])
def test_numbers_that_are_no_shades_are_refused_and_not_cut_off(tmp_path, kind):
    grey = np.linspace(0, 65535, 96).reshape(8, 12)
    image = Image.fromarray(grey.astype({"I": "i4", "F": "f4"}[kind]))
    assert image.mode == kind
    image.save(tmp_path / "x.tif")
    for listed in hashed(find(str(tmp_path)), quiet):
        with pytest.raises(UnreadableImage, match="save it as 8-bit"):
            read(tmp_path, listed)


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "/dev/null", "pipe", "folder"])
def test_what_is_no_file_is_told_and_holds_nobody(tmp_path, target):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "eye.jpg").symlink_to(target)
    listed = Listed("eye.jpg", 0)
    with pytest.raises(UnreadableImage, match=r"is a (device|pipe|folder), not a file"):
        read(tmp_path, listed)
    if target != "folder":
        (listed,) = hashed(find(str(tmp_path)), quiet)
        assert (listed.path, listed.sha256) == ("eye.jpg", None)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_was_transparent_stays_unseen(tmp_path, mode):
    image = Image.new("RGBA", (12, 8), (200, 200, 200, 255))
    image.paste((90, 90, 90, 0), (0, 0, 6, 8))
    if mode == "P":
        image = Image.new("P", (12, 8), 1)
        image.putpalette([90, 90, 90, 200, 200, 200])
        image.paste(0, (0, 0, 6, 8))
        image.save(tmp_path / "x.png", transparency=0)
    else:
        image.convert(mode).save(tmp_path / "x.png")
    (listed,) = hashed(find(str(tmp_path)), quiet)
    pixels = np.asarray(read(tmp_path, listed).image)
    assert not pixels[:, :6].any()
    assert (pixels[:, 6:] == 200).all()


def test_what_is_gone_changed_or_too_large_is_told(tmp_path, monkeypatch):
    for name in ("gone.png", "changed.png", "large.png"):
        save(tmp_path / name)
    changed, gone, large = hashed(find(str(tmp_path)), quiet)
    (tmp_path / "gone.png").unlink()
    save(tmp_path / "changed.png", picture(colour=(1, 2, 3)))
    with pytest.raises(UnreadableImage, match="No such file"):
        read(tmp_path, gone)
    with pytest.raises(UnreadableImage, match="has changed since"):
        read(tmp_path, changed)
    monkeypatch.setattr(photographs, "MOST_BYTES", 10)
    with pytest.raises(UnreadableImage, match="bytes, over 10"):
        read(tmp_path, large)
    assert hashed(find(str(tmp_path)), quiet)[0].sha256 is None


@pytest.mark.parametrize("side", [11_000, 20_000])
def test_a_decompression_bomb_is_refused_before_it_unfolds(tmp_path, side):
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 200_000
    (listed,) = hashed(find(str(tmp_path)), quiet)
    with pytest.raises(UnreadableImage, match=r"pixels, more than|decompression bomb"):
        read(tmp_path, listed)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_exif_that_was_cut_or_garbled_costs_no_more_than_its_photograph(tmp_path):
    """Every byte of the header turned into another: read, or told as unreadable."""
    exif = picture().getexif()
    exif[0x0112] = 6
    exif[0x8769] = {0x9003: "2019:03:04 05:06:07"}
    file = io.BytesIO()
    picture().save(file, "JPEG", exif=exif)
    whole = file.getvalue()
    readable = 0
    for at in range(2, 150):
        (tmp_path / "x.jpg").write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        (listed,) = hashed(find(str(tmp_path)), quiet)
        try:
            readable += bool(read(tmp_path, listed))
        except UnreadableImage:
            continue
    assert readable > 20


def test_differences_are_worded(tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path / name)
    before = find(str(tmp_path)).listed
    assert differing(before, before, labels=True) == ""
    (tmp_path / "a.png").unlink()
    save(tmp_path / "c.png")
    save(tmp_path / "b.png", picture((50, 50)))
    words = differing(before, find(str(tmp_path)).listed, labels=False)
    assert "1 photographs are new, such as c.png" in words
    assert "1 photographs are gone, such as a.png" in words
    assert "1 photographs are changed or with other labels, such as b.png" in words
    (tmp_path / "d.bmp").write_bytes(b"12345")
    as_listed = hashed(find(str(tmp_path)), quiet)
    (tmp_path / "d.bmp").write_bytes(b"54321")
    words = differing(as_listed, hashed(find(str(tmp_path)), quiet), labels=False)
    assert words == "1 photographs are changed or with other labels, such as d.bmp"
    told = [
        each.__class__(e.path, e.bytes, annotation=Annotation(is_gc=1))
        for e in before
        for each in [e]
    ]
    assert differing(before, told, labels=False) == ""
    assert "with other labels" in differing(before, told, labels=True)
