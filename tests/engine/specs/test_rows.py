"""A user's rows as a table: what goes in comes out, and their canonical JSON is that of a list."""

from __future__ import annotations

import json
import pickle

import pytest
from pydantic import ValidationError

from engine.batches import GROUP
from engine.schema import Annotation
from engine.specs import Recipe, Row, Rows

ODD = [
    Row(annotation=Annotation(), prompt='An "eye",\\ \u20ac \x07 \U0001f441'),
    Row(annotation=Annotation(dr_grade=4, is_gc=0, eye_side=1, source='a "lab"')),
    Row(annotation=Annotation(source="hrf"), prompt="one\u2028line"),
]


def many(rows: int) -> list[Row]:
    return [
        Row(annotation=Annotation(dr_grade=n % 5 if n % 3 else None), prompt=f"eye {n}")
        for n in range(rows)
    ]


@pytest.mark.parametrize("rows", [[], ODD, many(2 * GROUP + 3)], ids=["none", "odd", "many"])
def test_what_goes_in_comes_out(rows):
    held = Rows.of(rows)
    assert (len(held), list(held)) == (len(rows), rows)
    assert all(held[n] == rows[n] for n in (0, len(rows) // 2, len(rows) - 1) if rows)
    assert pickle.loads(pickle.dumps(held)) == held
    listed = json.dumps([row.model_dump() for row in rows], sort_keys=True, separators=(",", ":"))
    assert f"[{''.join(held.canonical())}]" == listed


def test_rows_are_equal_by_what_they_hold():
    assert Rows.of(many(5)) == Rows.of(many(5)) != Rows.of(many(6))
    assert Rows.of(many(5)) != Rows.of([*many(4), *ODD[:1]])
    assert Rows.of(many(5)) != many(5)


def test_what_any_row_says_is_known_without_reading_them_one_by_one():
    rows = Rows.of(ODD)
    assert rows.sources() == {'a "lab"', "hrf"}
    assert rows.labels() == {"dr_grade", "is_gc", "eye_side"}
    assert rows.are_worded()
    assert not Rows.of(ODD[:1]).are_worded()
    turned = rows.of_source("chase")
    assert {row.annotation.source for row in turned} == {"chase"}
    assert [row.prompt for row in turned] == [row.prompt for row in ODD]
    assert turned[1].annotation.known() == ODD[1].annotation.known()


def test_a_recipe_lists_its_rows_as_json_and_reads_them_back():
    recipe = Recipe.of_rows(ODD, 3, 64)
    text = recipe.model_dump_json()
    assert json.loads(text)["rows"][1] == ODD[1].model_dump()
    assert Recipe.model_validate_json(text) == recipe
    wrong = text.replace('"dr_grade":4', '"dr_grade":9')
    with pytest.raises(ValidationError, match=r"rows\.1\.annotation\.dr_grade"):
        Recipe.model_validate_json(wrong)
    with pytest.raises(ValidationError):
        Recipe.model_validate_json(json.dumps({**json.loads(text), "rows": {"sha256": "0"}}))
