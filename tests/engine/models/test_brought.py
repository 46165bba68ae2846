"""A vision network that somebody brings: its body stays, its head is new, and it sees the colours
and the side that it was shown."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from engine.models.brought import PREPROCESSING, brought, colours, place_of
from engine.schema import UserError

VIT = ViTConfig(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    image_size=32,
    patch_size=16,
    num_labels=7,
)
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@pytest.fixture
def vit(tmp_path):
    torch.manual_seed(0)
    network = ViTForImageClassification(VIT)
    torch.nn.init.normal_(network.vit.embeddings.cls_token)
    network.save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def made(folder, outputs=4, trained=True, seed=1):
    make = brought(f"hf:{folder}", outputs, trained)
    torch.manual_seed(seed)
    return make().eval()


def body(network):
    return {k: v for k, v in network.state_dict().items() if "classifier" not in k}


def pictures(side, count=2):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_body_stays_and_the_head_is_new_by_chance(vit):
    kept = body(ViTForImageClassification.from_pretrained(vit))
    one, same, other = (made(vit, seed=seed) for seed in (1, 1, 2))
    for name, weights in body(one._network).items():
        assert torch.equal(weights, kept[name]), name
    shown = pictures(32)
    assert one(shown).shape == (2, 4)
    assert torch.equal(one(shown), same(shown))
    assert not torch.equal(one(shown), other(shown))


def test_untrained_it_has_the_shape_and_nothing_that_was_learned(vit):
    kept = body(ViTForImageClassification.from_pretrained(vit))
    found = body(made(vit, trained=False)._network)
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in kept.items()}
    token = "vit.embeddings.cls_token"
    assert not torch.equal(found[token], kept[token])


def test_it_sees_the_colours_and_the_side_that_it_was_shown(vit):
    told = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]}
    (vit / PREPROCESSING).write_text(json.dumps(told))
    network = made(vit)
    mean, std = (torch.tensor(each)[:, None, None] for each in told.values())
    for side in (32, 80):
        shown = pictures(side)
        fitted = F.interpolate(shown, (32, 32), mode="bilinear", antialias=True)
        expected = network._network(pixel_values=((fitted + 1) / 2 - mean) / std).logits
        assert torch.allclose(network(shown), expected, atol=1e-5), side


def test_a_network_for_any_side_gets_pictures_as_they_are(tmp_path):
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], num_labels=3)
    ResNetForImageClassification(config).half().save_pretrained(tmp_path)
    network = made(tmp_path, outputs=2)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    shown = pictures(48)
    mean, std = (torch.tensor(each)[:, None, None] for each in IMAGENET)
    expected = network._network(pixel_values=((shown + 1) / 2 - mean) / std).logits
    assert torch.allclose(network(shown), expected, atol=1e-5)


def test_asking_for_one_draws_no_chance(vit):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    brought(f"hf:{vit}", 4, trained=True)
    assert torch.equal(torch.get_rng_state(), before)


def test_colours_in_the_working_folder_are_another_networks(vit, tmp_path, monkeypatch):
    (tmp_path / PREPROCESSING).write_text('{"image_mean": [0, 0, 0], "image_std": [9, 9, 9]}')
    monkeypatch.chdir(tmp_path)
    assert made(vit)._mean.flatten().tolist() == pytest.approx(IMAGENET[0])


@pytest.mark.parametrize("asked", ["vit", "hf", "hf:", "HF:vit", ""])
def test_other_words_are_refused(asked):
    with pytest.raises(UserError, match="hf:ID or hf:DIR") as refused:
        place_of(asked)
    assert repr(asked) in str(refused.value)


def test_a_place_may_hold_colons():
    assert place_of("hf:C:/models/vit") == "C:/models/vit"


def _emptied(folder):
    for file in folder.iterdir():
        file.unlink()


def _without_weights(folder):
    (folder / "model.safetensors").unlink()


def _cut(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])


def _pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _of_text(folder):
    config = BertConfig(
        vocab_size=16,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    BertForSequenceClassification(config).save_pretrained(folder)


@pytest.mark.parametrize("spoil", [_emptied, _without_weights, _cut, _pickled, _of_text])
def test_a_folder_that_holds_no_such_network_is_named(vit, spoil):
    spoil(vit)
    with pytest.raises(UserError, match=r"start.*reads pictures") as refused:
        brought(f"hf:{vit}", 4, trained=True)
    assert str(vit) in str(refused.value)


@pytest.mark.parametrize("place", ["nobody/nothing", "/nowhere/at/all", "no such name!"])
def test_what_is_not_kept_here_is_named(place):
    with pytest.raises(UserError, match="start") as refused:
        brought(f"hf:{place}", 4, trained=True)
    assert place in str(refused.value)


@pytest.mark.parametrize("told", [None, {}, {"image_mean": None, "image_std": None}])
def test_untold_colours_are_imagenets(tmp_path, told):
    file = tmp_path / PREPROCESSING
    if told is not None:
        file.write_text(json.dumps(told))
    mean, std = colours(file)
    assert mean.shape == std.shape == (3, 1, 1)
    assert mean.flatten().tolist() == pytest.approx(IMAGENET[0])
    assert std.flatten().tolist() == pytest.approx(IMAGENET[1])


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "\udcff"])
def test_a_file_of_colours_that_is_none_is_named(tmp_path, text):
    file = tmp_path / PREPROCESSING
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match="JSON") as refused:
        colours(file)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize("field", ["image_mean", "image_std"])
@pytest.mark.parametrize("told", ["0.5", '"grey"', "[]", "[1, 2]", "[1, 2, null]", "[1, 2, NaN]"])
def test_colours_that_are_not_three_numbers_are_named_with_their_field(tmp_path, field, told):
    file = tmp_path / PREPROCESSING
    file.write_text(f'{{"{field}": {told}}}')
    with pytest.raises(UserError, match=rf"{field}.*three numbers") as refused:
        colours(file)
    assert str(file) in str(refused.value)


def test_colours_without_spread_are_refused(tmp_path):
    file = tmp_path / PREPROCESSING
    file.write_text('{"image_std": [1, 0, 1]}')
    with pytest.raises(UserError, match=r"image_std.*above 0"):
        colours(file)
