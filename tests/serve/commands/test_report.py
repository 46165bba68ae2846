"""`report` prints where its page lies, and tells what the folder lacks."""

from __future__ import annotations

import json

from engine.registry.null import NullSampler
from engine.stages.draw import Draw
from engine.store.commits import Folder
from engine.store.parts import write_outcomes


def test_report_prints_the_page(retinaforge, empty):
    code, text, _ = retinaforge("report", empty, "--json")
    assert code == 0
    assert json.loads(text)["page"] == str(empty / "report" / "index.html")


def test_a_report_is_written_where_no_eye_can_be_drawn(retinaforge, empty, plan):
    gone = plan.model_copy(update={"model": "mine", "model_location": "/nowhere/mine"})
    (empty / "plan.json").write_text(gone.sealed().model_dump_json())
    code, text, err = retinaforge("report", empty)
    assert (code, "no picture of one eye: " in err) == (0, True)
    assert str(empty / "report" / "index.html") in text


def test_a_half_whole_folder_is_told_of(retinaforge, empty, plan):
    table = Draw(plan, NullSampler(0)).table([(0, 2)])
    write_outcomes(Folder(empty), 1, plan.fingerprint, table)
    code, _, err = retinaforge("report", empty)
    assert (code, f"{empty}: 1 of 3 planned rows are missing" in err) == (0, True)
