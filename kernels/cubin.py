"""What a compiled kernel costs, read from its machine code: no GPU is needed for that.

Triton brings NVIDIA's `cuobjdump`; the counts are of instructions in the code, not of those that
run.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernels.backends import BackendError

SHARED_LIMIT = 232_448
"""Bytes of shared memory that one block may ask for on sm_90."""

REGISTER_LIMIT = 255


@dataclass(frozen=True)
class Cost:
    """`hgmma` are Hopper's tensor-core products and `hmma` the slow ones of before; `spills` are
    reads and writes of registers that did not fit.
    """

    registers: int
    stack: int
    spills: int
    hgmma: int
    hmma: int
    shared: int

    def fault(self, products: bool = True) -> str | None:
        """What makes the kernel slow or unable to start on sm_90, None if nothing does. products:
        whether it multiplies matrices."""
        if self.shared > SHARED_LIMIT:
            return f"{self.shared} bytes of shared memory, {SHARED_LIMIT} are there"
        if self.spills or self.stack or self.registers > REGISTER_LIMIT:
            return f"{self.spills} spills, {self.stack} bytes of stack"
        if self.hmma or bool(self.hgmma) != products:
            return f"{self.hgmma} HGMMA and {self.hmma} HMMA instructions"
        return None


def compile_for_hopper(
    kernel: Any,
    signature: dict[str, str],
    constants: dict[str, Any],
    aligned: Iterable[int],
    options: dict[str, Any],
) -> Any:
    """A Triton kernel compiled for sm_90, its code in `asm`. aligned: the places of arguments that
    are multiples of 16 at the launch. Raises BackendError under the interpreter.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    if not isinstance(kernel, triton.JITFunction):
        raise BackendError("nothing can be compiled under TRITON_INTERPRET=1")
    types = {**signature, **dict.fromkeys(constants, "constexpr")}
    attributes = {(place,): [["tt.divisibility", 16]] for place in aligned}
    source = ASTSource(kernel, types, constants, attributes)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def cost_of(built: Any) -> Cost:
    """The cost of a kernel that was compiled."""
    return read(built.asm["cubin"], built.metadata.shared)


def read(cubin: bytes, shared: int) -> Cost:
    """The cost of the one kernel in a cubin. Raises ValueError where it cannot be read.

    shared: bytes that a launch asks for, which the compiler knows and the code does not.
    """
    with tempfile.TemporaryDirectory(prefix="retinaforge-cubin-") as place:
        file = Path(place) / "kernel.cubin"
        file.write_bytes(cubin)
        usage, code = _dump("-res-usage", file), _dump("-sass", file)
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    instructions = re.findall(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?(\w+)", code, re.MULTILINE)
    if found is None or not instructions:
        raise ValueError(f"cuobjdump says nothing of a kernel: {(usage + code)[:200]!r}")
    return Cost(
        registers=int(found[1]),
        stack=int(found[2]),
        spills=sum(name in ("STL", "LDL") for name in instructions),
        hgmma=instructions.count("HGMMA"),
        hmma=instructions.count("HMMA"),
        shared=shared,
    )


def _dump(option: str, file: Path) -> str:
    import triton

    tool = triton.knobs.nvidia.cuobjdump.path
    run = subprocess.run([tool, option, str(file)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise ValueError(f"cuobjdump {option}: {run.stderr.strip()}")
    return run.stdout
