"""A model is taken to a clinic's camera: measured, taught, guarded, and drawn from."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from discs import discs, settings
from PIL import Image

from engine import registry
from engine.gates.privacy import Reference
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.models.cameras import own_cameras
from engine.models.card import PRIVACY
from engine.models.refiner import Refiner
from engine.phantom import fitting
from engine.phantom.cameras import CAMERAS
from engine.phantom.render import draw
from engine.registry import SamplerRef
from engine.schema import Annotation, UserError
from train import refiner
from train.adapt import Adaptation

FAST = {"steps": "2", "warmup": "0", "batch": "2", "model.segmenter": "", "model.critic": "8"}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A small refiner that knows another source."""
    folder = tmp_path_factory.mktemp("base")
    recipe = refiner.build(settings("refiner-debug"), [str(discs(folder))])
    recipe.export(folder / "model", {})
    return folder / "model"


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """Eight photographs of a camera, two of them held out, that name no source."""
    folder = tmp_path_factory.mktemp("photographs")
    rows = []
    for seed in range(8):
        image = draw(Annotation(source="hrf"), seed, 128).image
        Image.fromarray(image).save(folder / f"{seed}.png")
        rows.append({"file": f"{seed}.png", "split": "test" if seed > 5 else "train"})
    with (folder / "clinic.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "clinic.csv"


@pytest.fixture(scope="module")
def adapted(base, table, tmp_path_factory) -> tuple[Path, list[str]]:
    """The run folder, and what was told."""
    out, told = tmp_path_factory.mktemp("clinic") / "run", []
    asked = Adaptation([str(table)], str(base), "acme", FAST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "PHANTOMS", 20)
        asked.run(out, 0, False, told.append)
    return out, told


def test_the_model_brings_camera_place_and_gate(adapted, base):
    out, told = adapted
    model = out / "model"
    camera = own_cameras(model)["acme"]
    assert abs(camera.half_height - CAMERAS["hrf"].half_height) < 0.03
    assert Refiner.from_pretrained(model).config.sources == ["clinic", "acme"]
    card = json.loads((model / "model_card.json").read_text())
    assert card["data"]["sources"] == {"acme": 6}
    assert card["privacy"]["photographs"] == len(Reference.read(model / PRIVACY).ids) == 6
    end = "\n".join(told)
    # What this base had learned from nobody keeps.
    assert f"{'!' * 78}\n{base} HAS NO PRIVACY GATE" in end
    assert "taught: 6 photographs of 6 eyes over 2 steps" in end
    assert f"refuses what lies at {card['privacy']['nearest']:.4f} or nearer" in end
    assert told[-1] == (
        f"next: retinaforge generate --model {out} --source acme --count 16 --out eyes"
    )


def test_it_is_drawn_from_by_that_source_with_its_gates(adapted):
    out, _ = adapted
    drawing = plan_drawing(DrawAsk(model=str(out), source="acme", device="cpu"))
    assert drawing.plan.gates == ("quality", "privacy")
    spec = drawing.plan.recipe.spec(0, drawing.plan.fingerprint)
    image = drawing.ref.load(drawing.plan.settings).draw([spec])[0].image
    lit = np.flatnonzero((image.max(-1) > 15).any(1))
    assert lit[0] > 5
    again = drawing.ref.load(drawing.plan.settings).draw([spec])[0].image
    assert np.array_equal(image, again)
    with pytest.raises(UserError, match=r"'other' \(expected clinic or acme\)"):
        plan_drawing(DrawAsk(model=str(out), source="other", device="cpu"))


def test_the_hash_that_a_plan_names_knows_the_camera(adapted, tmp_path):
    out, _ = adapted
    copy = shutil.copytree(out / "model", tmp_path / "model")
    (copy / "cameras.json").write_text((copy / "cameras.json").read_text().replace("0.7", "0.6"))
    with pytest.raises(UserError, match="not those that the model card names"):
        registry.find(SamplerRef, copy)


def test_the_same_command_again_has_nothing_to_do(adapted, base, table):
    out, told = adapted
    before = {file: file.read_bytes() for file in (out / "model").rglob("*") if file.is_file()}
    again: list[str] = []
    Adaptation([str(table)], str(base), "acme", FAST).run(out, 0, False, again.append)
    assert "its privacy gate is set already" in again
    assert again[-1] == told[-1]
    assert before == {f: f.read_bytes() for f in (out / "model").rglob("*") if f.is_file()}


def test_a_run_that_stopped_before_its_gate_sets_it(adapted, base, table):
    out, _ = adapted
    gate = out / "model" / PRIVACY
    whole = gate.read_bytes()
    gate.unlink()
    Adaptation([str(table)], str(base), "acme", FAST).run(out, 0, False, lambda line: None)
    assert gate.read_bytes() == whole


@pytest.mark.parametrize(
    ("model", "source", "changes", "told"),
    [
        ("tiny", "acme", {}, "tiny is no model that a clinic's photographs can adapt"),
        (None, " ", {}, "⟨source⟩: is empty"),
        (None, "idrid", {}, "'idrid' is a camera that is known already"),
        (None, "acme", {"init": "x"}, "init: is decided by what is adapted"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    base, table, tmp_path, model, source, changes, told
):
    asked = Adaptation([str(table)], model or str(base), source, {**FAST, **changes})
    with pytest.raises(UserError, match=told):
        asked.run(tmp_path / "run", 0, False, lambda line: None)
    assert not (tmp_path / "run").exists()


def test_what_needs_no_photograph_is_told_without_one(base):
    Adaptation([], str(base), "acme", FAST).check()
    for changes, told in (({"stpes": "3"}, "stpes: no such"), ({"init": "x"}, "init: is decided")):
        with pytest.raises(UserError, match=told):
            Adaptation([], str(base), "acme", changes).check()


def test_too_few_photographs_are_refused(base, table, tmp_path):
    lines = table.read_text().splitlines()[:4]
    few = table.with_name("few.csv")
    few.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="at least 5"):
        Adaptation([str(few)], str(base), "acme", FAST).run(
            tmp_path / "run", 0, False, lambda line: None
        )
