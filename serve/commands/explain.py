"""`explain`: where does a classifier find its answer?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.declared import AsJob, Reads, Writes, model_folder, photographs
from serve.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.data.masked import MaskedSquare

AS_JOB = AsJob()
EXAMPLE = "retinaforge explain runs/classifier-tiny --images labels.csv --out maps"
PAGE = "index.html"


def explain(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A classifier: a name or a folder."),
        Reads(of=model_folder),
    ],
    images: Annotated[
        str,
        typer.Option(help="Photographs, whose test split counts, or a drawn set."),
        Reads(of=photographs, sent=False),
    ],
    out: Annotated[Path, typer.Option(help="A folder for the maps and their page."), Writes()],
    task: Annotated[
        str | None, typer.Option(help="What it is asked, such as dr; its first task by default.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="At most so many photographs.")] = 40,
    as_json: Json = False,
) -> None:
    """Heat maps of where a classifier finds its answer.

    Grad-CAM, integrated gradients and occlusion over each photograph; where masks mark lesions, how
    well they point there, beside the middle of the eye and beside random weights.
    """
    from engine import registry
    from engine.evaluate.figures import plain, under
    from engine.evaluate.pointing import explained, pointing
    from engine.evaluate.reading import tasks_of
    from engine.publish.heat import page, sheet
    from engine.registry.classifier import ClassifierRef

    network = registry.find(ClassifierRef, model).load()
    tasks = tasks_of(network)
    asked = next((each for each in tasks if task in (None, each.name)), None)
    if asked is None:
        told = ", ".join(each.name for each in tasks)
        raise UserError(f"{task!r}", asked="task", expected=told)
    eyes, files = [], []
    squares = _squares(images, network.config.side, count)
    _made(out)
    for number, eye in enumerate(explained(network, tasks, asked, squares), 1):
        name = f"eye-{number:03}.png"
        sheet(eye).save(out / name)
        say(f"{name}: {asked.name} with a chance of {eye.chance:.2f}")
        eyes.append(eye)
        files.append((name, eye.chance))
    if not eyes:
        raise UserError("no photograph can be read", file=images)
    found = under("explain", pointing(eyes))
    for each in found:
        say(f"{each.name:44} {each}")
    (out / PAGE).write_text(page(Path(model).name, asked.name, files, found))
    say(f"written: {out / PAGE}")
    if as_json:
        print(json.dumps({"figures": [plain(each) for each in found]}))


def _squares(images: str, side: int, count: int) -> Iterator[MaskedSquare]:
    """Photographs whose lesions are marked where there are any, else drawn pictures, else all
    photographs."""
    from itertools import islice

    from engine.data.masked import LESIONS, masked_photographs, masked_set

    try:
        found = masked_photographs(images, LESIONS)
    except UserError:
        try:
            found = masked_set(images, LESIONS)
        except UserError:
            found = masked_photographs(images, LESIONS, bare=True)
    return islice(found.squares(side, lambda line: say(f"left out: {line}")), count)


def _made(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot be made: {error.strerror}", file=out, asked="out") from error
