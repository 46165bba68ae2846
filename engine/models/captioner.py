"""The captioner: what may be said of a photograph, decided by what was measured of it.

Measures of light, texture and outline, and of what the segmenter outlines, go to a committee of
small heads, one for each part of the training eyes that it never saw. The same measures tell
whether the photograph comes from a camera that the captioner knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from scipy import ndimage
from torch import nn
from torch.nn import functional as F

from engine.models.limits import SpeechLimits
from engine.models.looks import LIT, looks
from engine.models.segmenter import SEGMENTS, Segmenter
from engine.prose.statements import Statement, word
from engine.prose.structure import Structure
from engine.schema import LABELS

SIDE = 256
"""Pixels of a side of the field's square: what the segmenter learned at."""
SIGNATURES = {"outline": 32, "light": 39, "texture": 25, "structures": 64}
"""Numbers of each kind of measures; a camera is known by each of them apart."""
MEASURES = sum(SIGNATURES.values())
VALUES = [label.highest + 1 for label in LABELS]
_FEW, _SOME = 50, 500
"""Pixels of an outline's surest spots: a microaneurysm or two, and a patch of exudate."""
_FAR = 6.0
"""Spreads from the usual beyond which a measure says no more: other cameras' are anywhere."""
_SHRINK = 0.02
"""Share of the identity in a camera's covariance, so that few eyes do not make it singular."""

PRESETS: dict[str, dict] = {"tiny": {"hidden": 48}, "debug": {"hidden": 4}}


@dataclass(frozen=True)
class Viewed:
    """What was measured of one photograph: `measures` (MEASURES,) in the order of `SIGNATURES`;
    what of its structure can be told; and a number that is the same square's alone."""

    measures: np.ndarray
    structure: Structure
    seed: int


class Captioner(ModelMixin, ConfigMixin):
    """Measures (B, MEASURES) to logits (B, heads, values) of each label in the order of `LABELS`.

    `cameras` are known by mean and covariance of each signature; `segmenter` and
    `segmenter_sha256` say which network outlined what was measured; `usual` holds mean and spread
    of the measures.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        hidden: int = 48,
        heads: int = 5,
        cameras: tuple[str, ...] = (),
        dropout: float = 0.2,
        segmenter: str = "segmenter",
        segmenter_sha256: str = "",
    ) -> None:
        super().__init__()
        self.usual: torch.Tensor
        self.register_buffer("usual", torch.stack([torch.zeros(MEASURES), torch.ones(MEASURES)]))
        self.first = nn.Parameter(torch.randn(heads, MEASURES, hidden) * MEASURES**-0.5)
        self.bend = nn.Parameter(torch.zeros(heads, hidden))
        self.second = nn.Parameter(torch.randn(heads, hidden, sum(VALUES)) * hidden**-0.5)
        self.third = nn.Parameter(torch.zeros(heads, sum(VALUES)))
        for name, count in SIGNATURES.items():
            self.register_buffer(f"{name}_mean", torch.zeros(len(cameras), count))
            self.register_buffer(f"{name}_inverse", torch.zeros(len(cameras), count, count))
        self.omit = nn.Dropout(dropout)

    def forward(self, measures: torch.Tensor) -> torch.Tensor:
        """See the class."""
        usual, spread = self.usual
        given = ((measures - usual) / spread).clamp(-_FAR, _FAR)
        inner = torch.einsum("bm,kmh->bkh", self.omit(given), self.first) + self.bend
        return torch.einsum("bkh,khv->bkv", self.omit(F.silu(inner)), self.second) + self.third

    def know(self, camera: int, measures: torch.Tensor) -> None:
        """Learn a camera's signatures from the measures (N, MEASURES) of its photographs."""
        for name, part in parted(measures).items():
            mean, inverse = signature(part)
            getattr(self, f"{name}_mean")[camera] = mean
            getattr(self, f"{name}_inverse")[camera] = inverse

    def distances(self, measures: torch.Tensor) -> torch.Tensor:
        """How far each photograph lies from each camera by each signature (B, cameras, 4)."""
        found = [
            torch.stack([distance(part, *each) for each in self._signatures(name)], 1)
            for name, part in parted(measures).items()
        ]
        return torch.stack(found, 2)

    def _signatures(self, name: str) -> zip:
        return zip(getattr(self, f"{name}_mean"), getattr(self, f"{name}_inverse"), strict=True)


def parted(measures: torch.Tensor) -> dict[str, torch.Tensor]:
    """Measures (B, MEASURES) by signature."""
    return dict(zip(SIGNATURES, measures.split(list(SIGNATURES.values()), 1), strict=True))


def signature(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (M,) and inverse covariance (M, M) of measures (N, M)."""
    part = part.double()
    spread = part.std(0, correction=0) + 0.01 * part.abs().mean(0) + 1e-4
    scaled = (part - part.mean(0)) / spread
    covariance = (1 - _SHRINK) * scaled.T @ scaled / len(part)
    covariance += _SHRINK * torch.eye(part.shape[1], dtype=part.dtype)
    inverse = torch.linalg.inv(covariance) / spread[:, None] / spread
    return part.mean(0).float(), inverse.float()


def distance(part: torch.Tensor, mean: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    """Mahalanobis' distances (B,) of measures (B, M)."""
    apart = part - mean
    return ((apart @ inverse) * apart).sum(1).clamp_min(0).sqrt()


_LESIONS = [SEGMENTS.index(name) for name in ("dark_lesion", "bright_lesion")]
_QUARTERS = 4


def measure(outlines: torch.Tensor) -> torch.Tensor:
    """How much of each structure there is, and where lesions are (B, 64), as logarithms: a lesion
    more or less tells much where there are few."""
    flat = outlines.flatten(2)
    spots = flat.topk(_SOME, 2).values
    shares = [flat.mean(2), (flat > 0.5).float().mean(2), spots[..., :_FEW].mean(2), spots.mean(2)]
    where = F.adaptive_avg_pool2d(outlines[:, _LESIONS], _QUARTERS).flatten(1)
    return torch.cat([*shares, where], 1).add(1e-4).log()


@torch.inference_mode()
def look(square: np.ndarray, segmenter: Segmenter) -> Viewed:
    """What a field's square (256, 256, 3) uint8 shows."""
    picture = torch.from_numpy(square.copy()).permute(2, 0, 1)
    outlines = segmenter(picture[None].float() / 127.5 - 1).sigmoid()
    found = {**looks(square), "structures": measure(outlines)[0].numpy()}
    measures = np.concatenate([found[name] for name in SIGNATURES])
    digest = hashlib.sha256(np.ascontiguousarray(square).tobytes()).digest()
    told = _structure(square, outlines[0].numpy(), found["outline"])
    return Viewed(measures, told, int.from_bytes(digest[:8], "big"))


@torch.inference_mode()
def chances(logits: torch.Tensor, temperatures: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Of one photograph's logits (heads, values): by label the chances (heads, values) that each
    head gives."""
    parts = zip(LABELS, logits.double().split(VALUES, 1), strict=True)
    return {
        label.name: (part / temperatures.get(label.name, 1.0)).softmax(1).numpy()
        for label, part in parts
    }


def worded(captioner: Captioner, limits: SpeechLimits, seen: Viewed) -> str:
    """The caption of a photograph: what its camera's limits let be said."""
    camera, said = sure_of(captioner, limits, seen)
    toned = limits.toned(seen.structure, seen.measures)
    return word(said, toned, camera is None, Random(seen.seed))


@torch.inference_mode()
def sure_of(
    captioner: Captioner, limits: SpeechLimits, seen: Viewed
) -> tuple[str | None, frozenset[Statement]]:
    """The camera that a photograph is like, None for a stranger, and what may be said of it."""
    measures = torch.from_numpy(seen.measures)[None]
    camera = limits.camera_of(captioner.distances(measures)[0].numpy())
    held = chances(captioner(measures)[0], limits.temperatures)
    return camera, limits.decide(camera, held)


_DISC, _VESSEL = SEGMENTS.index("disc"), SEGMENTS.index("vessel")
_DISC_SHARE = (0.004, 0.06)
"""Of the field: less is a speck, more is no disc."""


def _structure(square: np.ndarray, outlines: np.ndarray, rays: np.ndarray) -> Structure:
    """Field, disc and vessels of outlines (8, S, S), where they are plain."""
    lit = square.max(2) > LIT
    return Structure(
        field=_field(lit, rays / rays.max() if rays.any() else rays),
        disc=_disc_place(outlines[_DISC], float(lit.sum())),
        vessels=float((outlines[_VESSEL] > 0.5)[lit].mean()) if lit.any() else None,
    )


def _field(lit: np.ndarray, rays: np.ndarray) -> str | None:
    right, below, left, above = rays[:: len(rays) // 4]
    if (
        min(corner.mean() for corner in (lit[:8, :8], lit[:8, -8:], lit[-8:, :8], lit[-8:, -8:]))
        > 0.9
    ):
        return "frame"
    if min(right, left) < 0.96:
        return None
    return "round" if min(below, above) > 0.96 else "cut" if max(below, above) < 0.93 else None


def _disc_place(chance: np.ndarray, field: float) -> str | None:
    parts, _ = ndimage.label(chance > 0.5)
    areas = np.bincount(parts.ravel())[1:]
    if not len(areas) or areas.max() < 0.9 * areas.sum():
        return None
    low, high = _DISC_SHARE
    here = parts == 1 + areas.argmax()
    rows, columns = np.flatnonzero(here.any(1)), np.flatnonzero(here.any(0))
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    compact = 0.6 < tall / wide < 1.7 and areas.max() > 0.6 * tall * wide
    if not (low * field < areas.max() < high * field and compact and chance[here].mean() > 0.85):
        return None
    place = columns.mean() / chance.shape[1]
    return "left" if place < 0.42 else "right" if place > 0.58 else "middle"
