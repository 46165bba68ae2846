"""The parts of a denoiser between its products: what their doors have in common. They read and
write more than they compute, so a fused kernel saves trips to memory.

Each has a `reference` in torch's steps, which runs everywhere, and a Triton kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from kernels import backends
from kernels.backends import BackendError

Call = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Kernel:
    """A part in Triton: `launch` takes what the reference takes, and `why_not` says of its first
    tensor why it cannot."""

    launch: Call
    why_not: Callable[[torch.Tensor], str | None]


@dataclass(frozen=True)
class PartCase:
    """The kind of a call of a part."""

    what: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: str

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.shape))
        return f"{shape} {str(self.dtype).removeprefix('torch.')} on {self.device}"


def compute(what: str, reference: Call, kernel: Callable[[], Kernel], *given: Any) -> torch.Tensor:
    """The part, by the backend that is forced or was measured to be quickest.

    kernel: gets the Triton kernel; called only where Triton may be installed. given: the arguments
    of the reference, the tensor that decides first. Raises BackendError where Triton is forced and
    cannot.
    """
    name = backends.forced_parts()
    if name is None:
        name = _chosen(what, reference, kernel, given)
    elif name == "triton" and (reason := why_not(kernel, given[0])):
        raise BackendError(f"backend 'triton' cannot run this call of {what}: {reason}")
    if name == "reference":
        return reference(*given)
    launch = kernel().launch
    if not _trains(given):
        return launch(*given)
    out: torch.Tensor = _Fused.apply(launch, reference, *given)
    return out


def why_not(kernel: Callable[[], Kernel], x: torch.Tensor) -> str | None:
    """Why Triton cannot compute a part of a tensor like this, None where it can."""
    return backends.why_not("triton", x.device.type) or kernel().why_not(x)


def _chosen(
    what: str, reference: Call, kernel: Callable[[], Kernel], given: tuple[Any, ...]
) -> str:
    x = given[0]
    trains = _trains(given)
    calls: dict[str, Callable[[], torch.Tensor]] = {"reference": partial(reference, *given)}
    if not trains and x.device.type == "cuda" and why_not(kernel, x) is None:
        calls["triton"] = partial(kernel().launch, *given)
    case = PartCase(what, tuple(x.shape), x.dtype, x.device.type)
    return backends.choose(case, trains, calls, "reference")


def _trains(given: tuple[Any, ...]) -> bool:
    tensors = (each for each in given if isinstance(each, torch.Tensor))
    return torch.is_grad_enabled() and any(each.requires_grad for each in tensors)


class _Fused(torch.autograd.Function):
    """Forward by the kernel, backward by the reference, which computes its forward pass anew."""

    @staticmethod
    def forward(ctx: Any, launch: Call, reference: Call, *given: Any) -> torch.Tensor:
        tensors = [each if isinstance(each, torch.Tensor) else None for each in given]
        ctx.save_for_backward(*tensors)
        ctx.others = [None if isinstance(each, torch.Tensor) else each for each in given]
        ctx.reference = reference
        return launch(*given)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        wanted = ctx.needs_input_grad[2:]
        given = [
            other if tensor is None else tensor.detach().requires_grad_(wants)
            for tensor, other, wants in zip(ctx.saved_tensors, ctx.others, wanted)
        ]
        with torch.enable_grad():
            out = ctx.reference(*given)
        leaves = [each for each, wants in zip(given, wanted) if wants]
        slopes = iter(torch.autograd.grad(out, leaves, gradient))
        return None, None, *(next(slopes) if wants else None for wants in wanted)


def check_tokens(x: torch.Tensor) -> None:
    """Raise ValueError for what is no tokens (B, T, C) of a floating precision."""
    if x.ndim != 3 or not x.is_floating_point() or not x.numel():
        raise ValueError(f"x is {x.dtype} {tuple(x.shape)}; expected floats (B, T, C), none zero")


def check_like(x: torch.Tensor, **others: tuple[torch.Tensor | None, tuple[int, ...]]) -> None:
    """Raise ValueError for a tensor that has not the shape beside it, or another precision or
    device than x."""
    for name, (each, shape) in others.items():
        if each is None:
            continue
        if tuple(each.shape) != shape or each.dtype != x.dtype:
            raise ValueError(
                f"{name} is {each.dtype} {tuple(each.shape)}; expected {x.dtype} {shape}"
            )
        check_device(x, **{name: each})


def check_device(x: torch.Tensor, **others: torch.Tensor) -> None:
    """Raise ValueError for a tensor on another device than x."""
    for name, each in others.items():
        if each.device != x.device:
            raise ValueError(f"{name} is on {each.device}, and x on {x.device}")
