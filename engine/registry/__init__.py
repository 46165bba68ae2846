"""Every family of models, and the door to them: by name or by folder.

To `find` a model reads small files alone, so that mistakes are told before anything starts; its
own `load` brings the weights into memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from engine import shipped
from engine.registry.base import BaseRef
from engine.registry.captioner import CaptionerRef
from engine.registry.classifier import ClassifierRef
from engine.registry.diffusion import PipelineRef
from engine.registry.family import ModelRef, Whereabouts, whereabouts
from engine.registry.gan import GanRef
from engine.registry.gate import GateRef
from engine.registry.geometry_generator import GeometryGeneratorRef
from engine.registry.latent_decoder import LatentDecoderRef
from engine.registry.null import NullRef
from engine.registry.phantom import PhantomRef
from engine.registry.sampler import SamplerRef
from engine.registry.scorer import ScorerRef
from engine.registry.segmenter import SegmenterRef
from engine.registry.student import StudentRef
from engine.registry.towers import TowersRef
from engine.schema import UserError

__all__ = ["FAMILIES", "ModelRef", "SamplerRef", "examine", "find", "names", "shipped_names"]

FAMILIES: list[type[ModelRef]] = [
    PipelineRef,
    StudentRef,
    GanRef,
    PhantomRef,
    NullRef,
    CaptionerRef,
    GateRef,
    SegmenterRef,
    ClassifierRef,
    GeometryGeneratorRef,
    LatentDecoderRef,
    ScorerRef,
    TowersRef,
    BaseRef,
]

Wanted = TypeVar("Wanted", bound=ModelRef)


def find(wanted: type[Wanted], place: str | Path) -> Wanted:
    """The model of this name (a text), in this folder, or in the folder of this run, among the
    families that are `wanted`. Raises UserError with the reason if there is none that may be
    loaded.
    """
    for family in _families(wanted):
        if isinstance(place, str) and (program := family.called(place)):
            return program
    return _examined(wanted, place, whereabouts(place))


def examine(wanted: type[Wanted], folder: Path) -> Wanted:
    """The model in this very folder. Raises UserError as `find` does."""
    return _examined(wanted, folder, [Whereabouts(folder.name, str(folder), folder)])


def names(wanted: type[ModelRef]) -> list[str]:
    """The names of the models of these families, the default first."""
    programs = [name for family in _families(wanted) for name in family.NAMES]
    return [*shipped_names(wanted), *programs]


def shipped_names(wanted: type[ModelRef]) -> list[str]:
    """Those of them that lie in this checkout."""
    families = _families(wanted)
    here = [n for n in shipped.names() if any(f.holds(shipped.WEIGHTS / n) for f in families)]
    return sorted(here, key=lambda name: name != shipped.DEFAULT)


def _families(wanted: type[Wanted]) -> list[type[Wanted]]:
    return [family for family in FAMILIES if issubclass(family, wanted)]


def _examined(wanted: type[Wanted], asked: str | Path, among: Iterable[Whereabouts]) -> Wanted:
    try:
        for place in among:
            for family in _families(wanted):
                if family.holds(place.folder):
                    return family.examine(place)
    except (OSError, RuntimeError) as error:
        # A name longer than the disk allows, or the home of a user who does not exist.
        raise UserError(f"{str(asked)[:80]!r}: {error}", asked=wanted.ASKED) from error
    raise wanted.missing(asked, names(wanted))
