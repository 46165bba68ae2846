"""What a compiled kernel costs, read from its machine code: no GPU is needed for that.

Triton brings NVIDIA's `cuobjdump`; the counts are of instructions in the code, not of those that
run.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

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

    def fault(self) -> str | None:
        """What makes the kernel slow or unable to start on sm_90, None if nothing does."""
        if self.shared > SHARED_LIMIT:
            return f"{self.shared} bytes of shared memory, {SHARED_LIMIT} are there"
        if self.spills or self.stack or self.registers > REGISTER_LIMIT:
            return f"{self.spills} spills, {self.stack} bytes of stack"
        if self.hmma or not self.hgmma:
            return f"{self.hgmma} HGMMA and {self.hmma} HMMA instructions"
        return None


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
