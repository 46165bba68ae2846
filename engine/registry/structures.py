"""Whose structures rows are drawn on: what was asked for in words, found and hashed; and the source
that gives them, loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine import shipped
from engine.call import CallSettings, Structures
from engine.data.example import Example
from engine.data.sources import read_examples
from engine.models.grounds import AnatomySource, PhantomGeometry
from engine.phantom.cameras import Cameras
from engine.registry.family import ModelRef, whereabouts
from engine.registry.geometry_generator import GeometryGeneratorRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import UserError

PHANTOM, NONE, GAN, REAL = "phantom", "none", "gan", "real"
Ref = TypeVar("Ref", bound=ModelRef)
_FORMS = "phantom, gan, gan:FOLDER, real:CSV or none"


@dataclass(frozen=True)
class GeometryAsked:
    """What was asked for in words: geometry at all, and whose."""

    geometry: bool
    structures: Structures | None


def wanted(text: str) -> GeometryAsked:
    """What `text` means: phantom, gan, gan:FOLDER, real:CSV or none. Raises UserError for another
    word, a folder without such a generator, and a table that cannot be read."""
    name, _, place = text.partition(":")
    if text in (PHANTOM, NONE):
        return GeometryAsked(text == PHANTOM, None)
    if name == GAN and (place or text == GAN):
        ref = _generator(place or shipped.GEOMETRY.name)
        return GeometryAsked(
            True, Structures(kind="gan", location=ref.location, sha256=ref.weights_sha256)
        )
    if name == REAL and place:
        table = str(Path(place).expanduser().absolute())
        return GeometryAsked(
            True, Structures(kind="real", location=table, sha256=_told_by(_read(table)))
        )
    raise UserError(f"{text!r}", asked="geometry", expected=_FORMS)


def geometry_of(settings: CallSettings, cameras: Cameras) -> PhantomGeometry:
    """The source of a plan's geometry. Raises UserError where generator or table are not there, or
    tell something else than when the plan was made."""
    asked = settings.structures
    return PhantomGeometry(cameras, _anatomies(asked) if asked is not None else None)


def _anatomies(asked: Structures) -> AnatomySource:
    if asked.kind == "gan":
        from engine.models.geometry_generator import MadeAnatomies

        ref = _generator(asked.location)
        _refuse(asked, ref.weights_sha256)
        return MadeAnatomies(ref.load())
    from engine.models.photographed import PhotographedAnatomies

    examples = _read(asked.location)
    _refuse(asked, _told_by(examples))
    return PhotographedAnatomies(tuple(examples), _outliner().load())


def _refuse(asked: Structures, found: str) -> None:
    if found != asked.sha256:
        raise UserError(
            f"is not what the plan was made with: {found[:12]} (plan: {asked.sha256[:12]})",
            file=asked.location,
            asked="geometry",
            expected="the same files",
        )


def _generator(place: str) -> GeometryGeneratorRef:
    return _first(GeometryGeneratorRef, place)


def _outliner() -> SegmenterRef:
    return _first(SegmenterRef, shipped.SEGMENTER.name)


def _first(family: type[Ref], place: str) -> Ref:
    """The model of a family in a place. Families do not know of the list of them all."""
    for each in whereabouts(place):
        if family.holds(each.folder):
            return family.examine(each)
    raise family.missing(place, ())


def _read(table: str) -> list[Example]:
    examples = read_examples([table])
    if not examples:
        raise UserError("names no photograph", file=table, asked="geometry")
    return examples


def _told_by(examples: list[Example]) -> str:
    """The hash of all that decides what a table's photographs give: their files, those of their
    masks, and the network that outlines what nobody marked."""
    digest = hashlib.sha256(_outliner().weights_sha256.encode())
    for example in examples:
        digest.update(hashlib.sha256(example.identity()).digest())
        for column, path in example.masks:
            digest.update(column.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
