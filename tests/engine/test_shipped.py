"""What lies in this checkout is found by its name, all else by its path."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import shipped


def test_every_model_of_this_checkout_has_a_card():
    assert {shipped.DEFAULT, "gate", "segmenter", "captioner"} <= {*shipped.names()}
    assert all((shipped.folder_of(name) / "model_card.json").is_file() for name in shipped.names())


@pytest.mark.parametrize("place", ["", ".", "..", "nosuch", "tiny/vae", "/elsewhere", "LICENSE"])
def test_what_is_no_name_is_a_path(place):
    assert shipped.folder_of(place) == Path(place)


def test_a_folder_beside_the_work_never_hides_a_model_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert shipped.folder_of("tiny") == shipped.WEIGHTS / "tiny"


@pytest.mark.parametrize(
    ("place", "program"),
    [("phantom", True), ("null", True), ("null:20", True), ("tiny", False), ("/a/phantom", False)],
)
def test_programs_are_known_by_name_alone(place, program):
    assert shipped.is_program(place) is program
