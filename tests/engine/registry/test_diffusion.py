"""Diffusion pipelines: what is told of one, where it may start, the fixed shape of a call."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from calls import settings, specs

from engine import registry
from engine.diffusion import solvers
from engine.diffusion.pipeline import RetinaForgePipeline
from engine.models.card import read_card, write_card
from engine.models.refiner import Refiner
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
    with pytest.raises(UserError, match="dpmpp or euler or straight or unipc"):
        ref.check_solver("heun", 16, 3.0)


def test_a_card_that_asks_for_another_solver_is_refused(folder):
    write_card(folder, {**read_card(folder), "sampling": {"solver": "heun"}})
    told = r"model_card\.json: sampling\.solver: unknown solver 'heun' .*dpmpp or .* or unipc"
    with pytest.raises(UserError, match=told):
        registry.find(SamplerRef, str(folder))


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


@pytest.mark.parametrize("text", ["[[[[]]]]", "{}", "[" * 100_000])
def test_a_tokenizer_that_is_none_is_told(folder, text):
    (folder / "tokenizer/tokenizer.json").write_text(text)
    write_card(folder, read_card(folder))
    ref = registry.find(SamplerRef, str(folder))
    with pytest.raises(UserError, match="cannot be loaded"):
        ref.load(settings())


def test_a_row_is_the_same_to_the_bit_whatever_its_neighbours(folder):
    sampler = registry.find(SamplerRef, str(folder)).load(settings())
    rows = specs(3)
    together = [drawn.image for drawn in sampler.draw(rows)]
    alone = [sampler.draw([row])[0].image for row in rows]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
    assert together[0].shape == (64, 64, 3)
    assert together[0].dtype == np.uint8


def test_looking_at_captions_anew_in_every_step_gives_the_same_latents(folder, monkeypatch):
    ref = registry.find(SamplerRef, folder)
    how = ref.usual_call("cpu", "float32").model_copy(update={"steps": 3})
    sampler, looked = ref.load(how), []
    layer = sampler._pipeline.transformer.layers[0].attn2.to_k
    layer.register_forward_hook(lambda *_: looked.append(1))
    once, counts = sampler.by(how).latents(specs(1)), len(looked)
    assert np.array_equal(sampler.by(how, plainly=True).latents(specs(1)), once)
    assert (counts, len(looked)) == (1, 1 + 3)


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


def test_a_refiner_sees_the_phantom_whatever_the_row_starts_from(folder, refiner_folder):
    """Its lesions are laid from it; without geometry there is nothing to lay."""
    rows = [spec.model_copy(update={"annotation": PARTLY_KNOWN}) for spec in specs(1)]

    def drawn(**given) -> np.ndarray:
        return registry.find(SamplerRef, str(folder)).load(settings(**given)).draw(rows)[0].image

    without = drawn(), drawn(geometry=True)
    pipeline = RetinaForgePipeline.from_pretrained(folder)
    parts = {**pipeline.components, "refiner": Refiner.from_pretrained(refiner_folder)}
    RetinaForgePipeline(**parts).to(torch.float16).save_pretrained(folder)
    write_card(folder, read_card(folder))
    free, given = (
        np.abs(a.astype(int) - b) for a, b in zip((drawn(), drawn(geometry=True)), without)
    )
    assert free.max() <= 2
    assert given.mean() > 5


def test_a_prompt_longer_than_the_context_is_known(folder):
    sampler = registry.find(SamplerRef, str(folder)).load(settings(context_tokens=8))
    assert sampler.truncated("a fundus photograph of the left eye " * 9)
    assert not sampler.truncated("eye")


def test_the_solver_names_are_those_of_the_solvers():
    assert set(PipelineRef.solvers) == set(solvers.SOLVERS)
