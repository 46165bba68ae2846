"""The report's histograms: of what was measured, with the limit that judged."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from engine import gates, shipped
from engine.gates.privacy import Reference
from engine.models.card import PRIVACY, hash_folder
from engine.publish.charts import BINS, CHART_HEIGHT, CHART_WIDTH, charts_of, copy_limit, histogram
from engine.publish.drawn import describe
from engine.store.parts import write_outcomes
from engine.store.rows import shares


def test_columns_stand_for_all_values():
    values = np.array([0.0, 0.5, 0.5, 1.0])
    chart = histogram(values, "Score", "words", (0, 1))
    assert [bar.height for bar in chart.bars] == [CHART_HEIGHT / 2, CHART_HEIGHT, CHART_HEIGHT / 2]
    assert chart.bars[0].words == f"0.000 to {1 / BINS:.3f}: 1 rows"
    assert chart.summary.startswith("4 rows, median 0.500; nine in ten lie from 0.075 to 0.925")
    assert (chart.low, chart.high, chart.mark) == ("0", "1", None)
    assert all(bar.x >= 0 and bar.x + bar.width <= CHART_WIDTH for bar in chart.bars)


def test_nothing_measured_is_no_chart():
    assert histogram(np.empty(0), "Score", "words", (0, 1)).bars == []


def test_a_limit_above_every_distance_is_still_on_the_chart(filled):
    parts = shares(filled)
    assert [chart.bars for chart in charts_of(filled, parts, None)] == [[], []]


def test_the_limit_is_marked_where_it_is_known(folder, attempt, plan, block):
    table = block(0, 4)
    at = table.schema.get_field_index("nearest_distance")
    values = pa.array([0.1, 0.2, None, 0.2], table.schema.field(at).type)
    table = table.set_column(at, table.schema.field(at), values)
    write_outcomes(folder, attempt.number, plan.fingerprint, table)
    _, distance = charts_of(folder, shares(folder), 0.25)
    assert distance.mark == CHART_WIDTH
    assert distance.high == "0.25"
    assert "Nearer than 0.25, the dashed line, is refused." in distance.words
    assert distance.summary.startswith("3 rows")
    _, unknown = charts_of(folder, shares(folder), None)
    assert unknown.mark is None
    assert "dashed" not in unknown.words


@pytest.fixture
def judged(tmp_path, plan_of):
    """A model folder with a privacy gate, and make(reference): the guard of a plan it judges."""
    model = shutil.copytree(shipped.WEIGHTS / "dualgan-tiny", tmp_path / "gan")

    def make(reference=None, names=("quality", "privacy")):
        plan = plan_of(str(model), 256).model_copy(
            update={
                "gates": names,
                "gates_sha256": gates.digest(names, model, reference),
                "gates_reference": str(reference) if reference else None,
            }
        )
        return describe(plan).guard

    return model, make


def test_the_limit_that_is_shown_is_the_one_that_judged(judged, tmp_path):
    model, make = judged
    first, kept = make(), Reference.read(model / PRIVACY)
    assert copy_limit(first) == kept.nearest
    assert copy_limit(make(names=("quality",))) is None

    replace(kept, nearest=0.25).write(model / PRIVACY)
    assert copy_limit(first) is None, "calibrated anew since"
    assert copy_limit(make()) == 0.25

    own = tmp_path / "own.safetensors"
    replace(kept, nearest=0.125, model=hash_folder(model)).write(own)
    aside = make(own)
    assert copy_limit(aside) == 0.125
    own.unlink()
    assert copy_limit(aside) is None, "not here any more"
