"""Recipe: a refiner learns to give bare photographs their vessels and texture back.

Photographs teach alone: what was taken out of them is put back, near the photograph by the distance
in pixels, above all on vessels and lesions, as strong as it in each octave, and as likely as it by
a critic of patches that sees the bare picture too (Isola et al. 2017, arXiv 1611.07004), with the
relativistic loss of Huang et al. 2025 (arXiv 2501.05441, eq. 2). Both networks learn in one step
from one loss: the refiner sees the critic's weights as constants, and the critic sees its pictures
so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from engine import seeds
from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.identity import eyes
from engine.data.outlines import read_square
from engine.data.sources import read_examples
from engine.evaluate.sets import SIZE
from engine.evaluate.told_apart import CLASSIFIERS, FOLDS, area, held_out_chances, table
from engine.models.cameras import own_cameras, write_cameras
from engine.models.card import write_card
from engine.models.geometry import to_layers
from engine.models.grounds import PhantomGeometry
from engine.models.plain import bare, behind, ink, texture
from engine.models.refiner import CODES, GRAIN, LINES, PICTURE, Refiner
from engine.models.segmenter import without_specks
from engine.phantom.cameras import CAMERAS
from engine.phantom.measures import measure
from engine.schema import Annotation
from train.census import census, enough, image_hashes, keep_likenesses, told
from train.chance import generator_at
from train.clinic import LEAST, measured, of_clinic
from train.frozen import load_segmenter, loaded
from train.journal import counted
from train.settings import Settings, require

_NEAR, _BROAD, _STRONG = 60.0, 40.0, 6.0
"""Weights of the distance in pixels, in pixels of an eighth of the size, and between strengths."""
_OCTAVES = 4
"""In which strengths are compared."""
_LESION, _VESSEL = 6.0, 2.0
"""How much more a pixel's distance weighs there."""
Masks = dict[str, np.ndarray]
_SHEET = 10**9
"""Phantoms from this number on are for sheets."""


class Refining(nn.Module):
    """Refiner and critic."""

    def __init__(self, refiner: Refiner, width: int) -> None:
        super().__init__()
        from monai.networks.nets.patchgan_discriminator import PatchDiscriminator

        self.refiner = refiner
        seen = 2 * PICTURE + LINES
        self.critic = PatchDiscriminator(2, width, seen, 1, 3, norm="INSTANCE")

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Per row: bare pictures and photographs (B, 3, S, S), lines (B, 3, S, S), lesions
        (B, 1, S, S), style, grain (B, 2, S, S)."""
        given, photographs = torch.cat([batch["pictures"], batch["lines"]], 1), batch["photographs"]
        refined = self.refiner(batch["pictures"], batch["lines"], batch["style"], batch["grain"])
        constant = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        opinion = functional_call(self.critic, constant, (torch.cat([refined, given], 1),))[-1]
        fake = self.critic(torch.cat([refined.detach(), given], 1))[-1]
        real = self.critic(torch.cat([photographs, given], 1))[-1]
        vessels = batch["lines"][:, :-1].amax(1, keepdim=True)
        weight = 1 + _LESION * batch["lesions"] + _VESSEL * vessels
        near = (weight * (refined - photographs).abs()).mean((1, 2, 3))
        broad = F.avg_pool2d(refined - photographs, 8).abs().mean((1, 2, 3))
        strong = (strengths(refined) - strengths(photographs)).abs().mean(1)
        fooled = F.softplus(real.detach() - opinion).mean((1, 2, 3))
        told = F.softplus(fake - real).mean((1, 2, 3))
        loss = _NEAR * near + _BROAD * broad + _STRONG * strong + fooled + told
        parts = {"near": near, "broad": broad, "strong": strong, "told": told, "fooled": fooled}
        return {"loss": loss, **parts}


def strengths(pictures: torch.Tensor) -> torch.Tensor:
    """Logarithm of the contrast of pictures (B, 3, S, S) in each octave and channel (B, 12)."""
    found = []
    for _ in range(_OCTAVES):
        coarse = F.avg_pool2d(pictures, 2)
        detail = pictures - F.interpolate(coarse, scale_factor=2, mode="bilinear")
        found.append((detail.square().mean((2, 3)) + 1e-6).log() / 2)
        pictures = coarse
    return torch.cat(found, 1)


class RefinerRecipe:
    """See the module; `data`: `size` in pixels of a whole eye, the share of rows with an eye of
    `doubled` size, `crop` of what a row shows of it, `kept`, how many photographs stay in memory;
    `source`, whose photographs they are where all are
    of one clinic: its camera is then measured of them. `model.segmenter` is the name or folder of
    the network that outlines vessels. Empty, an untrained one does, enough to test with."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        self._size, self._crop = settings.data["size"], settings.data["crop"]
        require(self._size % 32 == 0, "data.size", self._size, "32 x n")
        right = 32 <= self._crop <= self._size and self._crop % 32 == 0
        require(right, "data.crop", self._crop, f"32 x n up to {self._size}")
        self._segmenter = load_segmenter(settings.model["segmenter"], settings.seed)
        self._clinic = settings.data.get("source", "")
        self._examples = of_clinic(read_examples(data), self._clinic)
        # A model that goes on brings the cameras that were measured for it.
        self._own = own_cameras(Path(settings.init)) if settings.init else {}
        self._teaching = splits.teaching(self._examples)
        self.counts = told(self._teaching, self._examples)
        self.refused: list[str] = []
        self._least = LEAST if self._clinic else 1
        enough(self._teaching, self.counts, least=self._least)
        self._shown = lru_cache(settings.data["kept"])(self._show)

    @cached_property
    def module(self) -> Refining:
        """See `Recipe`."""
        torch.manual_seed(self.settings.seed)
        options = self.settings.model
        if self.settings.init:
            refiner = loaded(Refiner.from_pretrained, Path(self.settings.init)).float()
            refiner = refiner.knowing(self._clinic) if self._clinic else refiner
        else:
            named = {e.annotation.source or "unknown": 0 for e in self._teaching}
            refiner = Refiner(
                widths=tuple(options["widths"]),
                fine=options["fine"],
                size=self._size,
                reach=options["reach"],
                sources=tuple(named),
            )
        return Refining(refiner, options["critic"])

    def sketch(self) -> nn.Module:
        """See `Recipe`."""
        return self.module

    def prepare(self) -> Self:
        """See `Recipe`: look whether every photograph can be read."""
        self._train: list[Example] = []
        self._contents: list[str] = []
        for example in counted("read photograph", self._teaching):
            try:
                read_square(example, 64)
            except UnreadableImage as error:
                self.refused.append(str(error))
                continue
            self._train.append(example)
            # Now, as the files may be gone when training ends.
            self._contents.append(hashlib.sha256(example.identity()).hexdigest())
        enough(self._train, self.counts, self.refused, self._least)
        if self._clinic:
            self._own[self._clinic] = measured(self._train, self._segmenter)
        self._held_out = splits.held_out(self._examples)
        eyes = splits.one_per_eye(self._train)
        self._eyes = eyes
        self._marked = [eye for eye in eyes if any(_has_lesions(each) for each in eye)] or eyes
        return self

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Crops of photographs, drawn from (seed, position)."""
        rows = [self._row(position) for position in positions]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, position: int) -> dict[str, torch.Tensor]:
        generator = generator_at(self.settings.seed, position)
        rng = seeds.row_random(self.settings.seed, position, "eye")
        marked = rng.random() < self.settings.data["marked"]
        example = rng.choice(rng.choice(self._marked if marked else self._eyes))
        top, left, doubled = rng.random(), rng.random(), rng.random()
        size = self._size * (2 if doubled < self.settings.data["doubled"] else 1)
        shown, strength = self._shown(example, size)
        layers = to_layers(shown)
        top, left = (int(share * (size - self._crop + 1)) for share in (top, left))
        layers = layers[:, top : top + self._crop, left : left + self._crop]
        layers = layers.flip(-1) if rng.random() < 0.5 else layers
        photographs, pictures, lines, lesions = layers.split([PICTURE, PICTURE, LINES, 1])
        codes = torch.randn(CODES, generator=generator)
        source = example.annotation.source or "unknown"
        return {
            "photographs": photographs * 2 - 1,
            "pictures": pictures * 2 - 1,
            "lines": lines,
            "lesions": lesions,
            "style": self.module.refiner.style(source, size, strength, codes),
            "grain": torch.randn((GRAIN, self._crop, self._crop), generator=generator),
        }

    def _show(self, example: Example, size: int) -> tuple[np.ndarray, np.ndarray]:
        """A photograph's square, the same bare, its arteries, veins, field and lesions
        (S, S, 10) uint8, and how strong its texture is."""
        image, known = read_square(example, size)
        found = self._outlined(image, known)
        lesions = np.zeros(image.shape[:2], bool)
        for name in ("dark_lesion", "bright_lesion"):
            lesions |= known.get(name, lesions)
        vessels = known.get("vessel", found["vessel"])
        half = behind(image, vessels, lesions)
        plain, dark = bare(image, vessels, lesions, half), ink(image, vessels, half) * ~lesions
        lines = [found["artery"] * dark, ~found["artery"] * dark, found["field"], lesions]
        masks = np.round(np.stack(lines, -1) * 255).astype(np.uint8)
        strength = texture(image, plain, vessels | lesions)
        return np.concatenate([image, plain, masks], -1), strength

    def _outlined(self, image: np.ndarray, known: Masks) -> Masks:
        """What the segmenter finds, at the size for which it is meant, beside what is known."""

        def sized(layer: np.ndarray, size: int) -> np.ndarray:
            return cv2.resize(layer, (size, size), interpolation=cv2.INTER_AREA)

        small = {
            name: sized(mask * np.uint8(255), self._size) > 127 for name, mask in known.items()
        }
        found = self._segmenter.masks(sized(image, self._size), small)
        found["vessel"] = without_specks(found["vessel"])
        return {
            name: cv2.resize(mask * np.uint8(255), image.shape[1::-1]) > 127
            for name, mask in found.items()
        }

    def _refined(self, annotation: Annotation, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The picture (S, S, 3) uint8 of the phantom of a seed, and the same refined."""
        source = PhantomGeometry({**CAMERAS, **self._own})
        eye = source.ground(annotation, seed, self._size, light=True)
        refiner = self.module.refiner
        return eye.image, refiner.paint(eye.map[None], eye.image[None], [annotation], [seed])[0]

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Phantoms of held-out photographs' labels above, refined below, the photographs under
        them."""
        columns: list[np.ndarray] = []
        for example in (self._held_out or self._train)[::12][: 1 if few else 5]:
            seed = seeds.row_seed(self.settings.seed, _SHEET + len(columns))
            photograph, _ = read_square(example, self._size)
            columns.append(np.concatenate([*self._refined(example.annotation, seed), photograph]))
        return Image.fromarray(np.concatenate(columns, 1))

    def score(self, few: bool = False) -> dict[str, float]:
        """How well classifiers tell held-out photographs from refined phantoms of their labels
        (`engine.evaluate.told_apart`)."""
        some = splits.spread(self._held_out, FOLDS if few else 100)
        if len(some) < FOLDS:
            return {}
        real, drawn = [], []
        for number, example in enumerate(some):
            photograph, _ = read_square(replace(example, masks=()), SIZE)
            refined = self._refined(example.annotation, seeds.row_seed(0, number))[1]
            small = cv2.resize(refined, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
            real.append(measure(photograph))
            drawn.append(measure(small))
        both, whose = (table(real, "all"), table(drawn, "all")), eyes(some)
        return {
            f"auc_{words.replace(' ', '_')}": area(held_out_chances(name, *both, whose))
            for name, words in CLASSIFIERS.items()
        }

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the refiner in float16, the card, and the key of its image hashes."""
        copy = Refiner.from_config(self.module.refiner.config)
        copy.load_state_dict(self.module.refiner.state_dict())
        copy.half().save_pretrained(folder)
        write_cameras(folder, self._own)
        hashes = image_hashes(self._contents, folder)
        keep_likenesses(self._train, folder)
        learned = census(self._train, self._size)
        write_card(folder, {**facts, **learned, "image_hashes": hashes})


plan = RefinerRecipe


def build(settings: Settings, data: list[str]) -> RefinerRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return RefinerRecipe(settings, data).prepare()


def _has_lesions(example: Example) -> bool:
    return any("lesion" in name for name, _ in example.masks)
