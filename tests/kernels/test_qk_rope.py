"""Layer norm over all heads with rotary positions: by its definition, and as diffusers does it."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.embeddings import apply_rotary_emb
from exact import error
from exact_parts import SHAPES, qk, tokens, turns

from kernels.backends import override
from kernels.qk_rope import qk_rope


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_the_definition(shape):
    x, *_, weight, bias = tokens(shape)
    heads = shape[2]
    for rotary in (None, turns(shape), turns(shape, rows=shape[0])):
        for norm in ({}, {"weight": weight, "bias": bias}):
            out = qk_rope(x, heads, rotary=rotary, **norm)
            assert out.shape == (*shape[:2], heads, shape[3])
            assert error(out, qk(x, heads, rotary=rotary, **norm)) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_on_a_cpu_it_is_diffusers_to_the_bit(dtype):
    shape = (2, 6, 3, 24)
    x, *_, weight, bias = tokens(shape, dtype)
    rotary = turns(shape)
    norm = torch.nn.LayerNorm(72, eps=1e-5).to(dtype)
    norm.weight.data, norm.bias.data = weight, bias
    theirs = apply_rotary_emb(norm(x).unflatten(-1, (3, 24)), rotary, use_real=False)
    with torch.no_grad(), override("sdpa"):
        ours = qk_rope(x, 3, weight=weight, bias=bias, rotary=rotary)
    assert ours.dtype == dtype
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": torch.zeros(2, 12)}, r"expected floats \(B, T, C\)"),
        ({"x": torch.zeros(2, 5, 12, dtype=torch.int32)}, "expected floats"),
        ({"x": torch.zeros(2, 0, 12)}, "none zero"),
        ({"heads": 5}, "12 numbers of a token are no 5 heads"),
        ({"heads": 0}, "no 0 heads"),
        ({"bias": None}, "come together"),
        ({"weight": torch.zeros(13)}, r"weight is torch.float32 \(13,\)"),
        ({"bias": torch.zeros(12).half()}, "bias is torch.float16"),
        ({"weight": torch.zeros(12, device="meta")}, "weight is on meta, and x on cpu"),
        ({"rotary": torch.zeros(1, 5, 2)}, "expected torch.complex64"),
        ({"rotary": torch.zeros(1, 4, 2, dtype=torch.complex64)}, r"expected .*\(1, 5, 2\)"),
        ({"rotary": torch.zeros(3, 5, 2, dtype=torch.complex64)}, r"or \(2, 5, 2\)"),
        ({"heads": 4, "rotary": torch.zeros(1, 5, 1, dtype=torch.complex64)}, "even width"),
        (
            {"rotary": torch.zeros(1, 5, 2, dtype=torch.complex64, device="meta")},
            "rotary is on meta",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused(change, said):
    given = {"x": torch.zeros(2, 5, 12), "heads": 3} | {
        n: torch.zeros(12) for n in ("weight", "bias")
    }
    given |= change
    with pytest.raises(ValueError, match=said):
        qk_rope(given.pop("x"), given.pop("heads"), **given)
