"""The run folder: what was asked for, whose turn it is to write, and what came of it.

    run.json                     preset, data and settings, written once; other settings are refused
    checkpoints/                 the last two, that any number of workers can resume
    best/                        the weights of the lowest held-out loss, where that is measured
    tensorboard/ mlflow/ sheets/ figures and sample sheets by step, for who watches
    model/                       the finished model folder with its model_card.json
    .lock  .claim                held while a run trains; the token of the run that may write

A run may be paused, or its workers outlive it, while another goes on in its place. So whatever
lands here (a rename, a removal) does so under the lock of `.claim` and only while the token in it
is the writer's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from PIL import Image

from engine import shipped
from engine.files import LINGERING, hold, read_regular
from engine.models.card import CARD, MOST_TEXT, finished_card
from engine.schema import UserError
from train.checkpoint import Checkpoint, Found, Read, find, remove, sync, write, write_json
from train.settings import FREE, Settings

KEPT = 2
_OURS = ("checkpoints", "best", "model", "sheets", "tensorboard", "mlflow")
_FOREIGN = ("plan.json", "model_card.json", "model_index.json")
_PATIENCE = 10.0
"""Seconds that another run is given to finish what it is just putting down."""


class TrainingError(RuntimeError):
    """Training cannot go on, and it is not the user's input: the command exits with 1."""


class RunFolder:
    """The folder of one training run; `claim` is the token of who may write, "" to look alone."""

    def __init__(self, root: Path, claim: str = "") -> None:
        self.root = root
        self.claim = claim
        self.checkpoints = root / "checkpoints"
        self.best = root / "best"
        self.sheets = root / "sheets"
        self.model = root / "model"

    def check(self, settings: Settings, data: list[str]) -> None:
        """Raise UserError if the folder is of something else or of a run with other settings."""
        path = self.root / "run.json"
        if self.root.exists() and not self.root.is_dir():
            raise UserError("is a file", file=self.root, asked="out", expected="a folder")
        if path.exists():
            _refuse_differences(path, _description(settings, data))
            return
        for name in (*_FOREIGN, *_OURS):
            if (self.root / name).exists():
                raise UserError(
                    f"holds a {name} that is of no run: there is no run.json",
                    file=self.root,
                    asked="out",
                    expected="a new folder, or one that a run began",
                )

    @contextmanager
    def claimed(self, settings: Settings, data: list[str]) -> Iterator[str]:
        """Write run.json of a new run, and hold the folder against a second run; gives the claim.

        A folder that has one must pass `check`. A UserError inside leaves a new folder as it was.
        """
        self.check(settings, data)
        path, description = self.root / "run.json", _description(settings, data)
        new, made = not path.exists(), not self.root.exists()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / ".lock").open("a+")
        except OSError as error:
            raise _unwritable(self.root, error) from error
        with lock:
            _hold(lock, LINGERING, self.root)
            try:
                lock.truncate(0)
                lock.write(f"process {os.getpid()} on {socket.gethostname()}")
                lock.flush()
                claim = self._take_over()
                if new:
                    write_json(path.with_suffix(".tmp"), description)
                    path.with_suffix(".tmp").replace(path)
            except OSError as error:
                raise _unwritable(self.root, error) from error
            try:
                yield claim
            except UserError:
                if new and not self.checkpoints.exists():
                    self._give_back(made)
                raise

    def _take_over(self) -> str:
        """From now on only the new token's holder writes; half-written things of others go."""
        claim = uuid4().hex
        with (self.root / ".claim").open("a+") as file:
            _hold(file, _PATIENCE, self.root)
            file.truncate(0)
            file.write(claim)
            file.flush()
            os.fsync(file.fileno())
        for left in (*self.checkpoints.glob(".*.tmp"), *self.root.glob(".*.tmp")):
            remove(left)
        return claim

    def _give_back(self, made: bool) -> None:
        for name in ("run.json", ".lock", ".claim", "tensorboard", "mlflow"):
            remove(self.root / name)
        if made:
            remove(self.root)

    @contextmanager
    def landing(self) -> Iterator[None]:
        """Hold the folder for a moment; TrainingError where another run has taken it over."""
        try:
            file = (self.root / ".claim").open()
        except FileNotFoundError as error:
            gone = f"{self.root} is no longer this run's: nothing more is written"
            raise TrainingError(gone) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not self.claim or file.read() != self.claim:
                raise TrainingError(
                    f"another run has taken over {self.root}: nothing more is written by this one"
                )
            yield

    def find(self) -> Found:
        """The newest whole checkpoint, if any, and the damaged newer ones.

        Raises UserError where there were checkpoints and none is whole: a run never begins anew
        in silence.
        """
        found = find(self.checkpoints)
        if found.checkpoint is None and found.damaged:
            raise UserError(
                f"no whole checkpoint to go on from: {found.told}",
                file=self.checkpoints,
                expected="the files as they were written; another ⟨out⟩ begins anew",
            )
        if found.checkpoint is None and (self.model / CARD).exists():
            raise UserError(
                "this run has a finished model, but its checkpoints are gone",
                file=self.root,
                expected="the checkpoints as they were written; another ⟨out⟩ begins anew",
            )
        return found

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None."""
        return self.find().checkpoint

    def set_aside(self, damaged: dict[Path, str]) -> None:
        """Rename damaged checkpoints, so that they are neither counted nor found again."""
        with self.landing():
            for folder in damaged:
                aside = folder.with_name(f"damaged_{folder.name}")
                remove(aside)
                folder.replace(aside)

    def save(self, state: dict[str, Any], read: Read, writer: bool) -> Callable[[], None]:
        """Write the checkpoint of state["step"]; gives what puts it in its place and drops all but
        the last two, for the writer to call. Every worker calls `save`, since `read` gathers."""
        final = self.checkpoints / f"step_{state['step']:08d}"
        temporary = final.with_name(f".{final.name}.{self.claim}.tmp")
        problem = write(temporary, state, read, writer)

        def land() -> None:
            try:
                with self.landing():
                    if problem is not None:
                        raise problem
                    temporary.replace(final)
                    sync(self.checkpoints)
                    for old in sorted(self.checkpoints.glob("step_*"))[:-KEPT]:
                        remove(old)
            finally:
                remove(temporary)

        return land

    def show(self, step: int, sheet: Image.Image) -> Path:
        """Keep a sample sheet; gives its file."""
        path = self.sheets / f"step_{step:06d}.png"
        with self.landing():
            self.sheets.mkdir(exist_ok=True)
            sheet.save(path)
        return path

    def export(self, write: Callable[[Path], None]) -> None:
        """Replace `model/` by what `write` puts into an empty folder."""
        temporary, old = (self.root / f".{n}.{self.claim}.tmp" for n in ("model", "old"))
        with self._drafted(temporary):
            write(temporary)
            for path in temporary.rglob("*"):
                sync(path)
            with self.landing():
                if self.model.exists():
                    self.model.replace(old)
                temporary.replace(self.model)
                sync(self.root)
            remove(old)

    def rehearse(self, sheet: Image.Image | None, write: Callable[[Path], None]) -> None:
        """Do as `show` and `export` do, in a folder that is removed."""
        temporary = self.root / f".rehearsal.{self.claim}.tmp"
        with self._drafted(temporary):
            write(temporary)
            finished_card(temporary)
            if sheet is not None:
                sheet.save(temporary / "sheet.png")

    @contextmanager
    def _drafted(self, folder: Path) -> Iterator[None]:
        remove(folder)
        folder.mkdir()
        try:
            yield
        finally:
            remove(folder)

    def finished(self) -> dict[str, Any] | None:
        """The model card of the finished model, or None while there is none; UserError where the
        model is not as it was written."""
        return finished_card(self.model).facts if self.model.exists() else None


def settings_sha256(settings: Settings, data: list[str]) -> str:
    """The hash of what decides a run's weights: data, and settings but for `FREE` ones."""
    text = json.dumps(_binding(_description(settings, data)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def finished_model(place: str | Path) -> Path:
    """The whole model of this name, in this folder, or of the run there. Raises UserError."""
    for candidate in (shipped.folder_of(str(place)), Path(place) / "model"):
        if (candidate / CARD).exists():
            finished_card(candidate)
            return candidate.resolve()
    raise UserError("no finished model here", file=place, expected="a folder with model_card.json")


def parent(folder: Path) -> dict[str, Any]:
    """What a model card says of the model that a run started from."""
    card = (folder / CARD).read_bytes()
    known = json.loads(card)
    names = ("name", "preset", "steps", "weights_sha256")
    facts = {name: known[name] for name in names if name in known}
    return {**facts, "card_sha256": hashlib.sha256(card).hexdigest()}


def _hold(file: IO[str], patience: float, root: Path) -> None:
    """Lock an open file; UserError where another run holds it for longer than `patience`."""
    if not hold(file, patience):
        who = (root / ".lock").read_text()
        raise UserError(
            f"another run is training here ({who or 'unnamed'})", file=root, asked="out"
        )


def _unwritable(root: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot be written: {error.strerror}",
        file=root,
        asked="out",
        expected="a folder that can be written and locked",
    )


def _description(settings: Settings, data: list[str]) -> dict[str, Any]:
    """What run.json says, as JSON reads it back (tuples become lists)."""
    named = {entry: _digest(Path(entry)) for entry in data}
    return json.loads(json.dumps({"data": named, "settings": asdict(settings)}))


def _digest(path: Path) -> str:
    """What a source of data held when the run began: a table's content, a folder's listing."""
    try:
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        # A link that leads nowhere is part of the listing and has no size.
        sizes = ((p, p.stat().st_size if p.exists() else None) for p in path.rglob("*"))
        listing = sorted((str(p.relative_to(path)), size) for p, size in sizes)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path, asked="data") from error
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()[:16]


def _binding(description: dict[str, Any]) -> dict[str, Any]:
    """The fields that may not change, by name; those that an older run.json lacks by default."""
    found = description["settings"]
    flat: dict[str, Any] = {"data": description["data"]}
    for f in fields(Settings):
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        value = found.get(f.name, list(default) if isinstance(default, tuple) else default)
        branches = value if isinstance(value, dict) else {}
        flat |= {f"{f.name}.{k}": v for k, v in branches.items()} or {f.name: value}
    return {name: value for name, value in flat.items() if name not in FREE}


def _refuse_differences(path: Path, asked: dict[str, Any]) -> None:
    try:
        old, new = _binding(json.loads(read_regular(path, MOST_TEXT))), _binding(asked)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            "what this run was asked for was cut or changed",
            file=path,
            expected="the file as it was written; another ⟨out⟩ begins anew",
        ) from error
    differing = [
        f"{name} is {old.get(name)!r} there and {new.get(name)!r} here"
        for name in sorted(old.keys() | new.keys())
        # What an older run knew nothing of was off.
        if old.get(name) != new.get(name) and (name in old or new[name])
    ]
    if differing:
        raise UserError(
            "this run has other settings: " + "; ".join(differing),
            file=path,
            expected="the same settings, or another ⟨out⟩",
        )
