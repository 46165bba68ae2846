"""Recipe: the denoiser and the label encoder learn photographs under captions and labels.

Every sample of a run is drawn from (seed, position) alone: which eye, which augmented copy, its
wording, time, noise, and which of its conditions are hidden. So any number of workers trains on the
same samples.
"""

from __future__ import annotations

import hmac
import random
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC
from PIL import Image
from torch import nn
from transformers import BertModel, PreTrainedTokenizerFast

from engine import seeds
from engine.data import splits
from engine.data.latents import Encoded, LatentSettings, encode_examples
from engine.data.sources import Example, read_examples
from engine.data.squares import load_squares
from engine.diffusion.loss import logit_normal_times, rectified_flow_loss
from engine.diffusion.pipeline import RetinaForgePipeline
from engine.diffusion.pipeline import Settings as SampleSettings
from engine.models import autoencoder, conditioning, transformer
from engine.models.card import read_card, write_card
from engine.models.conditioning import LabelEncoder
from engine.prose.mirror import mirror
from engine.prose.template import caption
from engine.schema import LABEL_NAMES, Annotation, UserError
from train.autoencoder import generator_at
from train.presets import Settings, require
from train.text import random_annotation

EMBEDDED = Path(__file__).parent.parent / "engine" / "weights"


class Denoising(nn.Module):
    """What is trained: denoiser and label encoder.

    Caption states come with the batch.
    """

    def __init__(self, denoiser: nn.Module, label_encoder: LabelEncoder) -> None:
        super().__init__()
        self.transformer = denoiser
        self.label_encoder = label_encoder

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Latents, noise (B, C, h, w), times (B,), states (B, T, width), mask (B, T), labels."""
        labels = self.label_encoder(batch["labels"])
        attended = torch.ones(labels.shape[:2], dtype=torch.bool, device=labels.device)
        context = torch.cat([batch["states"].to(labels.dtype), labels], 1)
        mask = torch.cat([batch["mask"], attended], 1)

        def velocity(latents: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
            return transformer.velocity(self.transformer, latents, times, context, mask)

        loss = rectified_flow_loss(velocity, batch["latents"], batch["noise"], batch["times"])
        return {"loss": loss}


class DiffusionRecipe:
    """See the module; `data`: `size`, `variants` (augmented copies), `cache` (folder of latents).

    `model.base` is a model's name or folder that gives autoencoder, text encoder and tokenizer.
    Empty, the autoencoder is started from the photographs' components and the text encoder is
    untrained, which is enough to test with.
    """

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        _check(settings)
        examples = read_examples(data)
        teaching = splits.teaching(examples)
        print(
            f"{len(teaching)} of {len(examples)} photographs teach; the others are held out, "
            "or of an eye that is",
            flush=True,
        )
        self._load_frozen(teaching)
        self._variants = settings.data["variants"]
        self._train, self.refused = self._encode(teaching, self._variants)
        self._held_out, _ = self._encode(splits.held_out(examples)[:64], 1)
        if not self._train:
            raise UserError("no readable training photograph", field="--data")
        self._eyes = splits.one_per_eye([e.example for e in self._train])
        self._encoded = {e.example: e for e in self._train}
        known = {name for e in self._train for name in e.example.annotation.known()}
        self._untaught = [name for name in LABEL_NAMES if name not in known]
        self._order: tuple[int, list[int]] = (-1, [])
        self.module = self._build()

    def _load_frozen(self, teaching: list[Example]) -> None:
        base = self.settings.init or self.settings.model["base"]
        if base:
            folder = _folder_of(base)
            self._vae = AutoencoderDC.from_pretrained(folder / "vae")
            self._text = BertModel.from_pretrained(folder / "text_encoder", add_pooling_layer=False)
            self._tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
        else:
            torch.manual_seed(self.settings.seed)
            self._vae = autoencoder.build(self.settings.model["preset"])
            some, _ = load_squares(teaching[:32], self.settings.data["size"])
            if not some:
                raise UserError("no readable training photograph", field="--data")
            autoencoder.start_from_components(self._vae, torch.stack(some))
            self._tokenizer = PreTrainedTokenizerFast.from_pretrained(EMBEDDED / "tiny/tokenizer")
            torch.manual_seed(self.settings.seed)
            self._text = conditioning.build_text_encoder(
                self.settings.model["preset"], len(self._tokenizer)
            )
        self._vae.float().eval().requires_grad_(False)
        self._text.float().eval().requires_grad_(False)

    def _encode(self, examples: list[Example], variants: int) -> tuple[list[Encoded], list[str]]:
        options = self.settings.data
        strength = 1.0 if variants > 1 else 0.0
        return encode_examples(
            examples,
            self._vae,
            LatentSettings(options["size"], variants, strength),
            Path(options["cache"]).expanduser(),
            _say_encoded,
        )

    def _build(self) -> Denoising:
        if self.settings.init:
            folder = Path(self.settings.init)
            denoiser = transformer.LuminaNextDiT2DModel.from_pretrained(folder / "transformer")
            labels = LabelEncoder.from_pretrained(folder / "label_encoder")
            return Denoising(denoiser.float(), labels.float())
        torch.manual_seed(self.settings.seed)
        denoiser = transformer.build(self.settings.model["preset"])
        sources = {e.example.annotation.source for e in self._train} - {None}
        width = denoiser.config.cross_attention_dim
        known = tuple(sorted(s for s in sources if s))
        return Denoising(denoiser, LabelEncoder(width=width, sources=known))

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Latents, noise, times and conditions of these positions, padded to the longest
        caption."""
        rows = [self._row(p) for p in positions]
        ids, mask = conditioning.tokenize(self._tokenizer, [r["caption"] for r in rows])
        stated = torch.tensor([bool(r["caption"]) for r in rows])
        with torch.no_grad():
            states = self._text(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return {
            "latents": torch.stack([r["latent"] for r in rows]),
            "noise": torch.stack([r["noise"] for r in rows]),
            "times": torch.stack([r["time"] for r in rows]),
            "states": states,
            "mask": mask & stated[:, None],
            "labels": self.module.label_encoder.values([r["annotation"] for r in rows]),
        }

    def _row(self, position: int) -> dict[str, Any]:
        generator = generator_at(self.settings.seed, position)
        rng = seeds.row_random(self.settings.seed, position, "wording")
        encoded = self._encoded[rng.choice(self._eyes[self._eye(position)])]
        latent, mirrored = encoded.variant(rng.randrange(self._variants))
        annotation, text = _as_seen(encoded.example, mirrored)
        text = text or caption(self._with_untaught(annotation, rng), rng)
        annotation, text = _hide(annotation, text, torch.rand(32, generator=generator).tolist())
        time = logit_normal_times(torch.randn((), generator=generator))
        noise = torch.randn(latent.shape, generator=generator)
        return {
            "latent": latent,
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
            text_encoder=self._text,
            tokenizer=self._tokenizer,
            label_encoder=self.module.label_encoder,
        )

    def sheet(self) -> Image.Image | None:
        """Eight samples of fixed seeds: no disease and proliferative retinopathy by turns."""
        grades = [0, 4] * 4
        annotations = [Annotation(dr_grade=g, is_fundus=1) for g in grades]
        how = SampleSettings(size=self.settings.data["size"], steps=16)
        images = self.pipeline().sample([""] * 8, annotations, list(range(8)), how)
        rows = [torch.cat([torch.from_numpy(i) for i in images[k : k + 4]], 1) for k in (0, 4)]
        return Image.fromarray(torch.cat(rows, 0).numpy())

    @torch.no_grad()
    def score(self) -> dict[str, float]:
        """Loss on held-out eyes and on as many training eyes, same noise: apart, it has
        memorised."""
        scores = {}
        for name, encoded in (("held_out", self._held_out), ("train", self._train[:64])):
            if encoded:
                scores[f"loss_{name}"] = self._mean_loss(encoded)
        return scores

    def _mean_loss(self, encoded: list[Encoded]) -> float:
        losses = []
        for i, item in enumerate(encoded):
            latent, mirrored = item.variant(0)
            annotation, _ = _as_seen(item.example, mirrored)
            for time in (0.2, 0.5, 0.8):
                width = self._text.config.hidden_size
                batch = {
                    "latents": latent[None],
                    "noise": seeds.noise([i], tuple(latent.shape)),
                    "times": torch.tensor([time]),
                    "states": torch.zeros(1, 1, width),
                    "mask": torch.zeros(1, 1, dtype=torch.bool),
                    "labels": self.module.label_encoder.values([annotation]),
                }
                losses.append(float(self.module(batch)["loss"]))
        return sum(losses) / len(losses)

    def export(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write the pipeline folder in float16, the card, and the key of its image hashes."""
        scores = self.score()
        pipeline = self.pipeline()
        pipeline.to(torch.float16).save_pretrained(folder, max_shard_size="14MB")
        pipeline.to(torch.float32)
        key = secrets.token_bytes(32)
        private = folder / "private"
        private.mkdir(exist_ok=True)
        (private / "image_key.txt").write_text(key.hex() + "\n")
        hashes = [hmac.digest(key, e.image_sha256.encode(), "sha256").hex() for e in self._train]
        facts = {**facts, "scores": scores, "parents": [*facts.get("parents", []), *self._base()]}
        write_card(folder, {**facts, **self._describe(), "image_hashes": hashes})

    def _base(self) -> list[dict[str, Any]]:
        """The model that gave autoencoder and text encoder, unless it gave all the rest too."""
        base = self.settings.model["base"]
        if self.settings.init or not base:
            return []
        card = read_card(_folder_of(base))
        return [{"preset": card.get("preset"), "weights_sha256": card.get("weights_sha256")}]

    def _describe(self) -> dict[str, Any]:
        sources: dict[str, int] = {}
        for e in self._train:
            name = e.example.annotation.source or "unknown"
            sources[name] = sources.get(name, 0) + 1
        known = {
            name: sum(e.example.annotation.labels()[name] is not None for e in self._train)
            for name in LABEL_NAMES
        }
        return {
            "size": self.settings.data["size"],
            "data": {"photographs": len(self._train), "eyes": len(self._eyes), "sources": sources},
            "real_examples_per_label": known,
        }


def build(settings: Settings, data: list[str]) -> DiffusionRecipe:
    """The recipe of a preset's settings on `--data`."""
    return DiffusionRecipe(settings, data)


def _check(settings: Settings) -> None:
    presets, size = transformer.PRESETS, settings.data["size"]
    preset = settings.model["preset"]
    require(preset in presets, "model.preset", preset, " or ".join(presets))
    require(size >= 32 and size % 32 == 0, "data.size", size, "a multiple of 32")
    variants = settings.data["variants"]
    require(variants >= 1, "data.variants", variants, "at least 1")


def _folder_of(base: str) -> Path:
    """The folder of an embedded model's name, or of a path."""
    return EMBEDDED / base if (EMBEDDED / base).is_dir() else Path(base)


def _say_encoded(done: int, of: int) -> None:
    if done % 25 == 0 or done == of:
        print(f"encoded photograph {done} of {of}", flush=True)


def _as_seen(example: Example, mirrored: bool) -> tuple[Annotation, str]:
    """Annotation and caption of the photograph as it lies in the cache, mirrored or not."""
    annotation, text = example.annotation, example.caption or ""
    if not mirrored:
        return annotation, text
    if annotation.eye_side is not None:
        annotation = annotation.model_copy(update={"eye_side": 1 - annotation.eye_side})
    return annotation, mirror(text)


def _hide(annotation: Annotation, text: str, u: list[float]) -> tuple[Annotation, str]:
    """Hide conditions by uniform draws `u` (32), so that any subset conditions a sample later.

    One in ten rows keeps only its source, which is guidance's other half; of the rest some lose the
    caption, some every label, and each label and the source are lost now and then on their own.
    """
    values = annotation.model_dump()
    all_but_source = u[0] < 0.1
    no_text = all_but_source or u[1] < 0.25
    no_labels = all_but_source or (not no_text and u[2] < 0.25)
    for i, name in enumerate(LABEL_NAMES):
        if no_labels or u[4 + i] < 0.1:
            values[name] = None
    if u[3] < 0.1:
        values["source"] = None
    return Annotation(**values), "" if no_text else text
