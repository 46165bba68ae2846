"""What may be loaded of a model folder, what is refused and why, before any weight is read."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from engine import shipped
from engine.models.card import hash_folder, read_card, write_card
from engine.models.folder import (
    COMPONENTS,
    GAN_CLASSES,
    PICKLES,
    Sampling,
    examine,
    examine_gan,
    examine_network,
    is_network,
)
from engine.schema import UserError


def change(file, **fields):
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_weights_that_the_card_does_not_name_are_refused(folder):
    weights = next((folder / "vae").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    promised = read_card(folder)["weights_sha256"]
    words = f"files have {hash_folder(folder)} .expected {promised}"
    with pytest.raises(UserError, match=f"not those that the model card names.*{words}"):
        examine(folder)


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(UserError, match="pickled weights"):
        examine(tmp_path)


def test_other_folders_are_refused(tmp_path, folder):
    with pytest.raises(UserError, match=r"no model_index\.json"):
        examine(tmp_path)
    index = folder / "model_index.json"
    index.write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(UserError, match="another architecture: StableDiffusionPipeline"):
        examine(folder)
    index.write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        examine(folder)


def test_a_folder_without_a_component_is_refused(folder):
    (folder / "transformer" / "config.json").unlink()
    with pytest.raises(UserError, match="missing from the model folder"):
        examine(folder)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_without_whole_safetensors_is_refused(folder, component):
    weights = next((folder / component).glob("*.safetensors"))
    data = weights.read_bytes()
    for broken in (data[:-9], data[:4], b""):
        weights.write_bytes(broken)
        with pytest.raises(UserError, match=r"safetensors: cannot be opened"):
            examine(folder)
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match=rf"{component}/.*\.bin: pickled weights"):
        examine(folder)
    weights.with_suffix(".bin").unlink()
    with pytest.raises(UserError, match=rf"{component}: this component holds no weights"):
        examine(folder)


def test_labels_that_no_photograph_has_taught_are_known_from_the_card(folder):
    card = read_card(folder)
    counts = {"dr_grade": 8, "is_gc": 0, "is_rvo": 0}
    write_card(folder, {**card, "real_examples_per_label": counts})
    assert examine(folder).phantom_only == ("is_gc", "is_rvo")
    having = {"dr_grade": 0, "is_gc": 0, "is_rvo": 0}
    write_card(
        folder, {**card, "real_examples_per_label": counts, "real_positives_per_label": having}
    )
    assert examine(folder).phantom_only == ("dr_grade", "is_gc", "is_rvo")
    write_card(folder, {k: v for k, v in card.items() if k != "real_examples_per_label"})
    assert examine(folder).phantom_only == ()
    evidence = [
        {"label": "is_gc", "real": 0, "phantom": 90},
        {"label": "is_pm", "real": 6, "read_on": "phantoms"},
        {"label": "dr_grade", "real": 8, "read_on": "real eyes"},
    ]
    write_card(folder, {**read_card(folder), "label_evidence": evidence})
    assert examine(folder).phantom_only == ("is_gc", "is_pm")


def put(make):
    """The same thing in the place of any file."""

    def fault(path):
        path.unlink(missing_ok=True)
        make(path)

    return fault


def vast(path):
    with path.open("wb") as file:
        file.truncate(1 << 40)


HOSTILE = {
    "a device": put(lambda path: path.symlink_to("/dev/zero")),
    "a pipe": put(os.mkfifo),
    "a link to a folder": put(lambda path: path.symlink_to("/")),
    "a link to itself": put(lambda path: path.symlink_to(path)),
    "vast": put(vast),
}
PLACES = (
    "model_card.json",
    "model_index.json",
    "vae/diffusion_pytorch_model.safetensors",
    "tokenizer/tokenizer.json",
    "transformer/more.txt",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", HOSTILE)
def test_what_would_hold_or_fill_a_reader_of_a_model_folder_is_refused(folder, fault, place):
    HOSTILE[fault](folder / place)
    with pytest.raises(UserError):
        examine(folder)


def test_a_folder_of_more_files_than_a_model_has_is_refused(folder, monkeypatch):
    monkeypatch.setattr("engine.models.card.MOST_FILES", 5)
    with pytest.raises(UserError, match="more than 5 files"):
        examine(folder)


def test_files_of_a_model_folder_may_be_links_to_files(folder, tmp_path):
    before = examine(folder).weights_sha256
    weights = folder / "vae/diffusion_pytorch_model.safetensors"
    weights.rename(tmp_path / "blob")
    weights.symlink_to(tmp_path / "blob")
    assert examine(folder).weights_sha256 == before


@pytest.mark.parametrize(
    ("component", "field", "value"),
    [
        ("text_encoder", "num_hidden_layers", 10**6),
        ("text_encoder", "max_position_embeddings", 10**12),
        ("transformer", "num_layers", 10**6),
        ("vae", "decoder_layers_per_block", [0, 1, 1, 1, 10**6]),
        ("vae", "decoder_block_out_channels", [32] * 10**5),
    ],
)
def test_a_configuration_is_no_larger_than_its_weights(folder, component, field, value):
    file = folder / component / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    write_card(folder, read_card(folder))
    with pytest.raises(UserError, match=f"{component}/config.json: {field}: more than the weights"):
        examine(folder)


BROKEN_FIELDS = [
    ("model_index.json", "_class_name", 3),
    ("model_index.json", "latent_spread", [1.0, 2.0]),
    ("model_index.json", "latent_spread", [0.0] * 8),
    ("model_index.json", "native_side", 0),
    ("transformer/config.json", "sample_size", None),
    ("transformer/config.json", "patch_size", 0),
    ("transformer/config.json", "patch_size", "2"),
    ("vae/config.json", "encoder_block_out_channels", []),
    ("vae/config.json", "encoder_block_out_channels", 4),
    ("label_encoder/config.json", "sources", [1]),
    ("model_card.json", "sampling", None),
    ("model_card.json", "sampling", []),
    ("model_card.json", "sampling.solver", 3),
    ("model_card.json", "sampling.steps", "16"),
    ("model_card.json", "sampling.guidance", float("inf")),
    ("model_card.json", "sampling.guidance_interval", [0.5]),
    ("model_card.json", "size", "64"),
    ("model_card.json", "weights_sha256", 7),
    ("model_card.json", "label_evidence", [{"label": "is_gc"}]),
]


@pytest.mark.parametrize(("file", "field", "value"), BROKEN_FIELDS)
def test_broken_fields_are_refused_by_file_and_name(folder, file, field, value):
    text = json.loads((folder / file).read_text())
    outer, _, inner = field.partition(".")
    text[outer] = {inner: value} if inner else value
    (folder / file).write_text(json.dumps(text))
    with pytest.raises(UserError, match=f"{file}: {field}"):
        examine(folder)
    (folder / file).write_text("[1]")
    with pytest.raises(UserError, match=file):
        examine(folder)


def test_a_card_says_how_a_model_is_called_and_at_which_size(folder):
    found = examine(folder)
    assert (found.size, found.sampling) == (64, Sampling())
    write_card(folder, {"size": 96, "sampling": {"steps": 4, "guidance": 0, "t0": 0.5}})
    told = examine(folder)
    assert (told.size, told.sampling) == (96, Sampling(steps=4, guidance=0.0, t0=0.5))
    (folder / "model_card.json").unlink()
    bare = examine(folder)
    assert (bare.size, bare.patch_px, bare.sampling) == (256, 32, Sampling())
    assert bare.weights_sha256 == found.weights_sha256
    assert examine(shipped.WEIGHTS / "tiny").flops_per_step > found.flops_per_step > 0


@pytest.mark.parametrize("ending", PICKLES)
def test_weights_that_only_a_pickle_holds_are_refused_and_one_beside_safetensors_is_left(
    folder, tmp_path, ending
):
    (folder / f"vae/more{ending}").write_bytes(b"x")
    examine(folder)
    (tmp_path / "pickled/deep").mkdir(parents=True)
    (tmp_path / f"pickled/deep/w{ending}").write_bytes(b"x")
    with pytest.raises(UserError, match=rf"deep/w{ending}: pickled weights can run code"):
        examine(tmp_path / "pickled")


def test_a_network_is_known_by_the_whole_name_of_its_class(folder, gan_folder):
    config = gan_folder / "config.json"
    assert is_network(gan_folder, *GAN_CLASSES)
    assert not is_network(gan_folder, GAN_CLASSES[0][:-1])
    assert not is_network(folder, *GAN_CLASSES)
    shutil.copy(config, folder / "config.json")
    assert not is_network(folder, *GAN_CLASSES), "what has an index is a pipeline"
    config.unlink()
    assert not is_network(gan_folder, *GAN_CLASSES)
    os.mkfifo(config)
    assert not is_network(gan_folder, *GAN_CLASSES)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"_class_name": "Strange"}, "another architecture: Strange .expected GeometryGan"),
        ({"_class_name": None}, r"config\.json: _class_name"),
        ({"size": 0}, r"config\.json: size"),
        ({"sources": "hrf"}, r"config\.json: sources"),
        ({"critic": 10**9}, r"config\.json: critic: more than the weights beside it hold"),
        ({"widths": [8] * 10**4}, r"config\.json: widths: more than the weights"),
        ({"deep": {"er": [-(10**9)]}}, r"config\.json: deep\.er: more than the weights"),
        ({"deep": {"num_layers": 1000}}, r"deep\.num_layers: .*at most \d\d\)"),
        ({"deep": {"depths": [1, 1000]}}, r"deep\.depths: .*at most \d\d\)"),
        ({"deep": {"er": [8] * 10**4}}, r"config\.json: deep\.er: more than the weights"),
    ],
)
def test_a_configuration_that_is_no_painters_is_told_by_field(gan_folder, fields, told):
    change(gan_folder / "config.json", **fields)
    write_card(gan_folder, read_card(gan_folder))
    with pytest.raises(UserError, match=told):
        examine_gan(gan_folder)


def test_a_network_without_whole_weights_or_the_cards_own_is_refused(gan_folder):
    (weights,) = gan_folder.glob("*.safetensors")
    whole = weights.read_bytes()
    assert examine_network(gan_folder, *GAN_CLASSES) == hash_folder(gan_folder)
    for content, told in (
        (whole[:-1], "cannot be opened"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "not those that the model card names"),
    ):
        weights.write_bytes(content)
        with pytest.raises(UserError, match=told):
            examine_network(gan_folder, *GAN_CLASSES)
    weights.rename(weights.with_suffix(".pt"))
    with pytest.raises(UserError, match=r"\.pt: pickled weights"):
        examine_network(gan_folder, *GAN_CLASSES)
