"""The cameras of a model folder: those that are known, and what it brings of its own.

They decide what phantoms look like and so what is drawn; their file is among those whose hash a
plan names (`engine.models.card.hash_folder`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import ConfigDict, RootModel, ValidationError

from engine.files import read_regular
from engine.models.card import MOST_TEXT
from engine.phantom.cameras import CAMERAS, Camera, Cameras
from engine.schema import UserError

FILE = "cameras.json"


class _Own(RootModel[dict[str, Camera]]):
    model_config = ConfigDict(frozen=True)


def cameras_of(folder: Path) -> Cameras:
    """The known cameras and the folder's own, by source. Raises UserError for a broken file, and
    for one that means another camera by a known name."""
    return {**CAMERAS, **own_cameras(folder)}


def own_cameras(folder: Path) -> dict[str, Camera]:
    """The cameras that a folder brings; none where it has no such file. Raises UserError."""
    file = folder / FILE
    if not file.exists():
        return {}
    try:
        own = _Own.model_validate_json(read_regular(file, MOST_TEXT)).root
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=file) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(each) for each in first["loc"])
        raise UserError(first["msg"], file=file, field=where, expected="a camera") from error
    if known := sorted(own.keys() & CAMERAS.keys()):
        raise UserError("is another camera already", file=file, field=known[0])
    return own


def write_cameras(folder: Path, own: Cameras) -> None:
    """Write the cameras that a folder brings, before its card, which hashes them."""
    if own:
        told = {name: asdict(camera) for name, camera in own.items()}
        (folder / FILE).write_text(json.dumps(told, indent=2) + "\n")
