"""`purify`: a table that teaches, held against its photographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from serve.commands._options import Data, Json, Scorer
from serve.declared import AsJob, Writes
from serve.progress import counting, say

AS_JOB = AsJob()
EXAMPLE = "retinaforge purify --data eyes.csv --out pure"

Out = Annotated[Path, typer.Option(help="The folder, new or to go on with."), Writes()]


def purify(out: Out, data: Data = None, scorer: Scorer = None, as_json: Json = False) -> None:
    """Keep, repair or drop each row that teaches, by its photograph.

    Writes OUT/labels.csv for `train --data`, rulings.csv with the reason for each row, report.json.
    The same command goes on with OUT. Held-out rows stay as they are.
    """
    from engine.purify.run import TABLE, PurifyAsk
    from engine.purify.run import purify as purified

    report = purified(PurifyAsk(data or [], out, scorer), counting("photographs"))
    for line in report.lines():
        say(line)
    if as_json:
        print(json.dumps({"out": str(out), **report.told()}))
    else:
        print(f"{out / TABLE}: {report.left:,} photographs that teach")
