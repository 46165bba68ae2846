"""Pictures and words in one space: a small image tower and a small text tower that learn which
words are true of which picture (CLIP, Radford et al. 2021; FLAIR, Silva-Rodriguez et al. 2025)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from engine.models import classifier, text_encoder

WIDTH = 64
_SCALE, _MOST = 1 / 0.07, 100.0
"""Of similarities, to begin with and at most."""


class TwoTowers(nn.Module):
    """Untrained, for pictures of a side and so many tokens; 0.5 M parameters. Both towers say
    directions of length 1 in `WIDTH` dimensions."""

    def __init__(self, side: int, tokens: int) -> None:
        super().__init__()
        self.image = classifier.build("cnn", side, WIDTH)
        self._text = text_encoder.build("debug", tokens)
        self._out = nn.Linear(self._text.config.hidden_size, WIDTH, bias=False)
        self._log_scale = nn.Parameter(torch.tensor(math.log(_SCALE)))

    def pictures(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] to directions (B, WIDTH)."""
        return F.normalize(self.image(images), dim=1)

    def words(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T) with their mask to directions (B, WIDTH)."""
        states = self._text(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        weight = mask[..., None].float()
        return F.normalize(self._out((states * weight).sum(1) / weight.sum(1)), dim=1)

    @property
    def scale(self) -> torch.Tensor:
        """What similarities are multiplied by: the inverse of the temperature, learned."""
        return self._log_scale.clamp(max=math.log(_MOST)).exp()


def soft_loss(similar: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Scaled similarities (B, B) of pictures and words, and which words are `true` of which
    picture (B, B), their own among them: cross-entropy both ways, the target shared evenly by all
    that are true (FLAIR, equation 3)."""
    ways = (similar, true.float()), (similar.T, true.T.float())
    return sum(F.cross_entropy(a, b / b.sum(1, keepdim=True)) for a, b in ways) / 2
