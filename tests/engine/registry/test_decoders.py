"""Which decoder a model's latents go through: words, what they mean, and that it stays so."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from calls import settings, specs

from engine import registry, shipped
from engine.call import CallSettings
from engine.evaluate.lineage import ancestors
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.models.autoencoder import autoencoder_of
from engine.models.card import read_card, write_card
from engine.models.classes import load_component
from engine.models.latent_decoder import LatentDecoder, key_of
from engine.publish.drawn import describe
from engine.registry import SamplerRef
from engine.registry.decoders import decoder_of, wanted
from engine.schema import UserError
from engine.store.plan import write_plan

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def decoder(folder, tmp_path):
    """A folder of a decoder of the debug model's latents."""
    whole = autoencoder_of(load_component(folder / "vae"))
    torch.manual_seed(0)
    light = LatentDecoder(8, 16, (8, 8), (8, 8, 8), (1, 1, 1), key_of(whole))
    torch.nn.init.normal_(light.draw.weight)
    light.half().save_pretrained(tmp_path / "light")
    write_card(tmp_path / "light", {"name": "light", "data": {"photographs": 7}})
    return tmp_path / "light"


def asked(place, folder):
    return wanted(str(place), registry.find(SamplerRef, str(folder)))


def test_the_whole_one_is_the_usual_and_nothing_new_in_a_plan():
    plain = plan_drawing(DrawAsk(model="tiny")).plan
    said = plan_drawing(DrawAsk(model="tiny", decoder="whole")).plan
    assert said.fingerprint == plain.fingerprint
    assert "decoder" not in plain.settings.identity()


def test_the_light_one_is_found_by_what_it_reads():
    plan = plan_drawing(DrawAsk(model="tiny", decoder="light")).plan
    assert plan.settings.decoder.location == "decoder-tiny"
    card = read_card(shipped.WEIGHTS / "decoder-tiny")
    assert plan.settings.decoder.sha256 == card["weights_sha256"]
    assert plan.fingerprint != plan_drawing(DrawAsk(model="tiny")).plan.fingerprint
    again = plan_drawing(DrawAsk(), plan).plan
    assert again.settings.decoder == plan.settings.decoder, "a plan decides for itself"


def test_where_it_lies_decides_nothing_and_what_it_is_does(decoder, folder, tmp_path):
    ask = DrawAsk(model=str(folder), decoder=str(decoder))
    first = plan_drawing(ask).plan
    moved = decoder.rename(tmp_path / "elsewhere")
    again = plan_drawing(DrawAsk(model=str(folder), decoder=str(moved))).plan
    assert again.fingerprint == first.fingerprint
    assert again.settings.decoder.location != first.settings.decoder.location
    assert CallSettings.model_validate_json(first.settings.model_dump_json()) == first.settings
    with pytest.raises(UserError, match="this folder's plan differs: decoder: "):
        plan_drawing(DrawAsk(decoder="whole"), first)


def test_rows_are_decoded_by_it_and_stay_their_own(decoder, folder):
    ref = registry.find(SamplerRef, str(folder))
    plain = ref.load(settings()).draw(specs(1))[0].image
    light = ref.load(settings(decoder=asked(decoder, folder)))
    together = [each.image for each in light.draw(specs(2))]
    alone = light.draw(specs(2)[1:])[0].image
    assert np.array_equal(together[1], alone)
    assert together[0].shape == plain.shape
    assert not np.array_equal(together[0], plain)


def test_one_of_another_autoencoder_is_refused(decoder, folder):
    with pytest.raises(UserError, match=r"⟨decoder⟩: .*the latents of another autoencoder"):
        asked("decoder-tiny", folder)
    with pytest.raises(UserError, match="no light decoder here reads the latents that debug"):
        asked("light", folder)
    found = asked(decoder, folder)
    vae = folder / "vae" / WEIGHTS
    copied = (shipped.WEIGHTS / "debug" / "vae" / WEIGHTS).read_bytes()
    assert vae.read_bytes() != copied, "another encoder"
    vae.write_bytes(copied)
    with pytest.raises(UserError, match="the latents of another autoencoder"):
        decoder_of(found, folder)


@pytest.mark.parametrize("model", ["dualgan-tiny", "null", "phantom"])
def test_a_model_without_latents_takes_none(model):
    with pytest.raises(UserError, match=f"⟨decoder⟩: 'light': {model} decodes no latents"):
        plan_drawing(DrawAsk(model=model, decoder="light"))
    assert plan_drawing(DrawAsk(model=model, decoder="whole")).plan.settings.decoder is None


@pytest.mark.parametrize("text", ["", "heavy", "tiny", "segmenter", "/nowhere"])
def test_what_is_no_decoder_is_refused(folder, text):
    with pytest.raises(UserError, match=r"⟨decoder⟩: no decoder .* whole, light or the folder"):
        asked(text, folder)


def test_a_damaged_or_changed_folder_is_refused(decoder, folder):
    found = asked(decoder, folder)
    config = json.loads((decoder / "config.json").read_text())
    (decoder / "config.json").write_text(json.dumps({**config, "factor": 10**9}))
    write_card(decoder, {})
    with pytest.raises(UserError, match="factor: more than the weights"):
        decoder_of(found, folder)
    (decoder / "config.json").write_text(json.dumps({**config, "autoencoder": 3}))
    write_card(decoder, {})
    with pytest.raises(UserError, match="autoencoder"):
        decoder_of(found, folder)
    (decoder / "config.json").write_text(json.dumps({**config, "kind": "another"}))
    write_card(decoder, {})
    with pytest.raises(UserError, match="is not what the plan was made with"):
        decoder_of(found, folder)
    data = (decoder / WEIGHTS).read_bytes()
    (decoder / WEIGHTS).write_bytes(data[:-9])
    with pytest.raises(UserError, match="cannot be opened"):
        asked(decoder, folder)


def test_a_set_comes_from_its_decoder_too(decoder, folder, tmp_path):
    ask = DrawAsk(model=str(folder), decoder=str(decoder))
    plan = plan_drawing(ask).plan
    write_plan(tmp_path / "set", plan)
    tree = ancestors(str(tmp_path / "set"))
    assert ("light",) in [each.path for each in tree]
    assert next(each for each in tree if each.path == ("light",)).photographs == 7
    assert dict(describe(plan).facts)["decoder"] == "light"
