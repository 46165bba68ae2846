"""Models by name: what may be loaded, what is refused and why, and the fixed shape of a call."""

from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pytest
import torch

from engine import registry
from engine.call import CallSettings
from engine.diffusion import solvers
from engine.models.card import hash_folder, read_card, write_card
from engine.models.folder import COMPONENTS
from engine.models.gan import GeometryGan
from engine.phantom import render
from engine.prose.parse import parse
from engine.schema import MASKS, Annotation, UserError
from engine.specs import recipe_from

PARTLY_KNOWN = Annotation(dr_grade=3, is_gc=1, source="hrf")


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
    return CallSettings(rows_per_call=rows_per_call, **{**usual, **given})


def specs(count, size=64):
    recipe = recipe_from(seed=5, size=size)
    return [recipe.spec(index, "f") for index in range(count)]


def test_null_needs_nothing_and_its_colour_is_the_seed():
    ref = registry.resolve("null:2.5")
    assert (ref.kind, ref.milliseconds, ref.size) == ("null", 2.5, 8)
    images = registry.load(ref, settings()).draw(specs(3, size=8))
    assert [drawn.image.shape for drawn in images] == [(8, 8, 3)] * 3
    assert len({drawn.image.tobytes() for drawn in images}) == 3


def test_the_phantom_is_a_model_without_weights_whose_version_is_its_hash(monkeypatch):
    ref = registry.resolve("phantom")
    assert (ref.kind, ref.learned, ref.sources) == ("phantom", False, None)
    for size in (32, 40, 1024):
        ref.check_size(size)
    for size in (0, 16, 24, 33):
        with pytest.raises(UserError, match="multiple of 8 from 32"):
            ref.check_size(size)
    monkeypatch.setattr("engine.registry.phantom.VERSION", "another")
    assert registry.resolve("phantom").weights_sha256 != ref.weights_sha256


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
        ref.check_solver("heun", 16, 3.0)


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


def test_labels_that_no_photograph_has_taught_are_known_from_the_card(folder):
    card = read_card(folder)
    counts = {"dr_grade": 8, "is_gc": 0, "is_rvo": 0}
    write_card(folder, {**card, "real_examples_per_label": counts})
    assert registry.resolve(str(folder)).phantom_only == ("is_gc", "is_rvo")
    having = {"dr_grade": 0, "is_gc": 0, "is_rvo": 0}
    write_card(
        folder, {**card, "real_examples_per_label": counts, "real_positives_per_label": having}
    )
    assert registry.resolve(str(folder)).phantom_only == ("dr_grade", "is_gc", "is_rvo")
    write_card(folder, {k: v for k, v in card.items() if k != "real_examples_per_label"})
    assert registry.resolve(str(folder)).phantom_only == ()
    evidence = [
        {"label": "is_gc", "real": 0, "phantom": 90},
        {"label": "is_pm", "real": 6, "read_on": "phantoms"},
        {"label": "dr_grade", "real": 8, "read_on": "real eyes"},
    ]
    write_card(folder, {**read_card(folder), "label_evidence": evidence})
    assert registry.resolve(str(folder)).phantom_only == ("is_gc", "is_pm")


def test_a_pipeline_takes_geometry_if_it_has_an_encoder_of_it(folder):
    assert registry.resolve(str(folder)).takes_geometry
    weights = next((folder / "geometry_encoder").glob("*.safetensors"))
    weights.unlink()
    with pytest.raises(UserError, match="geometry_encoder: this component holds no weights"):
        registry.resolve(str(folder))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "geometry_encoder": [None] * 2}))
    write_card(folder, read_card(folder))
    ref = registry.resolve(str(folder))
    ref.check_start(geometry=False, t0=0.5)
    with pytest.raises(UserError, match="takes no geometry"):
        ref.check_start(geometry=True, t0=0.0)


@pytest.mark.parametrize("t0", [-0.1, 1.0, float("nan")])
def test_a_start_outside_the_flow_is_refused(folder, t0):
    with pytest.raises(UserError, match="⟨t0⟩"):
        registry.resolve(str(folder)).check_start(geometry=False, t0=t0)


@pytest.fixture
def gan_folder(tmp_path):
    torch.manual_seed(0)
    colours = ((-0.2, -0.6, -0.8, *np.eye(3).ravel() * 0.1),)
    gan = GeometryGan((8, 8, 8), 4, 64, ("hrf",), colours)
    gan.half().save_pretrained(tmp_path / "gan")
    write_card(tmp_path / "gan", {"name": "gan"})
    return tmp_path / "gan"


def test_a_gan_paints_the_phantom_of_a_row_and_keeps_its_masks(gan_folder):
    ref = registry.resolve(str(gan_folder))
    assert (ref.kind, ref.size, ref.sources, ref.steps) == ("gan", 64, ("hrf",), 1)
    with pytest.raises(UserError, match="⟨guidance⟩: 9: gan is drawn without a solver"):
        ref.check_solver("none", 1, 9.0)
    assert (ref.takes_geometry, ref.solvers) == (True, ("none",))
    with pytest.raises(UserError, match="draws on nothing but"):
        ref.check_start(geometry=False, t0=0.0)
    with pytest.raises(UserError, match="⟨t0⟩"):
        ref.check_start(geometry=True, t0=0.5)
    sampler = registry.load(ref, settings(geometry=True))
    rows = [spec.model_copy(update={"annotation": PARTLY_KNOWN}) for spec in specs(2)]
    drawn = sampler.draw(rows)
    for row, each in zip(rows, drawn, strict=True):
        phantom = render.draw(row.annotation, row.seed, 64)
        assert all(
            np.array_equal(each.masks[f"mask_{n}"], phantom.masks[n]) for n in ("disc", "vein")
        )
        assert each.annotation.labels() == {
            **PARTLY_KNOWN.labels(),
            "eye_side": phantom.annotation.eye_side,
        }
    assert not np.array_equal(drawn[0].image, drawn[1].image)
    assert np.array_equal(sampler.draw(rows[1:])[0].image, drawn[1].image)


def test_a_caption_tells_the_geometry_that_was_drawn_and_not_the_prompt(gan_folder):
    sampler = registry.load(registry.resolve(str(gan_folder)), settings(geometry=True))
    named = 0
    for spec in specs(40):
        asked = Annotation(source="hrf", is_gc=spec.index % 2)
        row = spec.model_copy(update={"annotation": asked, "prompt": "a macaw on a bicycle"})
        drawn = sampler.draw([row])[0]
        assert "macaw" not in drawn.caption
        assert parse(drawn.caption).items() <= drawn.annotation.labels().items()
        told = re.search(r"cup-to-disc ratio of (?:about )?(0\.\d+)", drawn.caption)
        if told:
            eye = render.draw(asked, row.seed, 64).eye
            named += 1
            assert abs(float(told[1]) - eye.traits.cup_disc_ratio) < 0.011
    assert named > 5


def test_what_is_asked_to_be_unreadable_of_a_gan_is_made_so(gan_folder):
    ref = registry.resolve(str(gan_folder))
    sampler = registry.load(ref, settings(geometry=True))
    images = {}
    for label in ("", "is_optic_disc_readable", "is_macular_readable"):
        asked = Annotation(source="hrf", eye_side=0, **({label: 0} if label else {}))
        drawn = sampler.draw([specs(1)[0].model_copy(update={"annotation": asked})])[0]
        images[label] = drawn.image.astype(int)
    disc = np.abs(images["is_optic_disc_readable"] - images[""])
    macula = np.abs(images["is_macular_readable"] - images[""])
    assert disc[:, 40:].mean() > 2 * disc[:, :20].mean()
    assert macula[20:44, 20:44].mean() > 2 * macula[:, 52:].mean()


def test_a_gan_with_other_weights_than_its_card_names_is_refused(gan_folder):
    (gan_folder / "model_card.json").write_text(json.dumps({"weights_sha256": "0" * 64}))
    with pytest.raises(UserError, match="not those that the model card names"):
        registry.resolve(str(gan_folder))


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
        registry.resolve(str(folder))


def test_a_folder_of_more_files_than_a_model_has_is_refused(folder, monkeypatch):
    monkeypatch.setattr("engine.models.card.MOST_FILES", 5)
    with pytest.raises(UserError, match="more than 5 files"):
        registry.resolve(str(folder))


def test_files_of_a_model_folder_may_be_links_to_files(folder, tmp_path):
    before = registry.resolve(str(folder)).weights_sha256
    weights = folder / "vae/diffusion_pytorch_model.safetensors"
    weights.rename(tmp_path / "blob")
    weights.symlink_to(tmp_path / "blob")
    assert registry.resolve(str(folder)).weights_sha256 == before


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
        registry.resolve(str(folder))


@pytest.mark.parametrize("text", ["[[[[]]]]", "{}", "[" * 100_000])
def test_a_tokenizer_that_is_none_is_told(folder, text):
    (folder / "tokenizer/tokenizer.json").write_text(text)
    write_card(folder, read_card(folder))
    ref = registry.resolve(str(folder))
    with pytest.raises(UserError, match="cannot be loaded"):
        registry.load(ref, settings())


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
        registry.resolve(str(folder))
    (folder / file).write_text("[1]")
    with pytest.raises(UserError, match=file):
        registry.resolve(str(folder))


def test_a_row_is_the_same_to_the_bit_whatever_its_neighbours(folder):
    sampler = registry.load(registry.resolve(str(folder)), settings())
    rows = specs(3)
    together = [drawn.image for drawn in sampler.draw(rows)]
    alone = [sampler.draw([row])[0].image for row in rows]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
    assert together[0].shape == (64, 64, 3)
    assert together[0].dtype == np.uint8


def test_short_calls_are_padded_to_the_fixed_shape(folder):
    sampler = registry.load(registry.resolve(str(folder)), settings(rows_per_call=4))
    rows = specs(6)
    whole = sampler.draw(rows)
    assert len(whole) == 6
    assert np.array_equal(sampler.draw(rows[4:5])[0].image, whole[4].image)


def test_geometry_gives_masks_and_a_start_gives_pixels(folder):
    ref = registry.resolve(str(folder))
    rows = [spec.model_copy(update={"annotation": PARTLY_KNOWN}) for spec in specs(2)]
    plain, built, begun = (
        registry.load(ref, settings(**given)).draw(rows)
        for given in ({}, {"geometry": True}, {"t0": 0.6})
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
    alone = registry.load(ref, settings(t0=0.6)).draw(rows[1:])
    assert np.array_equal(alone[0].image, begun[1].image)


def test_a_prompt_longer_than_the_context_is_known(folder):
    sampler = registry.load(registry.resolve(str(folder)), settings(context_tokens=8))
    assert sampler.truncated("a fundus photograph of the left eye " * 9)
    assert not sampler.truncated("eye")


def test_the_solver_names_are_those_of_the_solvers():
    assert set(registry.SOLVERS) == set(solvers.SOLVERS)
