"""What the components of a model folder may be: stand-ins load, strangers and misfits are told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_ins import TEXTS, WIDTH, kl
from transformers import BertConfig, BertModel

import engine
from engine.diffusion.pipeline import RetinaForgePipeline, SampleSettings
from engine.models.card import hash_folder, write_card
from engine.models.classes import load_component, read_components
from engine.models.folder import examine
from engine.schema import Annotation, UserError

WEIGHTS = Path(engine.__file__).parent / "weights"
HOW = SampleSettings(size=64, steps=2, context_tokens=24)


@pytest.fixture(scope="module", params=TEXTS)
def stand_in(request, pipeline, tmp_path_factory):
    """A folder with another's text encoder and autoencoder, and the pipeline it was saved from."""
    torch.manual_seed(1)
    text = TEXTS[request.param]()
    parts = {"vae": kl(), "text_encoder": text.model, "tokenizer": text.tokenizer}
    made = RetinaForgePipeline(**{**pipeline.components, **parts})
    folder = tmp_path_factory.mktemp("stand-in") / request.param
    made.save_pretrained(folder)
    write_card(folder, {"name": request.param, "size": 64})
    return folder, made


@pytest.fixture
def folder(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "ours")
    write_card(tmp_path / "ours", {})
    return tmp_path / "ours"


def change(file, **fields):
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_a_folder_of_stand_ins_is_examined_loads_and_draws_what_it_drew(stand_in):
    folder, made = stand_in
    found = examine(folder)
    assert (found.patch_px, found.size) == (16, 64)
    loaded = RetinaForgePipeline.from_pretrained(folder, use_safetensors=True)
    asked = (["a pale disc", ""], [Annotation(dr_grade=3), Annotation()], [4, 5], HOW)
    assert loaded.sample(*asked).shape == (2, 64, 64, 3)
    assert np.array_equal(loaded.sample(*asked), made.sample(*asked))
    assert not np.array_equal(made.sample(*asked), made.sample(["haze", ""], *asked[1:]))


def test_components_load_by_the_class_that_their_own_configuration_names(stand_in):
    folder, made = stand_in
    for component in ("vae", "text_encoder", "tokenizer", "label_encoder", "transformer"):
        assert type(load_component(folder / component)) is type(getattr(made, component))


def test_the_hash_covers_a_stand_ins_files_and_pickles_of_it_are_refused(stand_in, tmp_path):
    folder = shutil.copytree(stand_in[0], tmp_path / "copy")
    before = hash_folder(folder)
    weights = next((folder / "text_encoder").glob("*.safetensors"))
    (folder / "tokenizer/tokenizer.json").write_text("{}")
    assert hash_folder(folder) != before
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match="pickled weights"):
        examine(folder)


@pytest.mark.parametrize("name", ["tiny", "debug"])
def test_shipped_folders_are_of_known_classes(name):
    found = read_components(WEIGHTS / name)
    assert found.latents.factor == 16
    text = load_component(WEIGHTS / name / "text_encoder")
    assert text.config.hidden_size == found.denoiser.cross_attention_dim


@pytest.mark.parametrize(
    ("component", "named"),
    [
        ("vae", ["diffusers", "VQModel"]),
        ("vae", ["subprocess", "Popen"]),
        ("vae", ["engine.models.gan", "GeometryGan"]),
        ("text_encoder", ["transformers", "T5ForConditionalGeneration"]),
        ("text_encoder", ["transformers", "AutoModel"]),
        ("tokenizer", ["transformers", "AutoTokenizer"]),
        ("transformer", ["strange", "Strange"]),
        ("label_encoder", ["diffusers", "AutoencoderDC"]),
        ("geometry_encoder", ["strange", "GeometryEncoder"]),
    ],
)
def test_a_class_that_is_not_in_the_table_is_refused_and_nothing_of_it_is_run(
    folder, component, named
):
    change(folder / "model_index.json", **{component: named})
    ran = folder / "ran"
    (folder / component / "strange.py").write_text(f"open({str(ran)!r}, 'w')\nclass Strange: ...")
    told = rf"{component}: a class that is not loaded: {named[0]}\.{named[1]}"
    with pytest.raises(UserError, match=told):
        examine(folder)
    assert not ran.exists()


@pytest.mark.parametrize("named", [[], ["diffusers"], [None, None], "AutoencoderDC", 3])
def test_a_component_that_is_not_named_by_two_words_is_refused(folder, named):
    change(folder / "model_index.json", vae=named)
    with pytest.raises(UserError, match=r"model_index\.json: vae"):
        examine(folder)


@pytest.mark.parametrize(
    ("component", "file", "field", "value"),
    [
        ("vae", "config.json", "_class_name", "VQModel"),
        ("text_encoder", "config.json", "architectures", ["BertForMaskedLM"]),
        ("text_encoder", "config.json", "architectures", None),
        ("tokenizer", "tokenizer_config.json", "tokenizer_class", "AutoTokenizer"),
    ],
)
def test_a_component_of_an_unknown_class_is_not_loaded(folder, component, file, field, value):
    change(folder / component / file, **{field: value})
    with pytest.raises(UserError, match=rf"{component}/{file}: {component}: a class .* not loaded"):
        load_component(folder / component)


def test_pickled_weights_of_a_component_are_not_loaded(folder):
    weights = next((folder / "text_encoder").glob("*.safetensors"))
    weights.unlink()
    torch.save({}, folder / "text_encoder/pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load_component(folder / "text_encoder")


@pytest.mark.parametrize(
    ("component", "field", "value"),
    [
        ("vae", "latent_channels", 4),
        ("text_encoder", "hidden_size", 32),
        ("label_encoder", "width", 32),
        ("geometry_encoder", "channels", 4),
        ("geometry_encoder", "width", 32),
        ("geometry_encoder", "patch_size", 1),
    ],
)
def test_what_does_not_fit_the_denoiser_is_told(folder, component, field, value):
    change(folder / component / "config.json", **{field: value})
    with pytest.raises(UserError, match=f"{component}/config.json: {field}: {value} does not fit"):
        examine(folder)


def test_a_text_encoder_of_another_width_is_told_and_not_only_its_number(pipeline, tmp_path):
    config = BertConfig(hidden_size=WIDTH // 2, num_attention_heads=2, num_hidden_layers=1)
    text = BertModel(config, add_pooling_layer=False)
    made = RetinaForgePipeline(**{**pipeline.components, "text_encoder": text})
    made.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"32 does not fit the denoiser .expected 64"):
        examine(tmp_path)


def test_a_tokenizer_that_no_hash_covers_is_refused(folder):
    (folder / "tokenizer/tokenizer.json").rename(folder / "tokenizer/spiece.model")
    with pytest.raises(UserError, match=r"tokenizer\.json: this file is missing"):
        examine(folder)
