"""The door: backends that run on a CPU agree with float64, and what does not fit is refused."""

from __future__ import annotations

import pytest
import torch
from exact import SHAPES, error, exact, inputs

from kernels.attention import attention, sdpa
from kernels.attention.keys import repeated, without_dead_rows
from kernels.backends import override

ON_CPU = ("reference", "sdpa")


@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_backend_is_the_definition(name, shape):
    q, k, v, mask = inputs(shape)
    with override(name):
        for key_mask in (None, mask):
            out = attention(q, k, v, key_mask=key_mask)
            assert out.shape == q.shape
            assert error(out, exact(q, k, v, key_mask)) < 1e-6


@pytest.mark.parametrize("name", ON_CPU)
def test_scale_and_precision_are_the_callers(name):
    q, k, v, mask = inputs((2, 40, 30, 4, 2, 64), torch.bfloat16)
    with override(name):
        out = attention(q, k, v, key_mask=mask, scale=0.5)
    assert out.dtype == torch.bfloat16
    assert error(out, exact(q, k, v, mask, scale=0.5)) < 6e-3


@pytest.mark.parametrize("name", ON_CPU)
def test_rows_that_attend_nothing_are_zero_and_put_no_nan_into_gradients(name):
    q, k, v, mask = inputs((3, 20, 9, 4, 2, 32))
    mask[1] = False
    for each in (q, k, v):
        each.requires_grad_()
    with override(name):
        out = attention(q, k, v, key_mask=mask)
    assert out[1].eq(0).all()
    assert error(out, exact(q, k, v, mask)) < 1e-6
    out.square().sum().backward()
    for each in (q, k, v):
        assert each.grad.isfinite().all()
        assert each.grad[1].eq(0).all()
        assert each.grad[0].ne(0).any()


def test_values_of_dead_rows_alone_are_changed():
    *_, v, mask = inputs((3, 5, 9, 2, 2, 32))
    mask[1] = False
    live, values = without_dead_rows(mask, v)
    assert live[1].all()
    assert torch.equal(live[[0, 2]], mask[[0, 2]])
    assert torch.equal(values[[0, 2]], v[[0, 2]])
    assert values[1].eq(0).all()


def test_each_key_head_serves_neighbouring_query_heads():
    keys = torch.arange(3.0).view(1, 1, 3, 1)
    assert repeated(keys, 6).flatten().tolist() == [0, 0, 1, 1, 2, 2]
    assert repeated(keys, 3) is keys


def test_on_a_cpu_torch_attends_without_being_asked():
    q, k, v, mask = inputs(SHAPES[1])
    assert torch.equal(attention(q, k, v, key_mask=mask), sdpa.attention(q, k, v, mask))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"q": torch.zeros(2, 5, 64)}, "expected q"),
        ({"v": torch.zeros(2, 6, 2, 64)}, "of one shape"),
        ({"q": torch.zeros(2, 5, 3, 64)}, "multiple of key heads"),
        ({"q": torch.zeros(2, 5, 4, 72)}, "width are equal"),
        ({"q": torch.zeros(3, 5, 4, 64)}, "do not fit"),
        ({"q": torch.zeros(2, 5, 4, 64).half()}, "precisions"),
        ({n: torch.zeros(2, 7, 0, 64) for n in "kv"}, "none of them zero"),
        ({n: torch.zeros(2, 7, 2, 0) for n in "qkv"}, "none of them zero"),
        ({n: torch.zeros(2, 7, 2, 8, dtype=torch.int32) for n in "qkv"}, "floating point"),
        ({"scale": float("nan")}, "scale"),
        ({"key_mask": torch.ones(2, 7)}, "expected bool"),
        ({"key_mask": torch.ones(2, 7, device="meta").bool()}, "several devices: cpu, meta"),
        ({n: torch.zeros(2, 7, 2, 64, device="meta") for n in "kv"}, "several devices"),
        ({"key_mask": torch.ones(2, 5, dtype=torch.bool)}, r"expected bool \(2, 7\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_before_any_backend_sees_it(change, said):
    q, k, v = torch.zeros(2, 5, 4, 64), torch.zeros(2, 7, 2, 64), torch.zeros(2, 7, 2, 64)
    given = {"q": q, "k": k, "v": v, "key_mask": None} | change
    with pytest.raises(ValueError, match=said):
        attention(given.pop("q"), given.pop("k"), given.pop("v"), **given)
