"""What a server may answer, built from the messages that a server sends."""

from __future__ import annotations

import struct

import pytest

from engine.caption.answers import MOST_CHARACTERS, Nonsense, caption_of, plain_text

grpc = pytest.importorskip("tritonclient.grpc")


def answer(*texts, name="CAPTION", datatype="BYTES", shape=None, raw=None):
    from tritonclient.grpc import InferResult, service_pb2

    response = service_pb2.ModelInferResponse()
    output = response.outputs.add(name=name, datatype=datatype)
    output.shape.extend([1, len(texts)] if shape is None else shape)
    packed = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    response.raw_output_contents.append(packed if raw is None else raw)
    return InferResult(response)


def test_one_text_is_a_caption():
    assert caption_of(answer("Œil droit, \n no oedema. ".encode())) == "Œil droit, \n no oedema."


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (answer(b"\xff\xfe"), "not UTF-8 at byte 0"),
        (answer(b""), "empty"),
        (answer(b" \n\t "), "empty"),
        (answer(b"a" * (MOST_CHARACTERS + 1)), "characters, more than"),
        (answer(b"a\x00b"), r"control character, U\+0000"),
        (answer(b"a\x1b[2Jb"), r"U\+001B"),
        (answer("a\ue000".encode()), r"U\+E000"),
        (answer(b"12 %"), "without a letter"),
        (answer(b"one", b"two"), "2 texts"),
        (answer(shape=[1, 0], raw=b""), "0 texts"),
        (answer(b"x", shape=[3, 7]), "cannot be read"),
        (answer(b"x", raw=b"\xff\xff\xff\x7fx"), "cannot be read"),
        (answer(b"x", raw=b"\x01"), "cannot be read"),
        (answer(b"words", name="TEXT"), "no output CAPTION, but TEXT"),
        (answer(b"", datatype="FP32", shape=[1], raw=b"\0\0\0\0"), "FP32, not BYTES"),
    ],
)
def test_all_else_is_nonsense_and_says_why(given, why):
    with pytest.raises(Nonsense, match=why):
        caption_of(given)


def test_a_number_is_no_text():
    with pytest.raises(Nonsense, match="float, not a text"):
        plain_text(0.5)
