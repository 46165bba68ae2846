"""Towers: a scorer that is found like any other, says what its folder says, and is looked through
before anything of it is built."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from PIL import Image

from engine import registry, shipped
from engine.models.card import read_card, write_card
from engine.phantom.render import draw
from engine.registry.scorer import TOKENIZER, ScorerRef
from engine.registry.towers import TowersRef
from engine.schema import Annotation, UserError

NAME = "visionclip-tiny"
CAPTIONS = ["no retinopathy", "proliferative retinopathy", "no retinopathy"]


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(shipped.WEIGHTS / NAME, tmp_path / "towers")


@pytest.fixture(scope="module")
def towers():
    return registry.find(TowersRef, NAME).load()


def altered(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        held = config.get(name)
        config[name] = {**held, **value} if isinstance(held, dict) else value
    (folder / "config.json").write_text(json.dumps(config))
    write_card(folder, read_card(folder))
    return folder


def test_a_copy_is_the_same_model_and_both_are_scorers(copy):
    own, ref = registry.find(TowersRef, NAME), registry.find(TowersRef, copy)
    assert isinstance(registry.find(ScorerRef, str(copy)), TowersRef)
    assert own.weights_sha256 == ref.weights_sha256 == read_card(copy)["weights_sha256"]
    assert (own.location, ref.location) == (NAME, str(copy))
    assert NAME in registry.names(TowersRef)


def test_captions_and_photographs_are_points_of_length_1(towers):
    words = towers.words(CAPTIONS)
    picture = towers.picture(Image.fromarray(draw(Annotation(), 0, 96).image))
    assert (words.shape, picture.shape) == ((3, 64), (64,))
    assert torch.allclose(torch.cat([words, picture[None]]).norm(dim=1), torch.ones(4), atol=1e-5)
    assert torch.allclose(words[0], words[2], atol=1e-6)
    assert words[0] @ words[1] < 0.99
    # A caption that needs no padding says what it says beside longer ones.
    assert torch.allclose(words[0], towers.words(CAPTIONS[:1])[0], atol=1e-5)


def test_pictures_say_the_same_in_any_batch_and_gradients_are_kept_of_none(towers):
    images = torch.from_numpy(draw(Annotation(), 1, 128).image).permute(2, 0, 1)[None]
    images = torch.cat([images, images.flip(3), 255 - images])
    found = towers.pictures(images)
    assert torch.allclose(found, towers.pictures(images, at_once=1), atol=1e-5)
    assert not found.requires_grad
    assert not torch.allclose(found[0], found[2], atol=0.05)


def test_a_caption_without_end_is_cut_to_what_the_tower_reads(towers):
    assert towers.network.most_tokens == 256
    assert torch.equal(towers.words(["disc " * 2000]), towers.words(["disc " * 1000]))


def test_a_loaded_network_is_float32_and_learns_no_more(towers):
    assert {each.dtype for each in towers.network.parameters()} == {torch.float32}
    assert not towers.network.training


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"text": {"num_hidden_layers": 4000}}, "text.num_hidden_layers"),
        ({"image": {"depths": [1, 1, 1, 4000]}}, "image.depths"),
        ({"text": {"vocab_size": 10**9}}, "text.vocab_size"),
        ({"width": 10**9}, "width"),
    ],
)
def test_a_configuration_that_asks_for_more_than_its_weights_is_refused(copy, changes, field):
    with pytest.raises(UserError, match=f"config.json: {field}: more than the weights"):
        registry.find(TowersRef, altered(copy, **changes))


def test_what_its_libraries_do_not_take_names_the_folder(copy):
    with pytest.raises(UserError, match=f"^{copy}: cannot be loaded: .*expected towers"):
        registry.find(TowersRef, altered(copy, width=32)).load()
    with pytest.raises(UserError, match=r"no tower of the type 'evil' .*resnet or bert"):
        registry.find(TowersRef, altered(copy, text={"model_type": "evil"})).load()


def test_weights_of_another_card_and_a_missing_tokenizer_are_refused(copy):
    weights = copy / "diffusion_pytorch_model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match="weights_sha256"):
        registry.find(TowersRef, copy)
    weights.write_bytes(data)
    (copy / TOKENIZER).unlink()
    with pytest.raises(UserError, match=f"{TOKENIZER}: this file is missing"):
        registry.find(TowersRef, copy)


@pytest.mark.parametrize("place", ["gate", "classifier-tiny", "nosuch", ""])
def test_another_place_is_told_by_name_beside_what_there_is(place):
    with pytest.raises(UserError, match=f"no towers here .*{NAME}, a folder"):
        registry.find(TowersRef, place)
