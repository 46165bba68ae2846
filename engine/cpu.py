"""Which instructions of a processor numbers are computed with, so that a row is the same row on
another machine.

Sums of floats end in other last bits under AVX-512, AVX2 and plain SSE; and Intel's library, which
multiplies matrices for torch, and the processors' own approximate roots differ between Intel and
AMD, whatever the switches. So a *set* names a level and the processor's maker: `avx2-amd`.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from engine.schema import UserError

NAME = "cpu"
"""What the set is called among a plan's versions."""
CPUINFO = Path("/proc/cpuinfo")
MAKERS = {"GenuineIntel": "intel", "AuthenticAMD": "amd"}
NEEDS: dict[str, tuple[str, ...]] = {
    "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"),
    "avx2": ("avx2", "fma"),
    "sse4": ("sse4_2",),
}
"""What a processor must have for each level, the best first."""
SETS = tuple(f"{level}-{maker}" for level in NEEDS for maker in MAKERS.values())
_NEWER = "X86_V4 AVX512_ICL AVX512_SPR"
_SWITCHES: dict[str, dict[str, str]] = {
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
        "MKL_CBWR": "",
        "NPY_DISABLE_CPU_FEATURES": "AVX512_ICL AVX512_SPR",
        "OPENCV_CPU_DISABLE": "",
        "OPENCV_IPP": "avx512",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "MKL_CBWR": "",
        "NPY_DISABLE_CPU_FEATURES": _NEWER,
        "OPENCV_CPU_DISABLE": "AVX512_SKX",
        "OPENCV_IPP": "avx2",
    },
    "sse4": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "MKL_CBWR": "COMPATIBLE",
        "NPY_DISABLE_CPU_FEATURES": f"X86_V3 {_NEWER}",
        "OPENCV_CPU_DISABLE": "AVX512_SKX,AVX2,FP16,AVX",
        "OPENCV_IPP": "sse42",
    },
}
"""The switches of torch, oneDNN, Intel's library, numpy and OpenCV, which each reads once, when it
is loaded."""


def usual() -> str:
    """The set of new plans on this machine: AVX2, which nearly every processor has and which is
    hardly slower than AVX-512; where no switches are known, the architecture alone.
    """
    maker, flags = _processor()
    if maker not in MAKERS:
        return platform.machine()
    level = "avx2" if flags.issuperset(NEEDS["avx2"]) else "sse4"
    return f"{level}-{MAKERS[maker]}"


def why_not(name: str) -> str | None:
    """Why this machine cannot compute with the set; None where it can."""
    level, _, maker = name.partition("-")
    found, flags = _processor()
    if name == usual():
        return None
    if name not in SETS:
        return "nothing is known of such instructions here"
    if MAKERS.get(found) != maker:
        return f"this machine's processor is by {found or 'another maker'}, whose sums differ"
    if missing := [need for need in NEEDS[level] if need not in flags]:
        return f"this machine's processor has no {' '.join(missing)}"
    return None


def check(name: str, file: Path | None = None) -> None:
    """Raise UserError for a set that this machine cannot compute with; `file` is the plan that
    names it, else a flag did."""
    if reason := why_not(name):
        able = [each for each in {*SETS, usual()} if why_not(each) is None]
        here = " or ".join(sorted(able))
        raise UserError(
            f"{name!r}: {reason}",
            file=file,
            field=f"versions.{NAME}" if file else None,
            asked=None if file else "cpu",
            expected=f"a machine that can, or another ⟨out⟩ ({here} here)" if file else here,
        )


def switches(name: str) -> dict[str, str]:
    """The environment that a process computes with this set in; it must be set before the
    libraries are loaded. Empty where none are known."""
    own = _SWITCHES.get(name.partition("-")[0])
    return {**own, "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT"} if own else {}


def environment(versions: Mapping[str, str]) -> dict[str, str]:
    """The same for a plan's versions; empty for a plan from before they named a set."""
    return switches(versions[NAME]) if NAME in versions else {}


def is_set(name: str) -> bool:
    """Whether this process computes with the set."""
    return all(os.environ.get(key) == value for key, value in switches(name).items())


@cache
def _processor() -> tuple[str, frozenset[str]]:
    """Its maker, and what it can do; nothing where there is no way to know."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "", frozenset()
    told = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in CPUINFO.read_text().splitlines())
    }
    return told.get("vendor_id", ""), frozenset(told.get("flags", "").split())
