"""What a profile makes of a plan: who is called, and how, where no flag says otherwise.

A profile decides new plans alone. One that does not hold here is told of and left out; a plan that
exists is held against a profile only where a flag names that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import kernels
from engine.call import CallSettings, LevelTaken
from engine.jobs.asks import DrawAsk
from engine.profile import (
    Profile,
    ProfileAsk,
    ProfileEntry,
    read_profile,
    this_machine,
    wanted,
)
from engine.registry import SamplerRef, decoders, levels, structures
from engine.registry.levels import Admission, CallLevel, Levels
from engine.schema import UserError
from engine.stages.cluster import address_of
from engine.store.differences import differences
from engine.store.versions import library_versions

INSTEAD = "the model's defaults are used"
CALLED = ("steps", "solver", "guidance", "t0")
"""Of what may be asked, what a level decides, beside geometry and decoder. Its evidence is of them
all together."""


@dataclass(frozen=True)
class Basis:
    """What a plan is made from where no flag says otherwise. `level` is where the call was taken
    from, `workers` and `batch` are a profile's, `told` is what whoever asked should know of it.
    `is_tuned` where a profile was used.
    """

    ref: SamplerRef
    settings: CallSettings
    level: LevelTaken | None = None
    workers: int | None = None
    batch: int | None = None
    told: tuple[str, ...] = ()
    is_tuned: bool = False


class Unfit(Exception):
    """Why a profile, or one of its levels, is not used."""


def own_versions() -> dict[str, str]:
    """The versions that a profile holds for."""
    found = library_versions(("torch",))
    return {"retinaforge": kernels.__version__, **{k: found[k] for k in ("torch", "drawing")}}


def profile_of(ask: DrawAsk) -> ProfileAsk | None:
    """The profile that is to be read for an ask, if there is one. Raises UserError."""
    return wanted(ask.profile, _elsewhere(ask))


def _elsewhere(ask: DrawAsk) -> bool:
    return ask.elsewhere or bool(address_of(ask.address))


def advised(usual: Basis, ask: DrawAsk, size: int) -> Basis:
    """What the profile that is asked for makes of what is usual. Raises UserError for a profile
    that cannot be read."""
    asked = profile_of(ask)
    if asked is None:
        return usual
    profile, ref = read_profile(asked.file), usual.ref
    entry = profile.of(ref.name, size, usual.settings.device)
    if entry is None:
        if not (ref.learned or asked.named):
            return usual
        what = f"has nothing of {ref.name} at {size} px on {usual.settings.device}"
        return replace(usual, told=(f"profile {asked.file} {what}: {INSTEAD}",))
    try:
        _check(profile, entry, ref, _elsewhere(ask))
        return _applied(usual, entry, ask, asked.file)
    except Unfit as error:
        return replace(usual, told=(f"profile {asked.file} is not used: {error}; {INSTEAD}",))


def continued(
    own: Basis, ask: DrawAsk, tuned: Basis, wanted_call: Callable[[Basis], CallSettings], file: Path
) -> Basis:
    """What a plan that exists is continued from: itself, whatever the profile makes of a new one
    (`tuned`), of which it takes workers and batch where the call is the same. Raises UserError
    where a flag names a profile by which the plan would be another.
    """
    named = ask.profile is not None
    if not tuned.is_tuned:
        return replace(own, told=tuned.told if named else ())
    wanted_, is_same = wanted_call(tuned), tuned.ref.weights_sha256 == own.ref.weights_sha256
    if is_same and wanted_ == own.settings:
        return replace(own, workers=tuned.workers, batch=tuned.batch, told=tuned.told)
    if not named:
        return own
    old, new = (
        {"model": b.ref.name, **c.identity()} for b, c in ((own, own.settings), (tuned, wanted_))
    )
    found = "; ".join(differences(old, new)) or "weights_sha256"
    raise UserError(
        f"a plan made with one profile cannot be continued with another: {found}",
        file=file,
        asked="profile",
        expected="no such flag, or another ⟨out⟩",
    )


def level_call(
    ref: SamplerRef, usual: CallSettings, level: CallLevel
) -> tuple[SamplerRef, CallSettings]:
    """Who is called at a level of a model, and how, on the device and in the precision of its usual
    call. Raises UserError."""
    who = levels.called(ref, level)
    own = who.usual_call(usual.device, usual.dtype) if who is not ref else usual
    return who, level.settings(own)


def evidence_of(
    ref: SamplerRef, usual: CallSettings, known: Levels, level: CallLevel, size: int
) -> Admission | None:
    """What was measured of a level at a size, computed as the usual call is. Raises UserError where
    it is of something else."""
    who, call = level_call(ref, usual, level)
    return levels.admission(known, level, who, call, size)


def _check(profile: Profile, entry: ProfileEntry, ref: SamplerRef, elsewhere: bool) -> None:
    """Raise Unfit where a profile does not hold here."""
    if entry.weights_sha256 != ref.weights_sha256:
        raise Unfit(f"it was measured with other weights of {ref.name}")
    here = own_versions()
    for name in sorted({*profile.versions, *here}):
        told, found = profile.versions.get(name, "none"), here.get(name, "none")
        if told != found:
            raise Unfit(f"it was measured with {name} {told}, and this is {found}")
    # The machines of a cluster are not asked: who names a profile for them knows them.
    if not elsewhere and profile.machine != (machine := this_machine()):
        raise Unfit(f"it is of another machine ({profile.machine}), and this is {machine}")


def _applied(usual: Basis, entry: ProfileEntry, ask: DrawAsk, file: Path) -> Basis:
    """The call that an entry names, at its level unless a flag asks for another call."""
    basis, aside = usual, ""
    if entry.level is not None:
        leveled = _at_level(usual, entry, ask.any_size)
        if against := next(_asked_otherwise(ask, leveled.ref, leveled.settings), None):
            aside = f"level {entry.level.name} is left out, for ⟨{against}⟩ asks for another call; "
        else:
            basis = leveled
    return replace(
        basis,
        settings=basis.settings.model_copy(update=entry.call.given()),
        workers=entry.workers,
        batch=entry.batch,
        told=(f"profile {file}: {aside}{_worded(entry, bool(aside))}",),
        is_tuned=True,
    )


def _worded(entry: ProfileEntry, is_aside: bool) -> str:
    parts = [f"level {entry.level.name}"] if entry.level and not is_aside else []
    parts += [f"{name} {value}" for name, value in entry.call.given().items()]
    if entry.workers:
        parts.append("1 worker" if entry.workers == 1 else f"{entry.workers} workers")
    parts += [f"batch {entry.batch}"] if entry.batch else []
    speed = entry.images_per_s / entry.default_images_per_s
    fast = [] if is_aside else [f"{speed:.2f} times the default's speed when measured"]
    return ", ".join([*parts, *fast]) or "nothing else"


def _at_level(usual: Basis, entry: ProfileEntry, any_size: bool) -> Basis:
    """The level of an entry. Raises Unfit where it is not what it was when the profile was made."""
    assert entry.level is not None
    ref, name = usual.ref, entry.level.name
    try:
        known = levels.levels_of(ref)
        if known.sha256 != entry.level.sha256:
            raise Unfit(f"the evidence of level {name} is another since")
        level = known.named(name)
        for size in (entry.size, *(map(int, level.evidence) if any_size else ())):
            evidence = evidence_of(ref, usual.settings, known, level, size)
            if evidence is None or not evidence.admitted:
                raise Unfit(f"level {name} is not admitted at {size} px")
        who, settings = level_call(ref, usual.settings, level)
    except UserError as error:
        raise Unfit(f"its level {name} cannot be taken: {error}") from error
    taken = LevelTaken(
        name=name, sha256=known.sha256, model=ref.location, weights_sha256=ref.weights_sha256
    )
    return replace(usual, ref=who, settings=settings, level=taken)


def _asked_otherwise(ask: DrawAsk, ref: SamplerRef, call: CallSettings) -> Iterator[str]:
    """What is asked for that a level's call of a model is not."""
    for name in CALLED:
        asked: Any = getattr(ask, name)
        if asked is not None and asked != getattr(call, name):
            yield name
    if ask.geometry is not None and vars(structures.wanted(ask.geometry)) != {
        "geometry": call.geometry,
        "structures": call.structures,
    }:
        yield "geometry"
    if ask.decoder is not None and decoders.wanted(ask.decoder, ref) != call.decoder:
        yield "decoder"
