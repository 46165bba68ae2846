"""The kernels between the products as machine code for sm_90, compiled here."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton")

from kernels import compiled, cubin, rows

BUILDS = list(compiled.builds())


def fault_of(build):
    cost = cubin.cost_of(compiled.compile_for_hopper(build))
    assert cost.registers >= 8
    return cost.fault(products=False)


WIDTHS = [width for width, _ in rows.SHAPES]


def of_width(width):
    return [each for each in BUILDS if each.constants.get("WIDTH") == width]


@pytest.mark.parametrize("width", [None, *WIDTHS])
def test_every_kernel_keeps_to_its_registers(width):
    own = [each for each in of_width(width) if torch.bfloat16 in each.pointers.values()]
    assert len(own) == (5 if width else 1)
    assert {str(build): fault for build in own if (fault := fault_of(build))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("width", [None, *WIDTHS])
def test_every_kernel_keeps_to_its_registers_in_every_precision(width):
    own = of_width(width)
    assert len(own) == 3 * (5 if width else 1)
    assert {str(build): fault for build in own if (fault := fault_of(build))} == {}


def test_bytes_are_rounded_twice_as_torch_does():
    (build,) = compiled.image_out.builds(torch.float32)
    assert "fma" not in compiled.compile_for_hopper(build).asm["ptx"]
    once = rows.Build(build.kernel, build.pointers, build.counts, build.constants, {"num_warps": 4})
    assert "fma" in compiled.compile_for_hopper(once).asm["ptx"]


def test_a_kernel_without_products_that_has_some_is_a_fault_and_the_other_way_round():
    cost = cubin.Cost(registers=40, stack=0, spills=0, hgmma=0, hmma=0, shared=0)
    assert cost.fault(products=False) is None
    assert "0 HGMMA" in cost.fault()
    assert "3 HGMMA" in cubin.Cost(40, 0, 0, 3, 0, 0).fault(products=False)
    assert "2 spills" in cubin.Cost(40, 8, 2, 0, 0, 0).fault(products=False)


def test_the_widest_row_and_strangers_are_told():
    build = BUILDS[0]
    assert "at most 8192" in rows.why_not(build.kernel, torch.zeros(1, 1, 8193))
    assert "no kernel for torch.float64" in rows.why_not(build.kernel, torch.zeros(1).double())
    assert "imported" in rows.why_not(build.kernel, torch.zeros(1, 1, 8))
    assert [rows.warps(width) for width in (64, 256, 1152, 2304, 8192)] == [1, 1, 8, 16, 16]
