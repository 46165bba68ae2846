"""Our attention processor against diffusers' own: the same weights, the same inputs.

Run a second time in a process under Triton's interpreter, by the tests of kernels.
"""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers.models.attention_processor import LuminaAttnProcessor2_0
from diffusers.models.transformers.lumina_nextdit2d import LuminaNextDiTBlock

from engine import registry
from engine.call import CallSettings
from engine.models import attention, transformer
from engine.models.attention import KernelBlock, KernelProcessor, kept, use_kernels
from engine.models.conditioner import Context
from engine.registry import SamplerRef
from engine.registry.diffusion import PipelineSampler
from engine.specs import recipe_from
from kernels import backends
from kernels.backends import BackendError, override

OTHERS = ["reference", *(["triton"] if backends.interpreting() else [])]
WAYS = [*((name, None) for name in OTHERS), *([("sdpa", True)] if "triton" in OTHERS else [])]


def denoiser(preset):
    torch.manual_seed(3)
    model = transformer.build(preset).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model


def theirs(model):
    model = copy.deepcopy(model)
    for block in model.layers:
        block.__class__ = LuminaNextDiTBlock
        block.attn1.set_processor(LuminaAttnProcessor2_0())
        block.attn2.set_processor(LuminaAttnProcessor2_0())
    return model


def velocity(model, side=16, native_side=None, seed=1):
    at = torch.Generator().manual_seed(seed)
    config = model.config
    latents = torch.randn(2, config.in_channels, side, side, generator=at)
    context = torch.randn(2, 37, config.cross_attention_dim, generator=at)
    mask = torch.rand(2, 37, generator=at) > 0.4
    mask[:, -17:] = True
    return transformer.velocity(
        model, latents, torch.tensor([0.2, 0.9]), Context(context, mask), native_side=native_side
    )


@pytest.mark.parametrize(
    ("preset", "side", "native_side"),
    [("tiny", 16, None), ("debug", 16, None), ("debug", 6, None), ("debug", 16, 8)],
)
@torch.no_grad()
def test_it_draws_what_diffusers_draws_to_the_bit(preset, side, native_side):
    model = denoiser(preset)
    own = velocity(model, side, native_side)
    assert own.std() > 0.01
    assert torch.equal(own, velocity(theirs(model), side, native_side))


def test_gradients_are_those_of_diffusers_to_the_bit():
    model = denoiser("debug")
    other = theirs(model)
    for each in (model, other):
        velocity(each).square().sum().backward()
    slopes = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert len(slopes) > 20
    for name, parameter in other.named_parameters():
        if parameter.grad is not None:
            assert torch.equal(slopes[name], parameter.grad), name


@pytest.mark.parametrize(("name", "fused"), WAYS)
@torch.no_grad()
def test_another_backend_draws_the_same_up_to_rounding(name, fused):
    for preset in ("debug", "tiny"):
        model = denoiser(preset)
        with override("sdpa"):
            usual = velocity(model)
        with override(name, fused):
            found = velocity(model)
        assert not torch.equal(found, usual)
        assert (found - usual).norm() / usual.norm() < 1e-5


def test_the_mask_of_the_context_counts_and_grouped_heads_are_there():
    model = denoiser("debug")
    assert model.config.num_kv_heads < model.config.num_attention_heads
    first = model.layers[0]
    assert (first.attn1.processor.masked, first.attn2.processor.masked) == (False, True)
    seen = []
    first.attn2.register_forward_pre_hook(
        lambda _module, _args, given: seen.append(given["attention_mask"]), with_kwargs=True
    )
    with torch.no_grad():
        usual = velocity(model)
        first.attn2.processor = KernelProcessor(masked=False)
        assert not torch.equal(velocity(model), usual)
    assert 0 < seen[0].float().mean() < 1


def test_a_model_keeps_its_weights_and_their_names():
    plain = theirs(denoiser("debug"))
    names = list(plain.state_dict())
    assert use_kernels(plain) is plain
    assert list(plain.state_dict()) == names
    assert all(isinstance(b.attn1.processor, KernelProcessor) for b in plain.layers)
    assert all(type(block) is KernelBlock for block in plain.layers)
    own = transformer.checkpointed(transformer.build("debug"))
    kept = [type(block) for block in own.layers]
    assert [type(block) for block in use_kernels(own).layers] == kept


def by_kernels(monkeypatch):
    """The doors of the parts, which compute by their references here and say that they were
    called."""
    called = []
    for name in ("qk_rope", "modulated_norm", "gated_residual"):
        door = getattr(attention, name)
        monkeypatch.setattr(
            attention, name, lambda *a, n=name, f=door, **k: (called.append(n), f(*a, **k))[1]
        )
    return called


@pytest.mark.parametrize(("preset", "native_side"), [("tiny", None), ("debug", 8)])
@torch.no_grad()
def test_the_way_through_the_kernels_is_the_same_arithmetic(preset, native_side, monkeypatch):
    model = denoiser(preset)
    usual = velocity(model, 16, native_side)
    monkeypatch.setattr(attention, "_fuses", lambda x: True)
    called = by_kernels(monkeypatch)
    # Every weight of a norm must come through, not only its ones.
    with override("reference", fused=False):
        references = velocity(model, 16, native_side)
    with override("reference"):
        monkeypatch.undo()
        assert torch.equal(references, velocity(model, 16, native_side))
    assert (references - usual).norm() / usual.norm() < 1e-5
    layers = len(model.layers)
    assert called.count("qk_rope") == 4 * layers
    assert called.count("modulated_norm") == called.count("gated_residual") == 2 * layers


def test_training_and_autocast_keep_to_the_modules(monkeypatch):
    monkeypatch.setattr(backends, "forced_parts", lambda: "triton")
    called = by_kernels(monkeypatch)
    model = denoiser("debug")
    velocity(model)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        velocity(model)
    assert called == []


def settings(attention, **more):
    ref = registry.find(SamplerRef, "debug")
    return CallSettings(
        solver="euler", steps=2, guidance=2.0, guidance_interval=(0.0, 1.0), shift=1.0,
        dtype="float32", attention=attention, device="cpu", rows_per_call=1,
        context_tokens=ref.usual.context_tokens, threads=1, **more,
    )  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_the_plans_backend_is_the_one_that_draws(name, monkeypatch):
    ref = registry.find(SamplerRef, "debug")
    specs = [recipe_from(seed=2, size=ref.size).spec(index, "f") for index in range(2)]
    forced = []
    real = transformer.velocity
    monkeypatch.setattr(
        transformer, "velocity", lambda *a: (forced.append(backends.forced()), real(*a))[1]
    )
    drawn = {
        backend: PipelineSampler(ref.folder, settings(backend)).draw(specs)
        for backend in ("sdpa", name)
    }
    assert set(forced) == {"sdpa", name}
    assert backends.forced() is None
    for ours, usual in zip(drawn[name], drawn["sdpa"]):
        assert abs(ours.image.astype(int) - usual.image).max() <= 1


@pytest.mark.parametrize("name", ["none", "flash", "xformers"])
def test_a_plan_with_a_backend_that_cannot_run_is_refused_before_weights_are_read(name):
    with pytest.raises(BackendError, match=f"{name!r} cannot run here"):
        PipelineSampler(registry.find(SamplerRef, "debug").folder, settings(name))


def test_fused_parts_are_refused_where_triton_cannot_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BackendError, match="'triton' cannot run here"):
        PipelineSampler(registry.find(SamplerRef, "debug").folder, settings("sdpa", fused=True))


def test_a_batch_stable_plan_on_a_gpu_wants_attention_that_splits_no_sum():
    folder = registry.find(SamplerRef, "debug").folder
    asked = settings("sdpa", batch_stable=True).model_copy(update={"device": "cuda"})
    with pytest.raises(BackendError, match=r"'sdpa' is not batch-stable .*expected 'triton'"):
        PipelineSampler(folder, asked)


def test_a_row_is_the_same_wherever_it_stands_in_a_batch_stable_call():
    ref = registry.find(SamplerRef, "debug")
    specs = [recipe_from(seed=2, size=ref.size).spec(index, "f") for index in range(4)]
    asked = settings("sdpa", batch_stable=True).model_copy(update={"rows_per_call": 3})
    sampler = PipelineSampler(ref.folder, asked)
    whole = sampler.draw(specs)
    other = sampler.draw([specs[3], specs[1], specs[0]])
    for own, row in zip(other, (3, 1, 0)):
        assert (own.image == whole[row].image).all()
    assert not torch.are_deterministic_algorithms_enabled()


def test_fields_of_speed_that_change_nothing_leave_a_plan_as_it_was():
    usual = settings("sdpa").identity()
    assert not {"fused", "batch_stable"} & set(usual)
    assert settings("sdpa", fused=True).identity() == {**usual, "fused": True}


def test_a_backend_of_another_library_puts_its_version_into_the_plan():
    ref = registry.find(SamplerRef, "debug")
    usual = set(ref.pixel_libraries(settings("sdpa")))
    assert set(ref.pixel_libraries(settings("triton"))) - usual == {"triton"}
    assert set(ref.pixel_libraries(settings("sdpa", fused=True))) - usual == {"triton"}
    assert set(ref.pixel_libraries(settings("reference"))) == usual


@torch.no_grad()
def test_what_does_not_change_is_looked_at_once_and_gives_the_same_to_the_bit():
    model, looked = denoiser("debug"), []
    apart = velocity(model, seed=3)
    for block in model.layers:
        block.attn2.to_k.register_forward_hook(lambda *_: looked.append("key"))
        block.attn2.to_v.register_forward_hook(lambda *_: looked.append("value"))
    with kept(model):
        assert torch.equal(velocity(model, seed=3), apart)
        assert torch.equal(velocity(model, seed=3), apart)
    assert sorted(looked) == ["key"] * 2 + ["value"] * 2


@torch.no_grad()
def test_nothing_is_kept_for_another_image():
    model = denoiser("debug")
    fresh = velocity(model, seed=5)
    with kept(model):
        velocity(model, seed=4)
    assert torch.equal(velocity(model, seed=5), fresh)
    assert not torch.equal(fresh, velocity(model, seed=4))


@torch.no_grad()
def test_a_guided_pair_and_a_single_half_are_kept_apart():
    model = denoiser("debug")
    seen = torch.ones(1, 9, dtype=torch.bool)
    one = Context(torch.randn(1, 9, 64), seen)
    two = one.beside(Context(torch.randn(1, 9, 64), seen))
    x = torch.randn(1, 8, 4, 4)

    def both():
        single = transformer.velocity(model, x, torch.tensor([0.5]), one)
        pair = transformer.velocity(model, x.repeat(2, 1, 1, 1), torch.tensor([0.5, 0.5]), two)
        return single, pair

    apart = both()
    with kept(model):
        for _ in range(2):
            for found, expected in zip(both(), apart, strict=True):
                assert torch.equal(found, expected)
