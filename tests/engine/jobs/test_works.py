"""One table from a plan's kind to its work."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engine.caption import Manner
from engine.jobs import caption, draw
from engine.jobs.asks import DrawAsk
from engine.jobs.caption import CaptionAsk
from engine.jobs.works import work_in
from engine.schema import UserError
from engine.store.plan import write_plan
from tests.eyes import write_eyes


def test_a_folder_of_either_kind_gets_the_work_of_its_own_plan(tmp_path):
    drawn, captioned = tmp_path / "drawn", tmp_path / "captioned"
    drawing = draw.plan_drawing(DrawAsk(model="null", seed=3))
    write_plan(drawn, drawing.plan)
    assert work_in(drawn, None) == drawing
    ask = CaptionAsk(str(write_eyes(tmp_path / "eyes", 1, 32)))
    deaf = SimpleNamespace(found=print, strangers=print, listed=print)
    captioning = caption.plan_into(captioned, ask, Manner(), deaf)
    write_plan(captioned, captioning.plan)
    assert work_in(captioned, None) == captioning


@pytest.mark.parametrize("name", ["new", "empty"])
def test_a_folder_without_a_plan_has_no_work(name, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no plan\.json here"):
        work_in(tmp_path / name, None)
