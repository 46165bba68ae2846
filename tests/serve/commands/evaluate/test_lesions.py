"""`evaluate lesions`: figures of a set beside those of photographs, and what it says of sets that
hold nothing to measure."""

from __future__ import annotations

import csv
import json
from dataclasses import fields

import pytest
from PIL import Image

from engine.evaluate.figures import Figure
from engine.phantom.render import draw
from engine.pixels.encode import encode_mask
from engine.schema import Annotation
from engine.seeds import row_seed

COLUMNS = ("mask_disc", "mask_dark_lesion", "mask_bright_lesion")


@pytest.fixture
def eyes(tmp_path):
    """eyes(grade): a table of three phantoms of this grade as if they were photographs."""

    def written(grade, columns=COLUMNS):
        table = tmp_path / f"grade-{grade}.csv"
        with table.open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", *columns])
            for number in range(3):
                phantom = draw(Annotation(dr_grade=grade), row_seed(8, number), 256)
                names = [f"{grade}-{number}-{name}.png" for name in ("eye", *columns)]
                Image.fromarray(phantom.image).save(tmp_path / names[0])
                for name, column in zip(names[1:], columns):
                    mask = encode_mask(phantom.masks[column.removeprefix("mask_")])
                    (tmp_path / name).write_bytes(mask)
                lines.writerow(names)
        return table

    return written


def test_figures_of_a_set_beside_photographs(retinaforge, eyes):
    table = eyes(3)
    words = ("evaluate", "lesions", table, "--real", table, "--size", 256, "--json")
    code, out, said = retinaforge(*words)
    told = json.loads(out)
    assert (code, told["size"], told["photographs"]) == (0, 256, {"set": 3, "real": 3})
    by_name = {each["name"]: each for each in told["figures"]}
    for name in ("visible_dark", "visible_bright"):
        found = by_name[name]
        assert {*found} == {each.name for each in fields(Figure)}
        assert 0.5 < found["low"] <= found["value"] == found["floor"] <= found["high"]
        assert found["control"] < 0.3
        assert f"{name} " in said
    assert "parted by light" not in said
    assert retinaforge(*words)[1] == out


def test_what_parted_by_light_means_is_said(retinaforge, eyes):
    table = eyes(3, ("mask_lesion",))
    code, out, said = retinaforge(
        "evaluate", "lesions", "phantom:2", "--real", table, "--size", 128
    )
    assert (code, out) == (0, "")
    assert "real: mask_lesion is parted by light" in said
    assert "set: mask_lesion" not in said


def test_nothing_to_measure_is_an_error_of_whom_it_lacks(retinaforge, eyes):
    sick, healthy = eyes(3), eyes(0)
    for set_, real, named in ((healthy, sick, "grade-0"), (sick, healthy, "grade-0")):
        code, out, said = retinaforge("evaluate", "lesions", set_, "--real", real, "--size", 128)
        assert (code, out) == (2, "")
        assert f"{named}.csv: no mask that can be read holds a lesion" in said


def test_what_is_not_there_is_told_by_the_name_it_was_asked_by(retinaforge, eyes, tmp_path):
    sick, none = eyes(3), tmp_path / "none"
    for set_, real, asked in ((none, sick, "SET"), (sick, none, "--real")):
        code, _, said = retinaforge("evaluate", "lesions", set_, "--real", real)
        assert code == 2
        assert f"none: {asked}: no such file or folder" in said


def test_an_empty_folder_holds_nothing(retinaforge, empty, eyes):
    code, _, said = retinaforge("evaluate", "lesions", empty, "--real", eyes(3), "--size", 128)
    assert code == 2
    assert f"{empty}: no mask that can be read holds a lesion" in said
