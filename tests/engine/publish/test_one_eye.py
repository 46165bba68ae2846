"""One eye under changed labels: the anatomy stays, the lesions come."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from engine import shipped
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.models.card import read_card, write_card
from engine.pixels.mark import identify
from engine.publish.one_eye import draw_for_report, draw_grades
from engine.schema import UserError


def test_the_eye_stays_and_its_grade_changes(tmp_path):
    drawing = plan_drawing(DrawAsk(model="phantom", size=96, seed=3))
    strip = draw_grades(drawing.plan, drawing.ref)
    assert strip.shape == (96, 480, 3)
    eyes = np.split(strip.astype(int), 5, 1)
    apart = [np.abs(eye - eyes[0]).mean() for eye in eyes]
    assert apart[0] == 0
    assert 0 < apart[1] < apart[3], "more disease, more difference"
    unlike = np.abs(eyes[0] - eyes[0][:, ::-1]).mean()
    assert apart[3] < unlike, "yet it is the same eye"


def test_the_page_gets_its_picture_marked_as_synthetic(tmp_path):
    plan = plan_drawing(DrawAsk(model="phantom", size=64)).plan
    picture = tmp_path / "steering.jpg"
    picture.write_bytes(draw_for_report(plan))
    assert Image.open(picture).size == (320, 64)
    found = identify(picture)
    assert (found.synthetic, found.model) == (True, "phantom")
    assert found.source_type == "algorithmicMedia", "nothing was trained"
    assert found.weights_sha256 == plan.weights_sha256
    assert found.seed == plan.recipe.spec(0, plan.fingerprint).seed


def test_a_model_that_was_trained_on_draws_no_eye_for_a_folder_of_before(tmp_path):
    model = shutil.copytree(shipped.WEIGHTS / "debug", tmp_path / "phantom")
    plan = plan_drawing(DrawAsk(model=str(model), steps=1, gates="none")).plan
    assert draw_for_report(plan)
    index = json.loads((model / "model_index.json").read_text())
    (model / "model_index.json").write_text(json.dumps({**index, "_trained_on": 1}))
    write_card(model, read_card(model))
    with pytest.raises(UserError, match="other weights now than those that drew this folder"):
        draw_for_report(plan)


def test_only_the_null_model_draws_no_eye_whatever_a_folder_is_called(tmp_path):
    plan = plan_drawing(DrawAsk(model="null")).plan
    assert draw_for_report(plan) is None
    model = shutil.copytree(shipped.WEIGHTS / "debug", tmp_path / "null_model")
    plan = plan_drawing(DrawAsk(model=str(model), steps=1, gates="none")).plan
    assert draw_for_report(plan)
