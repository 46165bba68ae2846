"""`train` speaks of its own flags, and of settings as `--set` takes them."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.publish.drawn import UNGUARDED
from engine.schema import Annotation


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--workers", -1), "--workers: -1 (expected 0 or more)"),
        (("--workers", 3), "--workers: a batch of 8 has no 3 equal slices"),
        (("--workers", 3), "(expected one of 1, 2, 4, 8, or another --set batch)"),
        (("--set", "steps"), "--set: 'steps' (expected PATH=VALUE, for example steps=2000)"),
        (("--set", "stpes=4"), "stpes: no such setting"),
        (("--gpu", "h200"), "--gpu: a run asks no such thing (expected --dry-run too)"),
        (("--dry-run", "--gpu", "tpu"), "--gpu: 'tpu' (expected one of h200, "),
        (("--source", "acme"), "--source: text-debug asks no such thing (expected train adapt)"),
        (("--model", "tiny"), "--model: text-debug asks no such thing (expected train adapt)"),
        (("--dry-run", "--price", 2), "--price: a price of no GPU (expected --gpu too)"),
    ],
)
def test_mistakes_are_told_by_flag_and_nothing_is_written(
    retinaforge, tmp_path, monkeypatch, flags, told
):
    monkeypatch.chdir(tmp_path)
    code, out, err = retinaforge("train", "text-debug", *flags)
    assert (code, out) == (2, "")
    assert told in err
    assert not [*tmp_path.iterdir()]


def test_a_file_in_the_place_of_the_run_folder_is_told_of(retinaforge, tmp_path):
    (tmp_path / "run").write_text("mine")
    flags = ("--workers", 0, "--out", tmp_path / "run")
    code, _, err = retinaforge("train", "text-debug", *flags)
    assert (code, err) == (2, f"error: {tmp_path}/run: --out: is a file (expected a folder)\n")
    assert (tmp_path / "run").read_text() == "mine"


def test_a_dry_run_names_what_would_need_less_memory(retinaforge, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = retinaforge("train", "text-debug", "--workers", 0, "--dry-run")
    assert code == 0
    assert "(fewer: --set micro=N)" in out
    assert out.endswith(f"the run folder is {tmp_path}/runs/text-debug\n")
    assert not [*tmp_path.iterdir()]


def test_a_text_encoder_trains_on_from_a_finished_one(retinaforge, tmp_path):
    train = ("train", "text-debug", "--workers", 0, "--set", "steps=2", "--out")
    assert retinaforge(*train, tmp_path / "first")[0] == 0
    init = ("--set", f"init={tmp_path}/first")
    code, _, err = retinaforge(*train, tmp_path / "second", *init)
    assert code == 0, err
    card = json.loads((tmp_path / "second" / "model" / "model_card.json").read_text())
    first = json.loads((tmp_path / "first" / "model" / "model_card.json").read_text())
    assert card["parents"][0]["weights_sha256"] == first["weights_sha256"]


def test_a_model_that_draws_without_a_privacy_gate_ends_loudly(retinaforge, tmp_path):
    """One that does not draw says nothing."""
    for seed in range(2):
        image = draw(Annotation(source="idrid"), seed, 64).image
        Image.fromarray(image).save(tmp_path / f"{seed}.png")
    run = ("--data", tmp_path, "--workers", 0, "--set", "steps=1", "--out")
    code, _, err = retinaforge("train", "refiner-debug", *run, tmp_path / "run")
    assert code == 0, err
    assert err.splitlines()[-1] == "!" * 78
    assert UNGUARDED in err
    assert f"retinaforge calibrate {tmp_path}/run/model --data" in err
    text = ("--workers", 0, "--set", "steps=1", "--out", tmp_path / "text")
    code, _, err = retinaforge("train", "text-debug", *text)
    assert (code, "!!!" in err) == (0, False)


def test_adapt_speaks_of_its_flags(retinaforge, tmp_path):
    Image.fromarray(draw(Annotation(), 0, 64).image).save(tmp_path / "eye.png")
    adapt = ("train", "adapt", "--data", tmp_path, "--out", tmp_path / "run")
    for flags, told in (
        (("--model", "tiny"), "error: --model: tiny is no model that a clinic's photographs"),
        (("--source", ""), "error: --source: is empty"),
        (("--source", "chase"), "error: --source: 'chase' is a camera that is known already"),
        (("--set", "data.source=x"), "is decided by what is adapted (expected --model or --source"),
        ((), "at least 5"),
    ):
        code, _, err = retinaforge(*adapt, *flags)
        assert (code, told in err) == (2, True), err
    assert not (tmp_path / "run").exists()
