"""What a captioner is allowed to say: how sure it must be of each statement, of each camera that it
knows and of all others, with the evidence. `limits.json` lies beside the weights and is meant to
be read by people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from engine.models.looks import FINE, GREEN, LIGHT_FROM
from engine.prose.statements import Statement, consistent
from engine.prose.structure import Structure
from engine.schema import LABEL_NAMES, UserError

FILE = "limits.json"


@dataclass(frozen=True)
class Limit:
    """That `label` is `least` to `most` is said of a photograph of `camera` (None: one that is
    unlike all cameras that taught) from a chance of `chance` on. The evidence: of `eyes` held out,
    `said` would have been told so, `right` of them rightly; 99 % of such counts come from a share
    above `low`."""

    camera: str | None
    label: str
    least: int
    most: int
    chance: float
    eyes: int
    said: int
    right: int
    low: float

    @property
    def statement(self) -> Statement:
        """What is said."""
        return Statement(self.label, self.least, self.most)


@dataclass(frozen=True)
class SpeechLimits:
    """See the module. `cameras` holds by name the largest distance of each signature that still is
    the camera; `dark`, `bright` and `soft` are where light and fine contrast are no longer usual.
    """

    cameras: dict[str, tuple[float, ...]] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    said: tuple[Limit, ...] = ()
    dark: float = 0.0
    bright: float = 1.0
    soft: float = -99.0

    @classmethod
    def read(cls, folder: Path) -> SpeechLimits:
        """The limits that lie beside a captioner's weights. UserError where there are none."""
        file = folder / FILE
        if not file.is_file():
            raise UserError(
                "a captioner from before its statements were calibrated",
                file=file,
                expected="a captioner trained anew",
            )
        known = json.loads(file.read_text())
        cameras = {name: tuple(far) for name, far in known.pop("cameras").items()}
        said = tuple(Limit(**each) for each in known.pop("said"))
        return cls(cameras=cameras, said=said, **known)

    def write(self, folder: Path) -> None:
        """Write `limits.json`."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n")

    def camera_of(self, distances: np.ndarray) -> str | None:
        """The camera that a photograph is like, by its distances (cameras, signatures) in the order
        of `cameras`; None if it is unlike all of them in any signature."""
        far = {
            name: float((each / np.maximum(most, 1e-6)).max())
            for (name, most), each in zip(self.cameras.items(), distances, strict=True)
        }
        near = min(far, key=far.__getitem__, default=None)
        return near if near is not None and far[near] <= 1 else None

    def decide(self, camera: str | None, chances: Mapping[str, np.ndarray]) -> frozenset[Statement]:
        """What may be said by the chances (heads, values) of each label: what every head is sure
        enough of, the most exact first; nothing of disease where the camera is not known."""
        said = [self._surest(camera, label, chances[label]) for label in LABEL_NAMES]
        return consistent([each for each in said if each], unlike=camera is None)

    def toned(self, seen: Structure, measures: np.ndarray) -> Structure:
        """The structure with what its measures say of light and focus."""
        light, fine = measures[LIGHT_FROM + GREEN], measures[LIGHT_FROM + FINE]
        shade = -1 if light < self.dark else int(light > self.bright)
        return replace(seen, light=shade, sharp=-int(fine < self.soft))

    def _surest(self, camera: str | None, label: str, held: np.ndarray) -> Statement | None:
        own = [each for each in self.said if each.camera == camera and each.label == label]
        for limit in sorted(own, key=lambda each: each.most - each.least):
            if held[:, limit.least : limit.most + 1].sum(1).min() >= limit.chance:
                return limit.statement
        return None
