"""Who looks: each is told by a word and a hash, and what cannot look is refused by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    Dinov2Config,
    Dinov2Model,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTModel,
)

from engine.evaluate.lookers import looker
from engine.phantom.render import draw
from engine.schema import Annotation, UserError

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION = {**SMALL, "image_size": 32, "patch_size": 8}
RESNET = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1])


@pytest.fixture(scope="module")
def image():
    return draw(Annotation(source="idrid", dr_grade=3), 1, 256).image


@pytest.mark.parametrize("name", ["own", "structure", "random"])
def test_what_this_checkout_has_sees_the_same_every_time(image, name):
    one, other = looker(name), looker(name)
    assert (one.name, one.sha256, len(one.sha256)) == (name, other.sha256, 64)
    seen = one.look(image)
    assert seen.ndim == 1
    assert np.isfinite(seen).all()
    assert np.array_equal(seen, other.look(image))
    assert not np.allclose(seen, one.look(image[:, ::-1] // 2))


def test_structure_sees_no_colour_or_texture(image):
    assert len(looker("structure").look(image)) > 20
    assert looker("structure").scaled


@pytest.mark.parametrize(
    ("make", "width"),
    [
        (lambda: Dinov2Model(Dinov2Config(**VISION)), 16),
        (lambda: ViTModel(ViTConfig(**VISION, intermediate_size=16)), 16),
        (lambda: ResNetModel(RESNET), 12),
    ],
    ids=["dinov2", "vit", "resnet"],
)
def test_a_folder_of_transformers_looks(tmp_path, image, make, width):
    make().save_pretrained(tmp_path)
    found = looker(f"hf:{tmp_path}")
    assert found.name == f"hf:{tmp_path}"
    assert found.look(image).shape == (width,)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1] * 3}))
    shown_otherwise = looker(f"hf:{tmp_path}")
    assert not np.allclose(shown_otherwise.look(image), found.look(image))
    assert shown_otherwise.sha256 != found.sha256


class Inception(nn.Module):
    """As those that are passed on: 0 to 255 in, features where they are asked for."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        if return_features:
            return x.mean((2, 3))
        return x.new_zeros(x.shape[0], 1000)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_torchscript_file_looks_and_is_asked_for_features(tmp_path, image):
    file = tmp_path / "inception.pt"
    torch.jit.save(torch.jit.script(Inception()), file)
    seen = looker(f"inception:{file}").look(image)
    assert seen == pytest.approx(image.mean((0, 1)), abs=2)


def test_what_cannot_look_is_refused_by_name(tmp_path):
    broken = tmp_path / "weights.safetensors"
    broken.write_bytes(b"no script")
    pickled, text = tmp_path / "pickled", tmp_path / "text"
    ViTModel(ViTConfig(**VISION, intermediate_size=16)).save_pretrained(pickled)
    torch.save({}, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    BertModel(BertConfig(**SMALL, intermediate_size=16, vocab_size=9)).save_pretrained(text)
    vit = tmp_path / "narrow"
    ViTModel(ViTConfig(**VISION, intermediate_size=16, num_channels=1)).save_pretrained(vit)
    for asked, reason in (
        ("", "expected own, structure, random"),
        ("dino", "'dino'"),
        ("hf:", "'hf:'"),
        ("own:x", "'own:x'"),
        (f"inception:{tmp_path}/none.pt", "no such file"),
        (f"inception:{broken}", "is no TorchScript file"),
        (f"hf:{tmp_path}", "no config.json"),
        (f"hf:{pickled}", "no network that transformers reads"),
        (f"hf:{text}", "looks at no pictures"),
        (f"hf:{vit}", "fails on a picture"),
    ):
        with pytest.raises(UserError, match=reason):
            looker(asked)
