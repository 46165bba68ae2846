"""A model folder opened by diffusers alone, and called by its conventions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from engine import registry, shipped
from engine.diffusion import pipeline as module
from engine.diffusion.pipeline import LOADER
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import usual_settings
from engine.prose.parse import parse
from engine.registry import SamplerRef
from engine.schema import Annotation
from engine.specs import Spec

PROMPT = "A left eye with glaucoma."
SOURCE = Path(module.__file__).with_name("loader.py").read_bytes()


def opened(folder: Path) -> DiffusionPipeline:
    found = DiffusionPipeline.from_pretrained(
        folder, custom_pipeline=str(folder), trust_remote_code=True
    )
    found.set_progress_bar_config(disable=True)
    return found


@pytest.fixture(scope="module")
def debug() -> DiffusionPipeline:
    return opened(shipped.WEIGHTS / "debug")


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(model: str, steps: int, seed: int = 5) -> np.ndarray:
    """The row of this seed as `generate` draws it."""
    ref = registry.find(SamplerRef, model)
    usual = usual_settings(DrawAsk(device="cpu"), ref)
    spec = Spec(
        id="", index=0, seed=seed, annotation=Annotation(**parse(PROMPT)), prompt=PROMPT,
        size=ref.size,
    )  # fmt: skip
    sampler = ref.load(usual.model_copy(update={"steps": steps}))
    return sampler.draw([spec])[0].image


@pytest.mark.parametrize("model", ["debug", "tiny"])
def test_a_new_generators_first_image_is_the_row_of_its_seed(model):
    pipe = opened(shipped.WEIGHTS / model)
    image = pipe(PROMPT, num_inference_steps=2, generator=seeded()).images[0]
    assert isinstance(image, Image.Image)
    assert np.array_equal(np.asarray(image), drawn(model, 2))


def test_every_shipped_and_every_saved_folder_carries_the_file_and_its_weights_hash_stays(
    pipeline, tmp_path
):
    for name in ("debug", "tiny"):
        assert (shipped.WEIGHTS / name / LOADER).read_bytes() == SOURCE
        # Resolving compares the files with the hash that the card has had from the first.
        assert registry.find(SamplerRef, name).weights_sha256
    pipeline.save_pretrained(tmp_path)
    assert (tmp_path / LOADER).read_bytes() == SOURCE
    assert opened(tmp_path)(PROMPT, num_inference_steps=1, height=64).images[0].size == (64, 64)


def test_kinds_of_output_tell_of_one_image(debug):
    def made(kind: str) -> object:
        return debug(PROMPT, num_inference_steps=1, generator=seeded(), output_type=kind).images

    pil, array, tensor, latent = (made(kind) for kind in ("pil", "np", "pt", "latent"))
    assert array.shape == (1, *np.asarray(pil[0]).shape)
    assert np.abs(array[0] * 255 - np.asarray(pil[0])).max() <= 1
    assert np.array_equal(tensor.permute(0, 2, 3, 1).numpy(), array)
    assert latent.shape[1] == debug.transformer.config.in_channels
    same = debug(PROMPT, num_inference_steps=1, generator=seeded(), return_dict=False)
    assert np.array_equal(np.asarray(same[0][0]), np.asarray(pil[0]))


def test_prompts_labels_seeds_and_guidance_each_change_images(debug):
    def made(prompt: str = PROMPT, **given: object) -> bytes:
        given = {"generator": seeded(), "num_inference_steps": 2, **given}
        return debug(prompt, output_type="np", **given).images.tobytes()

    changes = [
        {"prompt": "A right eye with drusen."},
        {"labels": {"dr_grade": 4, "source": "idrid"}},
        {"generator": seeded(6)},
        {"guidance_scale": 9.0},
        {"negative_prompt": "haemorrhages"},
    ]
    assert len({made(), *(made(**each) for each in changes)}) == 1 + len(changes)
    assert made() == made()


def test_images_of_one_generator_differ_and_a_list_fixes_each(debug):
    given = {"num_inference_steps": 1, "output_type": "np", "num_images_per_prompt": 2}
    first, second = debug(PROMPT, generator=seeded(), **given).images
    assert not np.array_equal(first, second)
    pair = debug(PROMPT, generator=[seeded(6), seeded(5)], **given).images
    assert np.abs(pair[1] - first).max() < 0.01


def test_a_callback_sees_every_step_and_may_change_it(debug):
    seen = []

    def look(pipe: object, step: int, timestep: object, given: dict) -> dict:
        seen.append((pipe is debug, step, tuple(given["latents"].shape)))
        return {"latents": torch.zeros_like(given["latents"])}

    latents = debug(
        PROMPT, num_inference_steps=3, output_type="latent", callback_on_step_end=look
    ).images
    assert [each[:2] for each in seen] == [(True, 0), (True, 1), (True, 2)]
    assert not latents.any()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"height": 64, "width": 128}, "expected a square of a multiple of 32"),
        ({"height": 50}, "expected a square of a multiple of 32"),
        ({"output_type": "gif"}, "expected one of pil, np, pt, latent"),
        ({"generator": [seeded(), seeded()]}, "2 generators for 1 images"),
        ({"prompt": ["a", "b"], "labels": [{}, {}, {}]}, "2 prompts, 3 sets of labels"),
        ({"num_images_per_prompt": 0}, "at least one image"),
        ({"callback_on_step_end_tensor_inputs": ["prompt_embeds"]}, "handed `latents`"),
    ],
)
def test_what_cannot_be_meant_is_refused(debug, given, told):
    with pytest.raises(ValueError, match=told):
        debug(**{"prompt": PROMPT, **given})


def test_without_our_code_it_says_what_to_install(tmp_path):
    file = tmp_path / LOADER
    file.write_bytes(SOURCE)
    # Isolated and without site packages: no `engine` can be found.
    found = subprocess.run(
        [sys.executable, "-I", "-S", str(file)], capture_output=True, text=True, timeout=60
    )
    assert "ImportError: this model is drawn by RetinaForge's own code" in found.stderr
    assert "pip install -e CHECKOUT" in found.stderr
