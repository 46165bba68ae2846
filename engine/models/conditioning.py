"""What a sample is asked to show, as tokens: `[caption tokens | label tokens]`.

Captions pass a small frozen text encoder; labels and source pass `LabelEncoder`, which has a
learned null for each, so partly labelled images train it and any subset of labels conditions a
sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from engine.schema import LABELS, MAX_CAPTION_TOKENS, SOURCES, Annotation

UNKNOWN = -1
"""The value of an unknown label or source in a batch of label values."""

TEXT_PRESETS: dict[str, dict] = {
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


class LabelEncoder(ModelMixin, ConfigMixin):
    """Label values (B, L + 1) to tokens (B, L + 1, width): one embedding for each value, null
    included.

    The last column is the source. `sources` names those that the model knows, in the order of its
    values.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, width: int = 256, sources: tuple[str, ...] = SOURCES) -> None:
        super().__init__()
        counts = [label.highest + 1 for label in LABELS] + [len(sources)]
        self.tables = nn.ModuleList([nn.Embedding(count + 1, width) for count in counts])
        # A value that no photograph taught stays what unknown is, rather than noise.
        for table in self.tables:
            nn.init.zeros_(table.weight[:-1])

    def knowing(self, sources: Sequence[str]) -> LabelEncoder:
        """This encoder if it knows all these sources, or one that knows them too; what they do to
        a sample is still to be learned."""
        missing = tuple(source for source in sources if source not in self.config.sources)
        if not missing:
            return self
        wider = LabelEncoder(self.config.width, (*self.config.sources, *missing))
        known = self.state_dict()
        last = f"tables.{len(LABELS)}.weight"
        old, new = known[last], wider.state_dict()[last]
        known[last] = torch.cat([old[:-1], new[len(old) - 1 : -1].to(old), old[-1:]])
        wider.load_state_dict(known)
        return wider

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Values: (B, L + 1) int64, `UNKNOWN` where unknown; gives (B, L + 1, width)."""
        columns = []
        for table, column in zip(self.tables, values.unbind(1), strict=True):
            null = table.weight[-1]
            known = (column != UNKNOWN)[:, None]
            columns.append(null + known * table(column.clamp_min(0)))
        return torch.stack(columns, 1)

    def values(self, annotations: Sequence[Annotation]) -> torch.Tensor:
        """Annotations as label values (B, L + 1); a source that the model does not know is
        unknown."""
        known = {name: i for i, name in enumerate(self.config.sources)}
        rows = []
        for annotation in annotations:
            labels = [UNKNOWN if v is None else v for v in annotation.labels().values()]
            rows.append([*labels, known.get(annotation.source or "", UNKNOWN)])
        return torch.tensor(rows, dtype=torch.int64)


@dataclass(frozen=True)
class Context:
    """Condition tokens (B, T, width) and the mask (B, T) that is true where a token is attended."""

    tokens: torch.Tensor
    mask: torch.Tensor


def build_text_encoder(preset: str, vocabulary: int) -> BertModel:
    """An untrained text encoder: token ids (B, T) to states (B, T, width)."""
    config = BertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=MAX_CAPTION_TOKENS,
        type_vocab_size=1,
        # A recipe's sample is its position's alone: nothing in a module may draw for itself.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **TEXT_PRESETS[preset],
    )
    return BertModel(config, add_pooling_layer=False)


def tokenize(
    tokenizer: PreTrainedTokenizerFast, captions: Sequence[str], length: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Captions as ids and mask (B, T): T is `length`, or the longest caption's where it is None.

    What is over `length` (or `MAX_CAPTION_TOKENS`) tokens is cut.
    """
    batch = tokenizer(
        list(captions),
        truncation=True,
        max_length=length or MAX_CAPTION_TOKENS,
        padding="max_length" if length else True,
        return_tensors="pt",
    )
    return batch["input_ids"], batch["attention_mask"].bool()


def encode_context(
    text_encoder: BertModel,
    label_encoder: LabelEncoder,
    ids: torch.Tensor,
    id_mask: torch.Tensor,
    label_values: torch.Tensor,
) -> Context:
    """The tokens `[caption | labels]`: ids and id_mask (B, T), label_values (B, L + 1).

    A caption whose mask is all false is left out; label tokens, null or not, are always attended.
    """
    with torch.no_grad():
        # An all-masked row would attend to nothing: it is read whole and masked in the context.
        readable = id_mask | ~id_mask.any(1, keepdim=True)
        states = text_encoder(input_ids=ids, attention_mask=readable.long()).last_hidden_state
    labels = label_encoder(label_values)
    attended = torch.ones(labels.shape[:2], dtype=torch.bool, device=labels.device)
    return Context(
        torch.cat([states.to(labels.dtype), labels], 1),
        torch.cat([id_mask, attended], 1),
    )
