"""`--data phantom[:COUNT]`: phantoms are examples like photographs, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data import splits
from engine.data.example import decode
from engine.data.phantoms import COUNT, PhantomExample
from engine.data.sources import read_examples
from engine.data.squares import load_squares
from engine.schema import LABEL_NAMES, UserError


def test_a_count_gives_so_many_different_eyes_with_all_labels_known():
    examples = read_examples(["phantom:30"])
    assert len(examples) == 30
    assert len({example.path for example in examples}) == 30
    assert len({example.identity() for example in examples}) == 30
    for example in examples:
        assert set(example.annotation.known()) == set(LABEL_NAMES)
        assert example.annotation.source == "phantom"
    assert len(splits.one_per_eye(splits.teaching(examples))) == 30
    grades = {example.annotation.dr_grade for example in examples}
    assert len(grades) >= 3


def test_without_a_count_there_are_a_thousand():
    assert len(read_examples(["phantom"])) == COUNT == 1000


def test_phantom_three_is_phantom_three_in_every_count():
    few, many = read_examples(["phantom:4"]), read_examples(["phantom:40"])
    assert many[:4] == few
    assert few[3].read_bytes() == many[3].read_bytes()


def test_a_phantom_is_read_as_a_photograph_is():
    (example,) = read_examples(["phantom:1"])
    image = decode(example.read_bytes(), "phantom")
    assert image.size == (512, 512)
    assert np.asarray(image).max() > 60
    squares, refused = load_squares([example], 64)
    assert not refused
    assert squares[0].shape == (3, 64, 64)


def test_a_phantom_is_drawn_with_its_masks_at_the_size_asked():
    (example,) = read_examples(["phantom:1"])
    assert isinstance(example, PhantomExample)
    drawn = example.draw(96)
    assert drawn.image.shape == (96, 96, 3)
    assert drawn.annotation == example.annotation
    assert drawn.masks["vessel"].any()


def test_phantoms_stand_beside_photographs(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64), (150, 80, 30)).save(tmp_path / "eye.png")
    examples = read_examples([str(tmp_path), "phantom:2"])
    drawn, taken = splits.drawn_apart(examples)
    assert (len(drawn), len(taken)) == (2, 1)


def test_a_folder_of_that_name_is_read_as_a_folder(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    (tmp_path / "phantom").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "phantom" / "eye.png")
    (example,) = read_examples(["phantom"])
    assert not isinstance(example, PhantomExample)


@pytest.mark.parametrize("text", ["phantom:0", "phantom:many", "phantom:-3"])
def test_a_wrong_count_is_the_users_error(text):
    with pytest.raises(UserError, match="phantom:COUNT"):
        read_examples([text])
