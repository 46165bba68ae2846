"""Others' texts in Markdown and YAML stay the texts that they are."""

from __future__ import annotations

import pytest
import yaml

from engine.publish.tables import plain, quoted, table


@pytest.mark.parametrize("odd", ["a|b", "a\nb", "<img>", "![a](b)", "&lt;", "\x85\u2028", ""])
def test_a_cell_stays_in_its_cell(odd):
    lines = table(("name", "value"), [(odd, "1"), ("b", odd)]).split("\n")
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {3}
    assert not set("<>[]") & set(plain(odd))


def test_a_table_has_a_head_a_rule_and_its_rows():
    assert table(("a", "b"), []) == "| a | b |\n| --- | --- |"
    assert table(("a",), [("1",), ("2",)]).split("\n")[2:] == ["| 1 |", "| 2 |"]


@pytest.mark.parametrize("odd", ["no", "1.0", "a: b #c", 'say "no"', "a\nb", "\x85\u2028", "é", ""])
def test_a_quoted_text_is_read_back_as_that_text(odd):
    assert yaml.safe_load(f"name: {quoted(odd)}\n") == {"name": odd}
