"""Recipe: a small network learns to say of a photograph what is known of it.

Half of the rows are phantoms, of which every label is known, every other one of a mix with more
disease than there is; the others are photographs, whose captions state what their labels say and
nothing else. Outlines are found once, by the segmenter, and move with the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from engine import seeds
from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.data.sources import read_examples
from engine.data.transforms import draw_augmentation, move
from engine.models import captioner
from engine.models.captioner import SIDE, Captioner, layers_of, worded
from engine.models.card import hash_folder, write_card
from engine.models.conditioning import UNKNOWN, tokenize
from engine.phantom.render import draw
from engine.prose.parse import parse
from engine.prose.statements import WORDING, state
from engine.schema import DISEASES, LABELS, Annotation, UserError
from engine.specs.mix import Mix, default_mix, prevalence
from train.autoencoder import generator_at
from train.census import census, enough, told
from train.frozen import EMBEDDED, folder_of, load_segmenter, loaded
from train.journal import counted
from train.segmenter import relit
from train.settings import Settings, require
from train.text import learn_tokens, random_annotation

_HELD_OUT = 10**9
"""Phantoms from this position on are never trained on."""
_LABELS = 0.3
"""What a label weighs beside the mean of all words."""
_TOLD = 0.5
"""Share of rows whose words are learned from the true labels instead of the guessed ones: so the
words follow the labels long before the labels are right."""
_FREQUENT = {
    "is_amd": 0.25,
    "is_aon": 0.15,
    "is_crp": 0.15,
    "is_dm": 0.12,
    "is_em": 0.2,
    "is_gc": 0.25,
    "is_htr": 0.2,
    "is_pm": 0.06,
    "is_rvo": 0.15,
    "is_fundus": 0.96,
    "is_macular_readable": 0.9,
    "is_optic_disc_readable": 0.9,
    "is_retinal_region_readable": 0.9,
}
"""Shares of ones where what is rare must be met often enough to be learned."""


@dataclass(frozen=True)
class Shown:
    """A photograph's `layers` (11, S, S) uint8, RGB and outlines, and what is known of it; the
    `example` that it was read from."""

    layers: np.ndarray
    annotation: Annotation
    example: Example | None = None


class Captioning(nn.Module):
    """The network under training."""

    def __init__(self, captioner: Captioner) -> None:
        super().__init__()
        self.captioner = captioner

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Squares, outlines, ids and mask (B, T), labels and told (B, L + 1), -1 where unknown: per
        row, the cross-entropies of each next word, and of the labels that are known."""
        seen = self.captioner.look(batch["squares"], batch["outlines"])
        ids, mask = batch["ids"], batch["mask"]
        memory = self.captioner.memory(seen, batch["told"])
        logits = self.captioner(memory, ids[:, :-1], mask[:, :-1])
        each = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        words = (each * mask[:, 1:]).sum(1) / mask[:, 1:].sum(1)
        known = (batch["labels"] != UNKNOWN).float()
        guesses = zip(seen.labels, batch["labels"].clamp_min(0).unbind(1), strict=True)
        entropies = [F.cross_entropy(a, b, reduction="none") for a, b in guesses]
        labels = (torch.stack(entropies, 1) * known).sum(1)
        return {"loss": words + _LABELS * labels, "words": words, "labels": labels}


class CaptionerRecipe:
    """See the module; `model`: `preset`, `segmenter`; `data`: `phantoms` drawn to learn from,
    their `share` of the rows, how many more are `scored`, and the size of the `vocabulary`."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        preset, share = settings.model["preset"], settings.data["share"]
        require(preset in captioner.PRESETS, "model.preset", preset, " or ".join(captioner.PRESETS))
        require(0 <= share <= 1, "data.share", share, "0 to 1")
        require(
            settings.data["phantoms"] >= 1, "data.phantoms", settings.data["phantoms"], "1 or more"
        )
        examples = read_examples(data) if data else []
        self._teaching = [e for e in splits.teaching(examples) if _is_graded(e.annotation)]
        self._tested = [e for e in splits.held_out(examples) if _is_graded(e.annotation)]
        self.counts = told(self._teaching, examples)
        self.refused: list[str] = []
        if not self._teaching and share < 1:
            raise UserError(
                "no photograph of which a disease is known to be there or not",
                field="--data",
                expected="a column such as dr_grade, or data.share=1",
            )
        name = settings.model["segmenter"]
        require((EMBEDDED / name).is_dir(), "model.segmenter", name, "a segmenter in this checkout")

    def sketch(self) -> Captioning:
        """See `Recipe`."""
        if self.settings.init:
            folder = Path(self.settings.init)
            return Captioning(loaded(Captioner.from_pretrained, folder).float())
        return Captioning(self._network(self.settings.data["vocabulary"]))

    def _network(self, words: int) -> Captioner:
        torch.manual_seed(self.settings.seed)
        preset, name = self.settings.model["preset"], self.settings.model["segmenter"]
        return captioner.build(preset, words, name, hash_folder(folder_of(name)))

    def prepare(self) -> Self:
        """See `Recipe`: outline the photographs, draw the phantoms, learn the words."""
        self._outliner = load_segmenter(self.settings.model["segmenter"], self.settings.seed)
        self._photographs, self.refused = self._read(self._teaching)
        if self.settings.data["share"] < 1:
            enough(self._photographs, self.counts, self.refused)
        self._phantoms = self._drawn(range(self.settings.data["phantoms"]))
        scored = range(_HELD_OUT, _HELD_OUT + self.settings.data["scored"])
        photographs, _ = self._read(self._tested)
        self._held_out = {"photographs": photographs, "phantoms": self._drawn(scored)}
        self._start()
        return self

    def _start(self) -> None:
        """The tokenizer and the network, of a finished captioner or new."""
        if self.settings.init:
            tokenizer = Path(self.settings.init) / "tokenizer"
            self.tokenizer = loaded(PreTrainedTokenizerFast.from_pretrained, tokenizer)
            self.module = self.sketch()
            return
        corpus = [state(random_annotation(seeds.row_random(0, i, "captions"))) for i in range(4000)]
        self.tokenizer = learn_tokens(corpus, self.settings.data["vocabulary"])
        network = self._network(len(self.tokenizer))
        outlines = [each.layers[3:] for each in (*self._photographs, *self._phantoms)[::4]]
        network.usual.copy_(usual_measures(outlines))
        self.module = Captioning(network)

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Augmented squares with their captions, drawn from (seed, position)."""
        rows = [self._row(position) for position in positions]
        annotations = [annotation for _, annotation, _ in rows]
        ids, mask = tokenize(self.tokenizer, [state(each) for each in annotations])
        layers = torch.stack([each for each, _, _ in rows])
        labels = torch.tensor([_values(each) for each in annotations])
        told = torch.tensor([each for _, _, each in rows])[:, None]
        return {
            "squares": layers[:, :3] * 2 - 1,
            "outlines": layers[:, 3:],
            "ids": ids,
            "mask": mask.float(),
            "labels": labels,
            "told": torch.where(told, labels, UNKNOWN),
        }

    def _row(self, position: int) -> tuple[torch.Tensor, Annotation, bool]:
        """Layers and annotation, and whether its words are learned from the true labels."""
        generator = generator_at(self.settings.seed, position)
        share, choice, told = torch.rand(3, generator=generator).tolist()
        pool = self._phantoms if share < self.settings.data["share"] else self._photographs
        shown = pool[int(choice * len(pool))]
        change = draw_augmentation(generator, strength=2.0)
        layers = move(torch.from_numpy(shown.layers).float() / 255, change).clamp(0, 1)
        layers = torch.cat([relit(layers[:3], generator), layers[3:]])
        annotation = shown.annotation
        if change.mirrored and annotation.eye_side is not None:
            annotation = annotation.model_copy(update={"eye_side": 1 - annotation.eye_side})
        return layers, annotation, told < _TOLD

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Words have no picture."""
        return None

    @torch.no_grad()
    def score(self, few: bool = False) -> dict[str, float]:
        """On held-out photographs and phantoms: the share of captions that state every known label
        right, and of the known labels that they do."""
        scores = {}
        for group, every in self._held_out.items():
            shown = every[: 1 if few else None]
            known = [each.annotation.known() for each in shown]
            stated = [parse(self.caption(each.layers)) for each in shown]
            right = [[s.get(n) == v for n, v in k.items()] for s, k in zip(stated, known)]
            if shown:
                scores[f"labels_{group}"] = float(np.mean([r for row in right for r in row]))
                scores[f"whole_{group}"] = float(np.mean([all(row) for row in right]))
        return scores

    def caption(self, layers: np.ndarray) -> str:
        """The present weights' caption of one photograph's layers."""
        return worded(self.module.captioner, self.tokenizer, layers)

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the network in float16, `tokenizer/`, and the card."""
        copy = Captioner.from_config(self.module.captioner.config)
        copy.load_state_dict(self.module.captioner.state_dict())
        copy.half().save_pretrained(folder)
        self.tokenizer.save_pretrained(folder / "tokenizer")
        learned = census([each.example for each in self._photographs if each.example], SIDE)
        learned["data"]["phantoms_drawn"] = len(self._phantoms)
        write_card(folder, {**facts, **learned, "wording": WORDING})

    def _read(self, examples: Sequence[Example]) -> tuple[list[Shown], list[str]]:
        shown, refused = [], []
        for example in counted("outlined photograph", examples):
            try:
                square, _ = read_square(replace(example, masks=()), SIDE)
            except UnreadableImage as error:
                refused.append(str(error))
                continue
            layers = layers_of(square, self._outliner)
            shown.append(Shown(layers, example.annotation, example))
        return shown, refused

    def _drawn(self, positions: Sequence[int]) -> list[Shown]:
        return [self._phantom(each) for each in counted("drew phantom", positions)]

    def _phantom(self, position: int) -> Shown:
        rng = seeds.row_random(self.settings.seed, position, "captioner's phantom")
        asked = (_frequent_mix() if position % 2 else default_mix()).draw(position, rng)
        phantom = draw(asked, rng.getrandbits(63), SIDE)
        known = phantom.annotation.model_copy(update={"source": "phantom"})
        return Shown(layers_of(phantom.image, self._outliner), known)


plan = CaptionerRecipe


def build(settings: Settings, data: list[str]) -> CaptionerRecipe:
    """The recipe of a preset's settings on `--data`, prepared."""
    return CaptionerRecipe(settings, data).prepare()


def usual_measures(outlines: Sequence[np.ndarray]) -> torch.Tensor:
    """Mean and spread (2, M) of the measures of outlines (8, S, S) uint8."""
    found = [captioner.measure(torch.from_numpy(o)[None].float() / 255)[0] for o in outlines]
    measures = torch.stack(found)
    return torch.stack([measures.mean(0), measures.std(0, correction=0) + 1e-3])


def _values(annotation: Annotation) -> list[int]:
    labels = annotation.labels()
    values = [UNKNOWN if labels[each.name] is None else labels[each.name] or 0 for each in LABELS]
    return [*values, int(annotation.source == "phantom")]


def _is_graded(annotation: Annotation) -> bool:
    """A photograph of which no disease is known would teach to say nothing."""
    return any(getattr(annotation, label.name) is not None for label in DISEASES)


def _frequent_mix() -> Mix:
    usual = default_mix()
    often = {name: prevalence(share) for name, share in _FREQUENT.items()}
    rules = tuple(rule for rule in usual.rules if rule.label == "is_dme")
    weights = {**usual.weights, **often, "dr_grade": (0.3, 0.2, 0.2, 0.15, 0.15)}
    return Mix(weights=weights, rules=rules)
