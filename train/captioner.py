"""Recipe: a committee of small heads learns what may be said of a photograph, and how sure one must
be of it.

Each head never sees one part of the eyes; what it holds of them calibrates what is said. Only
cameras with eyes enough to know them teach. The few photographs of others show what the captioner
makes of a camera that it does not know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from engine import registry, seeds, shipped
from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.identity import eyes
from engine.data.sources import read_examples
from engine.data.transforms import crop_to_field
from engine.evaluate.calibrate import (
    EVERY_PART,
    NO_PART,
    PLAIN,
    STRANGER,
    UNKNOWN,
    Measured,
    calibrated,
)
from engine.models import captioner
from engine.models.captioner import SIDE, VALUES, Captioner, Viewed, look, worded
from engine.models.card import write_card
from engine.models.limits import SpeechLimits
from engine.prose.statements import FUNDUS, RETINA, read
from engine.registry.captioner import CaptionerRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import DISEASES, LABELS, Annotation, UserError
from train import pictures
from train.census import census, enough, keep_likenesses, told
from train.chance import generator_at
from train.frozen import load_segmenter
from train.journal import counted
from train.settings import Settings, require

_SHARES = {PLAIN: 0.45, "disguised": 0.2, "cropped": 0.05, "faulty": 0.1}
"""Of rows, by what was done to the photograph; the rest are pictures that are no fundus."""
_DISEASES = tuple(label.name for label in DISEASES)
_EYE, _NO_EYE = Annotation(is_fundus=1), Annotation(is_fundus=0)
_FAULTY = Annotation(is_fundus=1, is_retinal_region_readable=0)


class Heads(nn.Module):
    """The committee under training."""

    def __init__(self, network: Captioner) -> None:
        super().__init__()
        self.captioner = network

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Measures (B, M), labels (B, L) with -1 where unknown, and each row's part (B,), which the
        head of that number does not learn: the cross-entropy of what is known, per row."""
        logits, labels = self.captioner(batch["measures"]), batch["labels"]
        heads = torch.arange(logits.shape[1], device=labels.device)
        learns = (heads != batch["part"][:, None]).float()
        losses = []
        for at, part in enumerate(logits.split(VALUES, 2)):
            true = labels[:, at].clamp_min(0)
            each = F.cross_entropy(
                part.transpose(1, 2), true[:, None].expand(-1, len(heads)), reduction="none"
            )
            losses.append((each * learns).sum(1) / learns.sum(1) * (labels[:, at] != UNKNOWN))
        return {"loss": torch.stack(losses, 1).sum(1)}


@dataclass(frozen=True)
class HeldOut:
    """A photograph of the test split: what was measured of it, and what is known."""

    look: Viewed
    annotation: Annotation


class CaptionerRecipe:
    """See the module; `model`: `preset`, `segmenter`; `data`: a camera with `enough` eyes teaches,
    and so many `pictures` are drawn that are no fundus."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        preset, name = settings.model["preset"], settings.model["segmenter"]
        require(preset in captioner.PRESETS, "model.preset", preset, " or ".join(captioner.PRESETS))
        require(
            (shipped.WEIGHTS / name).is_dir(),
            "model.segmenter",
            name,
            "a segmenter in this checkout",
        )
        least, drawn = settings.data["enough"], settings.data["pictures"]
        require(least >= 2, "data.enough", least, "2 or more")
        require(drawn >= 1, "data.pictures", drawn, "1 or more")
        examples = read_examples(data) if data else []
        self._teaching, self._tested = splits.teaching(examples), splits.held_out(examples)
        self.counts = told([e for e in self._teaching if is_graded(e.annotation)], examples)
        self.refused: list[str] = []
        if not any(is_graded(e.annotation) for e in self._teaching):
            raise UserError(
                "no photograph of which a disease is known to be there or not",
                asked="data",
                expected="a column such as dr_grade",
            )
        self.cameras = known_cameras(self._teaching, least, name)
        if not self.cameras:
            raise UserError(
                f"no camera with {least} graded eyes: {self.counts}",
                asked="data",
                expected="more photographs of one source, or a smaller data.enough",
            )

    def sketch(self) -> Heads:
        """See `Recipe`."""
        if self.settings.init:
            network, _, _ = registry.examine(CaptionerRef, Path(self.settings.init)).load()
            return Heads(network)
        name = self.settings.model["segmenter"]
        torch.manual_seed(self.settings.seed)
        network = Captioner(
            **captioner.PRESETS[self.settings.model["preset"]],
            cameras=self.cameras,
            segmenter=name,
            segmenter_sha256=registry.find(SegmenterRef, name).weights_sha256,
        )
        return Heads(network)

    def prepare(self) -> Self:
        """See `Recipe`: measure the photographs, draw the pictures."""
        self._segmenter = load_segmenter(self.settings.model["segmenter"], self.settings.seed)
        self.module = self.sketch()
        self._taught: list[Example] = []
        self._rows = self._measured(self._teaching) + self._drawn(self.settings.data["pictures"])
        enough(self._taught, self.counts, self.refused, self.settings.data["enough"])
        self._held_out = self._measured_held_out(self._tested)
        self._pools = {
            kind: [row for row in self._rows if row.kind == kind] for kind in (*_SHARES, "picture")
        }
        if not self.settings.init:
            known = torch.stack([row.measures for kind in _SHARES for row in self._pools[kind]])
            usual = torch.stack([known.mean(0), known.std(0, correction=0) + 1e-3])
            self.module.captioner.usual.copy_(usual)
        return self

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Rows drawn from (seed, position)."""
        rows = [self._row(position) for position in positions]
        return {
            "measures": torch.stack([row.measures for row in rows]),
            "labels": torch.tensor([row.labels for row in rows]),
            "part": torch.tensor([row.part for row in rows]),
        }

    def _row(self, position: int) -> Measured:
        generator = generator_at(self.settings.seed, position)
        share, choice = torch.rand(2, generator=generator).tolist()
        pool = self._pools[_drawn_kind(share)]
        return pool[int(choice * len(pool))]

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Words have no picture."""
        return None

    @torch.no_grad()
    def score(self, few: bool = False) -> dict[str, float]:
        """On held-out photographs, by camera: the share called unlike all that taught, statements
        of disease on each, and the share of those that could be checked that is right."""
        network, limits = self._calibrated()
        found: dict[str, list[HeldOut]] = {}
        for each in self._held_out[: 4 if few else None]:
            found.setdefault(each.annotation.source or "unknown", []).append(each)
        scores = {}
        for camera, group in found.items():
            said = [
                (each, statement)
                for each in group
                for statement in read(worded(network, limits, each.look))
                if statement.label in _DISEASES
            ]
            known = [(e.annotation.labels()[s.label], s) for e, s in said]
            right = [s.holds(value) for value, s in known if value is not None]
            scores[f"said_{camera}"] = len(said) / len(group)
            if right:
                scores[f"right_{camera}"] = float(np.mean(right))
        return scores

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the network, its limits, and the card."""
        network, limits = self._calibrated()
        network.save_pretrained(folder)
        limits.write(folder)
        keep_likenesses(self._taught, folder)
        learned = census(self._taught, SIDE)
        strangers = Counter(r.camera for r in self._rows if r.kind == STRANGER)
        learned["data"]["strangers"] = dict(strangers)
        learned["data"]["pictures_drawn"] = self.settings.data["pictures"]
        write_card(folder, {**facts, **learned})

    def _calibrated(self) -> tuple[Captioner, SpeechLimits]:
        """A copy of the network that knows its cameras, and what it may say."""
        network = Captioner.from_config(self.module.captioner.config).eval()
        network.load_state_dict(self.module.captioner.state_dict())
        return network, calibrated(network, self.cameras, self._rows)

    def _measured(self, examples: Sequence[Example]) -> list[Measured]:
        """The rows of photographs: as they are, and as they might have been."""
        rows = []
        heads = self.module.captioner.config.heads
        found = list(zip(eyes(examples), examples))
        outlined = _outlined(found, self.settings.model["segmenter"])
        shown = [(eye, example) for eye, example in found if self._shows(example)]
        order = {eye: at for at, eye in enumerate(dict.fromkeys(eye for eye, _ in shown))}
        for number, (eye, example) in enumerate(counted("measured photograph", shown)):
            rng = np.random.default_rng(seeds.row_seed(self.settings.seed, number))
            try:
                square = np.asarray(crop_to_field(example.read(), SIDE))
            except UnreadableImage as error:
                self.refused.append(str(error))
                continue
            if camera_of(example) in self.cameras:
                self._taught.append(example)
                part = EVERY_PART if eye in outlined else order[eye] % heads
                rows += self._of_known_camera(example, square, part, rng)
            else:
                rows += self._of_stranger(example, square, rng)
        return rows

    def _of_known_camera(
        self, example: Example, square: np.ndarray, part: int, rng: np.random.Generator
    ) -> list[Measured]:
        known = _gradable(example.annotation)
        shown = [
            (PLAIN, square, known),
            ("disguised", pictures.other_camera(square, rng), known),
        ]
        if rng.random() < 0.5:
            shown.append(("cropped", pictures.cropped(square, rng), _EYE))
        else:
            shown.append(("faulty", pictures.faulty(square, rng), _FAULTY))
        camera = camera_of(example)
        return [self._row_of(seen, kind, known, part, camera) for kind, seen, known in shown]

    def _of_stranger(
        self, example: Example, square: np.ndarray, rng: np.random.Generator
    ) -> list[Measured]:
        """It teaches nothing, so that every head may judge it."""
        known, camera = _gradable(example.annotation), camera_of(example)
        return [
            self._row_of(square, STRANGER, known, NO_PART, camera),
            self._row_of(pictures.faulty(square, rng), "faulty stranger", _FAULTY, NO_PART, camera),
        ]

    def _drawn(self, count: int) -> list[Measured]:
        """Pictures that are no fundus; those of one kind are in one part."""
        kinds, rows = sorted(pictures.KINDS), []
        for number in counted("drew picture", range(count)):
            rng = np.random.default_rng(seeds.row_seed(self.settings.seed, number))
            kind = kinds[number % len(kinds)]
            square = np.asarray(crop_to_field(pictures.picture(kind, rng), SIDE))
            part = number % len(kinds) % self.module.captioner.config.heads
            rows.append(self._row_of(square, "picture", _NO_EYE, part, kind))
        return rows

    def _measured_held_out(self, examples: Sequence[Example]) -> list[HeldOut]:
        found = []
        for example in counted("measured held-out photograph", examples):
            try:
                square = np.asarray(crop_to_field(example.read(), SIDE))
            except UnreadableImage:
                continue
            found.append(HeldOut(look(square, self._segmenter), example.annotation))
        return found

    def _row_of(
        self, square: np.ndarray, kind: str, known: Annotation, part: int, camera: str
    ) -> Measured:
        seen, labels = look(square, self._segmenter), known.labels()
        values = tuple(UNKNOWN if (v := labels[each.name]) is None else v for each in LABELS)
        return Measured(torch.from_numpy(seen.measures), values, part, kind, camera)

    def _shows(self, example: Example) -> bool:
        """Of a camera that teaches, only graded eyes do."""
        return is_graded(example.annotation) or camera_of(example) not in self.cameras


plan = CaptionerRecipe


def build(settings: Settings, data: list[str]) -> CaptionerRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return CaptionerRecipe(settings, data).prepare()


def _drawn_kind(share: float) -> str:
    """The kind of row at a place in 0..1."""
    for kind, part in _SHARES.items():
        share -= part
        if share < 0:
            return kind
    return "picture"


def camera_of(example: Example) -> str:
    """What the table calls its source; photographs without one count as one camera's."""
    return example.annotation.source or "unknown"


def known_cameras(examples: Sequence[Example], least: int, segmenter: str) -> tuple[str, ...]:
    """The sources with so many graded eyes whose masks did not teach the segmenter."""
    found = list(zip(eyes(examples), examples))
    outlined = _outlined(found, segmenter)
    graded = {(camera_of(e), eye) for eye, e in found if is_graded(e.annotation)}
    counts = Counter(camera for camera, eye in graded if eye not in outlined)
    return tuple(sorted(name for name, count in counts.items() if count >= least))


def _outlined(found: Sequence[tuple[int, Example]], segmenter: str) -> set[int]:
    """Eyes with masks, of sources that taught the segmenter: what it finds in them it was told."""
    card = registry.find(SegmenterRef, segmenter).describe().card
    taught = card.get("data_licence", {})
    return {eye for eye, example in found if example.masks and camera_of(example) in taught}


def is_graded(annotation: Annotation) -> bool:
    """Whether a disease is known to be there or not."""
    return any(getattr(annotation, name) is not None for name in _DISEASES)


def _gradable(known: Annotation) -> Annotation:
    """What somebody graded showed a retina, unless the table says otherwise."""
    if not is_graded(known):
        return known
    labels = known.labels()
    seen = {name: 1 for name in (FUNDUS, RETINA) if labels[name] is None}
    return known.model_copy(update=seen)
