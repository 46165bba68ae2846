"""Two towers: directions of length 1, a bounded scale, and a loss that shares what is true of
several."""

from __future__ import annotations

import math

import pytest
import torch

from engine.models.two_towers import TwoTowers, build, evened, pretrained, soft_loss, tower
from engine.schema import UserError

WIDTH = 64


@pytest.fixture
def towers():
    torch.manual_seed(0)
    return build("tiny", 32, 50).eval()


def test_both_say_directions_and_padding_says_nothing(towers):
    pictures = towers.pictures(torch.randn(3, 3, 32, 32))
    ids = torch.randint(1, 50, (3, 6))
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[1, 3:] = False
    words = towers.words(ids, mask)
    for found in (pictures, words):
        assert found.shape == (3, WIDTH)
        assert torch.allclose(found.norm(dim=1), torch.ones(3), atol=1e-5)
    alone = towers.words(ids[1:2, :3], mask[1:2, :3])
    assert torch.allclose(words[1:2], alone, atol=1e-5)


def test_the_scale_is_learned_and_at_most_100(towers):
    assert towers.scale.item() == pytest.approx(1 / 0.07, rel=1e-4)
    with torch.no_grad():
        towers.log_scale.fill_(9.0)
    assert towers.scale.item() == pytest.approx(100, rel=1e-4)


def test_words_that_are_true_of_two_pictures_are_not_held_against_either():
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    nothing = torch.zeros(3, 3, dtype=torch.bool)
    shared, own = 20.0 * same, 20.0 * torch.eye(3)
    assert soft_loss(own, torch.eye(3, dtype=torch.bool), nothing).max() < 0.01
    expected = [math.log(2), math.log(2), 0]
    assert soft_loss(shared, same, nothing).tolist() == pytest.approx(expected, abs=0.01)
    assert soft_loss(shared, same, nothing).mean() < soft_loss(own, same, nothing).mean()


def test_what_is_open_is_held_neither_for_nor_against():
    own, open_ = torch.eye(2, dtype=torch.bool), ~torch.eye(2, dtype=torch.bool)
    alike = torch.full((2, 2), 20.0)
    assert soft_loss(alike, own, ~own & ~open_).min() > 0.5
    assert soft_loss(alike, own, open_).max() < 1e-3


def test_a_saved_folder_says_the_same(towers, tmp_path):
    towers.save_pretrained(tmp_path)
    again = TwoTowers.from_pretrained(tmp_path).eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(again.pictures(images), towers.pictures(images))
    with pytest.raises(UserError, match="no tower of the type 'evil'"):
        tower({"model_type": "evil"})


def test_light_and_tint_of_a_camera_are_taken_off_and_a_lesion_stays():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    inside = ((x - 31.5) ** 2 + (y - 31.5) ** 2 < 28**2).float()
    grain = 0.05 * torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    eye = torch.stack([0.6 + grain, 0.4 + grain, 0.3 + grain]) * inside
    spotted = eye.clone()
    spotted[:, 30:34, 30:34] *= 0.5
    dimmed = eye * torch.tensor([0.9, 0.75, 0.8]).view(3, 1, 1)
    plain, spot, dim = evened(torch.stack([eye, spotted, dimmed]) * 2 - 1)
    assert plain[:, inside == 0].abs().max() == 0
    assert plain.abs().max() <= 3
    middle = (slice(None), slice(30, 34), slice(30, 34))
    assert (spot - plain)[middle].mean() < -0.5
    assert (dim - plain).abs().mean() < 0.1 * plain[:, inside > 0].abs().mean()


def test_a_dark_picture_says_a_direction_too(towers):
    found = towers.pictures(torch.full((1, 3, 32, 32), -1.0))
    assert torch.isfinite(found).all()
    assert evened(torch.full((1, 3, 32, 32), -1.0)).abs().max() == 0


def test_a_pretrained_tower_is_one_of_the_kinds_or_is_refused_by_field(tmp_path):
    made_of = {"model_type": "bert", "num_hidden_layers": 1, "hidden_size": 8}
    text = tower({**made_of, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 20})
    text.save_pretrained(tmp_path / "bert")
    again = pretrained(tmp_path / "bert", "model.text")
    assert all(torch.equal(again.state_dict()[n], w) for n, w in text.state_dict().items())
    (tmp_path / "gpt2").mkdir()
    (tmp_path / "gpt2/config.json").write_text('{"model_type": "gpt2"}')
    for name, reason in (("gpt2", "no tower of the type 'gpt2'"), ("nosuch", "cannot be loaded")):
        with pytest.raises(UserError, match=f"{tmp_path / name}: model.text: .*{reason}"):
            pretrained(tmp_path / name, "model.text")
