"""A dry run tells memory, time and cost of a run, and makes no weight of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.schema import UserError
from train.forecast import forecast, rent
from train.gpus import ASSUMED, GPUS
from train.job import make_job


@pytest.fixture
def told(tmp_path):
    def tell(preset, workers, rented, **changes):
        changes = {name.replace("__", "."): str(value) for name, value in changes.items()}
        overrides = {"data.cache": str(tmp_path), **changes}
        job = make_job(preset, ["phantom:4"], workers, overrides, Path("unused"))
        said = []
        forecast(job, job.plan(), said.append, rented)
        return "\n".join(said)

    return tell


def number(text, pattern):
    (found,) = re.findall(pattern, text)
    return float(found.replace(",", ""))


def test_two_billion_parameters_are_told_of_by_stage_and_component(told):
    said = told("diffusion-retinalogos-2b", 8, rent("h100", 2.5))
    assert number(said, r"parameters: ([\d,]+) trained \(transformer [\d,]+, label_") > 1.7e9
    sums = [float(each) for each in re.findall(r"; ([\d.]+) in all of 75", said)]
    assert len(sums) == 4
    assert sums == sorted(sums, reverse=True)
    assert "ZeRO-3 (this run)" in said
    hours, cost = number(said, r"([\d.,]+) hours"), number(said, r"GPU: ([\d,]+) in all")
    assert cost == pytest.approx(hours * 8 * 2.5, rel=0.01)


def test_time_is_products_over_speed_and_twice_the_gpus_take_half(told):
    one, two = (told("diffusion-base", n, rent("h200", None), steps=100000) for n in (1, 2))
    hours = [number(each, r"([\d.,]+) hours") for each in (one, two)]
    assert hours[0] == pytest.approx(2 * hours[1], rel=0.02)
    computed = number(one, r"computes ([\d.]+) TFLOP") * 1e12
    speed = GPUS["h200"].flops * ASSUMED
    assert hours[0] == pytest.approx(100000 * computed / speed / 3600, rel=0.02)
    # Six products a parameter and token, eight with those that are made again.
    assert computed == pytest.approx(8 * 152e6 * 1024 * 256, rel=0.1)


def test_what_does_not_fit_is_told_and_fewer_rows_or_checkpoints_need_less(told):
    wide = told("diffusion-large", 1, rent("rtx4090", None), micro=64)
    assert "more than its 22" in wide
    pass_ = r"ZeRO-0: .*a pass ([\d.]+);"
    kept = told("diffusion-base", 0, rent(None, None), micro=4, model__checkpointing=False)
    again = told("diffusion-base", 0, rent(None, None), micro=4)
    kept, again = (number(each, pass_.replace("ZeRO-0", "process")) for each in (kept, again))
    assert again < kept / 3


def test_a_recipe_that_cannot_be_weighed_says_that_its_pass_is_unknown(told, tmp_path):
    said = []
    job = make_job("text-debug", [], 0, {}, tmp_path)
    forecast(job, job.plan(), said.append, rent(None, None))
    assert "a pass unknown" in "\n".join(said)


def test_a_price_needs_a_gpu_and_is_none_below_nothing():
    with pytest.raises(UserError, match=r"⟨price⟩: a price of no GPU"):
        rent(None, 3.5)
    for wrong in (-1.0, float("nan")):
        with pytest.raises(UserError, match=r"⟨price⟩: .* \(expected 0 or more"):
            rent("h200", wrong)
