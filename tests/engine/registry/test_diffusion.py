"""Diffusion pipelines: what may be loaded, what is refused and why, the fixed shape of a call."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from calls import settings, specs

from engine import registry
from engine.diffusion import solvers
from engine.models.card import hash_folder, read_card, write_card
from engine.models.folder import COMPONENTS
from engine.phantom import render
from engine.registry import SamplerRef
from engine.registry.diffusion import PipelineRef
from engine.schema import MASKS, Annotation, UserError

PARTLY_KNOWN = Annotation(dr_grade=3, is_gc=1, source="hrf")


def test_a_model_folder_is_described_without_loading_it(folder):
    ref = registry.find(SamplerRef, str(folder))
    assert (ref.name, ref.FAMILY, ref.size, ref.patch_px) == ("debug", "pipeline", 64, 32)
    assert len(ref.weights_sha256) == 64
    assert ref.expected_seconds(settings(), 64) > 0
    ref.check_size(96)
    for size in (0, 31, 33, 250):
        with pytest.raises(UserError, match="multiple of 32"):
            ref.check_size(size)
    with pytest.raises(UserError, match="dpmpp or euler or unipc"):
        ref.check_solver("heun", 16, 3.0)


def test_weights_that_the_card_does_not_name_are_refused(folder):
    weights = next((folder / "vae").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    promised = read_card(folder)["weights_sha256"]
    words = f"files have {hash_folder(folder)} .expected {promised}"
    with pytest.raises(UserError, match=f"not those that the model card names.*{words}"):
        registry.find(SamplerRef, str(folder))


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(UserError, match="pickled weights"):
        registry.find(SamplerRef, str(tmp_path))


def test_other_folders_are_refused(tmp_path, folder):
    with pytest.raises(UserError, match=r"no model_index\.json"):
        registry.find(SamplerRef, str(tmp_path))
    index = folder / "model_index.json"
    index.write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(UserError, match="another architecture: StableDiffusionPipeline"):
        registry.find(SamplerRef, str(folder))
    index.write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        registry.find(SamplerRef, str(folder))


def test_a_folder_without_a_component_is_refused(folder):
    (folder / "transformer" / "config.json").unlink()
    with pytest.raises(UserError, match="missing from the model folder"):
        registry.find(SamplerRef, str(folder))


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_without_whole_safetensors_is_refused(folder, component):
    weights = next((folder / component).glob("*.safetensors"))
    data = weights.read_bytes()
    for broken in (data[:-9], data[:4], b""):
        weights.write_bytes(broken)
        with pytest.raises(UserError, match=r"safetensors: cannot be opened"):
            registry.find(SamplerRef, str(folder))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match=rf"{component}/.*\.bin: pickled weights"):
        registry.find(SamplerRef, str(folder))
    weights.with_suffix(".bin").unlink()
    with pytest.raises(UserError, match=rf"{component}: this component holds no weights"):
        registry.find(SamplerRef, str(folder))


def test_labels_that_no_photograph_has_taught_are_known_from_the_card(folder):
    card = read_card(folder)
    counts = {"dr_grade": 8, "is_gc": 0, "is_rvo": 0}
    write_card(folder, {**card, "real_examples_per_label": counts})
    assert registry.find(SamplerRef, str(folder)).phantom_only == ("is_gc", "is_rvo")
    having = {"dr_grade": 0, "is_gc": 0, "is_rvo": 0}
    write_card(
        folder, {**card, "real_examples_per_label": counts, "real_positives_per_label": having}
    )
    assert registry.find(SamplerRef, str(folder)).phantom_only == ("dr_grade", "is_gc", "is_rvo")
    write_card(folder, {k: v for k, v in card.items() if k != "real_examples_per_label"})
    assert registry.find(SamplerRef, str(folder)).phantom_only == ()
    evidence = [
        {"label": "is_gc", "real": 0, "phantom": 90},
        {"label": "is_pm", "real": 6, "read_on": "phantoms"},
        {"label": "dr_grade", "real": 8, "read_on": "real eyes"},
    ]
    write_card(folder, {**read_card(folder), "label_evidence": evidence})
    assert registry.find(SamplerRef, str(folder)).phantom_only == ("is_gc", "is_pm")


def test_a_pipeline_takes_geometry_if_it_has_an_encoder_of_it(folder):
    assert registry.find(SamplerRef, str(folder)).takes_geometry
    weights = next((folder / "geometry_encoder").glob("*.safetensors"))
    weights.unlink()
    with pytest.raises(UserError, match="geometry_encoder: this component holds no weights"):
        registry.find(SamplerRef, str(folder))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "geometry_encoder": [None] * 2}))
    write_card(folder, read_card(folder))
    ref = registry.find(SamplerRef, str(folder))
    ref.check_start(geometry=False, t0=0.5)
    with pytest.raises(UserError, match="takes no geometry"):
        ref.check_start(geometry=True, t0=0.0)


@pytest.mark.parametrize("t0", [-0.1, 1.0, float("nan")])
def test_a_start_outside_the_flow_is_refused(folder, t0):
    with pytest.raises(UserError, match="⟨t0⟩"):
        registry.find(SamplerRef, str(folder)).check_start(geometry=False, t0=t0)


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
        registry.find(SamplerRef, str(folder))


def test_a_folder_of_more_files_than_a_model_has_is_refused(folder, monkeypatch):
    monkeypatch.setattr("engine.models.card.MOST_FILES", 5)
    with pytest.raises(UserError, match="more than 5 files"):
        registry.find(SamplerRef, str(folder))


def test_files_of_a_model_folder_may_be_links_to_files(folder, tmp_path):
    before = registry.find(SamplerRef, str(folder)).weights_sha256
    weights = folder / "vae/diffusion_pytorch_model.safetensors"
    weights.rename(tmp_path / "blob")
    weights.symlink_to(tmp_path / "blob")
    assert registry.find(SamplerRef, str(folder)).weights_sha256 == before


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
        registry.find(SamplerRef, str(folder))


@pytest.mark.parametrize("text", ["[[[[]]]]", "{}", "[" * 100_000])
def test_a_tokenizer_that_is_none_is_told(folder, text):
    (folder / "tokenizer/tokenizer.json").write_text(text)
    write_card(folder, read_card(folder))
    ref = registry.find(SamplerRef, str(folder))
    with pytest.raises(UserError, match="cannot be loaded"):
        ref.load(settings())


BROKEN_FIELDS = [
    ("model_index.json", "_class_name", 3),
    ("model_index.json", "latent_spread", [1.0, 2.0]),
    ("model_index.json", "latent_spread", [0.0] * 8),
    ("transformer/config.json", "sample_size", None),
    ("transformer/config.json", "patch_size", 0),
    ("transformer/config.json", "patch_size", "2"),
    ("vae/config.json", "encoder_block_out_channels", []),
    ("vae/config.json", "encoder_block_out_channels", 4),
    ("label_encoder/config.json", "sources", [1]),
    ("model_card.json", "sampling", None),
    ("model_card.json", "sampling", []),
    ("model_card.json", "sampling.solver", "heun"),
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
        registry.find(SamplerRef, str(folder))
    (folder / file).write_text("[1]")
    with pytest.raises(UserError, match=file):
        registry.find(SamplerRef, str(folder))


def test_a_row_is_the_same_to_the_bit_whatever_its_neighbours(folder):
    sampler = registry.find(SamplerRef, str(folder)).load(settings())
    rows = specs(3)
    together = [drawn.image for drawn in sampler.draw(rows)]
    alone = [sampler.draw([row])[0].image for row in rows]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
    assert together[0].shape == (64, 64, 3)
    assert together[0].dtype == np.uint8


def test_short_calls_are_padded_to_the_fixed_shape(folder):
    sampler = registry.find(SamplerRef, str(folder)).load(settings(rows_per_call=4))
    rows = specs(6)
    whole = sampler.draw(rows)
    assert len(whole) == 6
    assert np.array_equal(sampler.draw(rows[4:5])[0].image, whole[4].image)


def test_geometry_gives_masks_and_a_start_gives_pixels(folder):
    ref = registry.find(SamplerRef, str(folder))
    rows = [spec.model_copy(update={"annotation": PARTLY_KNOWN}) for spec in specs(2)]
    plain, built, begun = (
        ref.load(settings(**given)).draw(rows) for given in ({}, {"geometry": True}, {"t0": 0.6})
    )
    assert plain[0].masks == begun[0].masks == {}
    assert plain[0].annotation is begun[0].annotation is None
    for row, each in zip(rows, built, strict=True):
        phantom = render.draw(row.annotation, row.seed, 64)
        assert {*each.masks} == {*MASKS}
        assert np.array_equal(each.masks["mask_disc"], phantom.masks["disc"])
        assert each.annotation.labels() == {
            **PARTLY_KNOWN.labels(),
            "eye_side": phantom.annotation.eye_side,
        }
    for other in (built, begun):
        assert not np.array_equal(other[0].image, plain[0].image)
    alone = ref.load(settings(t0=0.6)).draw(rows[1:])
    assert np.array_equal(alone[0].image, begun[1].image)


def test_a_prompt_longer_than_the_context_is_known(folder):
    sampler = registry.find(SamplerRef, str(folder)).load(settings(context_tokens=8))
    assert sampler.truncated("a fundus photograph of the left eye " * 9)
    assert not sampler.truncated("eye")


def test_the_solver_names_are_those_of_the_solvers():
    assert set(PipelineRef.solvers) == set(solvers.SOLVERS)
