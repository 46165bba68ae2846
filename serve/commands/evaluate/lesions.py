"""`evaluate lesions`: are the lesions of the masks there to see?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.declared import AsJob, Reads, photographs
from serve.progress import say

if TYPE_CHECKING:
    from engine.data.masked import Masked
    from engine.evaluate.lesions import Examined

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate lesions eyes --real labels.csv"


def lesions(
    set_: Annotated[
        str,
        typer.Argument(
            metavar="SET", help="A data set folder, a CSV with mask_* columns, or phantom:N."
        ),
        Reads(of=photographs, sent=False),
    ],
    real: Annotated[
        str,
        typer.Option(help="A CSV of photographs with mask_* columns; its test split counts."),
        Reads(of=photographs, sent=False),
    ],
    size: Annotated[int, typer.Option(min=64, help="Pixels of the side at which all are read.")] = (
        512
    ),
    as_json: Json = False,
) -> None:
    """How many lesions of the masks are there to see.

    The share of dark and of bright ones whose contrast exceeds that of 95 % of displaced copies,
    with its interval over eyes, beside that in photographs and by chance (masks of another eye).
    """
    from engine.data.masked import LESIONS, masked_photographs, masked_set
    from engine.evaluate.lesions import figures

    opened = {"set": masked_set(set_, LESIONS), "real": masked_photographs(real, LESIONS)}
    looked = {name: _look(each, name, size) for name, each in opened.items()}
    found = figures(looked["set"], looked["real"])
    floors = figures(looked["real"], ())
    for source, measured in ((set_, found), (real, floors)):
        if not measured:
            raise UserError(
                "no mask that can be read holds a lesion that can be measured",
                file=source,
                expected="eyes with lesions, of 4 pixels and more",
            )
    beside = {each.name: each for each in floors}
    for each in found:
        chance = "unknown" if each.control is None else f"{each.control:.2f}"
        floor = beside.get(each.name, "have none")
        say(f"{each.name:22} {each}; photographs {floor}; by chance {chance}")
    if as_json:
        rows = {"figures": [*map(asdict, found)], "real": [*map(asdict, floors)]}
        counts = {name: len(each) for name, each in looked.items()}
        print(json.dumps({**rows, "photographs": counts, "size": size}))


def _look(masked: Masked, name: str, size: int) -> list[Examined]:
    from engine.evaluate.lesions import look
    from serve.evaluating import watched

    if masked.by_light:
        say(
            f"{name}: mask_lesion is parted by light, as no mask_dark_lesion and no "
            "mask_bright_lesion tell which lesions ought to be dark"
        )
    squares = masked.squares(size, lambda reason: say(f"{name}: left out: {reason}"))
    looking = look(square[:3] for square in squares)
    return list(watched(looking, masked.count, f"{name}: looked at"))
