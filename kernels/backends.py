"""What this machine can run, and which backend a call goes to.

Inside `with override("triton"):` that backend runs or the call fails. Elsewhere the quickest one is
measured on a GPU, once for each kind of call, and said once; on a CPU, and where gradients are
wanted, it is torch's own: `sdpa` for attention, `reference` for the parts between the products.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

NAMES = ("reference", "sdpa", "triton", "xformers")
MEASURED = ("sdpa", "triton", "xformers")
"""The reference is what the others are compared with, and is never chosen."""

OLDEST = (8, 0)
"""Compute capability from which Triton's tensor cores take bfloat16."""

ROUNDS = 5

log = logging.getLogger(__name__)
_forced: ContextVar[str | None] = ContextVar("forced attention backend", default=None)
_forced_parts: ContextVar[str | None] = ContextVar("forced backend of parts", default=None)
_choices: dict[Kind, str] = {}


class BackendError(RuntimeError):
    """A backend was forced where it cannot run, or there is none of that name."""


class Kind(Protocol):
    """The kind of a call: a measured choice holds for all calls of one kind. It is hashed, and told
    in words."""

    @property
    def what(self) -> str:
        """The door."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""


@dataclass(frozen=True)
class Case:
    """The kind of a call of attention."""

    what: ClassVar[str] = "attention"

    width: int
    tokens: int
    keys: int
    dtype: torch.dtype
    masked: bool
    device: str

    def __str__(self) -> str:
        mask = ", masked" if self.masked else ""
        dtype = str(self.dtype).removeprefix("torch.")
        return (
            f"head width {self.width}, {self.tokens} tokens, {self.keys} keys{mask}, {dtype} "
            f"on {self.device}"
        )


def why_not(name: str, device: str) -> str | None:
    """Why a backend cannot run on tensors of a device (`cpu`, `cuda`), None where it can."""
    if name not in NAMES:
        return f"there is none of that name (there are {', '.join(NAMES)})"
    if name == "triton":
        return _why_no_triton(device)
    if name == "xformers":
        if not installed("xformers"):
            return "the package is not installed (extra: gpu)"
        return None if device == "cuda" else "xformers has no kernel for a CPU"
    return None


def _why_no_triton(device: str) -> str | None:
    if not installed("triton"):
        return "the package is not installed (extra: gpu)"
    if interpreting():
        return None
    if device != "cuda":
        return "its kernels need a CUDA device (on a CPU, TRITON_INTERPRET=1 runs them for tests)"
    if torch.cuda.get_device_capability() < OLDEST:
        return f"its kernels need compute capability {OLDEST[0]}.{OLDEST[1]}"
    return None


def installed(package: str) -> bool:
    """Whether a package can be found, without importing it."""
    return importlib.util.find_spec(package) is not None


def interpreting() -> bool:
    """Whether Triton kernels of this process are run by its interpreter, in numpy."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "yes")


def require(name: str, device: str) -> None:
    """Raise BackendError where a backend cannot run on tensors of a device."""
    if reason := why_not(name, device):
        raise BackendError(f"backend {name!r} cannot run here: {reason}")


@contextmanager
def override(name: str | None, fused: bool | None = None) -> Iterator[None]:
    """Inside, every call of this thread goes to the named backend; None is the measured choice.

    fused: whether the parts between the products go to Triton, or to torch. Where it is not said
    they go with attention: to Triton if that does, and to torch beside any other backend. Raises
    BackendError at once where no device of this machine runs it, and at the call where its tensors
    do not fit.
    """
    place = "cuda" if torch.cuda.is_available() else "cpu"
    if name is not None:
        require(name, place)
        fused = name == "triton" if fused is None else fused
    if fused:
        require("triton", place)
    of_parts = None if fused is None else "triton" if fused else "reference"
    before, before_parts = _forced.set(name), _forced_parts.set(of_parts)
    try:
        yield
    finally:
        _forced.reset(before)
        _forced_parts.reset(before_parts)


def forced() -> str | None:
    """The backend that an `override` asks for."""
    return _forced.get()


def forced_parts() -> str | None:
    """That of the parts between the products, `triton` or `reference`."""
    return _forced_parts.get()


def choose(
    case: Kind,
    trains: bool,
    candidates: Mapping[str, Callable[[], object]],
    usual: str = "sdpa",
) -> str:
    """The backend of calls of this kind where none is forced.

    candidates: by name, the call itself with each backend that takes it. Training stays with the
    `usual` one: the backward pass of `sdpa` is as fast as its forward pass.
    """
    if trains or case.device == "cpu":
        return usual
    if case not in _choices:
        seconds = {name: min(times) for name, times in measure(candidates).items()}
        _choices[case] = min(seconds, key=lambda name: seconds[name])
        found = ", ".join(f"{name} {1000 * value:.3f} ms" for name, value in seconds.items())
        log.info("%s, %s: %s (%s)", case.what, case, _choices[case], found)
    return _choices[case]


def choices() -> dict[Kind, str]:
    """What was measured and chosen in this process."""
    return dict(_choices)


def measure(
    candidates: Mapping[str, Callable[[], object]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Seconds of each candidate in each of some rounds, after one that is not measured.

    One that raises is left out and the log says why. Raises BackendError if none is left.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds + 1):
        for name in list(seconds):
            try:
                seconds[name].append(_seconds(candidates[name]))
            except Exception as error:
                log.warning("backend %s fails: %s", name, str(error).split("\n")[0])
                del seconds[name]
    if not seconds:
        raise BackendError("every backend fails on this call; the log says why")
    return {name: times[1:] for name, times in seconds.items()}


def _seconds(call: Callable[[], object]) -> float:
    synchronise()
    began = time.perf_counter()
    call()
    synchronise()
    return time.perf_counter() - began


def synchronise() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
