"""`evaluate spectrum`: has a set the texture of photographs?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.declared import AsJob, Reads, photographs
from serve.progress import say

if TYPE_CHECKING:
    from engine.data.example import Example
    from engine.evaluate.figures import Figure

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate spectrum eyes --real labels.csv --source idrid"


def spectrum(
    set_: Annotated[
        str,
        typer.Argument(metavar="SET", help="A data set folder, a folder of images, or a CSV."),
        Reads(of=photographs, sent=False),
    ],
    real: Annotated[
        str,
        typer.Option(help="A CSV of photographs with a train and a test split."),
        Reads(of=photographs, sent=False),
    ],
    source: Annotated[
        str | None, typer.Option(help="The camera that both are compared on; any by default.")
    ] = None,
    size: Annotated[int, typer.Option(min=256, help="Pixels of the side of all.")] = 512,
    eyes: Annotated[int, typer.Option(min=2, help="At most so many eyes of each.")] = 100,
    as_json: Json = False,
) -> None:
    """How much texture of each fineness a set has, and its seams.

    Power in decibels by octave, with its interval over eyes, less that of the test split; beside it
    photographs of the train split and phantoms of the test split's labels. Then the same of what
    comes again every 8, 16 or 32 pixels.
    """
    from engine.data.sources import read_asked
    from engine.data.splits import drawn_apart, held_out, teaching
    from engine.evaluate.spectrum import figures, one_of_each, phantoms, spectra
    from serve.evaluating import watched

    _, taken = drawn_apart(_of_source(read_asked(real, "real"), {source}))
    found = {
        "set": (set_, _of_source(read_asked(set_, "set"), {source, None})),
        "test split": (real, held_out(taken)),
        "train split": (real, teaching(taken)),
    }
    read = {}
    for name, (file, examples) in found.items():
        if not examples:
            of = f" of {source}" if source else ""
            raise UserError(f"no photograph{of} in the {name}", file=file)
        some = one_of_each(examples, eyes)
        reading = spectra(some, size, lambda reason: say(f"left out: {reason}"))
        read[name] = list(watched(reading, len(some), f"{name}: looked at"))
    tested = one_of_each(found["test split"][1], eyes)
    drawn = list(watched(phantoms(tested, size), len(tested), "phantoms: drawn"))
    rows = figures(read["set"], read["test split"], read["train split"], drawn)
    for each in rows:
        say(f"{each.name:14} {_decibels(each)}")
    if as_json:
        counts = {name: len(each) for name, each in read.items()}
        print(json.dumps({"figures": [*map(asdict, rows)], "photographs": counts, "size": size}))


def _of_source(examples: Sequence[Example], sources: set[str | None]) -> list[Example]:
    """Those of one of these sources; all where none is asked for."""
    asked = sources != {None}
    return [each for each in examples if not asked or each.annotation.source in sources]


def _decibels(figure: Figure) -> str:
    value, floor, control = (
        "unknown" if each is None else f"{each:+.1f} dB"
        for each in (figure.value, figure.floor, figure.control)
    )
    if figure.low is not None:
        value += f" ({figure.low:+.1f} to {figure.high:+.1f})"
    return f"{value} of {figure.n:,} eyes; other photographs {floor}; phantoms {control}"
