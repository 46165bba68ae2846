"""The process that decodes: it has no more than a limited time and memory, cannot write files, and
ends with whoever started it.

It answers one request after the other on its standard streams, bytes and pixels lying in memory
that both share; `door` asks. Its own timers end it, in whatever decoder it is caught, so nothing
outlives its limits even where nobody is left to watch.
"""

from __future__ import annotations

import io
import json
import mmap
import os
import resource
import signal
import struct
import sys
import warnings
from typing import Any, BinaryIO

from PIL import (
    BmpImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from engine.files import open_regular
from engine.pixels.colour import photograph
from engine.pixels.dicom import study
from engine.pixels.opening import (
    MOST_PIXELS,
    open_image,
    orientation_of,
    packet_in,
    refuse_long,
    refuse_more_pictures,
)
from engine.pixels.refusal import Unclear
from engine.pixels.shape import shape_of
from engine.pixels.whole import without_end

REQUEST = struct.Struct("<cQ")
"""What is wanted, and the length of what lies in the shared memory: an image, or its path."""
ANSWER = struct.Struct("<QQ")
"""The lengths of what is told, as JSON, and of the pixels in the shared memory."""
SHARED = 4 * MOST_PIXELS
PHOTOGRAPH, SHAPE, PART, PACKET, HEAD, HEAD_OF_FILE = b"p", b"s", b"a", b"x", b"h", b"f"
STUDY = b"d"
_PLUGINS = (BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)

Answer = tuple[dict[str, Any], bytes]


def _pixels(image: Image.Image, told: dict[str, Any]) -> Answer:
    return {**told, "mode": image.mode, "size": image.size}, image.tobytes()


def _one(data: bytes) -> tuple[Image.Image, int]:
    """The one picture in a file, not yet decoded, and how to turn it."""
    image = open_image(io.BytesIO(without_end(data)))
    refuse_long(image)
    refuse_more_pictures(image)
    return image, orientation_of(image)


def _photograph(data: bytes) -> Answer:
    image, upright = _one(data)
    made = photograph(image, data)
    packet = packet_in(image).decode("latin-1")
    return _pixels(made, {"orientation": upright, "packet": packet})


def _shape(data: bytes, whole: bool) -> Answer:
    image, upright = _one(data)
    shape = shape_of(image, data, whole)
    return _pixels(Image.fromarray(shape).convert("L"), {"orientation": upright})


def _packet(file: BinaryIO, whole: bool) -> Answer:
    with open_image(file) as image:
        if whole:
            # Some writers put metadata behind the pixels, so these are read too.
            image.load()
        return {"packet": packet_in(image).decode("latin-1")}, b""


def _answer(kind: bytes, data: bytes) -> Answer:
    try:
        if kind == PHOTOGRAPH:
            return _photograph(data)
        if kind in (SHAPE, PART):
            return _shape(data, kind == SHAPE)
        if kind == STUDY:
            image, facts = study(data)
            return _pixels(image, facts)
        if kind == HEAD_OF_FILE:
            with open_regular(os.fsdecode(data)) as file:
                return _packet(file, whole=False)
        return _packet(io.BytesIO(data), whole=kind == PACKET)
    except Unclear as error:
        return {"refused": str(error)}, b""
    except MemoryError:
        return {"refused": "takes too much memory to decode"}, b""
    except Exception as error:
        # Decoders fail on bytes in ways of their own, and every one is the bytes' fault.
        return {"refused": f"not a readable image ({error})"[:500]}, b""


def _confine(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Ctrl-C and a closed terminal are for whoever asks; without them this one ends by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    warnings.simplefilter("ignore")


def _serve(asked: BinaryIO, told: BinaryIO, shared: int, busy: float, waiting: float) -> None:
    while head := asked.read(REQUEST.size):
        kind, length = REQUEST.unpack(head)
        data = os.pread(shared, length, 0)
        signal.setitimer(signal.ITIMER_PROF, busy)
        signal.setitimer(signal.ITIMER_REAL, waiting)
        facts, pixels = _answer(kind, data)
        if pixels:
            with mmap.mmap(shared, len(pixels)) as place:
                place[:] = pixels
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        words = json.dumps(facts).encode()
        told.write(ANSWER.pack(len(words), len(pixels)) + words)
        told.flush()


def main() -> None:
    """Arguments: seconds of computing and of waiting for one image, bytes of memory, and the
    descriptor of the memory that is shared."""
    busy, waiting, memory, shared = sys.argv[1:5]
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints must not stand among the answers.
    os.dup2(2, 1)
    _confine(int(memory))
    _serve(sys.stdin.buffer, answers, int(shared), float(busy), float(waiting))


if __name__ == "__main__":
    main()
