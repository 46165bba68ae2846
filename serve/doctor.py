"""What this machine can run, what is missing, what clashes: one line per finding, none of it
changes anything.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from engine import device, registry
from engine.registry import SamplerRef

LIBRARIES: tuple[tuple[str, str, bool], ...] = (
    ("ray", "runs generate and train", True),
    ("torch", "runs the models", True),
    ("diffusers", "transformer, autoencoder, solvers", True),
    ("transformers", "text encoder", True),
    ("pyarrow", "data set folders", True),
    ("pillow", "images", True),
    ("deepspeed", "train with ZeRO (extra: train)", False),
    ("triton", "fused kernels on a GPU (extra: gpu)", False),
    ("xformers", "one of the attention backends (extra: gpu)", False),
    ("tritonclient", "caption servers (extra: captions)", False),
    ("pydicom", "photographs as DICOM (extra: ingest)", False),
    ("tensorboard", "training curves (extra: train)", False),
)


@dataclass(frozen=True)
class Finding:
    """`state`: ok, missing (an extra that is not there), broken (needed and not there), clash."""

    what: str
    state: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def examine() -> list[Finding]:
    """Everything worth knowing about this machine."""
    return [*_machine(), *_libraries(), *_gpu(), *_attention(), *_models(), *_clashes()]


def show(findings: list[Finding]) -> None:
    """A table on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", "state", "", box=None)
    colours = {"ok": "green", "missing": "yellow", "broken": "red", "clash": "red"}
    for each in findings:
        table.add_row(each.what, f"[{colours[each.state]}]{each.state}[/]", each.detail)
    Console().print(table)


def _machine() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    yield Finding("python", "ok", sys.version.split()[0])
    yield Finding("processors", "ok", f"{device.cpu_count()}")
    yield Finding("memory", "ok", f"{device.free_memory() / 1e9:.1f} GB free")
    yield Finding("disk here", "ok", f"{free / 1e9:.1f} GB free")


def _libraries() -> Iterator[Finding]:
    for name, purpose, needed in LIBRARIES:
        try:
            yield Finding(name, "ok", f"{version(name)}: {purpose}")
        except PackageNotFoundError:
            yield Finding(name, "broken" if needed else "missing", purpose)


def _gpu() -> Iterator[Finding]:
    try:
        import torch
    except ImportError:
        return
    if not torch.cuda.is_available():
        yield Finding("cuda", "missing", "models run on the processor, in float32")
        return
    for number in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(number)
        major, minor = torch.cuda.get_device_capability(number)
        memory = card.total_memory / 2**30
        yield Finding(f"cuda:{number}", "ok", f"{card.name}, {memory:.0f} GiB, sm_{major}{minor}")


def _attention() -> Iterator[Finding]:
    try:
        from kernels import backends
    except ImportError:
        return
    place = device.choose_device(None)
    for name in backends.NAMES:
        reason = backends.why_not(name, place)
        yield Finding(f"attention {name}", "missing" if reason else "ok", reason or f"on {place}")


def _models() -> Iterator[Finding]:
    for name in registry.shipped_names(SamplerRef):
        try:
            found = registry.find(SamplerRef, name)
        except ValueError as error:
            yield Finding(f"model {name}", "broken", str(error))
        else:
            yield Finding(f"model {name}", "ok", f"{found.size} px, {found.weights_sha256[:12]}")


def _clashes() -> Iterator[Finding]:
    """transformers and diffusers take any module `kernels` for the published package of that name;
    ours is a floor.
    """
    try:
        found = version("kernels")
    except PackageNotFoundError:
        yield Finding("package kernels", "ok", "absent, as it must be")
    else:
        yield Finding(
            "package kernels",
            "clash",
            f"{found} is installed and has the name of a folder of ours: pip uninstall kernels",
        )
