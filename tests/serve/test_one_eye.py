"""One eye under changed labels: the anatomy stays, the lesions come."""

from __future__ import annotations

import numpy as np
from PIL import Image

from serve.one_eye import draw_grades, put_into_report
from serve.planning import Request, make_plan


def test_the_eye_stays_and_its_grade_changes(tmp_path):
    plan, _ = make_plan(Request(out=tmp_path / "eyes", model="phantom", size=96, seed=3))
    strip = draw_grades(plan)
    assert strip.shape == (96, 480, 3)
    eyes = np.split(strip.astype(int), 5, 1)
    apart = [np.abs(eye - eyes[0]).mean() for eye in eyes]
    assert apart[0] == 0
    assert 0 < apart[1] < apart[3], "more disease, more difference"
    unlike = np.abs(eyes[0] - eyes[0][:, ::-1]).mean()
    assert apart[3] < unlike, "yet it is the same eye"


def test_the_page_gets_its_picture(tmp_path):
    plan, _ = make_plan(Request(out=tmp_path / "eyes", model="phantom", size=64))
    put_into_report(tmp_path / "eyes", plan)
    assert Image.open(tmp_path / "eyes/report/steering.jpg").size == (320, 64)
