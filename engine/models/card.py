"""The model card: what a finished model folder says of itself, and the hash that binds it to its
weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from engine.schema import UserError

CARD = "model_card.json"
PRIVACY = "privacy.safetensors"
"""What the privacy gate keeps of the training set; it decides no pixel, and a plan names its hash
apart."""
_DECIDING = ("*.safetensors", "*.json", "*.txt")


def hash_folder(folder: Path) -> str:
    """SHA-256 over all that decides what a model folder draws, by relative name and content.

    That is weights, configurations and tokenizer; the card, the privacy gate's file and `private/`
    are left out.
    """
    digest = hashlib.sha256()
    for file in sorted(f for ending in _DECIDING for f in folder.rglob(ending)):
        name = file.relative_to(folder).as_posix()
        if name not in (CARD, PRIVACY) and not name.startswith("private/"):
            digest.update(name.encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
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


def verified_card(folder: Path) -> dict[str, Any]:
    """The card of a finished model; UserError where it cannot be read, or what lies beside it is
    not what it was written with."""
    path = folder / CARD
    try:
        card, digest = json.loads(path.read_text()), hash_folder(folder)
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror}", file=error.filename or path, expected="a file"
        ) from error
    except ValueError as error:
        raise UserError("was cut or changed", file=path, expected="a model card") from error
    promised = card.get("weights_sha256") if isinstance(card, dict) else None
    if promised != digest:
        raise UserError(
            "a file beside this card was changed, cut or removed",
            file=path,
            field="weights_sha256",
            expected=f"files whose hash is {promised}; theirs is {digest}",
        )
    return card


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a model folder; empty where it has none."""
    path = folder / CARD
    return json.loads(path.read_text()) if path.is_file() else {}
