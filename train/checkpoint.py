"""The run folder: what was asked for, and checkpoints that any number of workers can resume.

    run.json                     preset, data and settings, written once; other settings are refused
    checkpoints/step_00000500/   {model,ema,exp_avg,exp_avg_sq}.safetensors, state.json; last 2
    tensorboard/  sheets/        scalars; sample sheets
    model/                       the finished model folder with its model_card.json

A checkpoint holds whole float32 tensors by parameter name and nothing of how they were sharded:
it is written under a temporary name and renamed, so one that can be seen is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.schema import UserError
from train.settings import FREE, Settings

PARTS = ("model", "ema", "exp_avg", "exp_avg_sq")
KEPT = 2
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


class RunFolder:
    """The folder of one training run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkpoints = root / "checkpoints"
        self.tensorboard = root / "tensorboard"
        self.sheets = root / "sheets"
        self.model = root / "model"

    def check(self, settings: Settings, data: list[str]) -> None:
        """Raise UserError if the folder is of something else or of a run with other settings."""
        path = self.root / "run.json"
        if self.root.exists() and not self.root.is_dir():
            raise UserError("is a file", file=self.root, field="--out", expected="a folder")
        if path.exists():
            _refuse_differences(path, _description(settings, data))
            return
        for foreign in ("plan.json", "model_card.json", "model_index.json"):
            if (self.root / foreign).exists():
                raise UserError(f"holds a {foreign}, not a training run", file=self.root)

    @contextmanager
    def claimed(self, settings: Settings, data: list[str]) -> Iterator[None]:
        """Write run.json of a new run, and hold the folder against a second run.

        A folder that has one must pass `check`. A UserError inside leaves a new folder as it was.
        """
        self.check(settings, data)
        path = self.root / "run.json"
        new, made = not path.exists(), not self.root.exists()
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError("another run is training here", file=self.root) from None
            if new:
                _write_json(path.with_suffix(".tmp"), _description(settings, data))
                path.with_suffix(".tmp").replace(path)
            try:
                yield
            except UserError:
                if new and not self.checkpoints.exists():
                    self._give_back(made)
                raise

    def _give_back(self, made: bool) -> None:
        for name in ("run.json", ".lock"):
            (self.root / name).unlink()
        shutil.rmtree(self.tensorboard, ignore_errors=True)
        if made:
            shutil.rmtree(self.root)

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None."""
        for folder in sorted(self.checkpoints.glob("step_*"), reverse=True):
            state = json.loads((folder / "state.json").read_text())
            sizes = {name: (folder / name).stat().st_size for name in state["bytes"]}
            if sizes == state["bytes"]:
                return Checkpoint(folder, state)
            raise UserError(
                "a file of this checkpoint was cut or changed",
                file=folder,
                expected="whole files; delete the folder to go on from the checkpoint before it",
            )
        return None

    def save(self, state: dict[str, Any], read: Read, writer: bool) -> None:
        """Write the checkpoint of state["step"] and drop all but the last two.

        Every worker calls it, since `read` gathers; only the `writer` writes.
        """
        final = self.checkpoints / f"step_{state['step']:08d}"
        temporary = final.with_name(f".{final.name}.tmp")
        if writer:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        sizes = {}
        for part in PARTS:
            tensors = read(part)
            if writer and tensors:
                path = temporary / f"{part}.safetensors"
                save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
                _sync(path)
                sizes[path.name] = path.stat().st_size
        if writer:
            _write_json(temporary / "state.json", {"format": 1, **state, "bytes": sizes})
            shutil.rmtree(final, ignore_errors=True)
            temporary.replace(final)
            _sync(self.checkpoints)
            for old in sorted(self.checkpoints.glob("step_*"))[:-KEPT]:
                shutil.rmtree(old)

    def finished(self) -> dict[str, Any] | None:
        """The model card of the finished model, or None while there is none."""
        path = self.model / "model_card.json"
        return json.loads(path.read_text()) if path.exists() else None

    def export(self, write: Callable[[Path], None]) -> None:
        """Replace `model/` by what `write` puts into an empty folder."""
        temporary = self.root / ".model.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        write(temporary)
        shutil.rmtree(self.model, ignore_errors=True)
        temporary.replace(self.model)


def settings_sha256(settings: Settings, data: list[str]) -> str:
    """The hash of what decides a run's weights: data, and settings but for `FREE` ones."""
    text = json.dumps(_binding(_description(settings, data)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def finished_model(folder: str | Path) -> Path:
    """The finished model: `folder` itself, or `folder`/model of a run; UserError if none."""
    for candidate in (Path(folder), Path(folder) / "model"):
        if (candidate / "model_card.json").exists():
            return candidate.resolve()
    raise UserError("no finished model here", file=folder, expected="a folder with model_card.json")


def parent(folder: Path) -> dict[str, Any]:
    """What a model card says of the model that a run started from."""
    card = (folder / "model_card.json").read_bytes()
    known = json.loads(card)
    names = ("name", "preset", "steps", "weights_sha256")
    facts = {name: known[name] for name in names if name in known}
    return {**facts, "card_sha256": hashlib.sha256(card).hexdigest()}


def _description(settings: Settings, data: list[str]) -> dict[str, Any]:
    """What run.json says, as JSON reads it back (tuples become lists)."""
    named = {entry: _digest(Path(entry)) for entry in data}
    return json.loads(json.dumps({"data": named, "settings": asdict(settings)}))


def _digest(path: Path) -> str:
    """What a source of data held when the run began: a table's content, a folder's listing."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    listing = sorted((str(p.relative_to(path)), p.stat().st_size) for p in path.rglob("*"))
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()[:16]


def _binding(description: dict[str, Any]) -> dict[str, Any]:
    """The fields that may not change, by name; those that an older run.json lacks by default."""
    found = description["settings"]
    flat: dict[str, Any] = {"data": description["data"]}
    for f in fields(Settings):
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        value = found.get(f.name, list(default) if isinstance(default, tuple) else default)
        branches = value if isinstance(value, dict) else {}
        if f.name not in FREE:
            flat.update({f"{f.name}.{k}": v for k, v in branches.items()} or {f.name: value})
    return flat


def _refuse_differences(path: Path, asked: dict[str, Any]) -> None:
    old, new = _binding(json.loads(path.read_text())), _binding(asked)
    differing = [
        f"{name} is {old.get(name)!r} there and {new.get(name)!r} here"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    if differing:
        raise UserError(
            "this run has other settings: " + "; ".join(differing),
            file=path,
            expected="the same settings, or another --out",
        )


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
    _sync(path)


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk, so that a rename never comes before its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
