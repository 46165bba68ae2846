"""The sampler: seeds decide the eye, conditions reach it, folders keep it to the last bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engine.diffusion.pipeline import RetinaForgePipeline, Settings
from engine.schema import Annotation

HOW = Settings(size=64, steps=3, context_tokens=32)
HEALTHY, SICK = Annotation(dr_grade=0), Annotation(dr_grade=4, is_dme=1)


def one(pipeline, prompt="", annotation=HEALTHY, seed=1, how=HOW):
    return pipeline.sample([prompt], [annotation], [seed], how)[0]


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


def test_truncation_is_told(pipeline):
    assert not pipeline.is_truncated("clear media", 32)
    assert pipeline.is_truncated("haemorrhages and exudates " * 40, 32)


def test_the_stride_is_pixels_of_one_token(pipeline):
    assert pipeline.stride == 32
