"""Levels of a model: ways to call it that are faster than its usual one, each with what was
measured of its pictures beside a slow reference, and whether that keeps every bound.

They lie beside the weights in `levels.json`. A level that nobody has measured is a candidate; one
that broke a bound stays, with what it broke.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from engine import registry
from engine.call import CallSettings
from engine.files import read_regular, write_whole
from engine.models.card import LEVELS, MOST_TEXT
from engine.registry.sampler import SamplerRef
from engine.schema import UserError
from engine.store.versions import OWN

VERSIONS = ("drawing", "phantom", "refining")
"""Of our own code, which turns a plan into pixels: what was measured of another version is no
evidence for this one."""
WHERE = ("device", "dtype", "attention")
"""Fields of a call that say where it is computed: evidence of one device tells nothing of
another."""
_SHAPE = ("rows_per_call", "threads")
"""Fields that change the last bits of a picture and nothing that is measured."""
_FORM = ConfigDict(extra="forbid", frozen=True)


class BoundedFigure(BaseModel):
    """One figure of a level; `reference` is the same of the slow reference, where that has any.
    `low` and `high` are the 95 % interval of the value, or of how much it is above the reference's.
    All of the interval is to be no less than `least` and no more than `most`."""

    model_config = _FORM

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int
    reference: float | None = None
    least: float | None = None
    most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the bounds are kept."""
        bounded = self.value - (self.reference or 0.0)
        low = bounded if self.low is None else self.low
        high = bounded if self.high is None else self.high
        least = -math.inf if self.least is None else self.least
        return low >= least and high <= (math.inf if self.most is None else self.most)


class Admission(BaseModel):
    """What was measured of a level at one size, and the verdict: `broken` names the figures whose
    bound is broken. It holds for these weights and this call alone, where it is computed as `under`
    says, by these versions of our own code."""

    model_config = _FORM

    weights_sha256: str
    call_sha256: str
    under: dict[str, str]
    count: int
    reference: dict[str, Any]
    figures: tuple[BoundedFigure, ...]
    admitted: bool
    broken: tuple[str, ...]


class CallLevel(BaseModel):
    """One level: fields of the call that differ from the model's usual ones, and by size in pixels
    what was measured. `model` is the folder of a student that is called in the model's stead."""

    model_config = _FORM

    setting: str
    model: str | None = None
    student: bool = False
    call: dict[str, Any] = {}
    evidence: dict[str, Admission] = {}

    def settings(self, usual: CallSettings) -> CallSettings:
        """The call, from the usual one of whoever is called. Raises UserError for what is no field
        of a call."""
        try:
            return CallSettings.model_validate({**usual.model_dump(), **self.call})
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, ("call", *first["loc"])))
            raise UserError(f"level {self.setting!r}: {first['msg']}", field=field) from error


@dataclass(frozen=True)
class Levels:
    """All levels of a model: `file` where they lie, and its hash, which is empty where there is no
    file."""

    file: Path | None
    sha256: str
    each: tuple[CallLevel, ...]

    def named(self, name: str) -> CallLevel:
        """The level of this name. Raises UserError where there is none."""
        for level in self.each:
            if level.setting == name:
                return level
        known = " or ".join(level.setting for level in self.each)
        raise UserError(
            f"no level {name!r}", asked="levels", expected=known or "a model with levels"
        )

    def chosen(self, names: Iterable[str] | None) -> tuple[CallLevel, ...]:
        """Those of these names, all where none are given. Raises UserError."""
        return self.each if not names else tuple(self.named(name) for name in names)


def call_sha256(settings: CallSettings) -> str:
    """The hash of all of a call that decides more than the last bits, wherever it is computed."""
    apart = {*WHERE, *_SHAPE}
    told = {name: value for name, value in settings.identity().items() if name not in apart}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def levels_of(ref: SamplerRef) -> Levels:
    """The levels of a model, which may have none. Raises UserError for a file that cannot be
    read."""
    file = None if ref.folder is None else ref.folder / LEVELS
    if file is None or not file.is_file():
        return Levels(None, "", ())
    try:
        data = read_regular(file, MOST_TEXT)
        each = TypeAdapter(tuple[CallLevel, ...]).validate_json(data)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=file) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise UserError(
            first["msg"], file=file, field=field, expected="a list of levels"
        ) from error
    names = [level.setting for level in each]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{twice!r} stands there twice", file=file, field="setting")
    return Levels(file, hashlib.sha256(data).hexdigest(), each)


def called(ref: SamplerRef, level: CallLevel) -> SamplerRef:
    """Who is called for a level of a model: itself, or the level's student. Raises UserError."""
    if level.model is None:
        return ref
    beside = None if ref.folder is None else ref.folder.parent / level.model
    is_beside = beside is not None and beside.is_dir()
    return registry.find(SamplerRef, str(beside) if is_beside else level.model)


def admission(
    levels: Levels, level: CallLevel, ref: SamplerRef, settings: CallSettings, size: int
) -> Admission | None:
    """What was measured of a level at this size; None where nothing was on such a device and by
    this version of the drawing code. `ref` is who is called, `settings` how. Raises UserError where
    the evidence is of other weights or of another call."""
    found = level.evidence.get(str(size))
    if found is None:
        return None
    for what, told, here in (
        ("weights", found.weights_sha256, ref.weights_sha256),
        ("a call", found.call_sha256, call_sha256(settings)),
    ):
        if told != here:
            raise UserError(
                f"the evidence of {level.setting!r} is of {what} {told[:12]}, here {here[:12]}",
                file=levels.file,
                field=f"evidence.{size}",
                expected="what was measured of these: `retinaforge evaluate levels --write`",
            )
    return found if found.under == measured_under(settings) else None


def measured_under(settings: CallSettings) -> dict[str, str]:
    """What evidence is of, beside weights and call: the versions of our own code, and where it
    computes."""
    here = {name: str(getattr(settings, name)) for name in WHERE}
    return {**{name: OWN[name] for name in VERSIONS}, **here}


def kept_levels(file: Path, each: Iterable[CallLevel]) -> None:
    """Write levels, in this order."""
    told = [level.model_dump(mode="json", exclude_defaults=True) for level in each]
    write_whole(file, (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode())


def with_evidence(level: CallLevel, found: Mapping[int, Admission]) -> CallLevel:
    """The level with what was measured at these sizes beside what it had."""
    evidence = {**level.evidence, **{str(size): each for size, each in found.items()}}
    ordered = dict(sorted(evidence.items(), key=lambda pair: int(pair[0])))
    return level.model_copy(update={"evidence": ordered})
