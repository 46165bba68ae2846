"""What a denoiser is trained on: words and latents of ours and of others, verified as any model."""

from __future__ import annotations

import json
import os

import pytest
import torch
from stand_ins import TEXTS, kl, save_base

from engine import registry
from engine.models import principal_components
from engine.models.card import CARD, write_card
from engine.registry.base import BaseRef
from engine.schema import UserError


@pytest.fixture
def base(tmp_path):
    torch.manual_seed(0)
    return save_base(tmp_path / "base", TEXTS["t5"](), kl())


def test_a_base_is_found_with_and_without_the_rest_of_a_pipeline(base):
    vae, text = registry.find(BaseRef, base).load()
    assert (type(vae).__name__, type(text.model).__name__) == ("AutoencoderKL", "T5EncoderModel")
    assert registry.find(BaseRef, base).describe().card == {}
    own = registry.find(BaseRef, "debug")
    assert own.describe().card["weights_sha256"] == own.weights_sha256
    vae, text = own.load()
    assert (type(vae).__name__, text.width) == ("AutoencoderDC", 64)


def test_the_base_of_a_run_is_that_of_its_finished_model(base, tmp_path):
    (tmp_path / "run").mkdir()
    base.rename(tmp_path / "run/model")
    assert registry.find(BaseRef, str(tmp_path / "run")).folder == tmp_path / "run/model"


def test_a_base_that_is_not_as_its_card_says_is_refused(base):
    write_card(base, {"name": "mine"})
    words = base / "tokenizer/tokenizer_config.json"
    words.write_text(words.read_text() + " ")
    with pytest.raises(UserError, match=f"{CARD}: weights_sha256: .*not those"):
        registry.find(BaseRef, base)


def test_a_class_that_is_not_known_is_never_imported(tmp_path):
    folder = save_base(tmp_path, TEXTS["t5"](), principal_components.build("debug"))
    config = folder / "vae/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "_class_name": "VQModel"}))
    with pytest.raises(UserError, match="vae: a class that is not loaded: VQModel"):
        registry.find(BaseRef, folder).load()


def test_weights_that_are_none_and_files_that_hold_a_reader_are_told(base):
    (base / "text_encoder/model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"text_encoder/model.safetensors: cannot be opened"):
        registry.find(BaseRef, base)
    os.mkfifo(base / "config.json")
    with pytest.raises(UserError, match="is no file"):
        registry.find(BaseRef, base)


@pytest.mark.parametrize("place", ["", "nosuch", "gate"])
def test_what_is_no_base_is_told_with_those_that_are(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no base of that name.*expected tiny, debug, or a folder"):
        registry.find(BaseRef, place)
