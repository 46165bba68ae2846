"""Two small networks that read photographs, of different kinds: a residual convolutional one and a
vision transformer. What both learn from a set is the set's doing, not one network's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

_PATCH = 16
"""Pixels of a side of the patches that the transformer looks at."""


class Classifier(nn.Module):
    """Pictures (B, 3, S, S) in [-1, 1] to logits (B, outputs), by a network of transformers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self._network(images).logits


def _cnn(side: int, outputs: int) -> nn.Module:
    """He et al. 2016, four stages of one basic block: 0.3 M parameters."""
    widths = [16, 32, 64, 128]
    settings = {"depths": [1, 1, 1, 1], "layer_type": "basic", "num_labels": outputs}
    return ResNetForImageClassification(
        ResNetConfig(embedding_size=widths[0], hidden_sizes=widths, **settings)
    )


def _vit(side: int, outputs: int) -> nn.Module:
    """Dosovitskiy et al. 2021, four layers: 0.2 M parameters."""
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=128,
            image_size=side,
            patch_size=_PATCH,
            num_labels=outputs,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


NETWORKS: Mapping[str, Callable[[int, int], nn.Module]] = {"cnn": _cnn, "vit": _vit}
"""By name, what makes an untrained network for a side in pixels and a number of outputs."""


def build(name: str, side: int, outputs: int) -> Classifier:
    """An untrained network of `NETWORKS`, its weights drawn from torch's generator. ValueError for
    a side that patches of 16 pixels do not fill."""
    if side % _PATCH:
        raise ValueError(f"a side of {side} pixels, expected a multiple of {_PATCH}")
    return Classifier(NETWORKS[name](side, outputs).to(memory_format=torch.channels_last))
