"""Gates: which drawn rows are kept. `load` makes them, `digest` names them in a plan."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine import registry
from engine.files import require_regular
from engine.gates.verdict import REASONS, Gates, Open, Verdict
from engine.models.card import PRIVACY, hash_folder
from engine.registry.gate import GateRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import UserError
from engine.shipped import GATE, SEGMENTER

__all__ = ["NAMES", "REASONS", "Gates", "Verdict", "digest", "load"]

NAMES: tuple[str, ...] = ("quality", "privacy")
RULES = "3"
"""The version of our own code that judges: raised when the same image would be judged otherwise."""


def load(names: tuple[str, ...], model_folder: Path | None, reference: Path | None = None) -> Gates:
    """The gates called `names`; none of them lets everything pass.

    The privacy gate reads what `calibrate` wrote: `reference` where it is given, else
    `privacy.safetensors` of the model folder. UserError for an unknown name, for a privacy gate
    where nothing was calibrated, and for a reference that was made for another model.
    """
    _check(names)
    if not names:
        return Open()
    # Plans are read by commands that must answer at once, and torch takes seconds to import.
    from engine.features import Observer
    from engine.gates.judge import Judge
    from engine.gates.privacy import Privacy
    from engine.gates.quality import QualityLimits

    gate = registry.find(GateRef, GATE)
    limits = QualityLimits.read(GATE) if "quality" in names else None
    privacy = None
    if "privacy" in names:
        privacy = Privacy.load(_reference(model_folder, reference), gate.weights_sha256)
    segmenter = registry.find(SegmenterRef, SEGMENTER).load() if limits else None
    return Judge(Observer(gate.load(), segmenter), limits, privacy)


def digest(names: tuple[str, ...], model_folder: Path | None, reference: Path | None = None) -> str:
    """SHA-256 over all that decides a verdict, for the plan; empty without gates.

    That is the gates' names and rules, the gate network with its limits, and what the privacy gate
    keeps of the training set.
    """
    _check(names)
    if not names:
        return ""
    parts = [RULES, ",".join(sorted(names)), registry.find(GateRef, GATE).weights_sha256]
    if "quality" in names:
        parts.append(registry.find(SegmenterRef, SEGMENTER).weights_sha256)
    if "privacy" in names:
        file = _reference(model_folder, reference)
        parts.append(hashlib.sha256(file.read_bytes()).hexdigest())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _reference(model_folder: Path | None, reference: Path | None) -> Path:
    if model_folder is None and reference is None:
        raise UserError(
            "this model learned from no photographs: there is nothing to compare with",
            asked="gates",
            expected="gates without privacy",
        )
    if reference is not None:
        _refuse_strangers(reference, model_folder)
        return reference
    file = Path(model_folder or "") / PRIVACY
    if not file.is_file():
        raise UserError(
            "the privacy gate of this model is not calibrated",
            file=file,
            expected="`retinaforge calibrate`, or ⟨gates⟩ without privacy",
        )
    return file


def _refuse_strangers(reference: Path, model_folder: Path | None) -> None:
    """Raise UserError for what is no reference, and for one that knows another model's
    photographs: it would let this one's pass."""
    from safetensors import SafetensorError, safe_open

    expected = "what `retinaforge calibrate MODEL_DIR --reference FILE` wrote for this model"
    try:
        require_regular(reference)
        with safe_open(reference, "numpy") as stored:
            made_for = (stored.metadata() or {}).get("model")
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"cannot be read: {error}", file=reference, asked="reference", expected=expected
        ) from error
    if model_folder is None or made_for != hash_folder(model_folder):
        raise UserError(
            "made for another model", file=reference, asked="reference", expected=expected
        )


def _check(names: tuple[str, ...]) -> None:
    for name in names:
        if name not in NAMES:
            raise UserError(f"no gate {name!r}", asked="gates", expected="quality, privacy or none")
