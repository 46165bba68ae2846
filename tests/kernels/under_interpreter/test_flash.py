"""The Triton kernel in Triton's interpreter: numbers, not speed. Run by `test_flash.py` beside."""

from __future__ import annotations

import pytest
import torch
from exact import SHAPES, error, exact, inputs

from kernels import backends
from kernels.attention import attention, flash
from kernels.backends import BackendError, override

LIMITS = {torch.float32: 2e-6, torch.float16: 1e-3}
EVERY_TILE = sorted(
    (width, tile) for width in flash.TILES for tile in {*flash.TILES[width], flash.EXACT}
)


@pytest.fixture(autouse=True)
def _triton():
    with override("triton"):
        yield


@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_the_definition(shape, dtype):
    q, k, v, mask = inputs(shape, dtype)
    for key_mask in (None, mask):
        out = attention(q, k, v, key_mask=key_mask)
        assert out.dtype == dtype
        assert error(out, exact(q, k, v, key_mask)) < LIMITS[dtype]


@pytest.mark.parametrize(("width", "tile"), EVERY_TILE, ids=str)
def test_every_tile_of_the_table_is_the_definition(width, tile):
    q, k, v, mask = inputs((1, 140, 150, 2, 1, width), torch.float16)
    for key_mask in (None, mask):
        out = flash.launch(q, k, v, key_mask, None, tile)
        assert error(out, exact(q, k, v, key_mask)) < 1e-3


def test_rows_that_attend_nothing_are_zero():
    q, k, v, mask = inputs((3, 70, 150, 2, 1, 72))
    mask[1] = False
    out = attention(q, k, v, key_mask=mask)
    assert out[1].eq(0).all()
    assert error(out, exact(q, k, v, mask)) < 2e-6


@pytest.mark.parametrize("seen", [0, 199], ids=["first key", "last key"])
def test_one_key_in_sight_gives_its_value(seen):
    q, k, v, mask = inputs((1, 16, 200, 1, 1, 64))
    mask[:] = False
    mask[:, seen] = True
    out = attention(q, k, v, key_mask=mask)
    assert torch.allclose(out, v[:, seen].expand_as(out), atol=1e-6)


def test_views_scales_and_great_scores():
    q, k, v, mask = inputs((2, 50, 60, 2, 2, 96))
    seen = attention(q.transpose(1, 2).contiguous().transpose(1, 2), k, v, key_mask=mask)
    assert torch.equal(seen, attention(q, k, v, key_mask=mask))
    wide = torch.randn(2, 60, 2, 200)[..., 50:146]
    assert error(attention(q, k, wide, scale=0.3), exact(q, k, wide, scale=0.3)) < 2e-6
    assert error(attention(q, k, v, scale=40.0), exact(q, k, v, scale=40.0)) < 1e-4


def test_what_is_no_number_is_not_hidden():
    q, k, v, mask = inputs((1, 20, 30, 1, 1, 64))
    q[0, 3] = float("nan")
    out = attention(q, k, v, key_mask=mask)
    assert out[0, 3].isnan().all()
    assert out[0, 4:].isfinite().all()


def test_gradients_are_those_of_the_definition():
    q, k, v, mask = inputs((2, 40, 30, 4, 2, 72))
    mask[1] = False
    weights = torch.randn(q.shape)
    found = []
    for name in ("triton", "reference"):
        leaves = [each.clone().requires_grad_() for each in (q, k, v)]
        with override(name):
            out = attention(*leaves, key_mask=mask, scale=0.2)
        found.append(torch.autograd.grad((out * weights).sum(), leaves))
    for ours, true in zip(*found):
        assert error(ours, true.double()) < 2e-6
        assert ours[1].eq(0).all()


def test_a_gradient_of_the_gradient_is_refused():
    q, k, v, _ = inputs((1, 8, 8, 1, 1, 64))
    q.requires_grad_()
    (slope,) = torch.autograd.grad(attention(q, k, v).square().sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize(
    ("dtype", "width", "said"),
    [
        (torch.bfloat16, 64, "silently wrong"),
        (torch.float64, 64, "no kernel for torch.float64"),
        (torch.float32, 80, "no kernel for head width 80 .there are 32, 64, 72, 96, 128"),
    ],
)
def test_what_it_would_do_wrong_is_refused(dtype, width, said):
    q = torch.zeros(1, 8, 1, width, dtype=dtype)
    with pytest.raises(BackendError, match=f"'triton' cannot run this call: .*{said}"):
        attention(q, q, q)


def test_in_the_interpreter_it_is_never_chosen():
    q, k, v, _ = inputs(SHAPES[0])
    with override(None):
        assert backends.forced() is None
        assert not torch.equal(attention(q, k, v), flash.attention(q, k, v))
        with override("sdpa"):
            forced = attention(q, k, v)
        assert torch.equal(attention(q, k, v), forced)
