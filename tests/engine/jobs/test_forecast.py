"""What a run would take, from rows drawn in this process."""

from __future__ import annotations

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.jobs.forecast import forecast


def test_a_forecast_scales_sampled_rows_up_and_writes_nothing(tmp_path):
    drawing = plan_drawing(DrawAsk(model="null"))
    found = forecast(tmp_path / "new/o", drawing, 1000, 2)
    assert (found.rows, found.missing, found.workers, found.failed) == (1000, 1000, 2, 0)
    assert 0 < found.sampled < 1000
    assert found.bytes > 1000 * 200
    assert found.images_per_s > 0
    assert not (tmp_path / "new").exists()


def test_a_small_run_is_sampled_whole_and_needs_no_more_workers_than_rows(tmp_path):
    found = forecast(tmp_path / "o", plan_drawing(DrawAsk(model="null")), 3, 8)
    assert (found.sampled, found.workers) == (3, 3)
