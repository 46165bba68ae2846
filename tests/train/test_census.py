"""Whatever learns from photographs leaves behind what they look like, to be known again by."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from discs import settings
from PIL import Image

from engine.data.likeness import bits_of, likeness
from engine.models.card import read_card
from engine.models.naming import NamedPhotographs
from engine.phantom.render import draw
from engine.pixels.encode import encode_mask
from engine.schema import Annotation
from train.presets import PRESETS

EYES, SIDE = 4, 256
ELSEWHERE = ("text-debug", "student-debug", "captioner-debug", "diffusion-debug")
"""The first two see no photograph; the others are slow, and asked where they are trained."""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Photographs with labels and a mask: enough for any recipe."""
    folder = tmp_path_factory.mktemp("eyes")
    with (folder / "labels.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "split", "source", "dr_grade", "mask_vessel"])
        for number in range(EYES):
            phantom = draw(Annotation(source="idrid"), number, SIDE)
            Image.fromarray(phantom.image).save(folder / f"{number}.png")
            (folder / f"v{number}.png").write_bytes(encode_mask(phantom.masks["vessel"]))
            row = [f"{number}.png", "train", "clinic", 3 * (number % 2), f"v{number}.png"]
            lines.writerow(row)
    return folder / "labels.csv"


@pytest.mark.parametrize(
    "name", [each for each in PRESETS if each.endswith("-debug") and each not in ELSEWHERE]
)
def test_each_recipe_names_who_taught_it(name, table, tmp_path):
    recipe = PRESETS[name].build(settings(name, tmp_path), [str(table)])
    (tmp_path / "model").mkdir()
    recipe.export(tmp_path / "model", {}, few=True)
    named = NamedPhotographs.of(tmp_path / "model", read_card(tmp_path / "model"))
    for number in range(EYES):
        anew = Image.open(table.parent / f"{number}.png").resize((200, 200))
        assert named.has("", bits_of([likeness(np.asarray(anew))])[0]), number
