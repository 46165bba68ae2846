"""`evaluate geometry`: figures of a set beside photographs, and what it says of sets without
masks."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.pixels.encode import encode_mask
from engine.schema import Annotation
from engine.seeds import row_seed

COLUMNS = ("mask_vessel", "mask_disc", "mask_cup")
SIDE = 128


@pytest.fixture
def table(tmp_path):
    """table(columns): nine phantoms as if they were photographs of idrid, with these masks."""

    def written(columns=COLUMNS):
        file = tmp_path / f"eyes-{len(columns)}.csv"
        with file.open("w", newline="") as text:
            lines = csv.writer(text)
            lines.writerow(["file", "split", "source", *columns])
            for number in range(9):
                phantom = draw(Annotation(source="idrid"), row_seed(8, number), SIDE)
                names = [f"{number}-{name}.png" for name in ("eye", *columns)]
                Image.fromarray(phantom.image).save(tmp_path / names[0])
                for name, column in zip(names[1:], columns):
                    mask = encode_mask(phantom.masks[column.removeprefix("mask_")])
                    (tmp_path / name).write_bytes(mask)
                lines.writerow([names[0], "test", "idrid", *names[1:]])
        return file

    return written


def test_figures_of_a_set_beside_photographs(retinaforge, table):
    words = ("evaluate", "geometry", table(), "--real", table(), "--size", SIDE, "--json")
    code, out, said = retinaforge(*words, "--source", "idrid")
    told = json.loads(out)
    assert (code, told["size"], told["photographs"]) == (0, SIDE, {"set": 9, "real": 9})
    found = {each["name"]: each for each in told["figures"]}
    assert [*found] == [each["name"] for each in told["real"]]
    assert {*found} >= {"vessel_dice", "disc_dice", "cup_disc_r", "fractal_in_band"}
    assert {*found["disc_dice"]} >= {"name", "value", "low", "high", "n", "floor", "control"}
    assert found["vessel_dice"]["value"] == found["vessel_dice"]["floor"]
    assert found["vessel_dice"]["value"] > found["vessel_dice"]["control"]
    assert found["cup_disc_r"]["n"] + told["cup_disc_left_out"] == 9
    assert "vessel_dice" in said


def test_what_there_is_nothing_to_measure_of_is_told(retinaforge, table, tmp_path):
    bare, masked = table(()), table()
    words = ("--size", SIDE)
    for set_, options, reason in (
        (bare, ("--real", masked), "eyes-0.csv: nothing here has a mask of vessels or disc"),
        (masked, ("--real", masked, "--source", "hrf"), "no photograph of hrf with masks"),
        (masked, ("--real", tmp_path / "none"), "none: --real: no such file or folder"),
        (masked, ("--real", masked, "--size", 100), "--size: 100 (expected a multiple of 16)"),
    ):
        code, out, said = retinaforge("evaluate", "geometry", set_, *words, *options)
        assert (code, out) == (2, "")
        assert reason in said
