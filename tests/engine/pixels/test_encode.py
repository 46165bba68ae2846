"""Every image file says that it is synthetic, by which model and weights and from which seed."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from engine.pixels.encode import FORMATS, Origin, encode

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"


KINDS = "http://cv.iptc.org/newscodes/digitalsourcetype/"


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("kind", ["trainedAlgorithmicMedia", "algorithmicMedia"])
def test_the_mark_is_read_back_from_the_file(image_format, kind):
    file = encode(PIXELS, image_format, Origin('lab "A" <b>', "ab12", 17, kind))
    image = Image.open(io.BytesIO(file))
    assert image.format == image_format.upper()
    assert image.size == (40, 24)
    packet = image.info["xmp"].decode()
    assert f'Iptc4xmpExt:DigitalSourceType="{KINDS}{kind}"' in packet
    assert 'retinaforge:weights="ab12" retinaforge:seed="17"' in packet
    (description,) = ElementTree.fromstring(packet).iter(f"{RDF}Description")
    assert description.get(f"{IPTC}DigitalSourceType") == KINDS + kind
    assert 'lab "A" <b>' in description.attrib.values()


@pytest.mark.parametrize("image_format", ["webp", "png"])
def test_lossless_formats_keep_every_pixel(image_format):
    file = encode(PIXELS, image_format, Origin("m", "ab12", 1))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))), PIXELS)


def test_jpeg_keeps_full_colour_resolution():
    image = Image.open(io.BytesIO(encode(PIXELS, "jpeg", Origin("m", "ab12", 1))))
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
