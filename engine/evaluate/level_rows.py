"""What is seen of rows that a level of a model draws: the pictures, and all that the levels are
compared by. Each row is kept in a file, so that whoever was stopped goes on where they were.

- Structures: Dice of vessels and disc that a segmenter finds with those of the row's masks.
- Lesions: of each tone how many components of the masks are visible, of how many
  (`engine.data.visible`).
- Signs, which readers of labels see (`engine.evaluate.signs`), and the features of the network that
  tells eyes apart, both at 256 px.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine import registry
from engine.call import CallSettings
from engine.data.visible import TONES, Surround
from engine.evaluate.geometry import dice
from engine.evaluate.signs import signs_of
from engine.features import SQUARE, Observer
from engine.registry import SamplerRef
from engine.registry.gate import GateRef
from engine.registry.levels import measured_under
from engine.registry.segmenter import SegmenterRef
from engine.schema import DISEASES, READABILITY
from engine.shipped import GATE, SEGMENTER
from engine.specs import Mix, Recipe, Spec
from engine.specs.mix import prevalence

_SEED = 1305
_PRESENT = 0.2
"""How often a row has each disease: 64 rows have about 13 of each."""
_FINE = 512
"""Pixels from which the segmenter of 512 px outlines."""
_CELL = "levels"

Tell = Callable[[str], None]


def rows(size: int, first: int, count: int) -> list[Spec]:
    """Specs of eyes that can be read: every grade of retinopathy as often, each other disease in a
    fifth of them. The n-th is the same in every measurement."""
    weights: dict[str, tuple[float, ...]] = {each.name: prevalence(_PRESENT) for each in DISEASES}
    weights |= {each.name: prevalence(1.0) for each in READABILITY}
    weights |= {"dr_grade": (1.0,) * 5, "eye_side": prevalence(0.5)}
    recipe = Recipe.of_mix(Mix(weights=weights), _SEED, size)
    return [recipe.spec(index, _CELL) for index in range(first, first + count)]


@dataclass(frozen=True)
class LevelRow:
    """One row as it was drawn (S, S, 3) uint8, and what was seen of it: `dice` and `lesions`
    (visible, all) by name, None or nothing where the masks have none; `features` (D,)."""

    image: np.ndarray
    features: np.ndarray
    signs: dict[str, float]
    dice: dict[str, float | None]
    lesions: dict[str, tuple[int, int]]

    @property
    def has_masks(self) -> bool:
        """Whether the row stands on structures at all."""
        return any(each is not None for each in self.dice.values())


class Onlooker:
    """The shipped networks that look at pictures."""

    def __init__(self, size: int) -> None:
        gate, coarse = registry.find(GateRef, GATE), registry.find(SegmenterRef, SEGMENTER)
        fine = registry.find(
            SegmenterRef, f"{SEGMENTER.name}-{_FINE}" if size >= _FINE else SEGMENTER
        )
        self.sha256 = [each.weights_sha256 for each in (gate, coarse, fine)]
        self._observer = Observer(gate.load())
        self._coarse = coarse.load()
        self._fine = fine.load() if size >= _FINE else self._coarse

    def signs(self, image: np.ndarray) -> dict[str, float]:
        """The signs of a picture (S, S, 3) uint8."""
        small = cv2.resize(image, (SQUARE, SQUARE), interpolation=cv2.INTER_AREA)
        return signs_of(small, self._coarse.masks(small))

    def look(self, image: np.ndarray, masks: Mapping[str, np.ndarray]) -> LevelRow:
        """A picture (S, S, 3) uint8 with the masks (S, S) bool of a data set's columns."""
        known = {name.removeprefix("mask_"): mask for name, mask in masks.items()}
        found = self._fine.masks(image)
        overlap = {name: dice(found[name], known.get(name)) for name in ("vessel", "disc")}
        looked = list(Surround(image, known).components(known))
        seen = {
            tone: [
                each.visible for each in looked if each.tone == tone and each.visible is not None
            ]
            for tone in TONES
        }
        return LevelRow(
            image=image,
            features=self._observer.look(image).features,
            signs=self.signs(image),
            dice=overlap,
            lesions={tone: (sum(each), len(each)) for tone, each in seen.items()},
        )


@dataclass(frozen=True)
class LevelDrawer:
    """Draws rows of one size, looks at each, and keeps it below `work`."""

    onlooker: Onlooker
    work: Path
    tell: Tell

    def drawn(
        self, name: str, ref: SamplerRef, settings: CallSettings, specs: Sequence[Spec]
    ) -> list[LevelRow]:
        """Rows as the model draws them by this call; those that are kept are not drawn again."""
        return list(self._each(name, ref, settings, specs))

    def _each(
        self, name: str, ref: SamplerRef, settings: CallSettings, specs: Sequence[Spec]
    ) -> Iterator[LevelRow]:
        place = self.work / self._key(ref, settings)
        place.mkdir(parents=True, exist_ok=True)
        files = [place / f"{spec.size}-{spec.index}.npz" for spec in specs]
        missing = sum(not file.exists() for file in files)
        # A model is loaded for the first row that is not kept, and for none if all are.
        sampler = ref.load(settings) if missing else None
        for spec, file in zip(specs, files):
            if sampler is not None and not file.exists():
                drawn = sampler.draw([spec])[0]
                _keep(file, self.onlooker.look(drawn.image, drawn.masks))
                missing -= 1
                self.tell(f"{name}, {spec.size} px: {missing:,} rows to go")
            yield _kept(file)

    def _key(self, ref: SamplerRef, settings: CallSettings) -> str:
        called = [ref.weights_sha256, settings.identity(), measured_under(settings)]
        told = [*called, self.onlooker.sha256, _SEED, _PRESENT]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _keep(file: Path, row: LevelRow) -> None:
    told = json.dumps({"signs": row.signs, "dice": row.dice, "lesions": row.lesions})
    part = file.with_suffix(".part.npz")
    np.savez_compressed(part, image=row.image, features=row.features, told=np.array(told))
    part.replace(file)


def _kept(file: Path) -> LevelRow:
    with np.load(file) as kept:
        told = json.loads(str(kept["told"]))
        lesions = {tone: tuple(pair) for tone, pair in told["lesions"].items()}
        return LevelRow(kept["image"], kept["features"], told["signs"], told["dice"], lesions)
