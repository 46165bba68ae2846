"""The Triton kernel on a machine without a GPU: its numbers in the interpreter, in a process of its
own, and its machine code for sm_90, compiled here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

from kernels import bench_parts, cubin
from kernels.attention import compiled, flash, interpreted
from kernels.attention.compiled import Variant, compile_for_hopper
from kernels.attention.flash import Tile

ROOT = Path(__file__).parents[2]
VARIANTS = list(compiled.variants())


def code_of(width, tile, dtype=torch.bfloat16, masked=False):
    return compile_for_hopper(Variant(width, dtype, tile, masked, even=not masked))


def test_the_interpreter_agrees_with_float64_in_a_process_of_its_own():
    rows = interpreted.rows()
    assert {row["obtained"] for row in rows} == {"interpreter"}
    errors = {(row["shape"], row["dtype"]): row["error"] for row in rows}
    assert sum(shape.startswith("head width") for shape, _ in errors) == 2 * len(flash.TILES)
    assert len(errors) == 2 * (len(flash.TILES) + len(bench_parts.PARTS))
    for (shape, dtype), found in errors.items():
        if shape.startswith("image_out"):
            assert found == 0
        else:
            assert 0 < found < (1e-6 if dtype == "float32" else 2e-3)


@pytest.mark.slow
def test_kernel_and_model_pass_all_their_tests_under_the_interpreter():
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "tests/kernels/under_interpreter", "tests/engine/models/test_attention.py"],
        cwd=ROOT, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:]
    assert " skipped" not in run.stdout
    assert int(run.stdout.split(" passed")[0].split()[-1]) > 30


@pytest.mark.parametrize("width", flash.TILES)
def test_the_usual_tile_keeps_to_tensor_cores_and_registers(width):
    cost = code_of(width, flash.TILES[width][0], masked=True)
    assert cost.fault() is None
    assert cost.hgmma >= 6
    assert 64 <= cost.registers <= 255
    assert 16_384 <= cost.shared <= 232_448


@pytest.mark.slow
@pytest.mark.parametrize("width", flash.TILES)
def test_every_variant_keeps_to_tensor_cores_and_registers(width):
    costs = {each: compile_for_hopper(each) for each in VARIANTS if each.width == width}
    assert len(costs) >= 20
    faults = {str(v.as_dict()): c.fault() for v, c in costs.items() if c.fault()}
    assert not faults
    assert all(cost.registers <= 255 and cost.hmma == 0 < cost.hgmma for cost in costs.values())


def test_the_table_covers_every_width_precision_and_specialisation():
    assert {v.width for v in VARIANTS} == {32, 64, 72, 96, 128}
    assert {v.dtype for v in VARIANTS} == set(flash.DTYPES)
    kinds = {(v.masked, v.even) for v in VARIANTS}
    assert len(kinds) == 4
    assert len(VARIANTS) == len(set(VARIANTS)) == 132


def test_spills_and_slow_products_are_seen_in_the_code():
    spilled = code_of(128, Tile(128, 128, 4, 2))
    assert spilled.spills > 50
    assert "spills" in spilled.fault()
    slow = code_of(64, Tile(32, 32, 4, 2))
    assert slow.hmma > 0
    assert "HMMA" in slow.fault()
    assert "shared memory" in code_of(128, Tile(128, 128, 8, 4)).fault()


def test_a_file_that_is_no_kernel_is_not_read_as_a_cheap_one():
    with pytest.raises(ValueError, match="cuobjdump"):
        cubin.read(b"nothing", 0)


@pytest.mark.parametrize(
    ("width", "head", "tail"), [(64, 64, 0), (72, 64, 16), (96, 64, 32), (128, 128, 0)]
)
def test_widths_are_cut_into_powers_of_two(width, head, tail):
    found = flash.constants(width, torch.float16, flash.TILES[width][0], False, True)
    assert (found["HEAD"], found["TAIL"]) == (head, tail)


def test_the_tile_follows_from_the_shape_alone():
    tiles = flash.TILES[64]
    assert flash.tile_of(64, 4096, torch.float16) == tiles[0]
    assert flash.tile_of(64, 127, torch.float16) == tiles[-1]
    assert flash.tile_of(64, 1, torch.bfloat16) == tiles[-1]
    assert flash.tile_of(64, 4096, torch.float32) == flash.EXACT


def test_without_gpu_and_interpreter_the_kernel_says_what_is_missing():
    q = torch.zeros(1, 8, 1, 64)
    assert "imported" in flash.why_not(q)
