"""Recipe: the denoiser and the label encoder learn photographs under captions and labels.

Every sample of a run is drawn from (seed, position) alone: which eye, which augmented copy, its
wording, time, noise, and which of its conditions are hidden. So any number of workers trains on the
same samples.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn

from engine import registry, seeds, shipped
from engine.data import splits
from engine.data.contents import Contents
from engine.data.example import Example
from engine.data.latents import LatentSettings, writable_cache
from engine.data.sources import read_examples
from engine.diffusion.loss import logit_normal_times
from engine.diffusion.pipeline import RetinaForgePipeline, SampleSettings
from engine.jobs.run import Schedule
from engine.models import text_encoder, transformer
from engine.models.card import write_card
from engine.models.classes import load_component, read_components, read_needs
from engine.models.grounds import PhantomGeometry
from engine.models.needs import Needs
from engine.models.text_encoder import PretrainedText
from engine.prose.template import caption
from engine.registry.base import BaseRef
from engine.schema import LABEL_NAMES, Annotation
from train.census import census, enough, image_hashes, keep_likenesses, told
from train.chance import generator_at, random_annotation
from train.conditions import as_seen, hide
from train.denoising import Denoising, going_on, mean_loss, new, specimen
from train.frozen import latent_spread, load_refiner, load_segmenter
from train.held_out import fixed_rows
from train.latents import STARTING, Encoders, Latents, look_at, start_autoencoder
from train.lora import add_adapters, merge_adapters
from train.settings import Settings, require

_HELD_OUT = 64
"""Held-out photographs that are scored."""
_GIVEN = 0.85
"""Share of rows whose geometry is given; the others teach its null."""


class DiffusionRecipe:
    """See the module; `data`: `size`, `variants` (augmented copies), `cache` (folder of latents),
    `phantoms` (share of rows that are phantoms where there are any).

    `model.base` is a model's name or folder that gives autoencoder, text encoder and tokenizer,
    `model.segmenter` one that outlines photographs, `model.refiner` one that refines what is drawn,
    or none. The first two empty, the autoencoder is started from the photographs' components and
    the others are untrained, which is enough to test with.
    """

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        self._vae: Any = None
        _check(settings)
        self._cache = writable_cache(settings.data["cache"])
        self._contents = Contents(self._cache)
        self.examples = read_examples(data, self._contents.sha256)
        self._teaching = splits.teaching(self.examples)
        self._tested = splits.spread(splits.held_out(self.examples), _HELD_OUT)
        self.counts = told(self._teaching, self.examples)
        self.refused: list[str] = []
        self._variants = settings.data["variants"]
        enough(self._teaching, self.counts)
        every = 0 if self._tested else settings.held_out_every
        require(not every, "held_out_every", every, "0, as no photograph is held out")

    def encode(self, schedule: Schedule, say: Callable[[str], None]) -> Latents:
        """See `OnLatents`."""
        settings, started = self.settings, None
        size, first = settings.data["size"], len(self._teaching)
        if self._base_name:
            self._load_frozen(None)
        known = look_at(self._cache, self._contents, [*self._teaching, *self._tested], say)
        if not self._base_name:
            some = list(zip(self._teaching, known))[:STARTING]
            preset = settings.model["preset"]
            started = start_autoencoder(self._cache, preset, settings.seed, size, some, self.counts)
            self._load_frozen(started)
        encoders = Encoders(self._cache, self._vae, self._segmenter, schedule, say)
        how = LatentSettings(size, self._variants, 1.0 if self._variants > 1 else 0.0)
        taught = encoders.encoded(self._teaching, known[:first], how)
        enough([spot for spot in taught.spots if spot], self.counts, taught.refused)
        plain = LatentSettings(size, variants=1, strength=0.0)
        return Latents(taught, encoders.encoded(self._tested, known[first:], plain), started)

    def take(self, latents: Latents) -> None:
        """See `OnLatents`."""
        self._latents = latents

    def prepare(self) -> Self:
        """See `Recipe`."""
        self._load_frozen(self._latents.started)
        self._train = self._latents.taught.of(self._teaching)
        self._held_out = self._latents.held_out.of(self._tested)
        self.refused = list(self._latents.taught.refused)
        self._encoded = {e.example: e for e in self._train}
        drawn, taken = splits.drawn_apart([e.example for e in self._train])
        self._eyes, self._phantoms = splits.one_per_eye(taken), drawn
        known = {name for e in self._train for name in e.example.annotation.known()}
        self._untaught = [name for name in LABEL_NAMES if name not in known]
        self._order: tuple[int, list[int]] = (-1, [])
        some = torch.stack([each.variant(0).latent for each in self._train[:512]])
        spread = latent_spread(self.settings.init, some)
        self.module = self._denoising([each.example for each in self._train], spread)
        self._conditioner = replace(self.module.conditioner, text=self._text)
        return self

    def sketch(self) -> nn.Module:
        """See `Recipe`; of new weights only the shapes are made."""
        with torch.device("cpu" if self.settings.init else "meta"):
            return self._denoising(self._teaching, None)

    def specimen(self, rows: int) -> dict[str, torch.Tensor]:
        """See `Specimens`: captions are as long as they may be."""
        return specimen(rows, self._needs(), self.settings.data["size"])

    @property
    def tokens(self) -> int:
        """See `Specimens`."""
        return (self.settings.data["size"] // self._stride()) ** 2

    def _stride(self) -> int:
        """Pixels of a token."""
        patch = transformer.PRESETS[self.settings.model["preset"]]["patch_size"]
        if self.settings.init:
            patch = read_components(Path(self.settings.init)).denoiser.patch_size
        return self._needs().factor * patch

    def _needs(self) -> Needs:
        if not self._base_name:
            return transformer.own_needs(self.settings.model["preset"])
        return read_needs(shipped.folder_of(registry.find(BaseRef, self._base_name).location))

    def _denoising(self, examples: Sequence[Example], spread: list[float] | None) -> Denoising:
        named = {example.annotation.source for example in examples}
        sources = tuple(sorted(source for source in named if source))
        size = self.settings.data["size"]
        torch.manual_seed(self.settings.seed)
        if self.settings.init:
            made = going_on(Path(self.settings.init), sources, spread, size)
        else:
            made = new(self.settings.model["preset"], self._needs(), sources, spread, size)
        if self.settings.model["checkpointing"]:
            transformer.checkpointed(made.transformer)
        if self.settings.model["lora"]:
            add_adapters(made, self.settings.model["lora"])
        if self.settings.align:
            made.align(self.settings.align)
        return made

    @property
    def _base_name(self) -> str:
        """What gives autoencoder and text encoder; empty where nothing does."""
        return self.settings.init or self.settings.model["base"]

    def _load_frozen(self, started: Path | None) -> None:
        """Once, in whichever of `encode` and `prepare` comes first."""
        if self._vae is not None:
            return
        if started is None:
            self._vae, self._text = registry.find(BaseRef, self._base_name).load()
            size, stride = self.settings.data["size"], self._stride()
            require(size % stride == 0, "data.size", size, f"a multiple of {stride}")
        else:
            self._vae = load_component(started)
            tokenizer = load_component(shipped.WEIGHTS / "tiny/tokenizer")
            torch.manual_seed(self.settings.seed)
            text = text_encoder.build(self.settings.model["preset"], len(tokenizer))
            self._text = PretrainedText(text, tokenizer)
        self._segmenter = load_segmenter(self.settings.model["segmenter"], self.settings.seed)
        self._vae.float().eval().requires_grad_(False)
        self._text.model.float().eval().requires_grad_(False)

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Latents, noise, times and conditions of these positions, padded to the longest
        caption."""
        return self._together([self._row(p) for p in positions])

    def held_out(self) -> Iterator[dict[str, torch.Tensor]]:
        """See `Measurable`."""
        return map(self._together, fixed_rows(self._held_out))

    def _together(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        prepared = self._conditioner.prepare(
            [row["caption"] for row in rows],
            [row["annotation"] for row in rows],
            geometry=torch.stack([row["geometry"] for row in rows]),
            given=torch.tensor([row["given"] for row in rows]),
        )
        return {
            "latents": torch.stack([row["latent"] for row in rows]),
            "noise": torch.stack([row["noise"] for row in rows]),
            "times": torch.stack([row["time"] for row in rows]),
            **vars(prepared),
        }

    def _row(self, position: int) -> dict[str, Any]:
        generator = generator_at(self.settings.seed, position)
        rng = seeds.row_random(self.settings.seed, position, "wording")
        encoded = self._encoded[self._choice(position, rng)]
        variant = encoded.variant(rng.randrange(self._variants))
        latent = variant.latent
        annotation, text = as_seen(encoded.example, variant.mirrored)
        text = text or caption(self._with_untaught(annotation, rng), rng)
        annotation, text = hide(annotation, text, torch.rand(32, generator=generator).tolist())
        time = logit_normal_times(torch.randn((), generator=generator), *self.settings.times)
        noise = torch.randn(latent.shape, generator=generator)
        return {
            "latent": latent,
            "geometry": variant.geometry,
            "given": rng.random() < _GIVEN,
            "noise": noise,
            "time": time,
            "annotation": annotation,
            "caption": text,
        }

    def _with_untaught(self, annotation: Annotation, rng: random.Random) -> Annotation:
        """Labels that no photograph knows, filled at random for the wording alone.

        Captions will speak of them all the same: so the denoiser learns that they say nothing.
        """
        drawn = random_annotation(rng).labels()
        return annotation.model_copy(update={name: drawn[name] for name in self._untaught})

    def _choice(self, position: int, rng: random.Random) -> Example:
        """A phantom or a photograph; of photographs, one of the position's eye."""
        is_phantom = rng.random() < self.settings.data["phantoms"]
        if self._phantoms and (is_phantom or not self._eyes):
            return rng.choice(self._phantoms)
        return rng.choice(self._eyes[self._eye(position)])

    def _eye(self, position: int) -> int:
        """Every eye once an epoch, in an order of the epoch's own."""
        epoch, place = divmod(position, len(self._eyes))
        if self._order[0] != epoch:
            generator = generator_at(self.settings.seed, -1 - epoch)
            self._order = (epoch, torch.randperm(len(self._eyes), generator=generator).tolist())
        return self._order[1][place]

    def pipeline(self) -> RetinaForgePipeline:
        """The sampler with the module's present weights."""
        return RetinaForgePipeline(
            transformer=self.module.transformer,
            vae=self._vae,
            text_encoder=self._text.model,
            tokenizer=self._text.tokenizer,
            label_encoder=self.module.label_encoder,
            geometry_encoder=self.module.geometry_encoder,
            refiner=load_refiner(self.settings.model["refiner"], self.settings.init),
            **self.module.call(),
        )

    def sheet(self, few: bool = False) -> Image.Image | None:
        """No disease and proliferative retinopathy by turns, of fixed seeds: above without
        geometry, below on that of phantoms."""
        grades, size = [0, 4] * 2, self.settings.data["size"]
        grades = grades[: 1 if few else None]
        # The column is optional: of photographs without one, any source is unknown.
        source = next(iter(self.module.label_encoder.config.sources), None)
        usual = [Annotation(dr_grade=g, is_fundus=1, source=source) for g in grades]
        eyes = [PhantomGeometry().ground(a, seed, size, False) for seed, a in enumerate(usual)]
        maps = np.stack([eye.map for eye in eyes])
        how, count = SampleSettings(size=size, steps=2 if few else 16), len(grades)
        rows = [
            np.concatenate(
                list(self.pipeline().sample([""] * count, usual, range(count), how, given)), 1
            )
            for given in (None, maps)
        ]
        return Image.fromarray(np.concatenate(rows))

    @torch.no_grad()
    def score(self, few: bool = False) -> dict[str, float]:
        """Loss on held-out eyes and on as many training eyes, same noise: apart, it has
        memorised."""
        scores, most = {}, 1 if few else 64
        for name, eyes in (("held_out", self._held_out), ("train", self._train)):
            encoded = splits.spread(eyes, most)
            if encoded:
                scores[f"loss_{name}"] = mean_loss(self.module, encoded, given=False)
                scores[f"loss_{name}_given_geometry"] = mean_loss(self.module, encoded, given=True)
        return scores

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the pipeline folder in float16, the card, and the key of its image hashes."""
        pipeline = self.pipeline()
        # A copy: rounded to float16, the text encoder would go on to teach other rows.
        parts = {name: copy.deepcopy(part) for name, part in pipeline.components.items()}
        if self.settings.model["lora"]:
            merge_adapters(parts["transformer"])
        copied = RetinaForgePipeline(**parts, **self.module.call())
        rounded = copied.to(torch.float16)
        rounded.save_pretrained(folder, max_shard_size="14MB")
        photographs = [e.image_sha256 for e in self._train if not e.example.synthetic]
        hashes = image_hashes(photographs, folder)
        keep_likenesses([*self._encoded], folder)
        facts = {**facts, "parents": [*facts.get("parents", []), *self._base()]}
        counted = census(list(self._encoded), self.settings.data["size"])
        write_card(folder, {**facts, **counted, "image_hashes": hashes})

    def _base(self) -> list[dict[str, Any]]:
        """The model that gave autoencoder and text encoder, unless it gave all the rest too."""
        base = self.settings.model["base"]
        if self.settings.init or not base:
            return []
        card = registry.find(BaseRef, base).describe().card
        return [{"preset": card.get("preset"), "weights_sha256": card.get("weights_sha256")}]


plan = DiffusionRecipe


def build(settings: Settings, data: list[str]) -> DiffusionRecipe:
    """The recipe of a preset's settings on `data`, encoded by this process and prepared."""
    recipe = DiffusionRecipe(settings, data)
    recipe.take(recipe.encode(Schedule(workers=0), print))
    return recipe.prepare()


def _check(settings: Settings) -> None:
    presets, size = transformer.PRESETS, settings.data["size"]
    preset = settings.model["preset"]
    require(preset in presets, "model.preset", preset, " or ".join(presets))
    rank = settings.model["lora"]
    require(
        rank == 0 or (rank > 0 and bool(settings.init)),
        "model.lora",
        rank,
        "0, or a rank with init=DIR",
    )
    require(size >= 32 and size % 32 == 0, "data.size", size, "a multiple of 32")
    variants, share = settings.data["variants"], settings.data["phantoms"]
    require(variants >= 1, "data.variants", variants, "at least 1")
    require(0 <= share <= 1, "data.phantoms", share, "0 to 1")
