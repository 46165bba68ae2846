"""croissant.json: the Croissant library accepts it without a complaint and reads the rows by it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from engine.publish.card import write_card
from engine.schema import row_schema
from engine.store.parts import Cost, write_outcomes, write_part

ROWS = 5


@pytest.fixture
def described(folder, attempt, plan, block):
    write_outcomes(folder, attempt.number, plan.fingerprint, block(0, ROWS))
    write_card(folder, attempt.number, plan, ROWS, ROWS, 0)
    return folder.root / "croissant.json"


def test_the_library_finds_nothing_to_complain_of_and_reads_the_rows(described, plan):
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=str(described))
    assert not dataset.metadata.issues.errors
    assert not dataset.metadata.issues.warnings
    assert [str(each) for each in dataset.metadata.license] == ["cc-by-4.0"]
    rows = list(dataset.records("rows"))
    assert len(rows) == ROWS
    for number, row in enumerate(rows):
        spec = plan.recipe.spec(number, plan.fingerprint)
        assert row["rows/id"] == spec.id.encode()
        assert row["rows/dr_grade"] == spec.annotation.dr_grade
        colour = [spec.seed >> shift & 255 for shift in (0, 8, 16)]
        assert np.asarray(row["rows/image"])[3, 3].tolist() == colour


def test_parts_from_before_a_column_came_are_read_beside_later_ones(folder, attempt, plan, block):
    mlcroissant = pytest.importorskip("mlcroissant")
    earlier = [name for name in row_schema().names if name != "mask_fovea"]
    write_part(
        folder, attempt.number, plan.fingerprint, block(0, 3).select(earlier), Cost(1.0, 0.0)
    )
    write_outcomes(folder, attempt.number, plan.fingerprint, block(3, ROWS))
    write_card(folder, attempt.number, plan, ROWS, ROWS, 0)
    described = folder.root / "croissant.json"
    rows = list(mlcroissant.Dataset(jsonld=str(described)).records("rows"))
    assert {row["rows/index"] for row in rows} == set(range(ROWS))
    assert [*rows[0]] == [f"rows/{name}" for name in earlier]
    assert "Some files also hold mask_fovea." in described.read_text()


def test_every_column_of_a_row_is_described(described):
    record = json.loads(described.read_text())
    fields = {each["@id"] for each in record["recordSet"][0]["field"]}
    assert fields == {f"rows/{name}" for name in row_schema().names}
    assert all(each["description"] for each in record["recordSet"][0]["field"])


def test_it_does_not_say_where_the_model_lay(described, plan):
    record = json.loads(described.read_text())
    assert "model_location" not in json.dumps(record)
    assert record["conformsTo"] == "http://mlcommons.org/croissant/1.0"


def test_generating_does_not_import_the_library():
    code = "import sys, engine.publish.card; sys.exit('mlcroissant' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
