"""`evaluate towers`: what do trained towers tell of eyes by words alone?"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from serve.commands._options import Json
from serve.declared import AsJob, Reads, model_folder, photographs
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate towers run --images eyes.csv"


def towers(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="What train visionclip-… wrote: a name or a folder."),
        Reads(of=model_folder),
    ],
    images: Annotated[
        str,
        typer.Option(help="A CSV of photographs with labels or captions; its test split counts."),
        Reads(of=photographs, sent=False),
    ],
    as_json: Json = False,
) -> None:
    """What towers tell of eyes by words alone.

    Retinopathy, its grade, edema, glaucoma, soft exudates, healthy or not, source by source: the
    area under the curve, kappa or share that is right, with the 95 % interval over eyes, beside who
    knows but how frequent each answer is. Without a test split all photographs count. One that
    taught the towers, or a model that drew for them, is refused.
    """
    from engine import registry
    from engine.data.sources import read_asked
    from engine.data.splits import held_out, one_per_eye
    from engine.evaluate.figures import plain, under
    from engine.evaluate.lineage import unseen
    from engine.evaluate.sets import looked_at
    from engine.registry.towers import TowersRef
    from train.zeroshot import asked

    found = registry.find(TowersRef, model)
    examples = read_asked(images, "images")
    tested = held_out(examples) if any(each.split for each in examples) else examples
    taught = found.describe().learned_from.get("photographs", 0)
    say(f"{taught:,} photographs taught these towers")
    tested = unseen(found, tested, say)
    looked = looked_at([eye[0] for eye in one_per_eye(tested)], "images", say)
    figures = under("towers", asked(found.load(), looked))
    for each in figures:
        control = "" if each.control is None else f"; control {each.control:.2f}"
        say(f"{each.name:34} {each}{control}")
    if as_json:
        print(json.dumps({"figures": [plain(each) for each in figures]}))
