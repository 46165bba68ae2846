"""The painter's card counts what taught it, and holds keyed hashes of its photographs."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from PIL import Image

from engine.gates.calibrate import calibrate
from engine.phantom.render import draw
from engine.schema import Annotation, UserError
from train.gan import build
from train.presets import PRESETS


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eyes")
    for seed in range(6):
        image = draw(Annotation(source="idrid"), seed, 96).image
        Image.fromarray(image).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def model(photographs, tmp_path_factory):
    """Of four photographs and two phantoms."""
    folder = tmp_path_factory.mktemp("run") / "model"
    table = folder.parent / "eyes.csv"
    table.write_text("file,source\n" + "".join(f"{photographs}/{i}.png,hrf\n" for i in range(4)))
    build(PRESETS["photo-gan-debug"].settings, [str(table), "phantom:2"]).export(folder, {})
    return folder


def test_the_card_counts_photographs_apart_and_hashes_them(model, photographs):
    card = json.loads((model / "model_card.json").read_text())
    assert card["data"]["sources"] == {"hrf": 4}
    assert (card["data"]["photographs"], card["data"]["phantoms"]) == (4, 2)
    key = bytes.fromhex((model / "private/image_key.txt").read_text())
    for number, hashed in enumerate(card["image_hashes"]):
        content = hashlib.sha256((photographs / f"{number}.png").read_bytes()).hexdigest()
        assert hashed == hmac.digest(key, content.encode(), "sha256").hex()
    assert len(card["image_hashes"]) == 4


def test_its_gate_asks_for_each_of_them(model, photographs, tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("file\n" + "".join(f"{photographs}/{i}.png\n" for i in range(1, 6)))
    with pytest.raises(UserError, match="1 photographs that taught this model are not in the data"):
        calibrate(model, [str(few)])
    assert calibrate(model, [str(photographs)])["photographs"] == 6
