"""Every tile of the Triton kernel, compiled for sm_90 (H100, H200) on a machine without one.

What the compiler does to a kernel decides half of its speed: with one warp group too few a tile
spills registers, with another layout the products leave Hopper's tensor cores. That is read here;
how fast it runs is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import torch

from kernels import cubin
from kernels.attention import flash

TYPES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}
POINTERS = ("q", "k", "v", "key_mask", "out")
COUNTS = ("tokens", "keys", "heads", "key_heads")


@dataclass(frozen=True)
class Variant:
    """One kernel: a tile of a head width, and what it is specialised on."""

    width: int
    dtype: torch.dtype
    tile: flash.Tile
    masked: bool
    even: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for tables and messages."""
        dtype = str(self.dtype).removeprefix("torch.")
        return {**asdict(self), "dtype": dtype, "tile": str(self.tile)}


def variants() -> Iterator[Variant]:
    """All kernels that the table of tiles can lead to."""
    for width in flash.TILES:
        for dtype in TYPES:
            for tile in flash.tiles_of(width, dtype):
                for masked in (False, True):
                    for even in (True, False):
                        yield Variant(width, dtype, tile, masked, even)


def costs_of_tiles() -> Iterator[tuple[dict[str, Any], list[cubin.Cost]]]:
    """Each tile of each head width and precision, and the costs of its variants."""
    for _, same in groupby(variants(), key=lambda each: (each.width, each.dtype, each.tile)):
        alike = list(same)
        named = alike[0].as_dict()
        tile = {name: named[name] for name in ("width", "dtype", "tile")}
        yield tile, [compile_for_hopper(variant) for variant in alike]


def compile_for_hopper(variant: Variant) -> cubin.Cost:
    """Compile a variant for sm_90 and read its cost. Raises BackendError under the interpreter."""
    fixed = flash.constants(
        variant.width, variant.dtype, variant.tile, variant.masked, variant.even
    )
    options = {"num_warps": variant.tile.warps, "num_stages": variant.tile.stages}
    # Addresses are multiples of 16 at the launch, and so are counts of keys that fill whole tiles.
    aligned = range(len(POINTERS) + (2 if variant.even else 0))
    signature = _signature(variant.dtype)
    return cubin.cost_of(
        cubin.compile_for_hopper(flash._forward, signature, fixed, aligned, options)
    )


def _signature(dtype: torch.dtype) -> dict[str, str]:
    types = dict.fromkeys(POINTERS, f"*{TYPES[dtype]}") | {"key_mask": "*u8"}
    return {**types, **dict.fromkeys(COUNTS, "i32"), "scale": "fp32"}
