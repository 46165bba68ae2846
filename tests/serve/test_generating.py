"""What `generate` says of rows that were brought, and the fingerprint that a job is known by."""

from __future__ import annotations

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.store.plan import write_plan
from serve.generating import fingerprint


def test_prompts_that_contradict_their_labels_are_told_of_on_standard_error(tmp_path, capsys):
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "Mild NPDR", "dr_grade": 2}\n{"prompt": "Glaucoma"}\n')
    out = tmp_path / "o"
    flags = {"out": out, "count": 2, "model": "null", "prompts": prompts}
    found = fingerprint(flags)
    told = capsys.readouterr().err
    assert told.startswith(f"{prompts}: rows whose prompt contradicts their labels, which are used")
    assert told.count("\n") == 1
    drawing = plan_drawing(DrawAsk(model="null", prompts=prompts, elsewhere=True))
    assert found == drawing.plan.fingerprint
    write_plan(out, drawing.plan)
    assert fingerprint({"out": out, "count": 2}) == found
    assert capsys.readouterr().err == ""
