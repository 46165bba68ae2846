"""Networks that read photographs. Two small ones of different kinds, a residual convolutional one
and a vision transformer, learn for the judge: what both learn from a set is the set's doing, not
one network's. `Classifier` is a network that is kept: a model folder of the family `classifier`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from engine.models.evened import evened

_PATCH = 16
"""Pixels of a side of the patches that the transformer looks at."""
_HEAD = 512
"""Width of the published head of ResNet-50."""
_LAST = ".classifier.4."
"""In the names of a head's last layer, which alone knows the tasks."""
_FADE = 38
"""Parts of a side over one of which contrasts fade at the edge of the field."""


class Logits(nn.Module):
    """Pictures (B, 3, S, S) in [-1, 1] to logits (B, outputs), by a network of transformers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self._network(images).logits

    @property
    def last_stage(self) -> nn.Module:
        """Of a residual network what gives the maps (B, C, h, w) that are pooled."""
        return self._network.resnet.encoder.stages[-1]


class MeanAndMost(nn.Module):
    """Maps (B, C, h, w) to what they hold and the strongest of it (B, 2 C): a lesion may lie in one
    spot."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """See the class."""
        places = maps.flatten(2)
        return torch.cat([places.mean(2), places.amax(2)], 1)


def _cnn(side: int, outputs: int) -> nn.Module:
    """He et al. 2016, four stages of one basic block: 0.3 M parameters."""
    return _residual([16, 32, 64, 128], [1, 1, 1, 1], "basic", outputs)


def _narrow(side: int, outputs: int) -> nn.Module:
    """He et al. 2016, three stages of one basic block, with a head of the published shape: 0.1 M.
    The last keeps the resolution of the one before, a cell for each 8 pixels, as lesions are
    small."""
    network = _residual([16, 32, 64], [1, 1, 1], "basic", outputs)
    for module in network.resnet.encoder.stages[-1].modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    network.resnet.pooler = MeanAndMost()
    return _with_head(network, 2 * 64, 64, outputs)


def _resnet50(side: int, outputs: int) -> nn.Module:
    """He et al. 2016 with the head of Image+Fundus (arXiv 2408.08790): 24.6 M."""
    network = _residual([256, 512, 1024, 2048], [3, 4, 6, 3], "bottleneck", outputs, 64)
    return _with_head(network, 2048, _HEAD, outputs)


def _residual(
    widths: list[int], depths: list[int], block: str, outputs: int, first: int | None = None
) -> nn.Module:
    settings = {"depths": depths, "layer_type": block, "num_labels": outputs}
    return ResNetForImageClassification(
        ResNetConfig(embedding_size=first or widths[0], hidden_sizes=widths, **settings)
    )


def _with_head(network: nn.Module, wide: int, narrow: int, outputs: int) -> nn.Module:
    network.classifier = nn.Sequential(
        nn.Flatten(),
        nn.Linear(wide, narrow),
        nn.BatchNorm1d(narrow),
        nn.ReLU(),
        nn.Linear(narrow, outputs),
    )
    return network


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


SMALL: Mapping[str, Callable[[int, int], nn.Module]] = {"cnn": _cnn, "vit": _vit}
"""By name, what makes an untrained network of the judge for a side in pixels and a number of
outputs."""
KEPT: Mapping[str, Callable[[int, int], nn.Module]] = {"narrow": _narrow, "resnet50": _resnet50}
"""Likewise of networks that a `Classifier` may have; all are residual and have the same head."""


def build(name: str, side: int, outputs: int) -> Logits:
    """An untrained network of `SMALL` or `KEPT`, its weights drawn from torch's generator.
    ValueError for a side that patches of 16 pixels do not fill."""
    if side % _PATCH:
        raise ValueError(f"a side of {side} pixels, expected a multiple of {_PATCH}")
    made = {**SMALL, **KEPT}[name](side, outputs)
    return Logits(made.to(memory_format=torch.channels_last))


class Classifier(ModelMixin, ConfigMixin):
    """A network of `KEPT` with the names of the tasks that it answers and how many answers each
    has. Pictures (B, 3, S, S) in [-1, 1] to the logits of all, one after the other: its `reader`
    sees their `contrasts`."""

    config_name = "config.json"

    @register_to_config
    def __init__(
        self, network: str, side: int, tasks: tuple[str, ...], answers: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.reader = build(network, side, sum(answers))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.reader(self.contrasts(images))

    def contrasts(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] `evened`, which its reader sees."""
        return evened(images, max(1, images.shape[-1] // _FADE))

    def begin_as(self, other: Classifier) -> None:
        """Take another one's weights, but for its last layer where that answers other tasks."""
        given = other.state_dict()
        if self.config.tasks != other.config.tasks:
            given = {name: each for name, each in given.items() if _LAST not in name}
        self.load_state_dict({**self.state_dict(), **given})
