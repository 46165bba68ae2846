"""Time, memory and error against float64 of the parts between a denoiser's products, over shapes
that we use.

`ratio` is the speed over torch's steps, which are those of diffusers, in the same rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch

from kernels import backends, bench
from kernels.image_out import image_out
from kernels.image_out import reference as bytes_
from kernels.modulated_norm import gated_residual, modulated_norm
from kernels.modulated_norm import reference as norms
from kernels.qk_rope import qk_rope
from kernels.qk_rope import reference as turned

Call = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class PartShape:
    """Tokens of a batch of pictures: C channels in H heads."""

    name: str
    batch: int
    tokens: int
    channels: int
    heads: int


TINY = PartShape("tiny 256 px", 2, 64, 256, 4)
SHAPES = {
    "cpu": (TINY, PartShape("large 512 px", 1, 1024, 1152, 18)),
    "cuda": (
        PartShape("tiny 256 px", 32, 64, 256, 4),
        PartShape("base 512 px", 16, 1024, 768, 12),
        PartShape("large 512 px", 16, 1024, 1152, 18),
        PartShape("large 1024 px", 8, 4096, 1152, 18),
        PartShape("retinalogos-2b 1024 px", 2, 4096, 2304, 32),
    ),
}
RAGGED = PartShape("ragged", 2, 7, 216, 3)
"""For the interpreter: no power of two, heads of 72."""


def rows(
    device: str, shapes: tuple[PartShape, ...] | None = None, rounds: int = bench.ROUNDS
) -> Iterator[bench.Row]:
    """Rows of the table for a device, in the precision that models have there."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    for shape in shapes or SHAPES[device]:
        for part in PARTS:
            with torch.inference_mode():
                yield from _compare(part, shape, device, dtype, rounds)


def interpreted(dtype: torch.dtype) -> Iterator[bench.Row]:
    """Errors of the kernels in this process, which runs under Triton's interpreter."""
    for part in PARTS:
        given = part.inputs(RAGGED, "cpu", dtype)
        with backends.override("triton"):
            out = part.door(given)
        yield {
            "setting": f"{part.name}, {RAGGED.name}: triton",
            "shape": f"{part.name}, {RAGGED.name}",
            "backend": "triton",
            "dtype": str(dtype).removeprefix("torch."),
            "obtained": "interpreter",
            "ms": None,
            "ratio": None,
            "memory_mb": None,
            "error": part.error(out, given),
        }


@dataclass(frozen=True)
class Part:
    """A door, what it is given, and its definition."""

    name: str
    inputs: Callable[[PartShape, str, torch.dtype], tuple[Any, ...]]
    door: Callable[[tuple[Any, ...]], torch.Tensor]
    reference: Call

    def error(self, out: torch.Tensor, given: tuple[Any, ...]) -> float:
        """|out - exact| / |exact|, exact being the definition in float64."""
        exact = self.reference(*(_double(each) for each in given)).double()
        return float((out.double() - exact).norm() / exact.norm())


def _compare(
    part: Part, shape: PartShape, device: str, dtype: torch.dtype, rounds: int
) -> Iterator[bench.Row]:
    given = part.inputs(shape, device, dtype)
    calls: dict[str, Callable[[], torch.Tensor]] = {}
    for name in ("reference", "triton"):
        if backends.why_not(name, device) is None and not backends.interpreting():
            calls[name] = partial(_by, name, part.door, given)
    seconds = backends.measure(calls, rounds)
    for name, times in seconds.items():
        ratios = [plain / own for plain, own in zip(seconds["reference"], times)]
        yield {
            "setting": f"{part.name}, {shape.name}: {name}",
            "shape": f"{part.name}, {shape.name}",
            "backend": name,
            "dtype": str(dtype).removeprefix("torch."),
            "obtained": bench.obtained(device),
            "ms": round(median(times) * 1000, 4),
            "ratio": round(median(ratios), 4),
            "memory_mb": round(bench.peak_memory(calls[name], device) / bench.MEGABYTE, 3),
            "error": part.error(calls[name](), given),
        }


def _by(
    name: str, door: Callable[[tuple[Any, ...]], torch.Tensor], given: tuple[Any, ...]
) -> torch.Tensor:
    with backends.override("sdpa", fused=name == "triton"):
        return door(given)


def _double(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(torch.complex128) if value.is_complex() else value.double()


def _drawn(shape: PartShape, device: str, dtype: torch.dtype) -> Callable[..., torch.Tensor]:
    at = torch.Generator().manual_seed(shape.tokens + shape.channels)
    return lambda *size: torch.randn(*size, generator=at).to(device, dtype)


def _for_qk(shape: PartShape, device: str, dtype: torch.dtype) -> tuple[Any, ...]:
    drawn = _drawn(shape, device, dtype)
    angles = drawn(1, shape.tokens, shape.channels // shape.heads // 2).float()
    rotary = torch.polar(torch.ones_like(angles), angles)
    tokens = drawn(shape.batch, shape.tokens, shape.channels)
    return tokens, shape.heads, drawn(shape.channels), drawn(shape.channels), 1e-5, rotary


def _for_norm(shape: PartShape, device: str, dtype: torch.dtype) -> tuple[Any, ...]:
    drawn = _drawn(shape, device, dtype)
    tokens = drawn(shape.batch, shape.tokens, shape.channels)
    return tokens, drawn(shape.batch, shape.channels), drawn(shape.channels), 1e-5


def _for_residual(shape: PartShape, device: str, dtype: torch.dtype) -> tuple[Any, ...]:
    drawn = _drawn(shape, device, dtype)
    x, y = (drawn(shape.batch, shape.tokens, shape.channels) for _ in range(2))
    return x, y, drawn(shape.batch, shape.channels), drawn(shape.channels), 1e-5


def _for_bytes(shape: PartShape, device: str, dtype: torch.dtype) -> tuple[Any, ...]:
    # As many pixels as tokens of 16 x 16.
    side = 16 * round(shape.tokens**0.5)
    return (_drawn(shape, device, dtype)(shape.batch, 3, side, side),)


def _qk(given: tuple[Any, ...]) -> torch.Tensor:
    x, heads, weight, bias, eps, rotary = given
    return qk_rope(x, heads, weight=weight, bias=bias, eps=eps, rotary=rotary)


def _norm(given: tuple[Any, ...]) -> torch.Tensor:
    x, scale, weight, eps = given
    return modulated_norm(x, scale, weight=weight, eps=eps)


def _residual(given: tuple[Any, ...]) -> torch.Tensor:
    x, y, gate, weight, eps = given
    return gated_residual(x, y, gate, weight=weight, eps=eps)


def _bytes(given: tuple[Any, ...]) -> torch.Tensor:
    return image_out(*given)


PARTS = (
    Part("qk_rope", _for_qk, _qk, turned.qk_rope),
    Part("modulated_norm", _for_norm, _norm, norms.modulated_norm),
    Part("gated_residual", _for_residual, _residual, norms.gated_residual),
    Part("image_out", _for_bytes, _bytes, bytes_.image_out),
)
