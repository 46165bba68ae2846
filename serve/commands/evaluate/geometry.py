"""`evaluate geometry`: do photographs show the structures of their own masks?"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.declared import AsJob, Reads, model_folder, photographs
from serve.progress import say

if TYPE_CHECKING:
    from engine.data.masked import Masked, MaskedSquare
    from engine.evaluate.figures import Figure
    from engine.evaluate.geometry import Traced
    from engine.models.segmenter import Segmenter

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate geometry eyes --real labels.csv --source idrid"


Set = Annotated[
    str,
    typer.Argument(
        metavar="SET", help="A data set folder, a CSV with mask_* columns, or phantom:N."
    ),
    Reads(of=photographs, sent=False),
]
Real = Annotated[
    str,
    typer.Option(help="A CSV of photographs; its test split counts."),
    Reads(of=photographs, sent=False),
]


def geometry(
    set_: Set,
    real: Real,
    source: Annotated[
        str | None, typer.Option(help="The camera whose rows are looked at; any by default.")
    ] = None,
    size: Annotated[
        int, typer.Option(min=64, help="Pixels of the side at which all are read: 16 x n.")
    ] = 512,
    segmenter: Annotated[
        str,
        typer.Option(help="The segmenter that looks: a name or a folder."),
        Reads(of=model_folder),
    ] = "segmenter-512",
    as_json: Json = False,
) -> None:
    """Whether vessels, disc and cup lie where the masks have them.

    What a segmenter finds beside the masks, with its interval over eyes, and the share whose
    vessels fill, widen and wind as in 5 to 95 % of the photographs of their camera.
    """
    from engine.data.masked import STRUCTURES, masked_photographs, masked_set
    from engine.evaluate.geometry import figures, floors, left_out
    from train.frozen import load_segmenter

    if size % 16:
        raise UserError(f"{size}", asked="size", expected="a multiple of 16")
    network = load_segmenter(segmenter, 0)
    masked = masked_set(set_, STRUCTURES)
    beside_it = masked_photographs(real, STRUCTURES, bare=True)
    drawn = _trace(masked, "set", size, network, lambda each: _as_of(each, source))
    if not drawn:
        of = f" of {source}" if source else ""
        raise UserError(f"no photograph{of} with masks that can be read in the set", file=set_)
    cameras = {each.source for each in drawn}
    # Of other cameras those with a mask alone say anything.
    tested = _trace(
        beside_it, "real", size, network, lambda e: e if e.masks or e.source in cameras else None
    )
    rows, beside = figures(drawn, tested), floors(tested)
    if not rows:
        raise UserError("no mask holds a vessel or a disc", file=set_)
    _tell(rows)
    without_ratio = left_out(drawn)
    if without_ratio:
        say(f"cup/disc: {without_ratio} left out, whose disc is not found or is cut")
    if as_json:
        told: dict[str, Any] = {
            "figures": [*map(asdict, rows)],
            "real": [*map(asdict, beside)],
            "photographs": {"set": len(drawn), "real": len(tested)},
            "cup_disc_left_out": without_ratio,
            "size": size,
        }
        print(json.dumps(told))


def _trace(
    masked: Masked,
    name: str,
    size: int,
    network: Segmenter,
    chosen: Callable[[MaskedSquare], MaskedSquare | None],
) -> list[Traced]:
    from engine.evaluate.geometry import trace
    from serve.evaluating import watched

    squares = masked.squares(size, lambda reason: say(f"{name}: left out: {reason}"))
    looking = trace((each for each in map(chosen, squares) if each is not None), network)
    return list(watched(looking, masked.count, f"{name}: looked at"))


def _as_of(square: MaskedSquare, source: str | None) -> MaskedSquare | None:
    """A square of this source, or of which nothing tells its own; any where none is asked for."""
    if source is None:
        return square
    return square._replace(source=source) if square.source in (source, None) else None


def _tell(rows: list[Figure]) -> None:
    for each in rows:
        floor, chance = (
            "unknown" if value is None else f"{value:.2f}" for value in (each.floor, each.control)
        )
        by_chance = "" if each.control is None else f"; by chance {chance}"
        say(f"{each.name:19} {each}; photographs {floor}{by_chance}")
