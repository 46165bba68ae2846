"""`evaluate readings`: what does a classifier read off photographs that taught it nothing?"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.declared import AsJob, Reads, model_folder, photographs
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate readings runs/classifier-tiny --data labels.csv"


def readings(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A classifier: a name or a folder."),
        Reads(of=model_folder),
    ],
    data: Annotated[
        list[str],
        typer.Option(help="Labelled photographs with a test split; repeatable."),
        Reads(of=photographs, sent=False),
    ],
    as_json: Json = False,
) -> None:
    """What a classifier reads off the test split.

    Of each task that it was taught, the area under the curve (kappa of more than two answers) and
    how often it is right, with intervals over eyes, beside chance and the commonest answer. A
    photograph that taught it, whatever its name, is refused.
    """
    from engine import registry
    from engine.data import splits
    from engine.data.sources import read_examples
    from engine.evaluate.figures import plain, under
    from engine.evaluate.lineage import unseen
    from engine.evaluate.reading import read_off
    from engine.registry.classifier import ClassifierRef

    ref = registry.find(ClassifierRef, model)
    tested = splits.held_out(read_examples(data))
    if not tested:
        raise UserError("no photograph of a test split", asked="data", expected="split test")
    eyes = [eye[0] for eye in splits.one_per_eye(unseen(ref, tested, say))]
    found = under("readings", read_off(ref.load(), eyes, say))
    for each in found:
        control = "" if each.control is None else f"; by chance {each.control:.2f}"
        say(f"{each.name:24} {each}{control}")
    if as_json:
        print(json.dumps({"figures": [plain(each) for each in found]}))
