"""`identify` answers for every file, and for odd ones too."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.pixels.encode import Origin, encode


@pytest.fixture
def marked(tmp_path):
    file = tmp_path / "eye.webp"
    file.write_bytes(encode(np.zeros((8, 8, 3), np.uint8), "webp", Origin("tiny", "ab12", 41)))
    return file


def test_every_file_is_answered_for_and_an_unreadable_one_exits_2(retinaforge, marked, tmp_path):
    code, text, _ = retinaforge("identify", marked)
    assert (code, "seed 41" in text) == (0, True)
    (tmp_path / "notes.txt").write_text("no image")
    code, text, _ = retinaforge("identify", tmp_path / "notes.txt", marked, "--json")
    first, second = map(json.loads, text.splitlines())
    assert code == 2
    assert "cannot be read" in first["error"]
    assert (second["synthetic"], second["model"], second["seed"]) == (True, "tiny", 41)


def test_a_file_name_cannot_forge_a_line(retinaforge, marked):
    odd = marked.with_name("eye.webp: no mark found\nother.webp")
    odd.write_bytes(marked.read_bytes())
    code, text, _ = retinaforge("identify", odd)
    assert (code, text.count("\n")) == (0, 1)
