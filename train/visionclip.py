"""Recipe: two towers learn which words are true of which picture, from captions alone (inspired by
VisionCLIP, Wei et al. 2024, which publishes no recipe; the losses are FLAIR's).

Photographs, drawn sets and phantoms teach by their captions and labels; what has no caption is
given one of its labels. What the towers know of held-out eyes is asked in words (`score`).

`visionclip-debug` takes seconds; a step of `visionclip-tiny` 0.15 s of one core, its 800 steps some
two minutes, and reading 2,000 drawn pictures one more. `visionclip-base` is for GPUs, and untried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from engine import registry, shipped
from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.data.phantoms import PhantomExample
from engine.data.sources import read_examples
from engine.evaluate.questions import QUESTIONS, answered, by_source
from engine.evaluate.scored import LEAST
from engine.evaluate.sets import SIZE
from engine.models import two_towers
from engine.models.card import write_card
from engine.models.two_towers import PRESETS, FrozenTowers, TwoTowers, pretrained
from engine.phantom.words import anatomy
from engine.prose.template import caption
from engine.registry.towers import TowersRef
from engine.schema import UserError
from engine.seeds import row_random
from train.census import census, enough, keep_likenesses, told
from train.frozen import loaded
from train.journal import counted
from train.pairs import Lessons, Pairing, SaidOf
from train.practice import seen
from train.settings import Settings, require

HF = "hf:"
"""What a folder of transformers is named with."""


class VisionClipRecipe:
    """See the module; `model`: `preset`, and in place of its untrained towers `image` and `text`,
    each `hf:FOLDER`; `data`: the `size` of pictures in pixels."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        preset, size = settings.model["preset"], settings.data["size"]
        require(preset in PRESETS, "model.preset", preset, " or ".join(PRESETS))
        require(size >= 32 and size % 32 == 0, "data.size", size, "32 x n")
        for part in ("image", "text"):
            place = settings.model[part]
            require(not place or place.startswith(HF), f"model.{part}", place, f"{HF}FOLDER")
        examples = read_examples(data) if data else []
        self._teaching, self._tested = splits.teaching(examples), splits.held_out(examples)
        self.counts = told(self._teaching, examples)
        self.refused: list[str] = []
        if not self._teaching:
            raise UserError(
                "no picture that teaches", asked="data", expected="one of a train split"
            )

    def sketch(self) -> Pairing:
        """See `Recipe`."""
        if self.settings.init:
            towers = registry.examine(TowersRef, Path(self.settings.init)).load()
            self._tokenizer = towers.tokenizer
            return Pairing(towers.network.train())
        image, text = (self._folder(part) for part in ("image", "text"))
        self._tokenizer = _tokenizer(text)
        torch.manual_seed(self.settings.seed)
        size, tokens = self.settings.data["size"], len(self._tokenizer)
        towers = two_towers.build(self.settings.model["preset"], size, tokens)
        if image or text:
            towers = _with(towers, image, text)
        return Pairing(towers)

    def prepare(self) -> Self:
        """See `Recipe`: read the photographs, draw the phantoms."""
        self.module = self.sketch()
        self._examples, images = self._read(self._teaching)
        said = [SaidOf.of(each, number) for number, each in enumerate(self._examples)]
        kept = [n for n, each in enumerate(said) if each.known]
        enough(kept, self.counts, self.refused)
        self._lessons = Lessons(images[kept], [said[n] for n in kept])
        self._held_out, self._asked = self._read(self._tested)
        return self

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """See `Lessons.batch`."""
        most = self.module.towers.most_tokens
        return self._lessons.batch(self._tokenizer, most, self.settings.seed, positions)

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Words have no picture."""
        return None

    def score(self, few: bool = False) -> dict[str, float]:
        """What the metric of each question says of held-out eyes, source by source: `idrid_dr`."""
        if not self._held_out:
            return {}
        towers = FrozenTowers(self.module.towers, self._tokenizer)
        points = towers.pictures(self._asked)
        scores = {}
        for question in QUESTIONS:
            for name, keep, truth in by_source(question, self._held_out):
                if keep.sum() >= LEAST and len({*truth}) > 1:
                    said = answered(towers, points[torch.from_numpy(keep)], question)
                    alike = np.ones((1, len(truth))), np.zeros(len(truth))
                    scores[name] = float(question.metric(truth, said, *alike)[0])
        return scores

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the towers in float16, their tokenizer, and the card."""
        towers = TwoTowers.from_config(self.module.towers.config)
        towers.load_state_dict(self.module.towers.state_dict())
        towers.half().save_pretrained(folder)
        self._tokenizer.save_pretrained(folder)
        keep_likenesses(self._examples, folder)
        write_card(folder, {**facts, **census(self._examples, self.settings.data["size"])})

    def _folder(self, part: str) -> Path | None:
        place = self.settings.model[part]
        return Path(place.removeprefix(HF)) if place else None

    def _read(self, examples: Sequence[Example]) -> tuple[list[Example], torch.Tensor]:
        """Those that can be read, and how the towers see them (N, 3, S, S) uint8; phantoms with a
        caption of theirs."""
        size = self.settings.data["size"]
        found, rows = [], [torch.zeros(0, 3, size, size, dtype=torch.uint8)]
        for number, example in enumerate(counted("picture read", examples)):
            try:
                captioned, square = _shown(example, number, max(size, SIZE))
            except UnreadableImage as error:
                self.refused.append(str(error))
                continue
            found.append(captioned)
            rows.append(seen([square], size))
        return found, torch.cat(rows)


plan = VisionClipRecipe


def build(settings: Settings, data: list[str]) -> VisionClipRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return VisionClipRecipe(settings, data).prepare()


def _shown(example: Example, number: int, size: int) -> tuple[Example, np.ndarray]:
    if isinstance(example, PhantomExample):
        phantom = example.draw(size)
        rng = row_random(0, number, "caption")
        words = caption(phantom.annotation, rng, anatomy(phantom))
        return replace(example, caption=words), phantom.image
    return example, read_square(replace(example, masks=()), size)[0]


def _tokenizer(text: Path | None) -> PreTrainedTokenizerBase:
    """That of a text tower, or ours."""
    if text:
        return loaded(AutoTokenizer.from_pretrained, text, local_files_only=True)
    ours = shipped.folder_of(shipped.DEFAULT) / "tokenizer"
    return loaded(PreTrainedTokenizerFast.from_pretrained, ours)


def _with(towers: TwoTowers, image: Path | None, text: Path | None) -> TwoTowers:
    """The same towers with networks of others in place of their own."""
    image_tower = pretrained(image, "model.image") if image else towers.image_tower
    text_tower = pretrained(text, "model.text") if text else towers.text_tower
    # By name: what is given by its place alone counts as a default, and is not written.
    found = TwoTowers(
        side=towers.config.side,
        image=image_tower.config.to_dict(),
        text=text_tower.config.to_dict(),
        width=towers.config.width,
    )
    found.image_tower.load_state_dict(image_tower.state_dict())
    found.text_tower.load_state_dict(text_tower.state_dict())
    return found
