"""plan.json: everything that decides the pixels of a data set, written once, and the fingerprint of
all that.

The count of rows is not in it (it lies in the attempts and may only grow), nor is where the model's
folder lies (its weights' hash is) nor anything that only schedules (batch, workers, address).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.schema import UserError
from engine.specs import Recipe
from engine.store.commits import Folder, flush_folder, temporary, write_durably

FORMAT = 1
DRAWING = "1"
"""The version of our own code that turns a plan into pixels: raised when the same plan would draw
other rows, and only then, so that an update of the project does not close existing folders."""
NOT_PIXELS = {"fingerprint", "model_location"}
DIFFERENCES_SHOWN = 8


class Settings(BaseModel):
    """How a model is called. Together with the weights and a spec it decides a row's pixels.

    `rows_per_call` and `context_tokens` are the fixed shape of every model call; `threads` are
    those of one worker.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    solver: str
    steps: int
    guidance: float
    guidance_interval: tuple[float, float]
    shift: float
    dtype: str
    attention: str
    device: str
    rows_per_call: int
    context_tokens: int
    threads: int


class Plan(BaseModel):
    """The immutable plan of a data set folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    recipe: Recipe
    model: str
    model_location: str
    weights_sha256: str
    settings: Settings
    image_format: str
    versions: dict[str, str]
    fingerprint: str = ""

    def identity(self) -> dict[str, Any]:
        """All that decides pixels, as plain JSON values."""
        return self.model_dump(mode="json", exclude=NOT_PIXELS)

    def sealed(self) -> Plan:
        """This plan with its fingerprint: SHA-256 over the canonical JSON of its identity."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return self.model_copy(update={"fingerprint": hashlib.sha256(text.encode()).hexdigest()})


def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """The installed versions of the libraries that a model's pixels depend on, without importing
    them.
    """
    found = {"drawing": DRAWING}
    for name in ("pillow", "numpy", *names):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def read_plan(root: Path) -> Plan | None:
    """The plan of an existing folder, None where there is nothing yet.

    Raises UserError if the folder holds other things, or a plan that was changed by hand.
    """
    file = Folder(root).plan
    if root.exists() and not root.is_dir():
        raise UserError("this is a file", file=root, expected="a folder")
    if not file.exists():
        if root.is_dir() and any(not path.name.endswith(".tmp") for path in root.iterdir()):
            raise UserError(
                "this folder is not empty and holds no plan.json",
                file=root,
                expected="a new or empty folder, or a data set folder of RetinaForge",
            )
        return None
    try:
        plan = Plan.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or None
        raise UserError(f"not a plan: {first['msg']}", file=file, field=field) from error
    if plan.sealed().fingerprint != plan.fingerprint:
        raise UserError("the plan was changed after it was written; restore it", file=file)
    return plan


def write_plan(root: Path, plan: Plan) -> None:
    """Create the folder and its plan in one step. Raises UserError if another run has just created
    another plan.
    """
    root.mkdir(parents=True, exist_ok=True)
    file = Folder(root).plan
    written = temporary(file, 0)
    text = json.dumps(plan.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    write_durably(written, text.encode())
    try:
        # A link, not a rename: of two runs that create the folder at once, the second must not
        # replace the first's.
        file.hardlink_to(written)
    except FileExistsError:
        existing = read_plan(root)
        if existing is not None:
            refuse_differences(root, existing, plan)
    finally:
        written.unlink(missing_ok=True)
    flush_folder(root)


def refuse_differences(root: Path, existing: Plan, wanted: Plan) -> None:
    """Raise UserError that names the fields in which a wanted plan differs from the
    folder's own.
    """
    if existing.sealed().fingerprint == wanted.sealed().fingerprint:
        return
    found = list(differences(existing.identity(), wanted.identity()))
    shown = "; ".join(found[:DIFFERENCES_SHOWN])
    more = f"; and {len(found) - DIFFERENCES_SHOWN} more" if len(found) > DIFFERENCES_SHOWN else ""
    raise UserError(
        f"this folder's plan differs: {shown}{more}",
        file=Folder(root).plan,
        expected="the same settings, or another --out",
    )


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """The fields that differ between two trees of plain values, as `field: old → new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{path}.{key}" if path else key
            yield from differences(old.get(key), new.get(key), inner.removeprefix("settings."))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from differences(left, right, f"{path}[{number}]")
    elif old != new:
        yield f"{path}: {_brief(old)} → {_brief(new)}"


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"{len(value)} entries"
    return text if len(text) <= 60 else f"{text[:57]}..."
