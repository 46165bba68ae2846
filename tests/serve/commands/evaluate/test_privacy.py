"""`evaluate privacy`: its figures and the lineage as JSON."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.schema import Annotation


@pytest.fixture
def table(tmp_path):
    """Photographs: two that teach, and twenty held-out ones."""
    with (tmp_path / "real.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "split", "source"])
        for number in range(22):
            image = draw(Annotation(source="idrid"), number, 64).image
            Image.fromarray(image).save(tmp_path / f"{number}.png")
            lines.writerow([f"{number}.png", "test" if number > 1 else "train", "idrid"])
    return tmp_path / "real.csv"


def test_figures_and_lineage(retinaforge, table):
    words = ("evaluate", "privacy", "phantom:3", "--real", table, "--quick", "--json")
    code, out, said = retinaforge(*words)
    told = json.loads(out)
    assert code == 0
    (phantom,) = told["lineage"]
    assert (phantom["name"], phantom["photographs"], phantom["seen_in_test"]) == ("phantom", 0, 0)
    names = [each["name"] for each in told["figures"]]
    assert {"privacy.copies_pixels", "privacy.same_eye_score", "privacy.distinct"} <= {*names}
    assert "privacy: 3 files, 3 distinct" in said
