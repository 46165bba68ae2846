"""The sampler: seeds decide the eye, conditions reach it, folders keep it to the last bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from engine.data.transforms import crop_to_field
from engine.diffusion.pipeline import RetinaForgePipeline, SampleSettings
from engine.models.grounds import geometry_map
from engine.models.plain import behind, with_lesions
from engine.models.refiner import Refiner
from engine.phantom.render import draw
from engine.schema import Annotation

HOW = SampleSettings(size=64, steps=3, context_tokens=32)
HEALTHY, SICK = Annotation(dr_grade=0), Annotation(dr_grade=4, is_dme=1)


def one(pipeline, prompt="", annotation=HEALTHY, seed=1, how=HOW, **ground):
    return pipeline.sample([prompt], [annotation], [seed], how, **ground)[0]


def test_the_same_row_gives_the_same_pixels(pipeline):
    assert np.array_equal(one(pipeline), one(pipeline))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"annotation": SICK},
        {"annotation": Annotation()},
        {"prompt": "Left eye with scattered microaneurysms."},
    ],
)
def test_seed_labels_and_prompt_each_change_the_image(pipeline, change):
    assert not np.array_equal(one(pipeline), one(pipeline, **change))


def test_an_image_is_uint8_rgb_of_the_size_asked(pipeline):
    image = one(pipeline, how=dataclasses.replace(HOW, size=96))
    assert image.shape == (96, 96, 3)
    assert image.dtype == np.uint8


def test_guidance_of_one_and_an_empty_interval_are_the_conditional_model(pipeline):
    plain = one(pipeline, how=dataclasses.replace(HOW, guidance=1.0))
    never = one(pipeline, how=dataclasses.replace(HOW, guidance=5.0, guidance_interval=(2.0, 3.0)))
    assert np.array_equal(plain, never)
    assert not np.array_equal(plain, one(pipeline, how=dataclasses.replace(HOW, guidance=5.0)))


def test_padding_the_context_changes_an_image_by_rounding_only(pipeline):
    short = one(pipeline, "A macula with drusen.").astype(int)
    long = one(
        pipeline, "A macula with drusen.", how=dataclasses.replace(HOW, context_tokens=64)
    ).astype(int)
    assert np.abs(short - long).max() <= 1


def test_a_saved_folder_samples_the_same_pixels(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    loaded = RetinaForgePipeline.from_pretrained(tmp_path)
    assert not list(tmp_path.rglob("*.bin")), "weights are safetensors"
    assert np.array_equal(one(pipeline, "drusen"), one(loaded, "drusen"))


def test_the_latents_spread_travels_with_the_folder(pipeline, tmp_path):
    spread = [0.5] * pipeline.transformer.config.in_channels
    plain = RetinaForgePipeline(**pipeline.components)
    told = RetinaForgePipeline(**pipeline.components, latent_spread=spread)
    told.save_pretrained(tmp_path)
    loaded = RetinaForgePipeline.from_pretrained(tmp_path)
    assert list(loaded.config.latent_spread) == spread
    assert np.array_equal(one(told), one(loaded))
    assert not np.array_equal(one(told), one(plain))


def test_a_refiner_gives_what_began_from_a_phantom_its_lesions(pipeline, tmp_path):
    """An untrained one changes a smoothed picture no further; without a start it has no part."""
    refined = RetinaForgePipeline(**{**pipeline.components, "refiner": Refiner(size=64)})
    refined.save_pretrained(tmp_path)
    loaded = RetinaForgePipeline.from_pretrained(tmp_path)
    phantom = draw(SICK, 3, 64)
    ground = {"geometry": geometry_map(phantom.masks)[None], "start": phantom.image[None]}
    how = dataclasses.replace(HOW, t0=0.6)
    plain = one(pipeline, annotation=SICK, seed=3, how=how, **ground)
    found = one(loaded, annotation=SICK, seed=3, how=how, **ground)
    marks = phantom.masks["dark_lesion"] | phantom.masks["bright_lesion"]
    field = phantom.masks["field"]
    clean, vessels = plain * field[..., None], phantom.masks["vessel"]
    halves = tuple(behind(each, vessels, marks) for each in (clean, phantom.image))
    laid = with_lesions(clean, phantom.image, marks, halves)
    assert marks.any()
    assert np.abs(found[marks].astype(int) - laid[marks]).max() <= 1
    assert np.abs(found[marks].astype(int) - plain[marks]).max() > 5
    beyond = ~ndimage.binary_dilation(field, iterations=4)
    assert plain[beyond].any()
    assert not found[beyond].any()
    assert np.array_equal(one(loaded, seed=3), one(pipeline, seed=3))


def test_geometry_reaches_the_image_of_its_own_row(pipeline):
    maps = np.stack([geometry_map(draw(HEALTHY, seed, 64, light=False).masks) for seed in (1, 2)])
    free, given = one(pipeline), one(pipeline, geometry=maps[:1])
    assert not np.array_equal(free, given)
    assert not np.array_equal(given, one(pipeline, geometry=maps[1:]))


def test_a_model_without_geometry_encoder_saves_loads_and_refuses_geometry(pipeline, tmp_path):
    parts = {**pipeline.components, "geometry_encoder": None}
    RetinaForgePipeline(**parts).save_pretrained(tmp_path)
    loaded = RetinaForgePipeline.from_pretrained(tmp_path)
    assert loaded.geometry_encoder is None
    assert one(loaded).shape == (64, 64, 3)
    with pytest.raises(ValueError, match="no geometry"):
        one(loaded, geometry=np.zeros((1, 64, 64, 8), np.uint8))


def test_a_late_start_keeps_what_it_was_given(pipeline, photographs):
    square = np.asarray(crop_to_field(photographs[0], 64))[None]
    apart = []
    for t0 in (0.0, 0.5, 0.95):
        how = dataclasses.replace(HOW, steps=20, t0=t0)
        drawn = one(pipeline, how=how, start=square)
        apart.append(np.abs(drawn.astype(int) - square[0]).mean())
    assert apart[0] > apart[1] > apart[2]


def test_truncation_is_told(pipeline):
    assert not pipeline.is_truncated("clear media", 32)
    assert pipeline.is_truncated("haemorrhages and exudates " * 40, 32)


def test_the_stride_is_pixels_of_one_token(pipeline):
    assert pipeline.stride == 32
