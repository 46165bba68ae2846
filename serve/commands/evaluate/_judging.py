"""How a command of the judge runs: what it takes, how its figures are told, and the JSON of all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import device
from engine.schema import UserError
from serve.declared import Reads, Writes, looker_place, photographs
from serve.progress import say

if TYPE_CHECKING:
    from engine.evaluate.figures import Figure
    from engine.evaluate.sets import Measure, Sets

MEASURES: Mapping[str, str] = {
    "authenticity": "engine.evaluate.authenticity",
    "condition": "engine.evaluate.condition",
    "lesions": "engine.evaluate.lesions",
    "privacy": "engine.evaluate.privacy",
    "utility": "train.utility",
    "zeroshot": "train.zeroshot",
    "changes": "engine.evaluate.changes",
    "efficiency": "train.efficiency",
    "search": "train.search",
    "vessels": "train.vessels",
    "utility.vessels": "train.vessels",
    "utility.lesions": "train.taught_lesions",
    "search.vessels": "train.vessel_search",
}
"""Measures in the order in which they are told, and the module whose `measure` is one."""
APART = (
    "changes", "efficiency", "search", "vessels",
    "utility.vessels", "utility.lesions", "search.vessels",
)  # fmt: skip
"""Those that are no part of the report on all: they draw anew, or train for too long."""

Set = Annotated[
    str,
    typer.Argument(metavar="SET", help="A data set folder, a folder of images, or a CSV."),
    Reads(of=photographs, sent=False),
]
Real = Annotated[
    str,
    typer.Option(help="A CSV of photographs with a train and a test split, or a folder."),
    Reads(of=photographs, sent=False),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="Fewer pictures and shorter trainings: wider intervals.")
]
External = Annotated[
    str | None,
    typer.Option(help="Photographs of another site, to be tested beside the test split."),
    Reads(of=photographs, sent=False),
]
Features = Annotated[
    str,
    typer.Option(help="Who looks: own, structure, random, inception:PATH or hf:DIR."),
    Reads(of=looker_place),
]
Html = Annotated[
    Path | None, typer.Option(help="Write the report there: one page, for any browser."), Writes()
]
Pdf = Annotated[Path | None, typer.Option(help="Write the report there as PDF."), Writes()]


def judge(
    names: Sequence[str],
    set_: str,
    real: str,
    quick: bool,
    as_json: bool,
    external: str | None = None,
    features: str = "own",
    html: Path | None = None,
    pdf: Path | None = None,
    **more: Any,
) -> None:
    """Run these measures, as many at once as there are processors, and tell their figures;
    UserError where there is one alone and it says nothing, and for a test photograph that taught
    what drew the set."""
    for file in (html, pdf):
        if file:
            _prove(file)
    say(f"{', '.join(names)}: {set_} beside {real}{', quickly' if quick else ''}")
    from engine.evaluate.lineage import checked
    from engine.evaluate.lookers import looker
    from engine.evaluate.sets import Sets
    from engine.publish.judgement import page, pdf_library

    # What would end hours of measuring is told before them.
    if pdf:
        pdf_library()
    looker(features)

    sets, lineage = checked(
        Sets.read(set_, real, quick, say, external=external, features=features, **more)
    )
    at_once = min(len(names), device.cpu_count())
    if at_once == 1:
        figures = [each for name in names for each in measured(name, sets, len(names) == 1)]
    else:
        figures = _side_by_side(names, sets, at_once)
    # First, as a report that cannot be made must not cost the figures.
    if as_json:
        print(json.dumps(as_document(figures, lineage, sets.looked_with)), flush=True)
    if html or pdf:
        _write(page(set_, real, quick, figures, lineage), html, pdf)


def _prove(file: Path) -> None:
    """UserError where a file cannot be written: that is known before hours of measuring."""
    if not file.parent.is_dir():
        raise UserError("its folder is not there", file=file)
    there = file.exists()
    try:
        file.open("ab").close()
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", file=file) from error
    if not there:
        file.unlink()


def _write(text: str, html: Path | None, pdf: Path | None) -> None:
    from engine.publish.judgement import write_pdf

    if html:
        html.write_text(text)
        say(f"written: {html}")
    if pdf:
        write_pdf(text, pdf)
        say(f"written: {pdf}")


def _side_by_side(names: Sequence[str], sets: Sets, at_once: int) -> list[Figure]:
    """What the measures say, in the order of their names; each process opens the pictures anew."""
    threads = max(1, device.cpu_count() // at_once)
    figures: list[Figure] = []
    spawned = get_context("spawn")
    with ProcessPoolExecutor(at_once, spawned, device.use_threads, (threads,)) as pool:
        # The longest, trainings, come last in the report and have to begin first.
        begun = {name: pool.submit(_apart, name, MEASURES[name], sets) for name in reversed(names)}
        for name in names:
            found, looked_with = begun[name].result()
            sets.looked_with.update(looked_with)
            figures += _told(found)
    return figures


def _apart(name: str, module: str, sets: Sets) -> tuple[list[Figure], dict[str, dict[str, str]]]:
    """In a process of its own: figures, and with what pictures were looked at."""
    return _found(name, module, sets, alone=False), sets.looked_with


def measured(name: str, sets: Sets, alone: bool) -> list[Figure]:
    """What one measure says, told line by line."""
    return _told(_found(name, MEASURES[name], sets, alone))


def _found(name: str, module: str, sets: Sets, alone: bool) -> list[Figure]:
    from engine.evaluate.figures import under, without

    measure: Measure = import_module(module).measure
    try:
        return under(name, measure(sets))
    except UserError as error:
        if alone:
            raise
        return [without(name, error.problem)]


def _told(figures: list[Figure]) -> list[Figure]:
    for each in figures:
        say(f"{each.name:34} {each}{_beside(each)}")
    return figures


def as_document(
    figures: Sequence[Figure],
    lineage: Sequence[dict[str, Any]],
    looked_with: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The judge's JSON: figures, ancestors, and by measure the hash of the network that looked."""
    from engine.evaluate.figures import plain

    found = [plain(each) for each in figures]
    return {"figures": found, "lineage": [*lineage], "looked_with": looked_with}


def _beside(figure: Figure) -> str:
    told = (("floor", figure.floor), ("control", figure.control))
    return "".join(f"; {name} {value:.2f}" for name, value in told if value is not None)
