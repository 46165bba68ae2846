"""Recipe: a small text encoder learns the house's prose by masked words and by reading labels
back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import nn
from torch.nn import functional as F
from transformers import BertModel, PreTrainedTokenizerFast

from engine import seeds
from engine.models import text_encoder
from engine.models.card import write_card
from engine.models.text_encoder import tokenize
from engine.prose.parse import parse
from engine.prose.template import caption
from engine.schema import LABELS, MAX_CAPTION_TOKENS
from train.chance import random_annotation
from train.frozen import loaded
from train.settings import Settings, require

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_MASKED_SHARE = 0.2
_UNREAD = -100
_HELD_OUT = 10**9
"""Positions from here on are never trained on."""


class ReadingHeads(nn.Module):
    """Text encoder with two heads: the masked word, and every label's value or `not stated`."""

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.config.hidden_size
        self.word = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.labels = nn.ModuleList([nn.Linear(width, label.highest + 2) for label in LABELS])

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Ids, mask, words (B, T), stated (B, L): cross-entropies per row."""
        states, logits = self.read(batch["ids"], batch["mask"])
        embedding = self.encoder.embeddings.word_embeddings.weight
        hidden = batch["words"] != _UNREAD
        entropy = F.cross_entropy(
            self.word(states[hidden]) @ embedding.T, batch["words"][hidden], reduction="none"
        )
        rows = hidden.nonzero()[:, 0]
        per_row = torch.zeros(len(states), device=states.device).index_add(0, rows, entropy)
        words = per_row / hidden.sum(1).clamp_min(1)
        stated = batch["stated"].unbind(1)
        entropies = [F.cross_entropy(a, b, reduction="none") for a, b in zip(logits, stated)]
        labels = torch.stack(entropies, 1).mean(1)
        return {"loss": words + 4 * labels, "words": words, "labels": labels}

    def read(
        self, ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """States (B, T, width), and for each label logits (B, values + 1), the last `not
        stated`."""
        states = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        weight = mask[..., None].float()
        pooled = (states * weight).sum(1) / weight.sum(1)
        return states, [head(pooled) for head in self.labels]


class TextRecipe:
    """See the module; `data`: `vocabulary` tokens, `corpus` captions to learn them from."""

    counts = "no photograph teaches: captions are drawn"

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        presets, preset = text_encoder.PRESETS, settings.model["preset"]
        require(preset in presets, "model.preset", preset, " or ".join(presets))
        vocabulary, corpus = settings.data["vocabulary"], settings.data["corpus"]
        require(vocabulary >= 300, "data.vocabulary", vocabulary, "at least 300")
        require(corpus >= 1, "data.corpus", corpus, "at least 1")
        self.refused: list[str] = []
        self._parent = _read(Path(settings.init)) if settings.init else None

    def sketch(self) -> nn.Module:
        """See `Recipe`."""
        return ReadingHeads(self._parent[0] if self._parent else self._encoder())

    def prepare(self) -> Self:
        """See `Recipe`: draw the captions and learn their words."""
        if self._parent:
            encoder, self.tokenizer = self._parent
        else:
            captions = [self._drawn(i)[0] for i in range(self.settings.data["corpus"])]
            self.tokenizer = learn_tokens(captions, self.settings.data["vocabulary"])
            encoder = self._encoder(len(self.tokenizer))
        self.module = ReadingHeads(encoder)
        return self

    def _encoder(self, words: int | None = None) -> BertModel:
        torch.manual_seed(self.settings.seed)
        words = words or self.settings.data["vocabulary"]
        return text_encoder.build(self.settings.model["preset"], words)

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Captions of random annotations with a fifth of their words hidden."""
        drawn = [self._drawn(p) for p in positions]
        ids, mask = tokenize(self.tokenizer, [text for text, _ in drawn])
        rngs = [seeds.row_random(self.settings.seed, p, "masks") for p in positions]
        hidden = torch.tensor([[rng.random() < _MASKED_SHARE for _ in ids[0]] for rng in rngs])
        hidden &= mask & (ids >= len(_SPECIAL))
        words = torch.where(hidden, ids, _UNREAD)
        ids = torch.where(hidden, self.tokenizer.mask_token_id, ids)
        stated = torch.tensor([target for _, target in drawn])
        return {"ids": ids, "mask": mask, "words": words, "stated": stated}

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Text has no picture."""
        return None

    @torch.no_grad()
    def score(self, few: bool = False) -> dict[str, float]:
        """Share of stated labels read right in 400 captions of held-out positions."""
        drawn = [self._drawn(_HELD_OUT + i) for i in range(4 if few else 400)]
        ids, mask = tokenize(self.tokenizer, [text for text, _ in drawn])
        _, logits = self.module.read(ids, mask)
        found = torch.stack([x.argmax(1) for x in logits], 1)
        asked = torch.tensor([target for _, target in drawn])
        is_stated = asked != torch.tensor([label.highest + 1 for label in LABELS])
        right = (found == asked)[is_stated].float().mean()
        return {"stated_labels_read": float(right)}

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write `text_encoder/` in float16, `tokenizer/`, and the card."""
        encoder = BertModel(self.module.encoder.config, add_pooling_layer=False)
        encoder.load_state_dict(self.module.encoder.state_dict())
        encoder.half().save_pretrained(folder / "text_encoder")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        write_card(folder, facts)

    def _drawn(self, position: int) -> tuple[str, list[int]]:
        rng = seeds.row_random(self.settings.seed, position, "text")
        text = caption(random_annotation(rng), rng)
        stated = parse(text)
        return text, [stated.get(label.name, label.highest + 1) for label in LABELS]


def _read(folder: Path) -> tuple[BertModel, PreTrainedTokenizerFast]:
    """Text encoder and tokenizer of a finished run of this recipe."""
    encoder = loaded(BertModel.from_pretrained, folder / "text_encoder", add_pooling_layer=False)
    return encoder.float(), loaded(PreTrainedTokenizerFast.from_pretrained, folder / "tokenizer")


plan = TextRecipe


def build(settings: Settings, data: list[str]) -> TextRecipe:
    """The recipe of a preset's settings, prepared; it needs no data."""
    return TextRecipe(settings, data).prepare()


def learn_tokens(corpus: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A lower-case byte-level BPE tokenizer: no word is unknown to it, the corpus' own are
    short."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=MAX_CAPTION_TOKENS,
    )
