"""Image bytes from outside: what we name is read, all else is refused by name and holds nobody."""

from __future__ import annotations

import ast
import io
import os
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from engine.pixels import door, inside
from engine.pixels.door import Decoder, Decoders, Limits, UnreadableImage, decode, mask

ROOT = Path(__file__).parents[3]
LARGE = ROOT.parent / "shared" / "data" / "manifest.csv"
EYE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))


def saved(image, image_format, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*chunks: bytes, size=(60, 40), kind=(8, 2)) -> bytes:
    head = struct.pack(">IIBBBBB", *size, *kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IEND", b"")


PIXELS = chunk(b"IDAT", zlib.compress(b"\0" * (40 * 181)))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "MPO"])
def test_formats_that_we_name_are_read_as_they_are(image_format):
    data = saved(EYE, image_format)
    with Image.open(io.BytesIO(data)) as plain:
        assert np.array_equal(decode(data, "eye"), ImageOps.exif_transpose(plain).convert("RGB"))


@pytest.mark.parametrize("image_format", ["EPS", "GIF", "PPM", "PDF", "ICO", "TGA", "SGI", "PCX"])
def test_no_other_format_is_read(image_format):
    with pytest.raises(UnreadableImage, match=r"eye\.jpg: (not an image|PostScript|a GIF|a PDF)"):
        decode(saved(EYE, image_format), "eye.jpg")


def test_postscript_does_not_run(tmp_path):
    (tmp_path / "eye.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n"
        + f"({tmp_path}/ran) (w) file closefile {{}} loop\n".encode()
    )
    with pytest.raises(UnreadableImage):
        decode((tmp_path / "eye.jpg").read_bytes(), "eye.jpg")
    with pytest.raises(UnreadableImage):
        door.packet_at_head(tmp_path / "eye.jpg")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF"])
def test_several_pictures_in_one_file_are_refused(image_format):
    data = saved(
        EYE, image_format, save_all=True, append_images=[ImageOps.invert(EYE), ImageOps.flip(EYE)]
    )
    for read in (decode, mask):
        with pytest.raises(UnreadableImage, match="3 pictures in one file"):
            read(data, "eye")


@pytest.mark.parametrize("first", [True, False])
def test_of_a_tiff_with_a_thumbnail_the_picture_is_read(first):
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    small = np.asarray(EYE.resize((6, 4)))
    with tifffile.TiffWriter(file) as writer:
        if first:
            writer.write(small, photometric="rgb", subfiletype=1)
        writer.write(np.asarray(EYE), photometric="rgb")
        if not first:
            writer.write(small, photometric="rgb", subfiletype=1)
    assert np.array_equal(decode(file.getvalue(), "eye"), EYE)


@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_a_jpeg_cut_short_is_refused_though_it_ends_as_a_whole_one(options):
    noise = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
    whole = saved(Image.fromarray(noise), "JPEG", **options)
    for end in (whole, whole + b"trailing"):
        assert np.array_equal(decode(end, "eye"), Image.open(io.BytesIO(whole)))
    for share in (0.5, 0.95):
        with pytest.raises(UnreadableImage, match="eye: not a readable image"):
            decode(whole[: int(share * len(whole))] + b"\xff\xd9", "eye")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [True, False])
def test_whole_jpegs_of_all_sizes_are_read_as_they_are(mode, progressive):
    random = np.random.default_rng(0)
    for size in (1, 7, 8, 9, 16, 17, 33):
        for noise in (1, 255):
            pixels = random.integers(0, noise + 1, (size, 40 - size, 3), np.uint8)
            image = Image.fromarray(pixels).convert(mode)
            data = saved(image, "JPEG", quality=1 + 99 * (size % 2), progressive=progressive)
            right = Image.open(io.BytesIO(data)).convert("RGB")
            assert np.array_equal(decode(data, "eye"), right)


def progressive_without_end() -> bytes:
    """A JPEG of 64 million pixels whose one scan is told again and again."""
    data = saved(Image.new("L", (8000, 8000)), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * 20_000 + b"\xff\xd9"


def test_what_computes_without_end_is_ended_and_the_next_image_is_read():
    decoders = Decoders(Limits(busy=2))
    with pytest.raises(UnreadableImage, match="eye: takes more than 2 seconds to decode"):
        decoders.ask(inside.PHOTOGRAPH, progressive_without_end(), "eye")
    assert decoders.ask(inside.PHOTOGRAPH, saved(EYE, "PNG"), "eye")[0]["size"] == [60, 40]
    decoders.close()


def test_a_decoder_ends_itself_where_nobody_is_left_to_watch(tmp_path):
    """Its parent is killed while it is busy."""
    (tmp_path / "eye.jpg").write_bytes(progressive_without_end())
    code = (
        "import sys\nfrom engine.pixels.door import Decoder, Limits\n"
        "decoder = Decoder(Limits(busy=3))\nprint(decoder.process.pid, flush=True)\n"
        f"decoder.ask(b'p', open({str(tmp_path / 'eye.jpg')!r}, 'rb').read())"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    handle = os.pidfd_open(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert not_running_after(handle, 100)


def not_running_after(handle: int, seconds: float) -> bool:
    import select

    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def test_what_fills_the_memory_is_refused():
    decoders = Decoders(Limits(memory=600 << 20))
    large = saved(Image.new("RGB", (10_900, 10_900)), "PNG")
    with pytest.raises(UnreadableImage, match=r"too much memory|not a readable image"):
        decoders.ask(inside.PHOTOGRAPH, large, "eye")
    assert decoders.ask(inside.PHOTOGRAPH, saved(EYE, "PNG"), "eye")[0]["size"] == [60, 40]
    decoders.close()


def texts(count: int) -> bytes:
    body = b"a\0\0" + zlib.compress(b"\0" * 900_000)
    return chunk(b"zTXt", body) * count


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (png(chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 50_000_000)), PIXELS), "large|long"),
        (png(texts(100), PIXELS), "memory|large|long"),
        (png(chunk(b"iCCP", b"a\0\0" + zlib.compress(b"\0" * 50_000_000)), PIXELS), "profile|larg"),
        (png(chunk(b"IDAT", zlib.compress(b"\0" * 50)), size=(20_000, 300)), "20000 x 300"),
        (png(PIXELS, size=(60_000, 60_000)), "60000 x 60000 pixels"),
    ],
    ids=["one text", "many texts", "profile", "strip", "claim"],
)
def test_png_that_unfolds_is_refused(data, why):
    with pytest.raises(UnreadableImage, match=f"(?i){why}"):
        decode(data, "eye.png")


def test_a_tiff_whose_directories_go_round_holds_nobody():
    """The one directory names itself as the next."""
    data = bytearray(saved(EYE, "TIFF"))
    first = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    assert np.array_equal(decode(bytes(data), "eye"), EYE)


def test_a_tiff_whose_every_tag_is_the_whole_file_is_refused():
    """30,000 tags that each want the same 100 MB: 3 TB in all."""
    body = 100_000_000
    tags = b"".join(struct.pack("<HHII", 40_000 + n % 20_000, 7, body, 8) for n in range(30_000))
    data = b"II*\0" + struct.pack("<I", 8 + body) + bytes(body)
    data += struct.pack("<H", 30_000) + tags + bytes(4)
    decoders = Decoders(Limits(busy=5, memory=1 << 30))
    with pytest.raises(UnreadableImage):
        decoders.ask(inside.HEAD, data, "eye.tif")
    decoders.close()


def test_text_of_a_whole_photograph_is_no_bomb():
    info = PngInfo()
    info.add_text("report", "x" * 100_000, zip=True)
    assert np.array_equal(decode(saved(EYE, "PNG", pnginfo=info), "eye"), EYE)


def test_a_decoder_that_was_killed_from_outside_is_replaced():
    decoders = Decoders(Limits())
    decoders.ask(inside.PHOTOGRAPH, saved(EYE, "PNG"), "eye")
    (idle,) = decoders._idle
    os.kill(idle.process.pid, signal.SIGKILL)
    assert decoders.ask(inside.PHOTOGRAPH, saved(EYE, "PNG"), "eye")[0]["size"] == [60, 40]
    decoders.close()


def test_a_decoder_knows_no_secrets_and_writes_no_files(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    decoder = Decoder(Limits())
    decoder.ask(inside.PHOTOGRAPH, saved(EYE, "PNG"))
    process = Path("/proc", str(decoder.process.pid))
    assert b"secret" not in (process / "environ").read_bytes()
    assert "Max file size             0" in (process / "limits").read_text()
    assert decoder.end() == 0


def test_a_fork_does_not_share_its_parents_decoder():
    data = saved(EYE, "PNG")
    decode(data, "eye")
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(decode(data, "eye"), EYE) for _ in range(20))
        door._DECODERS.close()
        os._exit(0 if same else 1)
    assert all(np.array_equal(decode(data, "eye"), EYE) for _ in range(20))
    assert os.waitpid(child, 0)[1] == 0


DOORS = {"engine/pixels/opening.py", "engine/pixels/depth.py"}
OWN = {
    "engine/data/planted.py",
    "engine/evaluate/level_figures.py",
    "engine/evaluate/matching.py",
    "serve/tuning/clocks.py",
    "train/practice.py",
}
"""Decode what they have encoded themselves, or what we have drawn."""
OPENERS = {"open", "imdecode", "imread", "imreadmulti", "imdecodemulti", "fromstring"}
LIBRARIES = {"Image", "cv2", "tifffile", "imageio", "iio", "io", "skimage"}


def test_image_bytes_are_opened_at_one_door_only():
    found = set()
    for top in ("kernels", "engine", "train", "serve"):
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr in OPENERS
                    and isinstance(node.value, ast.Name)
                    and node.value.id in LIBRARIES
                ):
                    found.add(path.relative_to(ROOT).as_posix())
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                    assert not names & {"tifffile", "imageio", "skimage.io"}, path
    assert found == DOORS | OWN
