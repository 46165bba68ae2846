"""Profiles of this machine and levels of a model, as the tests of both need them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine import registry
from engine.jobs.tuned import level_call, own_versions
from engine.profile import Profile, ProfileEntry, this_machine, write_profile
from engine.registry import SamplerRef, levels
from engine.registry.levels import Admission, BoundedFigure, CallLevel, kept_levels


def entry(model: str = "null", **given: Any) -> ProfileEntry:
    ref = registry.find(SamplerRef, model)
    usual: dict[str, Any] = {
        "model": ref.name,
        "weights_sha256": ref.weights_sha256,
        "size": ref.size,
        "device": "cpu",
        "workers": 3,
        "batch": 5,
        "images_per_s": 3.0,
        "default_images_per_s": 2.0,
    }
    return ProfileEntry.model_validate_json(json.dumps({**usual, **given}))


def profile(*entries: ProfileEntry, **given: Any) -> Profile:
    usual = {"machine": this_machine(), "versions": own_versions(), "entries": entries}
    return Profile(**{**usual, **given})


def written(file: Path, *entries: ProfileEntry, **given: Any) -> Path:
    write_profile(file, profile(*entries, **given))
    return file


def evidence(ref: SamplerRef, level: CallLevel, broken: tuple[str, ...] = ()) -> Admission:
    """What was measured of a level of a model: a figure that is 0.8, under a bound that it keeps or
    not."""
    who, settings = level_call(ref, ref.usual_call("cpu", "float32"), level)
    least = 0.9 if broken else 0.7
    return Admission(
        weights_sha256=who.weights_sha256,
        call_sha256=levels.call_sha256(settings),
        under=levels.measured_under(settings),
        count=8,
        reference={"steps": 50},
        figures=(BoundedFigure(name="vessel Dice", value=0.8, n=8, least=least),),
        admitted=not broken,
        broken=broken,
    )


def leveled(
    folder: Path, size: int = 64, name: str = "quick", broken: tuple[str, ...] = (), **call: Any
) -> str:
    """Give a model's folder one more level with evidence at one size; the hash of its file."""
    ref = registry.find(SamplerRef, str(folder))
    level = CallLevel(setting=name, call=call)
    found = evidence(ref, level, broken)
    known = levels.levels_of(ref).each
    kept_levels(folder / levels.LEVELS, [*known, levels.with_evidence(level, {size: found})])
    return levels.levels_of(ref).sha256
