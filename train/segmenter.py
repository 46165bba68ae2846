"""Recipe: a U-Net learns where vessels, disc, cup, fovea and lesions lie.

Half of the rows are phantoms, whose every mask is known; the others are photographs with the masks
that people drew, and what nobody drew is left out of the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from engine import registry, seeds
from engine.data import splits
from engine.data.example import Example
from engine.data.outlines import read_squares
from engine.data.phantoms import PhantomExample
from engine.data.sources import read_examples
from engine.data.transforms import draw_augmentation, move
from engine.evaluate.outlines import outlined
from engine.models.card import write_card
from engine.models.segmenter import SEGMENTS, Segmenter
from engine.phantom.render import draw
from engine.registry.segmenter import SegmenterRef
from engine.schema import UserError
from engine.specs.mix import default_mix
from train.census import enough, keep_likenesses, told
from train.chance import generator_at
from train.settings import Settings, require

ARTERY, VEIN = SEGMENTS.index("artery"), SEGMENTS.index("vein")
_RARE = {"dark_lesion": 6.0, "bright_lesion": 2.0}
"""How much more a pixel of a structure weighs than one without, where whole images have few."""
_HELD_OUT = 10**9
"""Phantoms from this position on are never trained on."""

Square = tuple[np.ndarray, dict[str, np.ndarray]]


class Outlining(nn.Module):
    """The network under training."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Images (B, 3, S, S), masks (B, 8, S, S), known (B, 8): cross-entropy and Dice of each
        structure, and of vessels the choice between artery and vein, per row."""
        logits, masks, known = self.segmenter(batch["images"]), batch["masks"], batch["known"]
        rare = torch.tensor([_RARE.get(name, 1.0) for name in SEGMENTS], device=masks.device)
        entropy = F.binary_cross_entropy_with_logits(
            logits, masks, reduction="none", pos_weight=rare[:, None, None]
        ).mean((2, 3))
        dice = soft_dice_loss(logits.sigmoid(), masks)
        count = known.sum(1).clamp_min(1)
        outlines = ((dice + 5 * entropy) * known).sum(1) / count
        choice = which_vessel(logits, masks) * known[:, ARTERY]
        return {"loss": outlines + choice, "dice": (dice * known).sum(1) / count, "choice": choice}


def which_vessel(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of artery against vein (B,) over the pixels of masks that are one of them.

    An own term, since over whole images the few pixels that tell them apart weigh nothing.
    """
    one = (masks[:, ARTERY] != masks[:, VEIN]).float()
    apart = logits[:, ARTERY] - logits[:, VEIN]
    entropy = F.binary_cross_entropy_with_logits(apart, masks[:, ARTERY], reduction="none")
    return (entropy * one).sum((1, 2)) / one.sum((1, 2)).clamp_min(1)


def soft_dice_loss(shares: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """1 - Dice of shares and masks (B, C, S, S) in 0..1, by row and channel (B, C)."""
    from monai.losses import DiceLoss

    return DiceLoss(reduction="none", smooth_nr=1.0, smooth_dr=1.0)(shares, masks).flatten(1)


class SegmenterRecipe:
    """See the module; `data`: `size` in pixels and the share of `phantoms`."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        self._size, self._share = settings.data["size"], settings.data["phantoms"]
        require(self._size >= 32 and self._size % 16 == 0, "data.size", self._size, "16 x n")
        require(0 <= self._share <= 1, "data.phantoms", self._share, "0 to 1")
        examples = read_examples(data) if data else []
        # An eye may be held out by a photograph that has no mask.
        self._teaching = [e for e in splits.teaching(examples) if _is_outlined(e)]
        self._tested = [e for e in splits.held_out(examples) if _is_outlined(e)]
        self.counts = told(self._teaching, [e for e in examples if _is_outlined(e)])
        self.refused: list[str] = []
        if not self._teaching and self._share < 1:
            raise UserError(
                "no photograph with masks",
                asked="data",
                expected="mask_* columns, or data.phantoms=1",
            )

    def sketch(self) -> Outlining:
        """See `Recipe`."""
        if self.settings.init:
            return Outlining(registry.examine(SegmenterRef, Path(self.settings.init)).load())
        torch.manual_seed(self.settings.seed)
        return Outlining(Segmenter(features=tuple(self.settings.model["features"])))

    def prepare(self) -> Self:
        """See `Recipe`: read photographs and masks."""
        self._squares, self.refused = read_squares(self._teaching, self._size)
        self._held_out, _ = read_squares(self._tested, self._size)
        if self._share < 1:
            enough(self._squares, self.counts, self.refused)
        self.module = self.sketch()
        return self

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Augmented squares, drawn from (seed, position)."""
        rows = [self._row(position) for position in positions]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, position: int) -> dict[str, torch.Tensor]:
        generator = generator_at(self.settings.seed, position)
        share, choice = torch.rand(2, generator=generator).tolist()
        if share < self._share:
            image, masks = self._phantom(position)
        else:
            image, masks = self._squares[int(choice * len(self._squares))]
        known = torch.tensor([float(name in masks) for name in SEGMENTS])
        empty = np.zeros(image.shape[:2], bool)
        layers = [image[..., c] / 255 for c in range(3)]
        layers += [masks.get(name, empty).astype(np.float32) for name in SEGMENTS]
        stacked = torch.from_numpy(np.stack(layers).astype(np.float32))
        moved = move(stacked, draw_augmentation(generator, strength=2.0)).clamp(0, 1)
        return {
            "images": relit(moved[:3], generator) * 2 - 1,
            "masks": (moved[3:] > 0.5).float(),
            "known": known,
        }

    def _phantom(self, position: int) -> Square:
        rng = seeds.row_random(self.settings.seed, position, "phantom")
        phantom = draw(default_mix().draw(position, rng), rng.getrandbits(63), self._size)
        return phantom.image, phantom.masks

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Four held-out squares over the masks that were found: vessels, disc and cup, lesions."""
        squares = [*self._held_out[::7][: 1 if few else 3], self._phantom(_HELD_OUT)]
        columns = []
        for image, _ in squares:
            found = self._masks(image)
            channels = ("vessel", "disc", "dark_lesion"), ("artery", "fovea", "bright_lesion")
            shown = [np.stack([found[n] for n in names], -1) * np.uint8(255) for names in channels]
            columns.append(np.concatenate([image, *shown]))
        return Image.fromarray(np.concatenate(columns, 1))

    def score(self, few: bool = False) -> dict[str, float]:
        """Mean Dice by structure on the test split's photographs, and on 24 unseen phantoms."""
        phantoms = [self._phantom(_HELD_OUT + i) for i in range(1 if few else 24)]
        groups = {"photographs": self._held_out[: 1 if few else None], "phantoms": phantoms}
        return {
            f"dice_{row.structure}_{group}": row.dice
            for group, squares in groups.items()
            for row in outlined(self.module.segmenter, squares)
        }

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the network in float16, and the card."""
        copy = Segmenter.from_config(self.module.segmenter.config)
        copy.load_state_dict(self.module.segmenter.state_dict())
        copy.half().save_pretrained(folder)
        keep_likenesses(self._teaching, folder)
        write_card(folder, {**facts, "size": self._size, "photographs": len(self._squares)})

    def _masks(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return self.module.segmenter.masks(image)


plan = SegmenterRecipe


def build(settings: Settings, data: list[str]) -> SegmenterRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return SegmenterRecipe(settings, data).prepare()


def _is_outlined(example: Example) -> bool:
    return bool(example.masks) or isinstance(example, PhantomExample)


def relit(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Another camera's colour: a gain for each channel and a gamma; image (3, S, S) in 0..1."""
    gain = 1 + 0.25 * (torch.rand(3, 1, 1, generator=generator) * 2 - 1)
    gamma = 2 ** (0.5 * (torch.rand((), generator=generator) * 2 - 1))
    return (image**gamma * gain).clamp(0, 1)
