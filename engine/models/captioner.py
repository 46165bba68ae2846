"""The captioner: what a photograph shows, said in words by a network of half a million numbers.

It looks at the field's square together with what the segmenter outlined in it, which has learned
from people's masks what lesions are. Heads guess each label, and a decoder of transformers words
what heads and picture say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from engine.models.gate import Residual, conv, summary, with_structure
from engine.models.segmenter import SEGMENTS, Segmenter
from engine.prose.grammar import sentence
from engine.schema import LABELS

SIDE = 256
"""Pixels of a side of the field's square: what the segmenter learned at."""
GRID = 8
"""Cells of a side of what the decoder looks at."""
_FEW, _SOME = 50, 500
"""Pixels of an outline's surest spots: a microaneurysm or two, and a patch of exudate."""

PRESETS: dict[str, dict] = {
    "tiny": {"widths": (16, 32, 48, 72), "width": 96, "layers": 2, "heads": 4, "inner": 128},
    "debug": {"widths": (4, 8, 8, 8), "width": 32, "layers": 1, "heads": 2, "inner": 32},
}


@dataclass(frozen=True)
class Seen:
    """What was seen in photographs: `places` (B, P, width), and logits (B, values) of each label in
    the order of `LABELS`, then of being a photograph (0) or a phantom (1): of phantoms all labels
    are told, of photographs those that people give."""

    places: torch.Tensor
    labels: list[torch.Tensor]


class Captioner(ModelMixin, ConfigMixin):
    """Squares (B, 3, S, S) in [-1, 1] and their outlines (B, 8, S, S) in 0..1, in the order of
    `SEGMENTS`, to words. S is a multiple of 128.

    `segmenter` and `segmenter_sha256` say which network outlined the squares that it learned from;
    `usual` holds mean and spread of their measures.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (16, 32, 48, 72),
        width: int = 96,
        layers: int = 2,
        heads: int = 4,
        inner: int = 128,
        vocabulary: int = 512,
        positions: int = 160,
        dropout: float = 0.1,
        segmenter: str = "segmenter",
        segmenter_sha256: str = "",
    ) -> None:
        super().__init__()
        first, second, third, last = widths
        self.usual: torch.Tensor
        self.trunk = nn.Sequential(
            conv(4 + len(SEGMENTS), first, 2),
            *(conv(first, second, 2), Residual(second)),
            *(conv(second, third, 2), Residual(third)),
            *(conv(third, last, 2), Residual(last)),
        )
        self.cells = nn.Linear(last, width)
        self.places = nn.Parameter(0.02 * torch.randn(GRID * GRID, width))
        self.measures = nn.Linear(_MEASURES, width)
        self.register_buffer("usual", torch.stack([torch.zeros(_MEASURES), torch.ones(_MEASURES)]))
        self.values = [label.highest + 1 for label in LABELS] + [2]
        self.guess = nn.Sequential(
            nn.Linear(4 * last + width, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, sum(self.values)),
        )
        self.meanings = nn.Parameter(torch.randn(sum(self.values), width))
        self.level = nn.LayerNorm(width)
        self.decoder = BertModel(
            BertConfig(
                vocab_size=vocabulary,
                hidden_size=width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                intermediate_size=inner,
                max_position_embeddings=positions,
                type_vocab_size=1,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
                is_decoder=True,
                add_cross_attention=True,
            ),
            add_pooling_layer=False,
        )

    def look(self, squares: torch.Tensor, outlines: torch.Tensor) -> Seen:
        """See the class."""
        deep = self.trunk(torch.cat([with_structure(squares), outlines * 2 - 1], 1))
        usual, spread = self.usual
        measures = F.silu(self.measures((measure(outlines) - usual) / spread))
        guess = self.guess(torch.cat([summary(deep), measures], 1)).split(self.values, 1)
        cells = F.adaptive_avg_pool2d(deep, GRID).flatten(2).transpose(1, 2)
        places = torch.cat([self.cells(cells) + self.places, measures[:, None]], 1)
        return Seen(places, list(guess))

    def memory(self, seen: Seen, told: torch.Tensor | None = None) -> torch.Tensor:
        """What the decoder attends to (B, M, width): places, and what each label means by the
        chances that were guessed, or by the `told` values (B, L + 1), where these are not -1."""
        meanings = []
        each = zip(self.values, seen.labels, self.meanings.split(self.values), strict=True)
        for at, (count, guess, meaning) in enumerate(each):
            chances = guess.softmax(1)
            if told is not None:
                known = told[:, at : at + 1]
                true = F.one_hot(known[:, 0].clamp_min(0), count).to(chances)
                chances = torch.where(known < 0, chances, true)
            meanings.append(chances @ meaning)
        return self.level(torch.cat([seen.places, torch.stack(meanings, 1)], 1))

    def forward(self, memory: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Words so far (B, T) with their mask, as logits (B, T, vocabulary) of each next word."""
        states = self.decoder(
            input_ids=ids, attention_mask=mask.long(), encoder_hidden_states=memory
        ).last_hidden_state
        return self._words(states)

    @torch.inference_mode()
    def write(self, square: torch.Tensor, outlines: torch.Tensor, begin: int, end: int) -> list:
        """The likeliest next word, again and again, until `end`: ids without both marks.

        One photograph at a time, square (3, S, S) and outlines (8, S, S), so that no neighbour
        changes a word.
        """
        memory = self.memory(self.look(square[None], outlines[None]))
        ids, cache = [begin], None
        while len(ids) < self.config.positions:
            told = self.decoder(
                input_ids=torch.tensor([ids[-1:]], device=square.device),
                encoder_hidden_states=memory,
                past_key_values=cache,
                use_cache=True,
            )
            cache = told.past_key_values
            following = int(self._words(told.last_hidden_state)[0, -1].argmax())
            if following == end:
                break
            ids.append(following)
        return ids[1:]

    def _words(self, states: torch.Tensor) -> torch.Tensor:
        return states @ self.decoder.embeddings.word_embeddings.weight.T


_LESIONS = [SEGMENTS.index(name) for name in ("dark_lesion", "bright_lesion")]
_QUARTERS = 4
_MEASURES = 4 * len(SEGMENTS) + len(_LESIONS) * _QUARTERS**2


def measure(outlines: torch.Tensor) -> torch.Tensor:
    """How much of each structure there is, and where lesions are (B, 64), as logarithms: a lesion
    more or less tells much where there are few."""
    flat = outlines.flatten(2)
    spots = flat.topk(_SOME, 2).values
    shares = [flat.mean(2), (flat > 0.5).float().mean(2), spots[..., :_FEW].mean(2), spots.mean(2)]
    where = F.adaptive_avg_pool2d(outlines[:, _LESIONS], _QUARTERS).flatten(1)
    return torch.cat([*shares, where], 1).add(1e-4).log()


def build(preset: str, vocabulary: int, segmenter: str, segmenter_sha256: str) -> Captioner:
    """An untrained captioner."""
    return Captioner(
        **PRESETS[preset],
        vocabulary=vocabulary,
        segmenter=segmenter,
        segmenter_sha256=segmenter_sha256,
    )


@torch.inference_mode()
def layers_of(square: np.ndarray, segmenter: Segmenter) -> np.ndarray:
    """A square (S, S, 3) uint8 over its outlines, as (11, S, S) uint8."""
    picture = torch.from_numpy(square.copy()).permute(2, 0, 1)
    outlines = segmenter(picture[None].float() / 127.5 - 1)[0].sigmoid()
    return torch.cat([picture, (outlines * 255).round().to(torch.uint8)]).numpy()


def worded(captioner: Captioner, tokenizer: PreTrainedTokenizerFast, layers: np.ndarray) -> str:
    """The caption of a photograph's `layers_of`, with capitals where sentences begin."""
    shown = torch.from_numpy(layers).float() / 255
    marks = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids = captioner.write(shown[:3] * 2 - 1, shown[3:], *marks)
    text = tokenizer.decode(ids, skip_special_tokens=True).strip()
    return " ".join(sentence(each) for each in text.split(". ") if each.strip(" ."))
