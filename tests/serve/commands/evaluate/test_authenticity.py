"""`evaluate authenticity`: figures of a set as JSON, with the hash of what looked."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.schema import Annotation


@pytest.fixture
def real(tmp_path):
    """A table of phantoms as if they were photographs of idrid, of a train and a test split."""
    lines = ["file,split,source"]
    for number in range(22):
        image = draw(Annotation(source="idrid"), number, 64).image
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{('train', 'test')[number % 2]},idrid")
    (tmp_path / "eyes.csv").write_text("\n".join(lines))
    return tmp_path / "eyes.csv"


def test_figures_of_a_set_and_what_looked(retinaforge, real, monkeypatch):
    monkeypatch.setattr("engine.evaluate.compared.CLASSIFIERS", ("logistic",))
    words = ("evaluate", "authenticity", "phantom:12", "--real", real, "--json")
    code, out, said = retinaforge(*words, "--features", "random")
    told = json.loads(out)
    assert code == 0
    found = {each["name"]: each for each in told["figures"]}
    for name in ("matched", "fd", "fd_over_floor", "kid_phantom", "auc_light_logistic", "novel"):
        assert found[f"authenticity.{name}"]["value"] is not None
    assert found["authenticity.fd"]["n"] == 11
    looked = told["looked_with"]["authenticity"]
    assert (looked["features"], len(looked["sha256"])) == ("random", 64)
    assert "authenticity.fd_over_floor " in said
    assert "; floor 1.00" in said
    assert "12 of the set tell no camera" in said


def test_another_word_for_features_is_refused(retinaforge, real):
    words = ("evaluate", "authenticity", "phantom:1", "--real", real, "--features", "dino")
    code, out, said = retinaforge(*words)
    assert (code, out) == (2, "")
    assert "--features: 'dino' (expected own, structure, random, inception:PATH or hf:DIR)" in said
