"""What the doors between the products have in common: who computes, who is asked, what is told."""

from __future__ import annotations

import pytest
import torch

from kernels import backends, parts
from kernels.backends import BackendError, override
from kernels.parts import Kernel, compute

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="here Triton would really run")


def twice(x, times=2.0):
    return x * times


def never():
    raise AssertionError


@no_gpu
def test_on_a_cpu_the_reference_computes_and_no_kernel_is_even_imported():
    x = torch.ones(2, 3, 4)
    assert compute("twice", twice, never, x).eq(2).all()
    for name in ("reference", "sdpa"):
        with override(name):
            assert compute("twice", twice, never, x, 3.0).eq(3).all()


@no_gpu
def test_triton_is_refused_where_it_cannot_run():
    if backends.interpreting():
        pytest.skip("Triton runs here")
    with pytest.raises(BackendError, match=r"'triton' cannot run here: .*CUDA|.*installed"):
        override("sdpa", fused=True).__enter__()
    assert (backends.forced(), backends.forced_parts()) == (None, None)


def test_parts_go_with_attention_unless_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(backends, "why_not", lambda name, device: None)
    asked = {}
    for name in (None, "reference", "sdpa", "triton"):
        for fused in (None, False, True):
            with override(name, fused):
                asked[name, fused] = backends.forced_parts()
    assert {key[0]: found for key, found in asked.items() if key[1] is None} == {
        None: None, "reference": "reference", "sdpa": "reference", "triton": "triton",
    }  # fmt: skip
    assert {found for key, found in asked.items() if key[1] is False} == {"reference"}
    assert {found for key, found in asked.items() if key[1]} == {"triton"}
    assert backends.forced_parts() is None


def test_a_forced_kernel_computes_and_its_gradient_is_the_references(monkeypatch):
    monkeypatch.setattr(backends, "why_not", lambda name, device: None)
    ran = []

    def launch(x, weight, other):
        ran.append("kernel")
        return x * weight + other

    def kernel():
        return Kernel(launch, lambda x: None if x.dtype == torch.float32 else f"no {x.dtype}")

    x, weight = torch.randn(2, 3, requires_grad=True), torch.randn(3)
    with override("triton"):
        out = compute("sum", lambda x, w, o: x * w + o, kernel, x, weight, 5.0)
        with pytest.raises(BackendError, match=r"cannot run this call of sum: no torch\.float64"):
            compute("sum", lambda x, w, o: x, kernel, x.double(), weight, 5.0)
    assert ran == ["kernel"]
    (slope,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(slope, weight.expand(2, 3))


def test_on_a_gpu_the_quicker_one_is_measured_and_chosen(monkeypatch, caplog):
    # A CPU tensor in a case that says that it lies on a GPU: the choice alone is looked at.
    monkeypatch.setattr(backends, "_choices", {})
    case = parts.PartCase("twice", (2, 1024, 256), torch.bfloat16, "cuda")
    quick, slow = (lambda: None), (lambda: sum(range(200_000)))
    with caplog.at_level("INFO", "kernels.backends"):
        for _ in range(2):
            found = backends.choose(case, False, {"reference": slow, "triton": quick}, "reference")
            assert found == "triton"
    assert "twice, 2 x 1024 x 256 bfloat16 on cuda: triton (reference" in caplog.text
    assert backends.choose(case, True, {"reference": never}, "reference") == "reference"
