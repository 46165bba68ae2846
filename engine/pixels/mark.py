"""Is an image file marked as synthetic, and by what? Reads and words the XMP metadata that
generated images carry in WebP, PNG and JPEG.

The mark is the IPTC digital source type (XMP `Iptc4xmpExt:DigitalSourceType`), which other
generators write too. A mark can be stripped, so its absence proves nothing.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from engine.files import read_regular
from engine.pixels import door
from engine.schema import UserError

TRAINED, COMPUTED = "trainedAlgorithmicMedia", "algorithmicMedia"
"""The IPTC's digital source types of what a model with weights draws, and a program without."""
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SYNTHETIC = (TRAINED, "compositeWithTrainedAlgorithmicMedia", COMPUTED)
_NAMES = {
    "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType": "source_type",
    "{http://ns.adobe.com/xap/1.0/}CreatorTool": "tool",
    "{https://retinaforge.invalid/ns/1.0/}model": "model",
    "{https://retinaforge.invalid/ns/1.0/}weights": "weights_sha256",
    "{https://retinaforge.invalid/ns/1.0/}seed": "seed",
}
TOOL = "RetinaForge"
PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about=""'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:retinaforge="https://retinaforge.invalid/ns/1.0/"'
    "{told}/>"
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
_OURS = {
    "tool": "xmp:CreatorTool",
    "model": "retinaforge:model",
    "weights_sha256": "retinaforge:weights",
    "seed": "retinaforge:seed",
}
MOST_BYTES = 1 << 20
MOST_WORDS = 200
"""Characters of a stranger's text that are repeated."""
_HOSTILE = re.compile(r"<!(DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
"""Entities could grow without end, and no XMP packet needs them; a comment is none."""
_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
    b"<\0\0\0": "utf-32-le", b"\0\0\0<": "utf-32-be", b"<\0": "utf-16-le", b"\0<": "utf-16-be",
}  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """What a file says of its origin; None where it says nothing."""

    synthetic: bool
    source_type: str | None = None
    tool: str | None = None
    model: str | None = None
    weights_sha256: str | None = None
    seed: int | None = None

    @property
    def words(self) -> str:
        """The finding as one sentence on one line."""
        kind = printable(self.source_type or "")
        if not self.synthetic and kind:
            return f"says {kind}: such a word is easily written and proves nothing"
        if not self.synthetic:
            return "no mark found: that does not prove a camera took it"
        parts = [f"synthetic ({kind})"]
        parts += [f"made by {printable(self.tool)}"] if self.tool else []
        parts += [f"model {printable(self.model)}"] if self.model else []
        hashed = "version" if self.source_type == COMPUTED else "weights"
        parts += [f"{hashed} {printable(self.weights_sha256[:12])}"] if self.weights_sha256 else []
        parts += [f"seed {self.seed}"] if self.seed is not None else []
        return ", ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def identify(file: Path) -> Identity:
    """Read a file's mark. Raises UserError for a file that is no whole image."""
    try:
        data = read_regular(file, door.MOST_BYTES)
    except FileNotFoundError as error:
        raise UserError("no such file", file=file) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=file) from error
    return identified(data, file)


def identified(data: bytes, file: Path) -> Identity:
    """The mark of an image whose bytes are read already; errors call it `file`."""
    found = _properties(_packet(data, file))
    kind = _kind(found)
    return Identity(
        synthetic=kind in SYNTHETIC,
        source_type=kind or None,
        tool=found.get("tool"),
        model=found.get("model"),
        weights_sha256=found.get("weights_sha256") or None,
        seed=_seed(found.get("seed") or ""),
    )


def packet_of(source_type: str, ours: dict[str, str]) -> bytes:
    """An XMP packet in UTF-8 that says what kind of synthetic image it is in, a name of the IPTC's,
    and which of our properties.
    """
    told = {"Iptc4xmpExt:DigitalSourceType": SOURCE_TYPES + source_type}
    told |= {attribute: ours[name] for name, attribute in _OURS.items() if name in ours}
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in told.items())
    return PACKET.format(told=attributes).encode()


def marked_again(packet: bytes) -> bytes:
    """A fresh packet for an image whose own says that it is synthetic, empty for any other: a
    stranger's may name people and places, so of it no more than the kind is kept; of ours, all.
    """
    found = _properties(packet)
    kind = _kind(found)
    if kind not in SYNTHETIC:
        return b""
    ours = found if found.get("tool") == TOOL else {}
    return packet_of(kind, {name: printable(ours[name]) for name in _OURS if ours.get(name)})


def maker_of(file: Path | IO[bytes]) -> str | None:
    """The model that drew an image by the image's own mark, "unknown" where the mark names none;
    None for an image without a mark, and for what is none. Of the file only the head is read.
    """
    try:
        found = _properties(door.packet_at_head(file if isinstance(file, Path) else file.read()))
    except door.UnreadableImage:
        return None
    return (found.get("model") or "unknown") if _kind(found) in SYNTHETIC else None


def printable(text: str) -> str:
    """A stranger's text on one line: no control characters, and not without end."""
    plain = "".join(each if each.isprintable() else "\ufffd" for each in text[:MOST_WORDS])
    return plain if len(text) <= MOST_WORDS else f"{plain}..."


def _kind(found: dict[str, str]) -> str:
    return (found.get("source_type") or "").rsplit("/", 1)[-1]


def _seed(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,20}", text) else None


def _packet(data: bytes, file: Path) -> bytes:
    """The XMP packet of an image; empty where it has none."""
    try:
        return door.packet(data, str(file))
    except door.UnreadableImage as error:
        why = str(error).removeprefix(f"{file}: ")
        raise UserError(f"cannot be read as an image: {why}", file=file) from error


def _properties(packet: bytes) -> dict[str, str]:
    """Our five properties out of a packet, written as attributes or as elements."""
    if len(packet) > MOST_BYTES:
        return {}
    text = _text(packet).strip("\ufeff\ufffd\0 \n\r\t")
    if not text or _HOSTILE.search(text):
        return {}
    try:
        tree = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return {}
    found: dict[str, str] = {}
    for node in tree.iter():
        for name, value in [*node.attrib.items(), (node.tag, (node.text or "").strip())]:
            if name in _NAMES and value:
                found.setdefault(_NAMES[name], value)
    return found


def _text(packet: bytes) -> str:
    """A packet in any of the encodings that XMP allows."""
    for start, encoding in _WIDE.items():
        if packet.startswith(start):
            return packet.decode(encoding, "replace")
    return packet.decode(errors="replace")
