"""A student behind the door: found like any model, and asked for what it was taught alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from calls import settings, specs
from safetensors.torch import load_file, save_file

from engine import registry, shipped
from engine.models.card import read_card, write_card
from engine.models.student import ADAPTERS
from engine.registry import SamplerRef, decoders
from engine.registry.diffusion import PipelineSampler
from engine.registry.student import StudentRef
from engine.schema import UserError


@pytest.fixture
def ref(student_folder) -> StudentRef:
    return registry.find(StudentRef, str(student_folder))


def call(**given):
    return settings(solver="straight", guidance=1.0, geometry=True, t0=0.5, **given)


def test_it_is_told_as_its_teacher_is_with_its_own_usual_call(ref, folder):
    teacher = registry.find(SamplerRef, str(folder))
    assert (ref.FAMILY, ref.name) == ("student", "student")
    assert (ref.size, ref.patch_px, ref.sources) == (
        teacher.size,
        teacher.patch_px,
        teacher.sources,
    )
    usual = ref.usual_call("cpu", "float32")
    assert (usual.solver, usual.steps, usual.guidance) == ("straight", 2, 1.0)
    assert (usual.t0, usual.geometry) == (0.5, True)
    assert ref.expected_seconds(usual, 64) > 0


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_it_draws_in_as_many_evaluations_as_it_was_taught(ref, steps):
    ref.check_solver("straight", steps, 1.0)
    rows = specs(2)
    drawn = ref.load(call(steps=steps)).draw(rows)
    assert [each.image.shape for each in drawn] == [(64, 64, 3)] * 2
    assert {"mask_vessel", "mask_disc"} <= drawn[0].masks.keys()
    again = ref.load(call(steps=steps)).draw(rows[1:])
    assert np.array_equal(again[0].image, drawn[1].image)


def test_fewer_layers_and_what_they_learned_draw_otherwise_than_the_teacher(
    ref, student_folder, folder
):
    (row,) = specs(1)
    ours = ref.load(call()).draw([row])[0].image
    assert not np.array_equal(ours, PipelineSampler(folder, call()).draw([row])[0].image)
    adapters = load_file(student_folder / ADAPTERS)
    save_file(
        {name: torch.zeros_like(v) for name, v in adapters.items()}, student_folder / ADAPTERS
    )
    write_card(student_folder, read_card(student_folder))
    other = registry.find(StudentRef, str(student_folder))
    assert other.weights_sha256 != ref.weights_sha256
    assert not np.array_equal(ours, other.load(call()).draw([row])[0].image)


@pytest.mark.parametrize("steps", [0, 3, 16, 50])
def test_other_numbers_of_steps_are_refused(ref, steps):
    with pytest.raises(UserError, match=r"⟨steps⟩.*expected 1, 2 or 4"):
        ref.check_solver("straight", steps, 1.0)


def test_another_solver_guidance_start_or_ground_is_refused(ref):
    with pytest.raises(UserError, match="expected straight"):
        ref.check_solver("dpmpp", 2, 1.0)
    with pytest.raises(UserError, match=r"⟨guidance⟩: 3: student has learned its teacher's"):
        ref.check_solver("straight", 2, 3.0)
    with pytest.raises(UserError, match=r"⟨t0⟩: 0\.6: .*expected nothing, or 0\.5"):
        ref.check_start(geometry=True, t0=0.6)
    with pytest.raises(UserError, match="draws on nothing but"):
        ref.check_start(geometry=False, t0=0.5)
    ref.check_start(geometry=True, t0=0.5)


def test_one_of_a_teacher_without_geometry_draws_without(ref):
    bare = StudentRef(**{**vars(ref), "takes_geometry": False})
    bare.check_start(geometry=False, t0=0.5)
    with pytest.raises(UserError, match="takes no"):
        bare.check_start(geometry=True, t0=0.5)


def test_its_latents_are_its_teachers_and_a_light_decoder_takes_them():
    few = registry.find(SamplerRef, "tiny-few")
    assert few.home == shipped.folder_of("tiny")
    light = decoders.wanted("light", few)
    assert light == decoders.wanted("light", registry.find(SamplerRef, "tiny"))
    (row,) = specs(1)
    plain = few.usual_call("cpu", "float32").model_copy(update={"steps": 1})
    whole, quick = (
        few.load(plain.model_copy(update={"decoder": each})).draw([row])[0].image
        for each in (None, light)
    )
    assert not np.array_equal(whole, quick)
    assert np.abs(whole.astype(int) - quick).mean() < 6


def test_adapters_of_another_denoiser_are_told(ref, student_folder):
    adapters = load_file(student_folder / ADAPTERS)
    wrong = {name.replace("layers.0", "layers.5"): value for name, value in adapters.items()}
    save_file(wrong, student_folder / ADAPTERS)
    with pytest.raises(UserError, match="cannot be loaded"):
        ref.load(call())
