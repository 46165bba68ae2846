"""Checks of single values: what is wrong whatever the model and the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.jobs.asks import DrawAsk, check_count, check_licence, check_out
from engine.schema import UserError


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"size": 0}, "size.*: 0 .expected 1 to 4096"),
        ({"size": 4097}, "size.*: 4097 "),
        ({"seed": -1}, "seed.*: -1 .expected 0 or more"),
        ({"steps": -1}, "steps.*: -1 .expected 1 to 1000"),
        ({"steps": 1001}, "steps.*: 1001 "),
        ({"guidance": float("nan")}, "guidance.*: nan .expected 0 or more"),
        ({"guidance": float("inf")}, "guidance.*: inf "),
        ({"guidance": -0.5}, "guidance.*: -0.5 "),
        ({"image_format": "tiff"}, "format.*'tiff' .expected webp or png or jpeg"),
    ],
)
def test_a_value_that_no_model_takes_is_refused_by_name(given, told):
    with pytest.raises(UserError, match=told):
        DrawAsk(**given).check()


def test_the_bounds_themselves_are_taken():
    DrawAsk(size=1, seed=0, steps=0, guidance=0.0, image_format="jpeg").check()
    DrawAsk(size=4096, seed=2**64, steps=1000, guidance=1e9).check()
    DrawAsk().check()


def test_of_the_files_of_an_ask_one_decides_the_rows():
    assert DrawAsk().table is None
    for name in ("prompts", "labels", "spec"):
        assert DrawAsk(**{name: Path("f")}).table == Path("f")


@pytest.mark.parametrize("count", [0, -3, 2**63])
def test_a_number_of_rows_that_is_none_is_refused(count, tmp_path):
    with pytest.raises(UserError, match=f"count.*: {count} "):
        check_count(tmp_path / "new", count)
    check_count(tmp_path / "new", None)
    check_count(tmp_path / "new", 2**63 - 1)


@pytest.mark.parametrize("name", ["", "-", "CC0", "free for all", "a" * 65, "mit\n"])
def test_what_is_no_name_of_a_licence_is_refused(name):
    with pytest.raises(UserError, match="⟨licence⟩"):
        check_licence(name)
    check_licence("cc-by-nc-4.0")


def test_a_folder_can_be_made_at_any_depth_but_not_below_a_file(tmp_path):
    check_out(tmp_path)
    check_out(tmp_path / "a/b/c")
    (tmp_path / "f").write_text("")
    for out in (tmp_path / "f", tmp_path / "f/a/b"):
        with pytest.raises(UserError, match=r"f is a file .expected a folder"):
            check_out(out)
    with pytest.raises(UserError, match="too long"):
        check_out(tmp_path / ("n" * 300))
