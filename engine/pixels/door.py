"""The one door through which image bytes from outside become pixels.

Bytes are decoded in another process, because decoders are where hostile files strike: one may
compute without end, fill the memory or break. That process is kept for the next image; a photograph
pays a few milliseconds for it.
"""

from __future__ import annotations

import atexit
import json
import mmap
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from engine.pixels import dicom, inside

Answer = tuple[dict[str, Any], Image.Image | None]
ROOT = Path(__file__).parents[2]
RULES = "3"
"""The version of how bytes become pixels: raised when the same bytes would become others."""
MOST_BYTES = 256 << 20
"""Larger files are refused unread: no camera writes them."""
_NOT_ITS_FAULT = (signal.SIGKILL, signal.SIGTERM)
_TRIES = 2
_KEPT = 64 << 20
"""Bytes of shared memory that are not given back between images."""
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""Tokens and keys of this process are no business of a decoder."""


class UnreadableImage(ValueError):
    """A file among the images that is corrupt, huge, unclear or none; the message says which."""


@dataclass(frozen=True)
class Limits:
    """What one image may take: seconds of computing, seconds in all, bytes of memory in all."""

    busy: float = 30
    waiting: float = 120
    memory: int = 4 << 30


@dataclass(frozen=True)
class Picture:
    """A photograph as RGB in sRGB, upright; `orientation` is how its file says to turn it (1: not),
    `packet` the XMP that it carries."""

    image: Image.Image
    orientation: int = 1
    packet: bytes = b""


@dataclass(frozen=True)
class Study:
    """A DICOM photograph as RGB in sRGB with all that passes of its attributes, empty where it has
    none; `laterality` is R or L, `burnt_in` YES or NO where it says whether text is."""

    image: Image.Image
    patient: str
    study: str
    laterality: str
    camera: str
    burnt_in: str
    synthetic: bool


@dataclass(frozen=True)
class Mask:
    """A shape as a grey image of 0 and 255, upright."""

    image: Image.Image
    orientation: int = 1


def decode(data: bytes, name: str) -> Image.Image:
    """A photograph as RGB; see `picture`."""
    return picture(data, name).image


def picture(data: bytes, name: str) -> Picture:
    """Decode a photograph. Raises UnreadableImage for what is corrupt, too large, no image, or says
    not for sure which colours it means."""
    facts, image = _ask(inside.PHOTOGRAPH, data, name)
    assert image is not None
    return Picture(image, facts["orientation"], facts["packet"].encode("latin-1"))


def study(data: bytes, name: str) -> Study:
    """Decode a DICOM Ophthalmic Photography image. Raises UnreadableImage, also for another kind of
    object and for more pictures than one."""
    facts, image = _ask(inside.STUDY, data, name)
    assert image is not None
    return Study(image, **{each: facts[each] for each in dicom.PASSING})


def mask(data: bytes, name: str, whole: bool = True) -> Mask:
    """Decode a mask; not `whole` where it is one of several parts of a structure. Raises
    UnreadableImage, also for a picture that is no mask for sure."""
    facts, image = _ask(inside.SHAPE if whole else inside.PART, data, name)
    assert image is not None
    return Mask(image, facts["orientation"])


def packet(data: bytes, name: str) -> bytes:
    """The XMP packet of a whole image; empty where it has none. Raises UnreadableImage."""
    facts, _ = _ask(inside.PACKET, data, name)
    return facts["packet"].encode("latin-1")


def packet_at_head(source: Path | bytes) -> bytes:
    """The XMP packet at an image's head; of a file no more is read. Raises UnreadableImage."""
    if isinstance(source, Path):
        facts, _ = _ask(inside.HEAD_OF_FILE, os.fsencode(source.absolute()), str(source))
    else:
        facts, _ = _ask(inside.HEAD, source, "the image")
    return facts["packet"].encode("latin-1")


class Decoder:
    """One decoding process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.owner = os.getpid()
        self.shared = os.memfd_create("pixels")
        os.ftruncate(self.shared, inside.SHARED)
        arguments = (limits.busy, limits.waiting, limits.memory, self.shared)
        self.process = subprocess.Popen(
            # -P: a folder called PIL where the user stands is not imported.
            [sys.executable, "-P", "-m", inside.__name__, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(self.shared,),
            env={
                **{name: os.environ[name] for name in _INHERITED if name in os.environ},
                "PYTHONPATH": str(ROOT),
                "OPENBLAS_NUM_THREADS": "1",
            },
        )

    def ask(self, kind: bytes, data: bytes) -> Answer | None:
        """What is told of an image, and it; None where the process ended over it."""
        asked, told = self.process.stdin, self.process.stdout
        assert asked is not None
        assert told is not None
        try:
            os.pwrite(self.shared, data, 0)
            asked.write(inside.REQUEST.pack(kind, len(data)))
            asked.flush()
        except BrokenPipeError:
            return None
        head = told.read(inside.ANSWER.size)
        if len(head) < inside.ANSWER.size:
            return None
        words, pixels = inside.ANSWER.unpack(head)
        facts = json.loads(told.read(words))
        return facts, self._image(facts, pixels) if pixels else None

    def end(self) -> int:
        """Let it end, and say by which signal it did; 0 where by none."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        os.close(self.shared)
        return -min(self.process.wait(), 0)

    def _image(self, facts: dict[str, Any], pixels: int) -> Image.Image:
        with mmap.mmap(self.shared, pixels, prot=mmap.PROT_READ) as place:
            image = Image.frombytes(facts["mode"], tuple(facts["size"]), memoryview(place))
        if pixels > _KEPT:
            os.ftruncate(self.shared, 0)
            os.ftruncate(self.shared, inside.SHARED)
        return image


class Decoders:
    """As many decoding processes as threads ask at once, kept for the next image."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._idle: list[Decoder] = []

    def ask(self, kind: bytes, data: bytes, name: str) -> Answer:
        """See `Decoder.ask`. Raises UnreadableImage for what is refused, and for an image over
        which its decoder ended."""
        if len(data) > MOST_BYTES:
            raise UnreadableImage(f"{name}: {len(data):,} bytes, over {MOST_BYTES:,}")
        for _ in range(_TRIES):
            decoder = self._free()
            try:
                answer = decoder.ask(kind, data)
            except BaseException:
                # Half of an answer may still be under way.
                decoder.process.kill()
                decoder.end()
                raise
            if answer is not None:
                self._idle.append(decoder)
                if "refused" in answer[0]:
                    raise UnreadableImage(f"{name}: {answer[0]['refused']}")
                return answer
            ended = decoder.end()
            if ended not in _NOT_ITS_FAULT:
                break
        raise UnreadableImage(f"{name}: {self._why(ended)}")

    def close(self) -> None:
        """End the idle ones."""
        while self._idle:
            decoder = self._idle.pop()
            if decoder.owner == os.getpid():
                decoder.end()

    def _free(self) -> Decoder:
        while self._idle:
            try:
                decoder = self._idle.pop()
            except IndexError:
                break  # Another thread was quicker.
            # A fork has its parent's decoders in hand, but they answer only one of the two.
            if decoder.owner == os.getpid() and decoder.process.poll() is None:
                return decoder
        return Decoder(self.limits)

    def _why(self, ended: int) -> str:
        if ended in (signal.SIGPROF, signal.SIGALRM):
            limit = self.limits.busy if ended == signal.SIGPROF else self.limits.waiting
            return f"takes more than {limit:g} seconds to decode"
        how = signal.Signals(ended).name if ended else "without a word"
        return f"not a readable image (its decoder ended: {how})"


_DECODERS = Decoders(Limits())
atexit.register(_DECODERS.close)


def _ask(kind: bytes, data: bytes, name: str) -> Answer:
    return _DECODERS.ask(kind, data, name)
