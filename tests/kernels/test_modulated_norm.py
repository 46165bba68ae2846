"""A norm with its scale and a gated residual: by their definitions, and as diffusers does them."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.normalization import RMSNorm
from exact import error
from exact_parts import SHAPES, gated, modulated, tokens

from kernels.backends import override
from kernels.modulated_norm import gated_residual, modulated_norm


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_they_are_their_definitions(shape):
    x, y, scale, gate, weight, _ = tokens(shape)
    for of_norm in (None, weight):
        for centred in (False, True):
            out = modulated_norm(x, scale, weight=of_norm, centred=centred)
            assert error(out, modulated(x, scale, of_norm, centred)) < 1e-6
        out = gated_residual(x, y, gate, weight=of_norm)
        assert error(out, gated(x, y, gate, of_norm)) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@torch.no_grad()
def test_on_a_cpu_they_are_diffusers_to_the_bit(dtype):
    x, y, scale, gate, weight, _ = tokens((2, 6, 3, 24), dtype)
    norm = RMSNorm(72, eps=1e-5).to(dtype)
    norm.weight.data = weight
    with override("reference"):
        ours = modulated_norm(x, scale, weight=weight)
        assert torch.equal(ours, norm(x) * (1 + scale[:, None]))
        ours = gated_residual(x, y, gate, weight=weight)
    assert ours.dtype == dtype
    assert torch.equal(ours, x + gate.unsqueeze(1).tanh() * norm(y))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": torch.zeros(12)}, "expected floats"),
        ({"scale": torch.zeros(2, 11)}, r"scale is torch.float32 \(2, 11\); expected .*\(2, 12\)"),
        ({"scale": torch.zeros(1, 12)}, r"expected torch.float32 \(2, 12\)"),
        ({"scale": torch.zeros(2, 12).half()}, "scale is torch.float16"),
        ({"weight": torch.zeros(2, 12)}, r"weight is .*expected torch.float32 \(12,\)"),
        ({"scale": torch.zeros(2, 12, device="meta")}, "scale is on meta, and x on cpu"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_the_norm_is_refused(change, said):
    given = {"x": torch.zeros(2, 5, 12), "scale": torch.zeros(2, 12)} | change
    with pytest.raises(ValueError, match=said):
        modulated_norm(given.pop("x"), given.pop("scale"), **given)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y": torch.zeros(2, 4, 12)}, r"y is .*expected torch.float32 \(2, 5, 12\)"),
        ({"y": torch.zeros(2, 5, 12).double()}, "y is torch.float64"),
        ({"gate": torch.zeros(2, 5, 12)}, "gate is"),
        ({"weight": torch.zeros(1)}, "weight is"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_the_residual_is_refused(change, said):
    given = {"x": torch.zeros(2, 5, 12), "y": torch.zeros(2, 5, 12), "gate": torch.zeros(2, 12)}
    given |= change
    with pytest.raises(ValueError, match=said):
        gated_residual(given.pop("x"), given.pop("y"), given.pop("gate"), **given)
