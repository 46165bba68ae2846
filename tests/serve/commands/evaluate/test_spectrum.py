"""`evaluate spectrum`: figures by octave beside photographs and phantoms."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.schema import Annotation
from engine.seeds import row_seed


@pytest.fixture
def eyes(tmp_path):
    """A table of phantoms as if they were photographs of idrid, and the folder of its images."""
    (tmp_path / "images").mkdir()
    with (tmp_path / "eyes.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "split", "source"])
        for number in range(6):
            phantom = draw(Annotation(source="idrid"), row_seed(8, number), 256)
            Image.fromarray(phantom.image).save(tmp_path / f"images/{number}.png")
            lines.writerow([f"images/{number}.png", ("train", "test")[number % 2], "idrid"])
    return tmp_path / "eyes.csv"


def test_figures_of_a_folder_of_images_beside_photographs(retinaforge, eyes):
    words = ("--real", eyes, "--source", "idrid", "--size", 256, "--json")
    code, out, said = retinaforge("evaluate", "spectrum", eyes.parent / "images", *words)
    told = json.loads(out)
    assert (code, told["size"]) == (0, 256)
    assert told["photographs"] == {"set": 6, "test split": 3, "train split": 3}
    assert [each["name"] for each in told["figures"]][::5] == ["octave_2_4", "octave_64_128"]
    for each in told["figures"]:
        # The set is both splits, so it lies halfway between them.
        assert each["value"] == pytest.approx(each["floor"] / 2)
        assert each["low"] <= each["value"] <= each["high"]
    assert "octave_8_16" in said


def test_a_camera_or_a_split_that_is_not_there_is_told(retinaforge, eyes):
    words = ("evaluate", "spectrum", "phantom:2", "--real", eyes, "--size", 256)
    code, _, said = retinaforge(*words, "--source", "hrf")
    assert code == 2
    assert "no photograph of hrf in the set" in said
    eyes.write_text(eyes.read_text().replace("test", "train"))
    code, _, said = retinaforge(*words)
    assert code == 2
    assert "eyes.csv: no photograph in the test split" in said
