"""`evaluate levels`: may a level of a model be used?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.commands.evaluate._options import Model
from serve.declared import AsJob, Writes
from serve.progress import say

if TYPE_CHECKING:
    from engine.registry.levels import Admission

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate levels tiny --size 256 --work seen"


def levels(
    model: Model,
    size: Annotated[
        int | None, typer.Option(help="Pixels of a side; the model's own by default.")
    ] = None,
    count: Annotated[int, typer.Option(help="Rows of each level, and of the reference.")] = 64,
    names: Annotated[
        list[str] | None, typer.Option("--levels", help="A level; repeatable, all by default.")
    ] = None,
    work: Annotated[
        Path,
        typer.Option(help="Folder for rows that were seen; a run goes on with them."),
        Writes(always=True),
    ] = Path("levels"),
    write: Annotated[
        bool,
        typer.Option("--write", help="Put the evidence beside the model."),
        Writes(into="model"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Which faster calls of a model keep their bounds.

    Error, drift, labels, lesions, vessels, disc, recall and coverage; a level is admitted where it
    keeps all.
    """
    from engine import registry
    from engine.evaluate.levels import LevelBench
    from engine.jobs.asks import DrawAsk
    from engine.jobs.draw import usual_settings
    from engine.registry.diffusion import DenoiserRef
    from engine.registry.levels import kept_levels, levels_of, with_evidence

    ref = registry.find(DenoiserRef, model)
    known = levels_of(ref)
    if known.file is None:
        raise UserError(f"{ref.name} has no levels", asked="model", expected="a folder with levels")
    chosen, usual, side = known.chosen(names), usual_settings(DrawAsk(), ref), size or ref.size
    bench = LevelBench.drawn(ref, usual, side, count, work, say)
    told = []
    for level in chosen:
        found = bench.admission(level, known, usual)
        _say(level.setting, found)
        told.append({"setting": level.setting, **found.model_dump(mode="json")})
        if write:
            # Another run may have measured another size meanwhile.
            now = levels_of(ref).each
            new = [
                with_evidence(e, {side: found}) if e.setting == level.setting else e for e in now
            ]
            kept_levels(known.file, new)
    if as_json:
        print(json.dumps({"model": ref.name, "size": side, "levels": told}))


def _say(setting: str, found: Admission) -> None:
    for each in found.figures:
        beside = "" if each.reference is None else f", reference {each.reference:.3f}"
        kept = "" if each.holds else "  BROKEN"
        say(f"  {each.name:16} {each.value:.4g}{beside}{kept}")
    say(f"{setting}: {'admitted' if found.admitted else 'not admitted'}")
