"""Models by name: what may be loaded, what is refused and why, and the fixed shape of a call."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from engine import registry
from engine.diffusion import solvers
from engine.models.card import hash_folder, read_card, write_card
from engine.models.folder import COMPONENTS
from engine.schema import UserError
from engine.specs import recipe_from
from engine.store.plan import Settings


@pytest.fixture(scope="module")
def debug_folder(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "debug"
    pipeline.save_pretrained(folder)
    write_card(folder, {"name": "debug", "size": 64})
    return folder


@pytest.fixture
def folder(debug_folder, tmp_path):
    return shutil.copytree(debug_folder, tmp_path / "debug")


def settings(rows_per_call=1, **given):
    usual = {
        "solver": "euler",
        "steps": 2,
        "guidance": 2.0,
        "guidance_interval": (0.0, 1.0),
        "shift": 1.0,
        "dtype": "float32",
        "attention": "sdpa",
        "device": "cpu",
        "context_tokens": 64,
        "threads": 1,
    }
    return Settings(rows_per_call=rows_per_call, **{**usual, **given})


def specs(count, size=64):
    recipe = recipe_from(seed=5, size=size)
    return [recipe.spec(index, "f") for index in range(count)]


def test_null_needs_nothing_and_its_colour_is_the_seed():
    ref = registry.resolve("null:2.5")
    assert (ref.kind, ref.milliseconds, ref.size) == ("null", 2.5, 8)
    images = registry.load(ref, settings()).draw(specs(3, size=8))
    assert [image.shape for image in images] == [(8, 8, 3)] * 3
    assert len({image.tobytes() for image in images}) == 3


@pytest.mark.parametrize(
    "name", ["null:x", "null:-1", "null:", "nullify", "nosuch", "a/b", "~nouser/x", "x" * 5000]
)
def test_unknown_names_are_refused_with_the_known_ones(name):
    if name == "null:":
        assert registry.resolve(name).milliseconds == 0
        return
    with pytest.raises(UserError, match="--model"):
        registry.resolve(name)


def test_a_model_folder_is_described_without_loading_it(folder):
    ref = registry.resolve(str(folder))
    assert (ref.name, ref.kind, ref.size, ref.patch_px) == ("debug", "pipeline", 64, 32)
    assert len(ref.weights_sha256) == 64
    assert ref.expected_seconds(settings(), 64) > 0
    ref.check_size(96)
    for size in (0, 31, 33, 250):
        with pytest.raises(UserError, match="multiple of 32"):
            ref.check_size(size)
    with pytest.raises(UserError, match="dpmpp or euler or unipc"):
        ref.check_solver("heun")


def test_weights_that_the_card_does_not_name_are_refused(folder):
    weights = next((folder / "vae").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    promised = read_card(folder)["weights_sha256"]
    words = f"files have {hash_folder(folder)} .expected {promised}"
    with pytest.raises(UserError, match=f"not those that the model card names.*{words}"):
        registry.resolve(str(folder))


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(UserError, match="pickled weights"):
        registry.resolve(str(tmp_path))


def test_other_folders_are_refused(tmp_path, folder):
    with pytest.raises(UserError, match=r"no model_index\.json"):
        registry.resolve(str(tmp_path))
    index = folder / "model_index.json"
    index.write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(UserError, match="another architecture: StableDiffusionPipeline"):
        registry.resolve(str(folder))
    index.write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        registry.resolve(str(folder))


def test_a_folder_without_a_component_is_refused(folder):
    (folder / "transformer" / "config.json").unlink()
    with pytest.raises(UserError, match="missing from the model folder"):
        registry.resolve(str(folder))


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_without_whole_safetensors_is_refused(folder, component):
    weights = next((folder / component).glob("*.safetensors"))
    data = weights.read_bytes()
    for broken in (data[:-9], data[:4], b""):
        weights.write_bytes(broken)
        with pytest.raises(UserError, match=r"safetensors: cannot be opened"):
            registry.resolve(str(folder))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match=rf"{component}/.*\.bin: pickled weights"):
        registry.resolve(str(folder))
    weights.with_suffix(".bin").unlink()
    with pytest.raises(UserError, match=rf"{component}: this component holds no weights"):
        registry.resolve(str(folder))


BROKEN_FIELDS = [
    ("model_index.json", "_class_name", 3),
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
]


@pytest.mark.parametrize(("file", "field", "value"), BROKEN_FIELDS)
def test_broken_fields_are_refused_by_file_and_name(folder, file, field, value):
    text = json.loads((folder / file).read_text())
    outer, _, inner = field.partition(".")
    text[outer] = {inner: value} if inner else value
    (folder / file).write_text(json.dumps(text))
    with pytest.raises(UserError, match=f"{file}: {field}"):
        registry.resolve(str(folder))
    (folder / file).write_text("[1]")
    with pytest.raises(UserError, match=file):
        registry.resolve(str(folder))


def test_sources_that_the_model_does_not_know_are_refused(folder):
    ref = registry.resolve(str(folder))
    ref.check_sources(["idrid"])
    with pytest.raises(UserError, match=r"source: debug does not know .*'mars'.*idrid"):
        ref.check_sources(["idrid", "mars"])
    registry.resolve("null").check_sources(["mars"])


def test_a_row_is_the_same_to_the_bit_whatever_its_neighbours(folder):
    sampler = registry.load(registry.resolve(str(folder)), settings())
    rows = specs(3)
    together = sampler.draw(rows)
    alone = [sampler.draw([row])[0] for row in rows]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
    assert together[0].shape == (64, 64, 3)
    assert together[0].dtype == np.uint8


def test_short_calls_are_padded_to_the_fixed_shape(folder):
    sampler = registry.load(registry.resolve(str(folder)), settings(rows_per_call=4))
    rows = specs(6)
    whole = sampler.draw(rows)
    assert len(whole) == 6
    assert np.array_equal(sampler.draw(rows[4:5])[0], whole[4])


def test_a_prompt_longer_than_the_context_is_known(folder):
    sampler = registry.load(registry.resolve(str(folder)), settings(context_tokens=8))
    assert sampler.truncated("a fundus photograph of the left eye " * 9)
    assert not sampler.truncated("eye")


def test_the_solver_names_are_those_of_the_solvers():
    assert set(registry.SOLVERS) == set(solvers.SOLVERS)
