"""What one NVIDIA GPU does with the kernels, the denoisers and a training step, in eight minutes.

    python deploy/gpu/check.py --out gpu-check

It needs torch and Triton, and no Ray, no internet and no weights but the decoder of `tiny`: the
denoisers `base` and `large` are drawn by chance, which costs the same time as trained ones.
Phantoms and refiners are a processor's work and are not in it. Where diffusers or what it imports
is missing, carry wheels along (`--carry` says which) and name their folder with `--packages`.
`--dry-run` goes the same way on a processor with tiny shapes; its figures say nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CARRY = """\
engine kernels deploy/gpu, and of engine/weights only tiny/vae
PACKAGES, a folder made by
    pip download --no-deps --only-binary=:all: --python-version 3.12 \\
        --platform manylinux2014_x86_64 -d PACKAGES -c constraints.txt \\
        diffusers importlib_metadata zipp requests urllib3 idna certifi charset_normalizer pillow"""
"""What a bare machine needs of ours, and wheels that it may lack."""

LIMIT_S = 480.0


def main() -> int:
    """0 where all was measured and right, 1 otherwise, 2 where this machine lacks something."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-check"))
    parser.add_argument("--packages", type=Path, help="A folder of wheels that are missing here.")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="Seconds in all.")
    parser.add_argument("--dry-run", action="store_true", help="Tiny shapes on a processor.")
    parser.add_argument("--carry", action="store_true", help="Say what must be copied, and end.")
    asked = parser.parse_args()
    if asked.carry:
        print(CARRY)
        return 0
    sys.path[:0] = [str(ROOT), str(HERE)]
    with tempfile.TemporaryDirectory(prefix="retinaforge-wheels-") as unpacked:
        # After what is installed here: torch and Triton are this machine's own.
        sys.path.append(unpacked)
        for wheel in sorted(asked.packages.glob("*.whl")) if asked.packages else []:
            zipfile.ZipFile(wheel).extractall(unpacked)
        return measure(asked.out, asked.dry_run, asked.limit)


def measure(out: Path, dry: bool, limit_s: float) -> int:
    """Everything, and both files; the exit code."""
    import torch

    if not dry and not torch.cuda.is_available():
        print("this machine has no CUDA device (--dry-run rehearses)", file=sys.stderr)
        return 2
    try:
        import denoisers
        import of_kernels
        from session import DRY, REAL, Check
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed here (--carry says what to bring)", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    check = Check(DRY if dry else REAL, limit_s)
    for part in (
        of_kernels.attention, of_kernels.parts,
        denoisers.stability, denoisers.sampling, denoisers.training,
    ):  # fmt: skip
        with check.part(part.__name__):
            part(check)
        if not dry:
            torch.cuda.empty_cache()
        # After each part: a machine that is taken away leaves what was measured by then.
        write(out, check)
    return 1 if check.faults else 0


def write(out: Path, check: Any) -> None:
    """`gpu-check.json`, and the same as a table."""
    from session import short

    about = _machine(check.scale)
    took = round(time.monotonic() - check.began, 1)
    whole = {**about, "seconds": took, "rows": check.rows, "faults": check.faults}
    (out / "gpu-check.json").write_text(json.dumps(whole, indent=1))
    dry = "A rehearsal (dry) on a processor: these figures say nothing of a GPU.\n\n"
    lines = [dry if check.scale.dry else "", f"{about['device']}, torch {about['torch']}\n\n"]
    lines.append("| part | setting | figures |\n|---|---|---|\n")
    for row in check.rows:
        known = ("part", "setting", "dry")
        told = ", ".join(f"{key} {short(value)}" for key, value in row.items() if key not in known)
        lines.append(f"| {row['part']} | {row['setting']} | {told} |\n")
    lines += [f"\nNot measured, or wrong: {fault}\n" for fault in check.faults]
    (out / "gpu-check.md").write_text("".join(lines))


def _machine(scale: Any) -> dict[str, Any]:
    import torch

    name = torch.cuda.get_device_name() if scale.device == "cuda" else platform.machine()
    return {"device": name, "torch": torch.__version__, "dry": scale.dry}


if __name__ == "__main__":
    sys.exit(main())
