"""The Triton kernels' numbers on a machine without a GPU: a process of its own, in which Triton's
interpreter runs them in numpy, and their error against float64.

`python -m kernels.attention.interpreted` under TRITON_INTERPRET=1 prints them as JSON. Bfloat16 is
left out, since the interpreter multiplies its raw bits. Races and layouts are not seen this way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from kernels import bench_parts
from kernels.backends import override
from kernels.bench import Shape, relative_error

SHAPES = tuple(
    Shape(f"head width {width}, ragged, grouped, masked", 2, 130, 200, 2, 1, width, masked=True)
    for width in (32, 64, 72, 96, 128)
)


def rows() -> list[dict[str, Any]]:
    """One row for each head width of attention and for each part beside it, in each precision,
    from a process under the interpreter. Raises RuntimeError with its last line if that process
    fails.
    """
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    run = subprocess.run(
        [sys.executable, "-m", __name__],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"the interpreter fails: {run.stderr.strip().splitlines()[-1]}")
    rows: list[dict[str, Any]] = json.loads(run.stdout)
    return rows


def _row(shape: Shape, dtype: torch.dtype) -> dict[str, Any]:
    from kernels.attention import attention

    q, k, v, mask = inputs = shape.inputs("cpu", dtype)
    with override("triton"):
        out = attention(q, k, v, key_mask=mask)
    return {
        "setting": f"{shape.name}: triton",
        "shape": shape.name,
        "backend": "triton",
        "dtype": str(dtype).removeprefix("torch."),
        "obtained": "interpreter",
        "ms": None,
        "ratio": None,
        "memory_mb": None,
        "error": relative_error(out, inputs),
    }


if __name__ == "__main__":
    precisions = (torch.float32, torch.float16)
    found = [_row(shape, dtype) for shape in SHAPES for dtype in precisions]
    found += [row for dtype in precisions for row in bench_parts.interpreted(dtype)]
    print(json.dumps(found))
