"""Settings of a training run, and `path=value` overrides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from engine.schema import UserError

SCHEDULES = ("cosine", "constant")
OPTIMISERS = ("adamw", "muon")
FREE = (
    *("steps", "zero", "offload", "micro", "sheet_every", "checkpoint_every"),
    *("held_out_every", "patience", "judge_every"),
    *("model.checkpointing", "data.cache"),
)
"""Fields that may change when a run goes on: they do not decide which weights a step gives.

`steps` does through the cosine's length, and must change all the same: a run may be made longer.
"""
MODELS = ("init", "model.base", "model.segmenter", "model.refiner")
"""Settings that are a finished model's name or folder."""
BROUGHT = ("model.image", "model.text")
"""Settings that are `hf:` and a folder of transformers."""
CACHES = ("data.cache",)
"""Settings that are a folder which a run writes beside its own."""
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    list: "numbers with commas between them",
    tuple: "numbers with commas between them",
}
FIXED = ("name",)
"""Fields that no override may touch."""


def _at_least(low: int, settings: Settings, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        require(low <= value < math.inf, name, value, f"at least {low}")


def require(holds: bool, name: str, value: Any, expected: str) -> None:
    """Raise UserError for a setting out of its range; for recipes too."""
    if not holds:
        raise UserError(f"{value!r} is out of range", field=name, expected=expected)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides a run besides its data; stored in the run folder, printed by a dry run."""

    name: str
    steps: int
    """Optimiser steps in all."""
    batch: int
    """Rows of one step over all workers."""
    lr: float
    warmup: int = 0
    """Steps over which the learning rate rises from 0."""
    schedule: str = "cosine"
    """After the warm-up: `cosine` to `lr * lr_end`, or `constant`."""
    lr_end: float = 0.0
    optimizer: str = "adamw"
    """`adamw`, or `muon` for matrices inside blocks and AdamW for the rest, at one rate."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Of AdamW."""
    weight_decay: float = 0.0
    """Decoupled decay of matrices; vectors (norms, biases) are never decayed."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 leaves it alone."""
    ema: float = 0.999
    """Share kept of the averaged weights at each step; 0 means no averaging."""
    seed: int = 0
    zero: int = 1
    """ZeRO stage 0..3 when there are workers."""
    offload: bool = False
    """Under ZeRO 1..3 the optimiser's state lies in the machine's memory and it steps there."""
    micro: int = 0
    """Rows of one forward pass on one worker; 0 takes the worker's whole slice at once."""
    sheet_every: int = 0
    """Steps between sample sheets; 0 draws one at the end only."""
    checkpoint_every: int = 500
    held_out_every: int = 0
    """Steps between measures of the held-out loss; 0 measures none and exports the last weights,
    else those of the lowest."""
    patience: int = 0
    """Measures without a lower held-out loss after which the run ends; 0 never ends it early."""
    judge_every: int = 0
    """Steps between judgements of samples, which take minutes on a CPU; 0 for none."""
    align: float = 0.0
    """Weight of the alignment of a denoiser's middle with the latents of the photograph."""
    times: tuple[float, float] = (0.0, 1.0)
    """Mean and spread of the normal numbers whose sigmoids are a denoiser's times, 0 noise to 1
    image."""
    init: str | None = None
    """Folder of a finished model whose weights the run starts from."""
    model: dict[str, Any] = field(default_factory=dict)
    """What the recipe lets one choose about the model."""
    data: dict[str, Any] = field(default_factory=dict)
    """What the recipe lets one choose about the data."""

    def __post_init__(self) -> None:
        """Raise UserError for a value out of its range."""
        _at_least(1, self, "steps", "batch", "checkpoint_every")
        _at_least(0, self, "warmup", "lr_end", "weight_decay", "clip", "micro", "sheet_every")
        _at_least(0, self, "held_out_every", "patience", "judge_every", "align")
        idle = self.patience and not self.held_out_every
        require(not idle, "patience", self.patience, "0 where held_out_every is 0")
        require(self.lr > 0 and math.isfinite(self.lr), "lr", self.lr, "a number above 0")
        require(self.schedule in SCHEDULES, "schedule", self.schedule, " or ".join(SCHEDULES))
        known = self.optimizer in OPTIMISERS
        require(known, "optimizer", self.optimizer, " or ".join(OPTIMISERS))
        require(0 <= self.ema < 1, "ema", self.ema, "0 <= ema < 1")
        require(self.zero in (0, 1, 2, 3), "zero", self.zero, "0, 1, 2 or 3")
        require(self.zero > 0 or not self.offload, "offload", True, "false with ZeRO-0")
        # The seed of a step has 64 bits, of which these are the upper ones.
        require(0 <= self.seed < 2**31, "seed", self.seed, "0 to 2147483647")
        two = len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas)
        require(two, "betas", self.betas, "two numbers in [0, 1)")
        usual = len(self.times) == 2 and all(map(math.isfinite, self.times)) and self.times[1] > 0
        require(usual, "times", self.times, "a number, and one above 0")


def override(settings: Settings, changes: Mapping[str, str]) -> Settings:
    """Settings with `path=value` changes; a path is a field, or `model.NAME` or `data.NAME`.

    A value must read as the type that it replaces. Raises UserError naming the allowed paths or
    type.
    """
    tree = asdict(settings)
    optional = {f.name for f in fields(settings) if "None" in str(f.type)}
    for path, text in changes.items():
        first, _, rest = path.partition(".")
        branch, leaf = (tree.get(first), rest) if rest else (tree, first)
        if not isinstance(branch, dict) or path not in _paths(tree):
            raise UserError("no such setting", field=path, expected=_allowed(tree))
        branch[leaf] = _parse(path, text, branch[leaf], optional=path in optional)
    return replace(settings, **tree)


def _parse(path: str, text: str, old: Any, optional: bool) -> Any:
    if optional or old is None:
        return None if text.lower() in ("", "none") else text
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(old, list | tuple):
            items = [item.strip(" '\"") for item in text.strip("()[] ").split(",")]
            return tuple(_parse(path, item, old[0], optional=False) for item in items if item)
        return type(old)(text)
    except (ValueError, KeyError):
        raise UserError(f"cannot read {text!r}", field=path, expected=_KINDS[type(old)]) from None


def _allowed(tree: Mapping[str, Any]) -> str:
    return "one of " + ", ".join(_paths(tree))


def _paths(tree: Mapping[str, Any]) -> list[str]:
    """What an override may name: every field but the name, and what lies in `model` and `data`."""
    paths: list[str] = []
    for name, value in tree.items():
        inner = [f"{name}.{key}" for key in value] if isinstance(value, dict) else [name]
        paths += [] if name in FIXED else inner
    return paths
