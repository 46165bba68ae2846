"""The kernels between the products in Triton's interpreter: numbers, not speed. Run by
`test_flash.py` beside."""

from __future__ import annotations

import pytest
import torch
from exact import error
from exact_parts import SHAPES, bytes_of, gated, modulated, pictures, qk, tokens, turns

from kernels.backends import BackendError, override
from kernels.image_out import image_out
from kernels.modulated_norm import gated_residual, modulated_norm
from kernels.qk_rope import qk_rope

LIMITS = {torch.float32: 1e-6, torch.float16: 2e-3}


@pytest.fixture(autouse=True)
def _triton():
    with override("sdpa", fused=True):
        yield


@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_queries_and_keys_are_the_definition(shape, dtype):
    x, *_, weight, bias = tokens(shape, dtype)
    for rotary in (None, turns(shape), turns(shape, rows=shape[0])):
        for norm in ({}, {"weight": weight, "bias": bias}):
            out = qk_rope(x, shape[2], rotary=rotary, **norm)
            assert (out.dtype, out.shape) == (dtype, (*shape[:3], shape[3]))
            assert error(out, qk(x, shape[2], rotary=rotary, **norm)) < LIMITS[dtype]


@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norms_and_residuals_are_the_definition(shape, dtype):
    x, y, scale, gate, weight, _ = tokens(shape, dtype)
    for of_norm in (None, weight):
        for centred in (False, True):
            out = modulated_norm(x, scale, weight=of_norm, centred=centred)
            assert error(out, modulated(x, scale, of_norm, centred)) < LIMITS[dtype]
        out = gated_residual(x, y, gate, weight=of_norm)
        assert out.dtype == dtype
        assert error(out, gated(x, y, gate, of_norm)) < LIMITS[dtype]


def test_gates_have_all_their_digits_from_nothing_to_wide_open():
    gate = torch.tensor([[1e-30, -1e-6, 1e-3, 0.124, -0.126, 0.5, -3.0, 9.0, 40.0, -200.0, 0.0]])
    x, y = torch.zeros(1, 1, 11), torch.ones(1, 1, 11)
    out = gated_residual(x, y, gate, eps=0.0)[0, 0]
    assert torch.allclose(out.double(), gate[0].double().tanh(), rtol=5e-7, atol=0)


@pytest.mark.parametrize("dtype", [*LIMITS, torch.bfloat16], ids=str)
def test_bytes_are_those_of_the_definition(dtype):
    images = pictures(dtype)
    images[0, 0, 8, 12] = float("nan")
    out = image_out(images)
    assert torch.equal(out, bytes_of(images))
    assert out[0, 8, 12, 0] == 0


def test_a_row_does_not_depend_on_its_batch():
    x, y, scale, gate, weight, bias = tokens((4, 9, 3, 72))
    for call in (
        lambda at: qk_rope(x[at], 3, weight=weight, bias=bias, rotary=turns((4, 9, 3, 72))),
        lambda at: modulated_norm(x[at], scale[at], weight=weight),
        lambda at: gated_residual(x[at], y[at], gate[at], weight=weight),
    ):
        assert torch.equal(call(slice(2, 3))[0], call(slice(0, 4))[2])


def test_views_are_read_where_they_are():
    x, _, scale, _, weight, bias = tokens((2, 6, 4, 64))
    turned = x.transpose(1, 2).contiguous().transpose(1, 2)
    assert not turned.is_contiguous()
    assert torch.equal(modulated_norm(turned, scale), modulated_norm(x, scale))
    assert torch.equal(modulated_norm(x, scale), modulated_norm(x, scale.contiguous()))
    odd = scale.t().contiguous().t()
    assert torch.equal(modulated_norm(x, odd), modulated_norm(x, scale))
    ours = qk_rope(turned, 4, weight=weight, bias=bias)
    assert torch.equal(ours, qk_rope(x, 4, weight=weight, bias=bias))


def test_what_is_no_number_stays_in_its_row():
    x, _, scale, *_ = tokens((2, 6, 4, 64))
    x[0, 3, 7] = float("nan")
    out = modulated_norm(x, scale)
    assert out[0, 3].isnan().all()
    assert out[0, [0, 1, 2, 4, 5]].isfinite().all()


def test_gradients_are_those_of_the_definition():
    x, y, _, gate, weight, bias = (
        each.requires_grad_() for each in map(torch.clone, tokens((2, 5, 2, 8)))
    )
    rotary = turns((2, 5, 2, 8))
    found = []
    for fused in (True, False):
        with override("sdpa", fused=fused):
            turned = qk_rope(x, 2, weight=weight, bias=bias, rotary=rotary).flatten(2)
            out = gated_residual(turned, y, gate, weight=weight)
        found.append(torch.autograd.grad((out**3).sum(), (x, y, gate, weight, bias)))
    for ours, true in zip(*found):
        assert error(ours, true.double()) < 2e-6


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(1, 2, 8, dtype=torch.float64), "no kernel for torch.float64"),
        (torch.zeros(1, 2, 8200), "no kernel for 8200 channels"),
    ],
    ids=["precision", "width"],
)
def test_what_the_kernels_cannot_take_is_refused(x, said):
    with pytest.raises(BackendError, match=f"'triton' cannot run this call of qk_rope: {said}"):
        qk_rope(x, 2)
