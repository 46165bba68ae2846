"""Checkpoints: whole float32 tensors by parameter name, and nothing of how they were sharded.

    step_00000500/   {model,ema,exp_avg,exp_avg_sq}.safetensors, state.json, SHA256SUMS

A checkpoint is written under a temporary name and renamed, so one that can be seen was whole; its
record of hashes, which `sha256sum -c` reads too, is written last and tells whether it still is.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.files import read_regular, sha256_of
from engine.models.card import MOST_TEXT

PARTS = ("model", "ema", "exp_avg", "exp_avg_sq")
RECORD, STATE = "SHA256SUMS", "state.json"
Read = Callable[[str], dict[str, Tensor]]
"""From the name of a part to its whole tensors by parameter name, on the CPU."""


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint; `state` holds step, samples, settings_sha256, seconds, recent losses."""

    folder: Path
    state: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return int(self.state["step"])

    def read(self, part: str) -> dict[str, Tensor]:
        """The tensors of one part; empty where the run keeps none (`ema` without averaging)."""
        path = self.folder / f"{part}.safetensors"
        return load_file(path) if path.exists() else {}


@dataclass(frozen=True)
class Found:
    """The newest whole checkpoint, if there is one, and why each newer one is not whole."""

    checkpoint: Checkpoint | None
    damaged: dict[Path, str]

    @property
    def told(self) -> str:
        """The damaged ones and their flaws, in words."""
        return "; ".join(f"{folder.name}: {why}" for folder, why in self.damaged.items())


def find(folder: Path) -> Found:
    """Look through the checkpoints in a folder, newest first."""
    damaged: dict[Path, str] = {}
    for each in sorted(folder.glob("step_*"), reverse=True):
        flaw, state = _flaw(each), _state(each)
        if flaw is None and state is not None:
            return Found(Checkpoint(each, state), damaged)
        damaged[each] = flaw or f"{STATE} was changed or cut"
    return Found(None, damaged)


def _state(folder: Path) -> dict[str, Any] | None:
    """What a checkpoint says of itself; None where that is not what `write` writes."""
    try:
        found = json.loads(read_regular(folder / STATE, MOST_TEXT))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("step"), int) else None


def write(folder: Path, state: dict[str, Any], read: Read, writer: bool) -> OSError | None:
    """Write a checkpoint's files and their record into a new folder.

    Every worker calls it, since `read` gathers; only the `writer` writes. What the disk refuses is
    given, not raised: all workers must come to the end of gathering.
    """
    problem: OSError | None = None
    for part in PARTS:
        tensors = read(part)
        if writer and tensors and problem is None:
            problem = _save(folder / f"{part}.safetensors", tensors)
    if writer and problem is None:
        try:
            _seal(folder, {"format": 2, **state})
        except OSError as error:
            problem = error
    return problem


def _save(path: Path, tensors: dict[str, Tensor]) -> OSError | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        sync(path)
    except OSError as error:
        return error
    except SafetensorError as error:
        # Its words for a full disk among others.
        return OSError(str(error))
    return None


def _seal(folder: Path, state: dict[str, Any]) -> None:
    write_json(folder / STATE, state)
    (folder / RECORD).write_text(_record(folder))
    sync(folder / RECORD)
    sync(folder)


def _record(folder: Path) -> str:
    lines = []
    for path in [*sorted(folder.glob("*.safetensors")), folder / STATE]:
        lines.append(f"{sha256_of(path).hex()}  {path.name}\n")
    return "".join(lines)


def _flaw(folder: Path) -> str | None:
    """Why a checkpoint is not whole; None if it is."""
    try:
        if not (folder / RECORD).exists():
            return _flaw_by_size(folder)
        promised, found = read_regular(folder / RECORD, MOST_TEXT), _record(folder).encode()
    except OSError as error:
        return f"{Path(error.filename).name}: {error.strerror}"
    if promised == found:
        return None
    names = {f"{part}.safetensors" for part in PARTS} | {STATE}
    lines = set(promised.split(b"\n")) ^ set(found.split(b"\n"))
    differing = {line.partition(b"  ")[2].decode(errors="replace") for line in lines} & names
    return f"{', '.join(sorted(differing)) or RECORD} was changed, cut or removed"


def _flaw_by_size(folder: Path) -> str | None:
    """Before there were records, `state.json` held the sizes of the files."""
    try:
        state = json.loads(read_regular(folder / STATE, MOST_TEXT))
        sizes = {name: (folder / name).stat().st_size for name in state["bytes"]}
        return None if sizes == state["bytes"] else "a file was changed or cut"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{RECORD} is missing, or {STATE} was changed or cut"


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write and flush a small file."""
    path.write_text(json.dumps(value, indent=1) + "\n")
    sync(path)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk, so that a rename never comes before its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Take away a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
