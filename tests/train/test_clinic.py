"""A clinic's photographs are all of its source, and of nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from engine.data.example import Example
from engine.schema import Annotation, UserError
from train.clinic import measured, of_clinic
from train.frozen import load_segmenter


def example(source: str | None) -> Example:
    return Example(Path("eye.png"), Annotation(source=source, dr_grade=2))


def test_photographs_without_a_source_get_the_clinics():
    named = of_clinic([example(None), example("acme")], "acme")
    assert [each.annotation for each in named] == [Annotation(source="acme", dr_grade=2)] * 2
    assert of_clinic([example("idrid")], "") == [example("idrid")]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("hrf", "'hrf' is a camera that is known already"),
        ("acme", r"eye.png is of the source 'other' \(expected other, or photographs of 'acme'"),
    ],
)
def test_another_cameras_photographs_are_refused(source, told):
    with pytest.raises(UserError, match=told):
        of_clinic([example(None), example("other")], source)


def test_black_pictures_are_no_camera(tmp_path):
    Image.new("RGB", (96, 64)).save(tmp_path / "eye.png")
    with pytest.raises(UserError, match="⟨data⟩: all photographs are black"):
        measured([Example(tmp_path / "eye.png", Annotation())], load_segmenter("", 0))
