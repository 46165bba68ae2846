"""Captions as states that a denoiser attends to: what every text encoder gives, and those of
transformers behind it. Ours is a small BERT; T5, CLIP and Gemma stand in for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import BertConfig, BertModel, PreTrainedModel, PreTrainedTokenizerBase

from engine.schema import MAX_CAPTION_TOKENS

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 256,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 768,
    },
    "debug": {
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 128,
    },
}
_LAST_BUT_ONE = ("GemmaModel", "Gemma2Model")
"""Of language models the last layer is about the next word: Lumina-Next reads the one before."""


class TextEncoder(Protocol):
    """A frozen text encoder with its tokenizer: `width` C of its states, `most_tokens` of a
    caption."""

    @property
    def width(self) -> int: ...

    @property
    def most_tokens(self) -> int: ...

    def states(
        self, captions: Sequence[str], length: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """States (B, T, C) and mask (B, T), true where a token of the caption is. T is `length`, or
        the longest caption's where it is None, and never above `most_tokens`: the rest is cut."""

    def truncated(self, caption: str, length: int) -> bool:
        """Whether the end of a caption is cut at `length` tokens."""


@dataclass(frozen=True)
class PretrainedText:
    """A text encoder of transformers; which of them may be, says `engine.models.classes`."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def width(self) -> int:
        """See `TextEncoder`."""
        return self.model.config.hidden_size

    @property
    def most_tokens(self) -> int:
        """See `TextEncoder`. T5 has no positions that could run out."""
        positions = getattr(self.model.config, "max_position_embeddings", MAX_CAPTION_TOKENS)
        return min(MAX_CAPTION_TOKENS, positions)

    @torch.no_grad()
    def states(
        self, captions: Sequence[str], length: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `TextEncoder`."""
        ids, mask = tokenize(self.tokenizer, captions, length, self.most_tokens)
        if not ids.numel():
            # Some tokenizers make no token at all of an empty caption.
            ids, mask = tokenize(self.tokenizer, captions, 1)
        ids, mask = ids.to(self.model.device), mask.to(self.model.device)
        # A row without any token would attend to nothing, and give no numbers.
        readable = (mask | ~mask.any(1, keepdim=True)).long()
        if type(self.model).__name__ not in _LAST_BUT_ONE:
            return self.model(input_ids=ids, attention_mask=readable).last_hidden_state, mask
        read = self.model(input_ids=ids, attention_mask=readable, output_hidden_states=True)
        return read.hidden_states[-2], mask

    def truncated(self, caption: str, length: int) -> bool:
        """See `TextEncoder`."""
        ids = self.tokenizer(caption, truncation=False)["input_ids"]
        return len(ids) > min(length, self.most_tokens)


def build(preset: str, vocabulary: int) -> BertModel:
    """An untrained text encoder of ours: token ids (B, T) to states (B, T, C)."""
    config = BertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=MAX_CAPTION_TOKENS,
        type_vocab_size=1,
        # A recipe's sample is its position's alone: nothing in a module may draw for itself.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **PRESETS[preset],
    )
    return BertModel(config, add_pooling_layer=False)


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    captions: Sequence[str],
    length: int | None = None,
    most: int = MAX_CAPTION_TOKENS,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Captions as ids and mask (B, T): T is `length`, or the longest caption's where it is None,
    and at most `most`; what is over is cut."""
    batch = tokenizer(
        list(captions),
        truncation=True,
        max_length=min(length or most, most),
        padding="max_length" if length else True,
        # On the left, the first tokens of a causal encoder would attend to nothing.
        padding_side="right",
        return_tensors="pt",
    )
    return batch["input_ids"], batch["attention_mask"].bool()
