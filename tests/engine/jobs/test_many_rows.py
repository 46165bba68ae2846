"""A hundred thousand prompts from a file to committed rows, and what they cost a worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_into
from engine.jobs.run import Schedule, carry_out
from engine.publish.export import export
from engine.publish.mix import asked_labels
from engine.publish.report import write_report
from engine.schema import UserError
from engine.store.commits import Folder, read_commits
from engine.store.plan import read_plan
from engine.store.verify import verify

MANY = 100_000
EYES = ("PDR, left eye", "No diabetic retinopathy", "Glaucoma of a right eye")
WORKER = r"""
import re, sys
from pathlib import Path
from engine.stages.draw import DrawActor
from engine.stages.limits import PartLimits
actor = DrawActor(sys.argv[1], 1, None, PartLimits())
rows = [row for row in actor._draw.outcomes([(90_000, 90_050)])]
print(rows[0].spec.prompt)
# The kernel's count of this program's own: what getrusage tells is at least what the test held.
print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""

pytestmark = pytest.mark.slow


def prompts(path: Path, rows: int) -> Path:
    path.write_text("".join(f"{EYES[n % 3]}, number {n}.\n" for n in range(rows)))
    return path


def worker_of(out: Path) -> tuple[str, int]:
    told = subprocess.run(
        [sys.executable, "-c", WORKER, str(out)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return told[-2], int(told[-1])


def test_a_hundred_thousand_prompts_are_drawn_and_cost_a_worker_nothing(tmp_path):
    ask = DrawAsk(model="null", prompts=prompts(tmp_path / "many.txt", MANY))
    out, few = tmp_path / "many", tmp_path / "few"
    for folder, each in (
        (out, ask),
        (few, DrawAsk(model="null", prompts=prompts(tmp_path / "few.txt", 10))),
    ):
        drawing = plan_into(folder, each, 40)
        carry_out(folder, drawing, 40, Schedule(workers=1), lambda _: None)
        assert verify(folder).exit_code == 0
    assert (out / "plan.json").stat().st_size < 4096
    assert len(read_plan(out).recipe.rows) == MANY
    (first, *_) = read_commits(Folder(out))[0]
    row = pq.read_table(out / "parts" / first.part).to_pylist()[0]
    assert row["prompt"] == f"{EYES[row['index'] % 3]}, number {row['index']}."
    assert row["dr_grade"] == (4, 0, None)[row["index"] % 3]
    told, much = worker_of(out)
    assert told == f"{EYES[0]}, number 90000."
    assert much < worker_of(few)[1] + (16 << 10)
    counts = asked_labels(read_plan(out), MANY)
    # Rows spread evenly over three that take turns: a third, but for the steps of the spreading.
    assert counts["dr_grade"][4] == pytest.approx(2048 / 3, rel=0.01)
    (table,) = out.glob("rows-*.parquet")
    table.write_bytes(table.read_bytes()[:-9])
    uses = (
        verify,
        write_report,
        lambda folder: export(folder, "imagefolder", tmp_path / "e", lambda *_: None),
        lambda folder: plan_into(folder, DrawAsk(), 50),
    )
    for use in uses:
        with pytest.raises(UserError, match=rf"{table.name}: the table of rows was changed"):
            use(out)
    assert json.loads((out / "plan.json").read_text())["recipe"]["rows"]["rows"] == MANY
