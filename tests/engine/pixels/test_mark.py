"""Marks: read from every format that we write, absent from photographs, lost with a copy of the
pixels alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine import registry
from engine.pixels.encode import Origin, encode, xmp_packet
from engine.pixels.mark import identify, maker_of
from engine.registry import SamplerRef
from engine.schema import UserError
from engine.stages.draw import loaded

DATA = Path(os.environ.get("RETINAFORGE_DATA", Path(__file__).parents[4] / "shared" / "data"))
HONEST = "no mark found: that does not prove a camera took it"
AS_ELEMENTS = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:x2="http://ns.adobe.com/xap/1.0/"
 xmlns:r="https://retinaforge.invalid/ns/1.0/"><e:DigitalSourceType>{kind}</e:DigitalSourceType>
 <x2:CreatorTool>Another</x2:CreatorTool><r:weights>{weights}</r:weights></rdf:Description>
 </rdf:RDF></x:xmpmeta>"""
KINDS = "http://cv.iptc.org/newscodes/digitalsourcetype/"


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 255, (24, 24, 3)).astype(np.uint8)


def xmp_png(path, packet):
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize("image_format", ["webp", "png", "jpeg"])
def test_our_images_say_what_made_them(tmp_path, pixels, image_format):
    file = tmp_path / "an-eye"
    file.write_bytes(encode(pixels, image_format, Origin("tiny <&>", "ab12", 2**64 - 1)))
    found = identify(file)
    assert found.synthetic
    assert found.source_type == "trainedAlgorithmicMedia"
    assert (found.tool, found.model, found.seed) == ("RetinaForge", "tiny <&>", 2**64 - 1)
    assert found.weights_sha256 == "ab12"
    assert "synthetic" in found.words


def test_a_drawn_image_names_the_weights_that_drew_it(tmp_path, plan_of):
    plan = plan_of(
        "debug", 64, {"solver": "euler", "steps": 1, "context_tokens": 64, "attention": "reference"}
    )
    (first,), (again,) = (
        loaded(plan, registry.find(SamplerRef, "debug")).outcomes([(3, 4)]) for _ in range(2)
    )
    assert first.image == again.image
    (tmp_path / "eye.webp").write_bytes(first.image)
    found = identify(tmp_path / "eye.webp")
    assert (found.model, found.seed) == ("debug", first.spec.seed)
    assert found.weights_sha256 == plan.weights_sha256
    assert f"weights {plan.weights_sha256[:12]}" in found.words


def test_what_a_program_drew_is_not_said_to_be_learned(tmp_path, plan_of):
    for model in ("phantom", "null:1"):
        plan = plan_of(model, 32 if model == "phantom" else 8, {"solver": "none", "steps": 0})
        (drawn,) = loaded(plan, registry.find(SamplerRef, model)).outcomes([(3, 4)])
        (tmp_path / "eye.webp").write_bytes(drawn.image)
        found = identify(tmp_path / "eye.webp")
        assert (found.synthetic, found.source_type) == (True, "algorithmicMedia")
        assert f"version {plan.weights_sha256[:12]}" in found.words
        assert "weights" not in found.words


@pytest.mark.parametrize("image_format", ["WEBP", "PNG", "JPEG"])
def test_a_mark_stripped_by_saving_anew_is_not_guessed_at(tmp_path, pixels, image_format):
    first, second = tmp_path / "first.png", tmp_path / "second"
    first.write_bytes(encode(pixels, "png", Origin("tiny", "ab12", 5)))
    assert identify(first).synthetic
    Image.fromarray(np.asarray(Image.open(first))).save(second, image_format)
    found = identify(second)
    assert not found.synthetic
    assert found.words == HONEST


def test_a_photograph_carries_no_mark():
    photographs = sorted((DATA / "hrf").rglob("*.jpg")) if DATA.is_dir() else []
    if not photographs:
        pytest.skip(f"no real photographs under {DATA}")
    found = identify(photographs[0])
    assert (found.synthetic, found.words) == (False, HONEST)


def test_marks_of_other_programs_and_other_spellings_are_read(tmp_path):
    packet = AS_ELEMENTS.format(kind=f"{KINDS}compositeWithTrainedAlgorithmicMedia", weights="ab12")
    found = identify(xmp_png(tmp_path / "a.png", packet))
    assert (found.synthetic, found.tool, found.weights_sha256) == (True, "Another", "ab12")
    packet = AS_ELEMENTS.format(kind=f"{KINDS}digitalCapture", weights="")
    camera = identify(xmp_png(tmp_path / "b.png", packet))
    assert (camera.synthetic, camera.source_type) == (False, "digitalCapture")


@pytest.mark.parametrize("packet", ["<not xml", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', " "])
def test_a_broken_or_hostile_packet_is_no_mark(tmp_path, packet):
    assert not identify(xmp_png(tmp_path / "a.png", packet)).synthetic


@pytest.mark.parametrize("seed", ["9" * 5000, "-4", "1e3", "٣", ""])
def test_a_seed_that_is_none_is_not_read(tmp_path, seed):
    text = xmp_packet(Origin("tiny", "ab12", 7)).decode().replace('"7"', f'"{seed}"')
    found = identify(xmp_png(tmp_path / "a.png", text))
    assert (found.synthetic, found.seed) == (True, None)


@pytest.mark.parametrize("comment", ["<!-- kept by an editor -->", "<!---->"])
def test_a_comment_in_a_packet_hides_nothing(tmp_path, comment):
    text = xmp_packet(Origin("tiny", "ab12", 7)).decode()
    found = identify(xmp_png(tmp_path / "a.png", text.replace("<rdf:RDF", f"{comment}<rdf:RDF")))
    assert (found.synthetic, found.seed) == (True, 7)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_packets_of_every_encoding_are_read(tmp_path, pixels, encoding):
    text = xmp_packet(Origin("tiny", "ab12", 7)).decode()
    data = (text.replace("\ufeff", "") + "  \n").encode(encoding) + b"\0"
    Image.fromarray(pixels).save(tmp_path / "a.webp", xmp=data)
    assert identify(tmp_path / "a.webp").seed == 7
    assert maker_of(tmp_path / "a.webp") == "tiny"


def test_a_strangers_text_stays_on_its_line(tmp_path):
    forged = "tiny&#10;other.png: no mark found&#27;[2K&#8238;" + "x" * 5000
    text = xmp_packet(Origin("tiny", "ab12", 7)).decode().replace('"tiny"', f'"{forged}"')
    words = identify(xmp_png(tmp_path / "a.png", text)).words
    assert words.isprintable()
    assert len(words) < 500


def test_the_maker_is_read_of_the_head_alone_and_never_fails(tmp_path, pixels):
    whole = encode(pixels, "png", Origin("tiny", "ab12", 1))
    files = {"cut": whole[:-300], "text": b"no image", "empty": b"", "photo": b""}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    Image.fromarray(pixels).save(tmp_path / "photo", "PNG")
    assert maker_of(tmp_path / "cut") == "tiny"
    for name in ("text", "empty", "photo", "absent", "."):
        assert maker_of(tmp_path / name) is None


def test_what_is_no_whole_image_is_refused(tmp_path, pixels):
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "cut.png").write_bytes(encode(pixels, "png", Origin("tiny", "ab12", 1))[:-900])
    for name in ("notes.txt", "cut.png", "absent.png", "."):
        with pytest.raises(UserError):
            identify(tmp_path / name)
