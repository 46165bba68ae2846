"""The family that puts photographs into words: a folder of `Captioner`, with what it may say, and
the segmenter that it learned to look through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from engine import shipped
from engine.models.classes import ConfigFile, read_config
from engine.models.folder import examine_network
from engine.registry.family import Whereabouts
from engine.registry.network import NetworkRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import UserError

if TYPE_CHECKING:
    from engine.models.captioner import Captioner
    from engine.models.limits import SpeechLimits
    from engine.models.segmenter import Segmenter


class _Config(ConfigFile):
    segmenter: str
    segmenter_sha256: str


@dataclass(frozen=True, kw_only=True)
class CaptionerRef(NetworkRef):
    """A captioner with its segmenter. Its name is that of the very folder, which plans keep."""

    FAMILY: ClassVar[str] = "captioner"
    ASKED: ClassVar[str] = "backend"
    CLASS: ClassVar[str] = "Captioner"
    libraries: ClassVar[tuple[str, ...]] = (
        *("torch", "diffusers", "monai"),
        "opencv-python-headless",
    )

    segmenter: SegmenterRef

    @classmethod
    def examine(cls, place: Whereabouts) -> Self:
        """See `ModelRef`: its segmenter is the one that it learned with."""
        digest = examine_network(place.folder, cls.CLASS)
        config = read_config(place.folder / "config.json", _Config)
        outlines = shipped.folder_of(config.segmenter)
        there = Whereabouts(outlines.name, config.segmenter, outlines)
        segmenter = SegmenterRef.examine(there) if SegmenterRef.holds(outlines) else None
        if segmenter is None or segmenter.weights_sha256 != config.segmenter_sha256:
            raise UserError(
                "the captioner learned with another segmenter than the one here",
                file=outlines,
                expected="the segmenter that it learned with, or a captioner trained anew",
            )
        return cls(
            name=place.folder.name,
            location=place.location,
            weights_sha256=digest,
            segmenter=segmenter,
        )

    @classmethod
    def missing(cls, place: str | Path, names: Sequence[str]) -> UserError:
        """See `ModelRef`."""
        return UserError(
            "no captioner here", file=place, asked=cls.ASKED, expected="a folder of one, or local"
        )

    def load(self) -> tuple[Captioner, SpeechLimits, Segmenter]:
        """See `ModelRef`."""
        from engine.models.captioner import Captioner
        from engine.models.limits import SpeechLimits

        limits = SpeechLimits.read(shipped.folder_of(self.location))
        return self._loaded(Captioner), limits, self.segmenter.load()
