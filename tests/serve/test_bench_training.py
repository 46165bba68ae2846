"""`bench training`: our step beside a plain loop with the same network and rows."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from engine.schema import UserError
from serve import bench_training as bench
from serve.commands import app

SMALL = {"batch": "2", "micro": "1", "data.size": "64"}


def run(*words):
    return CliRunner().invoke(app, ["bench", "training", *words, "--seconds", "0"])


def flags():
    return [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]


def test_every_way_to_train_has_a_row_and_the_first_is_the_plain_loop():
    found = run("diffusion-debug", *flags(), "--json")
    assert found.exit_code == 0, found.output
    rows = json.loads(found.stdout)["rows"]
    names = [row["setting"].removeprefix("diffusion-debug: ") for row in rows]
    assert names == ["plain loop, prepared latents", "retinaforge train"]
    assert rows[0]["ratio"] == 1
    for row in rows:
        assert row["ratio"] == pytest.approx(row["images_per_s"] / rows[0]["images_per_s"], 0.01)
        assert row["mfu"] is None or row["obtained"] != "cpu"


def test_a_preset_with_a_base_is_measured_with_its_encoders_in_the_loop_too():
    settings = bench.asked("diffusion-debug", {**SMALL, "model.base": "tiny"})
    rows = bench.measure(settings, 0, lambda _: None)
    assert [row["setting"].split(": ")[1] for row in rows][1] == "plain loop, encoders in it"


def test_products_are_counted_once_whether_blocks_are_computed_again_or_not():
    flops = [
        bench.flops_of_an_image(
            bench.asked("diffusion-debug", {**SMALL, "model.checkpointing": checkpointing})
        )
        for checkpointing in ("true", "false")
    ]
    assert flops[0] == flops[1] > 1e6


@pytest.mark.parametrize("setting", ["init=tiny", "model.lora=4", "zero=3"])
def test_what_would_not_be_measured_is_refused(setting):
    name, _, value = setting.partition("=")
    with pytest.raises(UserError, match=f"^{name}: one process trains new weights"):
        bench.asked("diffusion-debug", {**SMALL, name: value})


def test_another_recipes_preset_is_refused():
    found = run("text-debug")
    assert found.exit_code != 0
    assert "begins with diffusion-" in str(found.output) + str(found.exception)
