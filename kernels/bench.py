"""Time, memory and error against float64 of every attention backend, over shapes that we use.

`ratio` is the speed over the plain way of diffusers (grouped keys repeated, the mask spread over
heads and queries, then torch's attention): the median of rounds in which all take turns.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from kernels import backends
from kernels.attention import backend, reference, why_not

PLAIN = "plain diffusers"
ROUNDS = 15
TORCH_KERNELS = {
    "cpu": ("FLASH_ATTENTION", "MATH"),
    "cuda": ("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION"),
}
MEGABYTE = 1 << 20

Row = dict[str, Any]
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]
Call = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Shape:
    """A call of one of our models; `masked` ones attend to about two thirds of their keys."""

    name: str
    batch: int
    tokens: int
    keys: int
    heads: int
    key_heads: int
    width: int
    masked: bool = False

    def inputs(self, device: str, dtype: torch.dtype) -> Inputs:
        """q (B, T, H, D), k, v (B, S, K, D) and key_mask (B, S) or None, of a fixed seed."""
        at = torch.Generator().manual_seed(self.tokens + self.keys)
        sizes = ((self.tokens, self.heads), (self.keys, self.key_heads))
        q, k, v = (
            torch.randn(self.batch, *sizes[i], self.width, generator=at).to(device, dtype)
            for i in (0, 1, 1)
        )
        mask = torch.rand(self.batch, self.keys, generator=at) < 0.66 if self.masked else None
        return q, k, v, mask if mask is None else mask.to(device)


TINY = (
    Shape("tiny, image to image", 2, 64, 64, 4, 4, 64),
    Shape("tiny, image to context", 2, 64, 273, 4, 4, 64, masked=True),
)
SHAPES = {
    "cpu": (
        *TINY,
        Shape("large 512 px, image to image", 1, 1024, 1024, 8, 8, 128),
        Shape("large 512 px, image to context", 1, 1024, 273, 8, 8, 128, masked=True),
        Shape("retinalogos-2b 512 px, image to image", 1, 1024, 1024, 32, 8, 72),
        Shape("retinalogos-2b 512 px, image to context", 1, 1024, 256, 32, 8, 72, masked=True),
    ),
    "cuda": (
        *(Shape(s.name, 32, s.tokens, s.keys, 4, 4, 64, s.masked) for s in TINY),
        Shape("head width 64, 512 px, image to image", 16, 1024, 1024, 16, 16, 64),
        Shape("head width 96, 512 px, image to image", 16, 1024, 1024, 12, 12, 96),
        Shape("large 512 px, image to image", 16, 1024, 1024, 8, 8, 128),
        Shape("large 1024 px, image to image", 8, 4096, 4096, 8, 8, 128),
        Shape("large 1024 px, image to context", 8, 4096, 273, 8, 8, 128, masked=True),
        Shape("retinalogos-2b 512 px, image to image", 8, 1024, 1024, 32, 8, 72),
        Shape("retinalogos-2b 1024 px, image to image", 2, 4096, 4096, 32, 8, 72),
        Shape("retinalogos-2b 1024 px, image to context", 2, 4096, 256, 32, 8, 72, masked=True),
    ),
}


def rows(device: str, shapes: tuple[Shape, ...] | None = None) -> Iterator[Row]:
    """Rows of the table for a device, in the precision that models have there."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    for shape in shapes or SHAPES[device]:
        with torch.inference_mode():
            yield from _compare(shape, device, dtype)


def plain(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, key_mask: torch.Tensor | None
) -> torch.Tensor:
    """q (B, T, H, D), k, v (B, S, K, D), key_mask (B, S) to (B, T, H, D), as diffusers'
    `LuminaAttnProcessor2_0` goes about it."""
    batch, tokens, heads = q.shape[:3]
    times = heads // k.shape[2]
    k = k.unsqueeze(3).repeat(1, 1, 1, times, 1).flatten(2, 3)
    v = v.unsqueeze(3).repeat(1, 1, 1, times, 1).flatten(2, 3)
    if key_mask is None:
        # Diffusers' class makes a mask of ones for attention among image tokens.
        key_mask = torch.ones(batch, k.shape[1], dtype=torch.int32, device=q.device)
    mask = key_mask.bool().view(batch, 1, 1, -1).expand(-1, heads, tokens, -1)
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def relative_error(out: torch.Tensor, inputs: Inputs) -> float:
    """|out - exact| / |exact| of the first row, exact being the definition in float64."""
    q, k, v, mask = (None if each is None else each[:1] for each in inputs)
    assert q is not None
    assert k is not None
    assert v is not None
    exact = reference.attention(q.double(), k.double(), v.double(), mask)
    return float((out[:1].double() - exact).norm() / exact.norm())


def obtained(device: str) -> str:
    """How a row came about: the processor that it was measured on."""
    if device == "cuda":
        return f"cuda: {torch.cuda.get_device_name()}"
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' * (threads > 1)}"


def _compare(shape: Shape, device: str, dtype: torch.dtype) -> Iterator[Row]:
    inputs = shape.inputs(device, dtype)
    calls = _calls(inputs, device)
    seconds = backends.measure(calls, ROUNDS)
    for name, times in seconds.items():
        # Round by round, since on a shared machine a whole round is slow or quick together.
        ratios = [plain_ / own for plain_, own in zip(seconds[PLAIN], times)]
        yield {
            "setting": f"{shape.name}: {name}",
            "shape": shape.name,
            "backend": name,
            "dtype": str(dtype).removeprefix("torch."),
            "obtained": obtained(device),
            "ms": round(median(times) * 1000, 4),
            "ratio": round(median(ratios), 4),
            "memory_mb": round(peak_memory(calls[name], device) / MEGABYTE, 3),
            "error": relative_error(calls[name](), inputs),
        }


def _calls(inputs: Inputs, device: str) -> dict[str, Call]:
    """Every backend that takes these inputs here, by name, and what each is made of."""
    calls: dict[str, Call] = {PLAIN: partial(plain, *inputs)}
    for name in backends.NAMES:
        if name == "triton" and backends.interpreting():
            continue
        if why_not(name, inputs[0]) is None:
            calls[name] = partial(backend(name), *inputs)
    for kernel in TORCH_KERNELS[device]:
        label = f"sdpa {kernel.split('_')[0].lower()}"
        calls[label] = partial(_with_kernel, getattr(SDPBackend, kernel), calls["sdpa"])
    if "triton" in calls:
        calls.update(_tiles(inputs))
    return calls


def _with_kernel(kernel: SDPBackend, call: Call) -> torch.Tensor:
    with sdpa_kernel([kernel]):
        return call()


def _tiles(inputs: Inputs) -> Iterator[tuple[str, Call]]:
    from kernels.attention import flash

    q, k, v, mask = inputs
    for tile in flash.tiles_of(q.shape[3], q.dtype):
        yield f"triton {tile}", partial(flash.launch, q, k, v, mask, None, tile)


def peak_memory(call: Call, device: str) -> int:
    """Bytes that a call holds at its peak beyond its inputs, its result among them."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        peak: int = torch.cuda.max_memory_allocated() - before
        return peak
    # Otherwise the profiler says on standard error that it starts and stops.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    from torch.profiler import profile

    with profile(profile_memory=True) as watched:
        kept = call()
    held = peak = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    del kept
    return peak
