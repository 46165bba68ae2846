"""Outcomes as one table: every column is there, and a dead letter has no image but its spec."""

from __future__ import annotations

import json

from engine.gates import Verdict
from engine.schema import Annotation
from engine.stages.outcome import Outcome, as_outcomes, images, to_table
from engine.store.parts import outcome_schema


def test_a_row_tells_what_it_shows_and_a_dead_letter_what_was_asked(plan):
    specs = [plan.recipe.spec(index, plan.fingerprint) for index in range(2)]
    copy = Verdict(("copy", "dark"), nearest_distance=0.01, neighbour="key")
    rows = [
        Outcome(
            specs[0],
            b"image",
            annotation=Annotation(dr_grade=3, source="hrf"),
            caption="Worded.",
            caption_source="phantom",
            masks={"mask_disc": b"mask"},
            rejects=((41, copy), (42, Verdict(("blurred",)))),
        ),
        Outcome(specs[1], stage="draw", reason="ValueError: no", attempts=3),
    ]
    table = to_table(plan, rows, 0.5)
    assert table.schema == outcome_schema()
    row, letter = table.to_pylist()
    assert (row["dr_grade"], row["source"]) == (3, "hrf")
    assert (row["caption"], row["caption_source"]) == ("Worded.", "phantom")
    assert row["mask_disc"]["bytes"] == b"mask"
    assert row["mask_cup"] is row["spec"] is row["stage"] is None
    assert row["rejects"] == ["copy", "dark", "blurred"]
    assert [each["seed"] for each in row["neighbours"]] == [41], "only what names one"
    assert letter["image"] is letter["rejects"] is letter["neighbours"] is None
    assert json.loads(letter["spec"])["id"] == letter["id"] == specs[1].id
    assert letter["caption"] == specs[1].prompt
    assert rows[0].bytes == len(b"image") + len(b"mask")


def test_no_rows_are_a_table_too_and_columns_that_are_not_given_are_null(plan):
    assert to_table(plan, [], 0.0).num_rows == 0
    table = as_outcomes({"index": [4]}, 1)
    assert table.schema == outcome_schema()
    assert {name for name, value in table.to_pylist()[0].items() if value is not None} == {"index"}


def test_a_column_of_images_keeps_paths_and_gaps():
    assert images([b"a", None]).to_pylist() == [{"bytes": b"a", "path": None}, None]
    assert images([b"a"], ["x.png"]).to_pylist() == [{"bytes": b"a", "path": "x.png"}]
