"""Pictures and words in one space: an image tower and a text tower that learn which words are true
of which picture (CLIP, Radford et al. 2021; FLAIR, Silva-Rodriguez et al. 2025)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from PIL import Image
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, BertModel, PreTrainedTokenizerBase

from engine.data.transforms import crop_to_field
from engine.models.evened import evened
from engine.models.text_encoder import tokenize
from engine.schema import MAX_CAPTION_TOKENS, UserError

KINDS: Mapping[str, str] = {
    "resnet": "ResNetModel",
    "bert": "BertModel",
    "clip_text_model": "CLIPTextModel",
    "t5": "T5EncoderModel",
}
"""What a tower may be: by the `model_type` of its configuration, its class in transformers."""
_SCALE, _MOST = 1 / 0.07, 100.0
"""Of similarities, to begin with and at most."""
_TEXT = {
    "model_type": "bert",
    "num_hidden_layers": 1,
    "type_vocab_size": 1,
    "max_position_embeddings": MAX_CAPTION_TOKENS,
}
_IMAGE = {"model_type": "resnet", "layer_type": "basic", "depths": [1, 1, 1, 1]}

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "image": {**_IMAGE, "embedding_size": 16, "hidden_sizes": [16, 32, 64, 128]},
        "text": {
            **_TEXT,
            "hidden_size": 64,
            "num_attention_heads": 2,
            "intermediate_size": 128,
        },
        "width": 64,
    },
    "debug": {
        "image": {**_IMAGE, "embedding_size": 4, "hidden_sizes": [4, 8, 8, 8]},
        "text": {**_TEXT, "hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 8},
        "width": 8,
    },
    "base": {"image": {"model_type": "resnet"}, "text": {"model_type": "bert"}, "width": 512},
}
"""`base` is a ResNet-50 and a BERT of their library's own sizes, as FLAIR has them."""


class TwoTowers(ModelMixin, ConfigMixin):
    """Untrained. `side` is that of the pictures, `image` and `text` are the configurations of
    networks of `KINDS`. Both towers say directions of length 1 in `width` dimensions."""

    config_name = "config.json"

    @register_to_config
    def __init__(
        self, side: int, image: Mapping[str, Any], text: Mapping[str, Any], width: int = 64
    ) -> None:
        super().__init__()
        self.image_tower, self.text_tower = tower(image), tower(text)
        # A recipe's sample is its position's alone: nothing in a module may draw for itself.
        for each in self.modules():
            if isinstance(each, nn.Dropout):
                each.p = 0.0
        # What a picture holds and the strongest of it: a lesion may lie in one spot.
        self.from_image = nn.Linear(2 * self.image_tower.config.hidden_sizes[-1], width, bias=False)
        self.from_text = nn.Linear(self.text_tower.config.hidden_size, width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(_SCALE)))

    def pictures(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] to directions (B, width)."""
        places = self.image_tower(evened(images)).last_hidden_state.flatten(2)
        held = torch.cat([places.mean(2), places.amax(2)], 1)
        return F.normalize(self.from_image(held), dim=1)

    def words(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T) with their mask to directions (B, width)."""
        states = self.text_tower(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        weight = mask[..., None].to(states)
        return F.normalize(self.from_text((states * weight).sum(1) / weight.sum(1)), dim=1)

    @property
    def scale(self) -> torch.Tensor:
        """What similarities are multiplied by: the inverse of the temperature, learned."""
        return self.log_scale.clamp(max=math.log(_MOST)).exp()

    @property
    def most_tokens(self) -> int:
        """Of a caption. T5 has no positions that could run out."""
        positions = getattr(self.text_tower.config, "max_position_embeddings", MAX_CAPTION_TOKENS)
        return min(MAX_CAPTION_TOKENS, positions)


def build(preset: str, side: int, tokens: int) -> TwoTowers:
    """Untrained towers of `PRESETS` for so many tokens, drawn from torch's generator."""
    made_of = PRESETS[preset]
    text = {**made_of["text"], "vocab_size": tokens}
    return TwoTowers(side=side, image=made_of["image"], text=text, width=made_of["width"])


def tower(made_of: Mapping[str, Any]) -> nn.Module:
    """An untrained network of `KINDS` from its configuration. UserError for another."""
    network = _kind(str(made_of.get("model_type")))
    how = {"add_pooling_layer": False} if network is BertModel else {}
    return network(network.config_class.from_dict(dict(made_of)), **how)


def pretrained(folder: Path, field: str) -> nn.Module:
    """A network of `KINDS` in a folder as its library saves it. UserError, which names the field of
    the settings, where there is none."""
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        network = _kind(config.model_type)
        how = {"add_pooling_layer": False} if network is BertModel else {}
        return network.from_pretrained(folder, use_safetensors=True, local_files_only=True, **how)
    except (OSError, ValueError) as error:
        problem = f"cannot be loaded: {str(error)[:200]}"
        raise UserError(problem, file=folder, field=field, expected="a folder of one") from error


def _kind(model_type: str) -> Any:
    if model_type not in KINDS:
        raise UserError(f"no tower of the type {model_type!r}", expected=" or ".join(KINDS))
    return getattr(transformers, KINDS[model_type])


def soft_loss(similar: torch.Tensor, true: torch.Tensor, open_: torch.Tensor) -> torch.Tensor:
    """Scaled similarities (B, B) of pictures and words, which words are `true` of which picture
    (B, B), their own among them, and of which nobody knows it: cross-entropy both ways (B,), the
    target shared evenly by all that are true (FLAIR, equation 3), without what is open."""
    held = similar.masked_fill(open_, torch.finfo(similar.dtype).min)
    ways = (held, true.to(held)), (held.T, true.T.to(held))
    losses = [
        F.cross_entropy(said, target / target.sum(1, keepdim=True), reduction="none")
        for said, target in ways
    ]
    return torch.stack(losses).mean(0)


class FrozenTowers:
    """Trained towers with their tokenizer: a scorer like a CLIP's."""

    def __init__(self, towers: TwoTowers, tokenizer: PreTrainedTokenizerBase) -> None:
        self.network, self.tokenizer = towers.eval(), tokenizer

    @torch.inference_mode()
    def words(self, captions: Sequence[str]) -> torch.Tensor:
        """Captions as points (N, D) of length 1."""
        most = self.network.most_tokens
        return self.network.words(*tokenize(self.tokenizer, captions, most=most))

    @torch.inference_mode()
    def pictures(self, images: torch.Tensor, at_once: int = 64) -> torch.Tensor:
        """Squares (N, 3, S, S) uint8 as points (N, D)."""
        rows = [self.network.pictures(each.float() / 127.5 - 1) for each in images.split(at_once)]
        return torch.cat(rows)

    def picture(self, image: Image.Image) -> torch.Tensor:
        """The field of an RGB photograph as a point (D,) of length 1."""
        square = np.asarray(crop_to_field(image, self.network.config.side))
        return self.pictures(torch.from_numpy(square.copy()).permute(2, 0, 1)[None])[0]
