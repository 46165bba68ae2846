"""Recipe: a student learns to go in a few evaluations, without guidance, where its teacher goes in
many.

The way from where a teacher's flow begins to where it ends is straightened (rectified flow, Liu et
al. 2022, arXiv 2209.03003, section 2.2; InstaFlow, Liu et al. 2023, arXiv 2309.06380), and as the
ends are the guided teacher's the student needs no second half (Meng et al. 2022, arXiv
2210.03142). It has some of the teacher's layers, and adapters beside their weights learn. Labels,
geometry and captions are read by the teacher's own encoders, which do not change. No photograph
teaches it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn

from engine import registry, seeds, shipped
from engine.data.latents import writable_cache
from engine.data.transforms import to_uint8
from engine.diffusion.pipeline import RetinaForgePipeline
from engine.jobs.run import Schedule
from engine.models.autoencoder import autoencoder_of
from engine.models.card import PRIVACY, read_card, write_card
from engine.models.student import DOWN, UP, read_student, shortened, write_student
from engine.registry.diffusion import PipelineRef
from train.couples import SHARD, Couples, Row, Teaching
from train.distilling import SHARES, TAUGHT, Distilling
from train.folder import parent
from train.frozen import loaded
from train.lora import TARGETS, adapt, adapters_of
from train.settings import Settings, require

_TARGETS = rf"{TARGETS}|layers\.\d+\.norm1\.linear"
"""The time's part too: of all times the student meets a few."""
_APART = 20
"""One turn of files in so many is held out."""
_INHERITED = (
    *("size", "data", "data_licence", "licence", "image_hashes", "likenesses", "privacy"),
    *("real_examples_per_label", "real_positives_per_label", "phantom_examples_per_label"),
    *("synthetic_examples_per_label", "test_eyes"),
)
"""What a student's card has of its teacher's: whatever taught that has taught this."""


class StudentRecipe:
    """See the module. `model`: `base` is the teacher, `layers` those that the student has of it,
    `rank` that of its adapters. `data`: `sizes` in pixels by turns, `couples` in all, `steps` of
    the teacher's whole way, `cache` where couples are kept.
    """

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        self.refused: list[str] = []
        self._ref = registry.find(PipelineRef, settings.model["base"])
        self._cache = writable_cache(settings.data["cache"])
        sizes, usual = tuple(settings.data["sizes"]), self._ref.usual
        for size in sizes:
            good = size >= self._ref.smallest and size % self._ref.patch_px == 0
            require(good, "data.sizes", size, f"a multiple of {self._ref.patch_px}")
        require(settings.model["rank"] >= 1, "model.rank", settings.model["rank"], "at least 1")
        self._turns = settings.data["couples"] // (SHARD * len(sizes))
        least = 2 * SHARD * len(sizes)
        require(self._turns >= 2, "data.couples", settings.data["couples"], f"at least {least}")
        self._teaching = Teaching(
            teacher=self._ref.weights_sha256,
            steps=settings.data["steps"],
            guidance=usual.guidance,
            t0=usual.t0,
            sizes=sizes,
            seed=settings.seed,
            sources=tuple(self._ref.sources or ()),
        )
        self.counts = (
            f"no photograph teaches: {self._turns * len(sizes) * SHARD:,} drawings of "
            f"{self._ref.name} do"
        )

    @property
    def _home(self) -> Path:
        return shipped.folder_of(self._ref.location)

    @cached_property
    def _teacher(self) -> RetinaForgePipeline:
        pipeline = RetinaForgePipeline.from_pretrained(
            self._home, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def encode(self, schedule: Schedule, say: Callable[[str], None]) -> Path:
        """See `OnLatents`: the teacher draws the couples that are lacking."""
        couples, count = Couples(self._cache, self._teaching), self._turns * len(self._sizes)
        where = "cuda" if torch.cuda.is_available() else "cpu"
        couples.make(self._teacher.to(where), self._home, count, say)
        self._teacher.to("cpu")
        return self._cache

    def take(self, latents: Path) -> None:
        """See `OnLatents`."""
        self._couples = Couples(latents, self._teaching)

    def sketch(self) -> nn.Module:
        """See `Recipe`."""
        return self._distilling()

    def prepare(self) -> Self:
        """See `Recipe`."""
        self.module = self._distilling()
        return self

    def _distilling(self) -> Distilling:
        torch.manual_seed(self.settings.seed)
        teacher, layers = self._teacher.transformer, tuple(self.settings.model["layers"])
        known = range(len(teacher.layers))
        good = bool(layers) and list(layers) == sorted(set(layers) & set(known))
        require(good, "model.layers", layers, f"some of 0 to {known[-1]}, in order")
        denoiser = shortened(teacher, layers)
        adapt(denoiser, self.settings.model["rank"], _TARGETS)
        if self.settings.init:
            self._go_on(denoiser, Path(self.settings.init))
        config = self._teacher.config
        call = {name: config[name] for name in ("time_scale", "native_side")}
        return Distilling(denoiser, self._teaching.t0, {**call, "spread": config["latent_spread"]})

    def _go_on(self, denoiser: nn.Module, folder: Path) -> None:
        """Give the adapters what a finished student's learned. UserError for another's."""
        taught, known = loaded(read_student, folder)
        require(
            taught.teacher_sha256 == self._ref.weights_sha256
            and taught.layers == list(self.settings.model["layers"]),
            "init",
            str(folder),
            "a student of this teacher and these layers",
        )
        for name, up, down in adapters_of(denoiser):
            for part, ending in ((up, UP), (down, DOWN)):
                found = known.get(name + ending)
                fits = found is not None and found.shape == part.shape
                require(fits, "model.rank", self.settings.model["rank"], "the rank of `init`")
                part.copy_(known[name + ending])

    @property
    def _sizes(self) -> tuple[int, ...]:
        return self._teaching.sizes

    @property
    def _held_out(self) -> range:
        """The first files: as many of each size."""
        return range(max(1, self._turns // _APART) * len(self._sizes))

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Couples, and how far along its way each row learns. All rows of a step have one size."""
        rows = []
        for position in positions:
            rng = seeds.row_random(self.settings.seed, position, "couple")
            turn = rng.randrange(len(self._held_out) // len(self._sizes), self._turns)
            kind = (position // self.settings.batch) % len(self._sizes)
            row = self._couples.row(turn * len(self._sizes) + kind, rng.randrange(SHARD))
            evaluations = rng.choices(TAUGHT, SHARES)[0]
            rows.append({**row, **_at(evaluations, rng.randrange(evaluations))})
        return self._together(rows)

    def held_out(self) -> Iterator[dict[str, torch.Tensor]]:
        """See `Measurable`."""
        return map(self._shard, self._held_out)

    def _shard(self, shard: int, rows: int = SHARD) -> dict[str, torch.Tensor]:
        """A file as a batch; of each way that is taught, every evaluation is met by turns."""
        places = [(n, made) for n in TAUGHT for made in range(n)]
        return self._together(
            [
                {**self._couples.row(shard, place), **_at(*places[place % len(places)])}
                for place in range(rows)
            ]
        )

    @torch.no_grad()
    def _together(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Rows as one batch, their conditions read by the teacher's encoders."""
        geometry = [row["geometry"] for row in rows]
        context = self._teacher.conditioner.read(
            [row["caption"] for row in rows],
            [row["annotation"] for row in rows],
            geometry=None if None in geometry else torch.stack(geometry),
        )
        patches = {} if context.patches is None else {"patches": context.patches}
        return {
            "begun": torch.stack([row["begun"] for row in rows]),
            "ended": torch.stack([row["ended"] for row in rows]),
            "evaluations": torch.tensor([row["evaluations"] for row in rows]),
            "made": torch.tensor([row["made"] for row in rows]),
            "tokens": context.tokens,
            "mask": context.mask,
            **patches,
        }

    @torch.no_grad()
    def sheet(self, few: bool = False) -> Image.Image | None:
        """Held-out ends of the teacher above, below them where the student's four, two and one
        evaluations end, all as the autoencoder decodes them."""
        batch, decode = self._shard(0, 1 if few else 6), autoencoder_of(self._teacher.vae).decode
        taught = reversed(TAUGHT[:1] if few else TAUGHT)
        ends = [batch["ended"], *(self.module.walked(batch, n) for n in taught)]
        rows = [np.concatenate(list(to_uint8(decode(each))), 1) for each in ends]
        return Image.fromarray(np.concatenate(rows))

    @torch.no_grad()
    def score(self, few: bool = False) -> dict[str, float]:
        """Squared distance of the ends of held-out ways from the teacher's, in shares of these
        latents' variance; and what is left of it where the student has not moved at all."""
        batches = [
            self._shard(each, 1 if few else SHARD) for each in self._held_out[: 1 if few else None]
        ]
        spread = sum(float(b["ended"].var((2, 3)).mean()) for b in batches)

        def error(ends: Callable[[dict[str, torch.Tensor]], torch.Tensor]) -> float:
            apart = ((ends(batch) - batch["ended"]).pow(2).mean() for batch in batches)
            return float(sum(apart)) / spread

        walked = {f"error_{n}": error(partial(self.module.walked, evaluations=n)) for n in TAUGHT}
        return {"error_0": error(itemgetter("begun")), **walked}

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the student in float16, and a card with what it has of its teacher's; its privacy
        gate is the teacher's."""
        taught = {
            "teacher": self._ref.name,
            "teacher_sha256": self._ref.weights_sha256,
            "layers": list(self.settings.model["layers"]),
            "evaluations": list(TAUGHT),
            "t0": self._teaching.t0,
        }
        pairs = list(adapters_of(self.module.transformer))
        adapters = {f"{name}{UP}": up for name, up, _ in pairs}
        write_student(folder, taught, {**adapters, **{f"{n}{DOWN}": d for n, _, d in pairs}})
        if (self._home / PRIVACY).is_file():
            shutil.copyfile(self._home / PRIVACY, folder / PRIVACY)
        if (self._home / "private").is_dir():
            shutil.copytree(self._home / "private", folder / "private")
        card = read_card(self._home)
        inherited = {name: card[name] for name in _INHERITED if name in card}
        parents = [*facts.get("parents", []), parent(self._home)]
        write_card(folder, {**facts, **inherited, "parents": parents})


def _at(evaluations: int, made: int) -> Row:
    return {"evaluations": evaluations, "made": made}


plan = StudentRecipe


def build(settings: Settings, data: list[str]) -> StudentRecipe:
    """The recipe of a preset's settings, its couples drawn by this process."""
    recipe = StudentRecipe(settings, data)
    recipe.take(recipe.encode(Schedule(workers=0), print))
    return recipe.prepare()
