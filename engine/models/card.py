"""The model card: what a finished model folder says of itself, and the hash that binds it to its
weights.

A model folder may come from anybody: whatever is read of one goes through `files_of`.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.files import NotAFile, TooLarge, read_regular, sha256_of
from engine.schema import UserError

CARD = "model_card.json"
PRIVACY = "privacy.safetensors"
"""What the privacy gate keeps of the training set; it decides no pixel, and a plan names its hash
apart."""
LEVELS = "levels.json"
"""The fast settings of a model with what was measured of each (`engine.registry.levels`); they
decide no pixel before a plan takes one, and then the plan names what it takes."""
_DECIDING = (".safetensors", ".json", ".txt")
_APART = (CARD, PRIVACY, LEVELS)
MOST_FILES = 10_000
MOST_TEXT = 64 << 20
"""Bytes of a JSON file or a text: a large vocabulary has a third of it."""


def files_of(folder: Path) -> list[Path]:
    """Every file below a model folder, sorted. Raises UserError for what would hold or fill whoever
    reads it: a pipe, a device, a link to a folder (which no hash covers), a text or a number of
    files that no model has.
    """
    found: list[Path] = []
    try:
        for place, folders, names in os.walk(folder, onerror=_raise):
            for link in (path for name in folders if (path := Path(place, name)).is_symlink()):
                raise NotAFile(0, "is a link to a folder", str(link))
            found += (Path(place, name) for name in names)
            if len(found) > MOST_FILES:
                raise TooLarge(0, f"more than {MOST_FILES:,} files", str(folder))
            for name in names:
                _check(Path(place, name))
    except OSError as error:
        raise _unreadable(error, folder) from error
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def _check(path: Path) -> None:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise NotAFile(0, "is no file", str(path))
    if path.suffix in (".json", ".txt") and found.st_size > MOST_TEXT:
        raise TooLarge(0, f"{found.st_size:,} bytes, over {MOST_TEXT:,}", str(path))


def _unreadable(error: OSError, path: Path) -> UserError:
    return UserError(
        f"cannot be read: {error.strerror}", file=error.filename or path, expected="a file"
    )


def hash_folder(folder: Path) -> str:
    """SHA-256 over all that decides what a model folder draws, by relative name and content.

    That is weights, configurations and tokenizer; the card, the privacy gate's file, the levels and
    `private/` are left out.
    """
    digest = hashlib.sha256()
    for file in files_of(folder):
        name = file.relative_to(folder).as_posix()
        if not name.endswith(_DECIDING) or name in _APART or name.startswith("private/"):
            continue
        digest.update(name.encode())
        try:
            digest.update(sha256_of(file))
        except OSError as error:
            raise _unreadable(error, file) from error
    return digest.hexdigest()


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write `model_card.json` with the hash of what lies beside it.

    A folder travels: where its parts were once loaded from is taken out of their configurations.
    """
    for path in [folder / "model_index.json", *folder.rglob("config.json")]:
        if path.is_file():
            config = json.loads(path.read_text())
            config.pop("_name_or_path", None)
            path.write_text(json.dumps(config, indent=2) + "\n")
    text = json.dumps({**card, "weights_sha256": hash_folder(folder)}, indent=2, ensure_ascii=False)
    (folder / CARD).write_text(text + "\n")


@dataclass(frozen=True)
class ModelCard:
    """What a card says (`facts`, empty where a folder has none), and the hash of what lies beside
    it."""

    facts: dict[str, Any]
    sha256: str


def verified_card(folder: Path) -> ModelCard:
    """The card of a model folder. Raises UserError where it or a file beside it cannot be read, and
    where it names other files than these; a card that names none proves nothing and is taken."""
    facts, digest = read_card(folder), hash_folder(folder)
    promised = facts.get("weights_sha256")
    if promised not in (None, digest):
        raise UserError(
            f"the weights are not those that the model card names: the files have {digest}",
            file=folder / CARD,
            field="weights_sha256",
            expected=f"{promised}, as the card promises",
        )
    return ModelCard(facts, digest)


def finished_card(folder: Path) -> ModelCard:
    """Likewise of a model that a run has finished, whose card names its files."""
    card = verified_card(folder)
    if card.facts.get("weights_sha256") is None:
        raise UserError("this card names no weights", file=folder / CARD, expected="their hash")
    return card


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a model folder as it stands there, for whoever writes it anew; empty where it has
    none."""
    path = folder / CARD
    if not path.exists():
        return {}
    try:
        facts = json.loads(read_regular(path, MOST_TEXT))
    except OSError as error:
        raise _unreadable(error, path) from error
    except (ValueError, RecursionError) as error:
        raise _no_card(path) from error
    if not isinstance(facts, dict):
        raise _no_card(path)
    return facts


def card_naming(folder: Path, weights_sha256: str) -> dict[str, Any]:
    """The card of a model that may have moved or changed since; empty unless it is here and names
    these weights."""
    card = read_card(folder)
    return card if card.get("weights_sha256") == weights_sha256 else {}


def _no_card(path: Path) -> UserError:
    return UserError("was cut or changed", file=path, expected="a model card")
