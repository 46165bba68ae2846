"""Recipe: a refiner learns to make phantoms look like photographs.

Unpaired, as in SimGAN (Shrivastava et al. 2017, arXiv 1612.07828): a photograph and the phantom of
another photograph's labels and camera meet in a row. Critics compare the two (the relativistic loss
of Huang et al. 2025, arXiv 2501.05441, eq. 2): one sees patches of the reduced pictures, the others
a segmenter's features of them (Sauer et al. 2021, arXiv 2111.01007), which tell far more of few
photographs. How steep critics are is bounded (R1 and R2 by a finite difference: Lin et al. 2025,
arXiv 2501.08316, section 3.3), and the refined picture stays near the phantom's, above all where it
shows a lesion. All learn in one step from one loss: the refiner sees the critics' weights as
constants, and the critics see its pictures so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from engine import seeds
from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.data.sources import read_examples
from engine.evaluate.authenticity import FOLDS, SIZE, authenticity
from engine.models.card import write_card
from engine.models.geometry import to_layers
from engine.models.grounds import GEOMETRY, geometry_map
from engine.models.refiner import CODES, GRAIN, PICTURE, Refiner
from engine.models.segmenter import FIELD_LIGHT, Segmenter
from engine.phantom.render import draw
from engine.schema import Annotation
from engine.specs import Spec
from train.census import census, enough, image_hashes, told
from train.chance import generator_at
from train.frozen import load_segmenter, loaded
from train.journal import counted
from train.settings import Settings, require

_NEAR = 2.0
"""Weight of the distance to the phantom's picture."""
_LESION, _VESSEL = 6.0, 2.0
"""How much more it weighs there."""
_STEEP = 0.05
"""Weight of the critics' steepness, from noise of this size:"""
_NOISE = 0.05
_COARSE = 4
"""By which the picture is reduced for the critic of its patches."""
_LEVELS = 3
"""Of the segmenter's features, at a half, a quarter and an eighth of the size."""
_SMALLEST = 96
"""Pixels of the smallest crop that leaves the coarse critic a patch."""
_BORDER = 5
"""Pixels inside the border of the field that critics do not see: apertures are not refined."""
_SHEET = 10**9
"""Phantoms from this number on are for sheets."""
LESIONS = (GEOMETRY.index("dark_lesion"), GEOMETRY.index("bright_lesion"))
VESSELS = (GEOMETRY.index("artery"), GEOMETRY.index("vein"))


class Patches(nn.Sequential):
    """A critic of the patches of a picture (Isola et al. 2017, arXiv 1611.07004) without norms: it
    sees colour and contrast."""

    def __init__(self, channels: int, width: int) -> None:
        widths = [channels, width, 2 * width, 4 * width, 8 * width, 1]
        layers: list[nn.Module] = []
        for (a, b), stride in zip(pairwise(widths), (2, 2, 2, 1, 1)):
            layers += [nn.Conv2d(a, b, 4, stride, padding=1), nn.LeakyReLU(0.2)]
            nn.init.kaiming_normal_(layers[-2].weight, a=0.2)
        super().__init__(*layers[:-1])


class Head(nn.Sequential):
    """A critic of features."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 1),
        )


class Refining(nn.Module):
    """Refiner and critics; of `segmenter` the features alone, which are not trained."""

    def __init__(self, refiner: Refiner, segmenter: Segmenter, width: int) -> None:
        super().__init__()
        self.refiner = refiner
        self.segmenter = segmenter.requires_grad_(False)
        told = 1 + len(refiner.config.sources)
        features = segmenter.config.features[1 : 1 + _LEVELS]
        self.critics = nn.ModuleList(
            [Patches(PICTURE + told, width), *(Head(n + told, width) for n in features)]
        )

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Per row: pictures of phantoms and photographs (B, 3, S, S), maps (B, 8, S, S), style,
        grain (B, 2, S, S), radius (B, 1, S, S) from the middle of the eye's square and seen
        (B, 1, S, S), where both have field."""
        pictures, maps, style = batch["pictures"], batch["maps"], batch["style"]
        refined = self.refiner(pictures, maps, style, batch["grain"])
        near = (_importance(maps) * (refined - pictures).abs()).mean((1, 2, 3))
        fooled = told = steep = torch.zeros_like(near)
        views = zip(self._views(refined, batch), self._views(batch["photographs"], batch))
        for critic, (fake, real) in zip(self.critics, views):
            constant = {name: weight.detach() for name, weight in critic.named_parameters()}
            opinion = functional_call(critic, constant, (fake,))
            of_fake, of_real = critic(fake.detach()), critic(real)
            fooled = fooled + F.softplus(of_real.detach() - opinion).mean((1, 2, 3))
            told = told + F.softplus(of_fake - of_real).mean((1, 2, 3))
            for x, of_x in ((fake.detach(), of_fake), (real, of_real)):
                moved = critic(x + torch.randn_like(x) * _NOISE)
                steep = steep + ((moved - of_x) / _NOISE).square().mean((1, 2, 3))
        loss = _NEAR * near + fooled + told + _STEEP / 2 * steep
        return {"loss": loss, "near": near, "told": told, "fooled": fooled, "steep": steep}

    def _views(self, x: torch.Tensor, batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """What each critic sees of pictures (B, 3, S, S) where both fields are: the reduced
        picture, then features; with the radius and the source of every pixel."""
        radius, sources = batch["radius"], batch["style"][:, :-CODES, None, None]
        shown = x * batch["seen"] + batch["seen"] - 1
        views = [F.avg_pool2d(shown, _COARSE), *self.segmenter.features(shown, _LEVELS)]
        return [
            torch.cat(
                [
                    view,
                    F.adaptive_avg_pool2d(radius, view.shape[2:]),
                    sources.expand(-1, -1, *view.shape[2:]),
                ],
                1,
            )
            for view in views
        ]


def _importance(maps: torch.Tensor) -> torch.Tensor:
    """Weight (B, 1, S, S) of each pixel's distance; maps (B, 8, S, S)."""
    lesions = F.max_pool2d(maps[:, LESIONS].amax(1, keepdim=True), 5, stride=1, padding=2)
    return 1 + _LESION * lesions + _VESSEL * maps[:, VESSELS].amax(1, keepdim=True)


class RefinerRecipe:
    """See the module; `data`: `size` in pixels of a whole eye, `crop` of what a row shows of it,
    `phantoms`, how many are kept in memory; `model.segmenter` is the name or folder of the network
    whose features critics see. Empty, an untrained one does, which is enough to test with."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        self._size, self._crop = settings.data["size"], settings.data["crop"]
        require(self._size % 32 == 0, "data.size", self._size, "32 x n")
        right = _SMALLEST <= self._crop <= self._size and self._crop % 32 == 0
        require(right, "data.crop", self._crop, f"32 x n from {_SMALLEST} to {self._size}")
        require(settings.data["phantoms"] >= 1, "data.phantoms", settings.data["phantoms"], "1")
        self._examples = read_examples(data)
        self._teaching = splits.teaching(self._examples)
        self.counts = told(self._teaching, self._examples)
        self.refused: list[str] = []
        enough(self._teaching, self.counts)
        self._photograph = lru_cache(16)(self._read)
        self._phantom = lru_cache(settings.data["phantoms"])(self._draw)

    @cached_property
    def module(self) -> Refining:
        """See `Recipe`."""
        torch.manual_seed(self.settings.seed)
        if self.settings.init:
            refiner = loaded(Refiner.from_pretrained, Path(self.settings.init)).float()
        else:
            named = {e.annotation.source or "unknown": 0 for e in self._teaching}
            refiner = Refiner(
                widths=tuple(self.settings.model["widths"]),
                fine=self.settings.model["fine"],
                reach=self.settings.model["reach"],
                size=self._size,
                sources=tuple(named),
            )
        segmenter = load_segmenter(self.settings.model["segmenter"], self.settings.seed)
        return Refining(refiner, segmenter, self.settings.model["critic"])

    def sketch(self) -> nn.Module:
        """See `Recipe`."""
        return self.module

    def prepare(self) -> Self:
        """See `Recipe`: look whether every photograph can be read."""
        self._train, self._contents = [], []
        for example in counted("read photograph", self._teaching):
            try:
                read_square(example, 64)
            except UnreadableImage as error:
                self.refused.append(str(error))
                continue
            self._train.append(example)
            # Now, as the files may be gone when training ends.
            self._contents.append(hashlib.sha256(example.identity()).hexdigest())
        enough(self._train, self.counts, self.refused)
        self._held_out = splits.held_out(self._examples)
        self._alike: dict[Any, list[list[Example]]] = {}
        for eye in splits.one_per_eye(self._train):
            self._alike.setdefault(_kind(eye[0]), []).append(eye)
        return self

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Crops of a photograph and of a phantom, drawn from (seed, position)."""
        rows = [self._row(position) for position in positions]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, position: int) -> dict[str, torch.Tensor]:
        generator = generator_at(self.settings.seed, position)
        rng = seeds.row_random(self.settings.seed, position, "eye")
        number = rng.randrange(self.settings.data["phantoms"])
        asked, picture, map_ = self._phantom(number)
        photograph, field = self._photograph(rng.choice(rng.choice(self._alike[_kind(asked)])))
        mirrored = rng.random() < 0.5, rng.random() < 0.5
        pictures, maps = (_flip(to_layers(x), mirrored[0]) for x in (picture, map_))
        photographs = _flip(to_layers(photograph), mirrored[1])
        seen = _flip(field[None], mirrored[1]) * _inside(maps[-1].numpy() > 0)
        layers = torch.cat([pictures * 2 - 1, photographs * 2 - 1, maps, seen, self._radius])
        top, left = (rng.randrange(self._size - self._crop + 1) for _ in range(2))
        layers = layers[:, top : top + self._crop, left : left + self._crop]
        pictures, photographs, maps, seen, radius = layers.split([3, 3, len(GEOMETRY), 1, 1])
        source = self.module.refiner.source(asked.annotation.source or "unknown")
        return {
            "pictures": pictures,
            "photographs": photographs,
            "maps": maps,
            "seen": seen,
            "radius": radius,
            "style": torch.cat([source, torch.randn(CODES, generator=generator)]),
            "grain": torch.randn((GRAIN, self._crop, self._crop), generator=generator),
        }

    @cached_property
    def _radius(self) -> torch.Tensor:
        line = torch.linspace(-1, 1, self._size)
        return torch.hypot(line[None], line[:, None])[None]

    def _read(self, example: Example) -> tuple[np.ndarray, torch.Tensor]:
        """The square (S, S, 3) uint8, and the inside of its field (S, S)."""
        image, _ = read_square(example, self._size)
        return image, _inside(image.max(-1) > FIELD_LIGHT * 255)

    def _draw(self, number: int) -> tuple[Example, np.ndarray, np.ndarray]:
        """A training photograph's example, a phantom of its labels and camera, and its map."""
        rng = seeds.row_random(self.settings.seed, number, "phantom")
        example = rng.choice(self._train)
        phantom = draw(example.annotation, rng.getrandbits(63), self._size)
        return example, phantom.image, geometry_map(phantom.masks)

    def _refined(self, annotation: Annotation, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The picture (S, S, 3) uint8 of the phantom of a seed, and the same refined."""
        phantom = draw(annotation, seed, self._size)
        picture, map_ = phantom.image, geometry_map(phantom.masks)
        refined = self.module.refiner.paint(map_[None], picture[None], [annotation], [seed])
        return picture, refined[0]

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
        (`engine.evaluate.authenticity`)."""

        def drawn(specs: Sequence[Spec]) -> list[np.ndarray]:
            refined = (self._refined(spec.annotation, spec.seed)[1] for spec in specs)
            return [cv2.resize(x, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for x in refined]

        some = self._held_out[: FOLDS if few else 100]
        if len(some) < FOLDS:
            return {}
        told_apart = authenticity(drawn, some, 1)
        return {f"auc_{told.classifier.replace(' ', '_')}": told.auc for told in told_apart}

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the refiner in float16, the card, and the key of its image hashes."""
        copy = Refiner.from_config(self.module.refiner.config)
        copy.load_state_dict(self.module.refiner.state_dict())
        copy.half().save_pretrained(folder)
        hashes = image_hashes(self._contents, folder)
        counted_ = census(self._train, self._size)
        write_card(folder, {**facts, **counted_, "image_hashes": hashes})


plan = RefinerRecipe


def build(settings: Settings, data: list[str]) -> RefinerRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return RefinerRecipe(settings, data).prepare()


def _kind(example: Example) -> tuple[str | None, int | None]:
    """What a phantom and a photograph that are compared have in common: camera and grade."""
    return example.annotation.source, example.annotation.dr_grade


def _flip(layers: torch.Tensor, mirrored: bool) -> torch.Tensor:
    return layers.flip(-1) if mirrored else layers


def _inside(field: np.ndarray) -> torch.Tensor:
    """A field (S, S) bool without holes and border, as float32."""
    whole = ndimage.binary_fill_holes(np.pad(field, 1))
    return torch.from_numpy(ndimage.binary_erosion(whole, iterations=_BORDER)[1:-1, 1:-1]).float()
