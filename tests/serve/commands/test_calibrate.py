"""The gate on the command line: `calibrate` refuses with 2 and leaves the folder alone, and what
its `--reference` wrote judges a run from plan to worker."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest
from PIL import Image

from engine import cpu, shipped
from engine.gates.privacy import Reference
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_into
from engine.models.card import PRIVACY, write_card
from engine.phantom.render import draw
from engine.schema import Annotation, UserError
from engine.stages.call import FatalError
from engine.stages.draw import DrawActor
from engine.stages.limits import PartLimits
from engine.store.commits import Folder, take_attempt
from engine.store.plan import write_plan


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(4):
        image = draw(Annotation(source="idrid"), seed, 128).image
        Image.fromarray(image).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(shipped.WEIGHTS / "debug", folder)
    write_card(folder, {})
    return folder


@pytest.fixture
def as_workers_are(monkeypatch):
    """The switches that a worker of a new plan is started with."""
    for name, value in cpu.switches(cpu.usual()).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def calibrated(model, photographs, tmp_path, retinaforge):
    """A model whose own gate lets everything pass, and a reference that takes all for copies."""
    house = tmp_path / "house.safetensors"
    code, out, _ = retinaforge(
        "calibrate", model, "--data", photographs, "--reference", house, "--json"
    )
    assert code == 0
    assert not json.loads(out)["thumbnails"]
    mild = replace(Reference.read(model / PRIVACY), nearest=-1.0)
    mild.write(model / PRIVACY)
    strict = replace(Reference.read(house), nearest=2.0)
    strict.write(house)
    return model, house


def test_calibrate_on_other_data_exits_with_2_and_changes_nothing(
    tmp_path, photographs, retinaforge
):
    folder = tmp_path / "mod"
    shutil.copytree(shipped.WEIGHTS / "dualgan-tiny", folder)
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    for data in ("phantom:30", photographs):
        code, out, err = retinaforge("calibrate", folder, "--data", data, "--thumbnails")
        assert (code, out) == (2, "")
        assert err.startswith("error: --data: ")
        assert {f.name: f.read_bytes() for f in folder.iterdir()} == before
    code, _, err = retinaforge("calibrate", tmp_path, "--data", photographs)
    assert (code, [f.name for f in tmp_path.iterdir()]) == (2, ["mod"])
    assert "not a model folder" in err


def test_a_reference_that_cannot_be_written_exits_with_2(model, photographs, tmp_path, retinaforge):
    place = tmp_path / "nonexistent/x"
    code, _, err = retinaforge("calibrate", model, "--data", photographs, "--reference", place)
    assert code == 2
    assert f"{place}: --reference" in err
    assert not (model / PRIVACY).exists()


def planned(model, out, **flags):
    ask = DrawAsk(model=str(model), size=64, gates="privacy", **flags)
    return plan_into(out, ask, 2).plan


def worker_of(folder, plan):
    write_plan(folder, plan)
    Folder(folder).make()
    take_attempt(Folder(folder), 2, False)
    return DrawActor(str(folder), 1, None, PartLimits())


def test_workers_judge_with_the_reference(calibrated, tmp_path, as_workers_are):
    model, house = calibrated
    ends = []
    for name, reference in (("own", None), ("house", house)):
        plan = planned(model, tmp_path / name, reference=reference)
        (row,) = worker_of(tmp_path / name, plan)(pa.table({"chunk": ["[[0, 1]]"]})).to_pylist()
        ends.append((row["stage"], row["reason"]))
    assert ends == [(None, None), ("gate", "copy")]


def test_a_folder_keeps_to_its_reference(calibrated, tmp_path, as_workers_are):
    model, house = calibrated
    out = tmp_path / "o"
    plan = planned(model, out, reference=house)
    write_plan(out, plan)
    assert plan.gates_reference == str(house)
    assert plan_into(out, DrawAsk(), 2).plan == plan
    assert plan_into(out, DrawAsk(), None).plan == plan
    other = tmp_path / "other.safetensors"
    replace(Reference.read(house), nearest=0.5).write(other)
    with pytest.raises(UserError, match="plan differs: gates_sha256"):
        planned(model, out, reference=other)
    shutil.copy(house, tmp_path / "copy.safetensors")
    moved = planned(model, out, reference=tmp_path / "copy.safetensors")
    assert moved.fingerprint == plan.fingerprint
    shutil.copy(other, house)
    with pytest.raises(FatalError, match="gates here would judge otherwise"):
        DrawActor(str(out), 1, None, PartLimits())
    house.unlink()
    with pytest.raises(UserError, match="judged with is not there"):
        plan_into(out, DrawAsk(), 2)


def test_a_folder_without_a_reference_takes_none(calibrated, tmp_path):
    model, house = calibrated
    out = tmp_path / "o"
    write_plan(out, planned(model, out))
    with pytest.raises(UserError, match="plan differs: reference: none → "):
        planned(model, out, reference=house)


def test_a_reference_must_be_read_and_be_the_models_own(calibrated, tmp_path, retinaforge):
    model, house = calibrated
    flags = ("generate", "--count", 2, "--out", tmp_path / "o", "--model", model)
    for more, place in (
        (("--gates", "none"), "--reference: no privacy gate reads it"),
        (("--model", "phantom"), "--reference: no privacy gate reads it"),
        (("--model", "dualgan-tiny"), "--reference: made for another model"),
        (("--reference", tmp_path / "nowhere"), "--reference: no such file"),
        (("--reference", model / "model_card.json"), "--reference: cannot be read"),
    ):
        code, _, err = retinaforge(*flags, "--reference", house, *more)
        assert (code, place in err) == (2, True), err
    assert not (tmp_path / "o").exists()
    plan = plan_into(tmp_path / "o", DrawAsk(model=str(model), reference=house), 2).plan
    assert plan.gates == ("quality", "privacy")
