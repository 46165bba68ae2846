"""The recipe of the light decoder: rows by position, a lesson learned, a folder that loads."""

from __future__ import annotations

import json

import pytest
import torch
from discs import discs, settings

from engine.models.autoencoder import autoencoder_of
from engine.models.latent_decoder import LatentDecoder, key_of
from engine.schema import UserError
from train import decoder


@pytest.fixture
def photographs(tmp_path):
    return str(discs(tmp_path))


@pytest.fixture
def recipe(photographs):
    return decoder.build(settings("decoder-debug"), [photographs])


def test_rows_are_their_positions_alone(recipe, photographs):
    whole = recipe.batch(range(4))
    again = decoder.build(settings("decoder-debug"), [photographs])
    parts = [recipe.batch([0, 1]), again.batch([2, 3])]
    for name, rows in whole.items():
        assert torch.equal(rows, torch.cat([part[name] for part in parts])), name
    assert whole["latents"].shape == (4, 8, 3, 3)
    assert whole["whole"].shape == whole["photographs"].shape == (4, 3, 48, 48)
    assert whole["whole"].abs().max() <= 1


def test_what_the_whole_decoder_saw_beyond_a_crop_counts_for_nothing(photographs):
    small = decoder.build(settings("decoder-debug", data__halved=1), [photographs])
    assert small.batch(range(8))["counts"].min() == 1, "pictures that are shown whole"
    recipe = decoder.build(settings("decoder-debug", data__halved=0), [photographs])
    batch = recipe.batch(range(40))
    assert batch["counts"].mean() < 1, "parts of pictures"
    worse = {**batch, "whole": batch["whole"] + (1 - batch["counts"])}
    with torch.no_grad():
        same, changed = (recipe.module(each)["whole"] for each in (batch, worse))
    assert torch.allclose(same, changed)


def test_it_comes_nearer_to_the_whole_decoder(photographs, tmp_path):
    recipe = decoder.build(settings("decoder-debug", model__base="tiny"), [photographs])
    optimizer = torch.optim.AdamW(recipe.module.parameters(), lr=5e-4)
    same, near = recipe.batch(range(4)), []
    for _ in range(40):
        optimizer.zero_grad()
        values = recipe.module(same)
        values["loss"].mean().backward()
        optimizer.step()
        near.append(values["whole"].mean().item())
    assert near[-1] < 0.9 * near[0]
    found = recipe.score()
    assert {*found} == {
        *("psnr_db", "whole_psnr_db", "to_whole_psnr_db"),
        *("vesselness_correlation", "whole_vesselness_correlation"),
    }
    assert recipe.sheet().size == (96, 3 * 96)
    folder = tmp_path / "model"
    folder.mkdir()
    recipe.export(folder, {})
    loaded = LatentDecoder.from_pretrained(folder)
    assert loaded.config.autoencoder == key_of(autoencoder_of(recipe._vae))
    card = json.loads((folder / "model_card.json").read_text())
    assert card["data"]["photographs"] == 4
    assert [each["name"] for each in card["parents"]] == ["tiny"]
    assert len(card["image_hashes"]) == 4


def test_one_goes_on_from_where_another_ended(recipe, photographs, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    recipe.export(folder, {})
    on = decoder.build(settings("decoder-debug", init=str(folder)), [photographs])
    given = recipe.batch(range(2))["latents"]
    with torch.no_grad():
        made, again = recipe.module.decoder(given), on.module.decoder(given)
    assert torch.allclose(made, again, atol=1e-2)
    with pytest.raises(UserError, match=r"init: .* of another autoencoder"):
        decoder.plan(settings("decoder-debug", init=str(folder), model__base="tiny"), [photographs])


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", 80), ("size", 0), ("crop", 64), ("crop", 40), ("halved", 2), ("pictures", 0)],
)
def test_settings_out_of_their_range_are_told(photographs, name, value):
    with pytest.raises(UserError, match=f"data.{name}: {value}.* is out of range"):
        decoder.plan(settings("decoder-debug", **{f"data__{name}": value}), [photographs])


def test_the_autoencoder_of_a_model_teaches():
    told = decoder.plan(settings("decoder-debug", model__base="tiny"), ["phantom:2"])
    assert told.sketch().decoder.config.channels == 64
    (parent,) = told._base()
    assert parent["name"] == "tiny"
    with pytest.raises(UserError, match="no base of that name"):
        decoder.plan(settings("decoder-debug", model__base="segmenter"), ["phantom:2"])
