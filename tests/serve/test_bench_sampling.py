"""`bench sampling`: each level beside the plain way, in rounds."""

from __future__ import annotations

import json
import shutil

import pytest

from engine import registry, shipped
from engine.models.card import LEVELS
from engine.registry.diffusion import PipelineRef
from engine.registry.levels import BoundedFigure, call_sha256, measured_under
from engine.schema import UserError
from serve import bench_sampling as bench

SIDE = 64
QUICK = {"setting": "quick", "call": {"steps": 2}}
FREE = {"setting": "free", "call": {"steps": 2, "guidance": 1.0}}


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(bench, "PLAIN_STEPS", 4)
    monkeypatch.setattr(bench, "STOCK_STEPS", 3)
    monkeypatch.setattr(bench, "BATCHES", (1, 2))


@pytest.fixture
def folder(tmp_path):
    copy = shutil.copytree(shipped.WEIGHTS / "debug", tmp_path / "debug")
    (copy / LEVELS).write_text(json.dumps([QUICK, FREE]))
    return copy


def evidence(folder, size, **changed):
    """Of `quick`, which broke a bound."""
    ref = registry.find(PipelineRef, folder)
    settings = ref.usual_call("cpu", "float32").model_copy(update=QUICK["call"])
    drift = BoundedFigure(name="drift_grey", value=3.5, low=3.0, high=4.0, n=9, most=1.0)
    told = {
        "weights_sha256": ref.weights_sha256,
        "call_sha256": call_sha256(settings),
        "under": measured_under(settings),
        "count": 9,
        "reference": {},
        "figures": [drift.model_dump()],
        "admitted": False,
        "broken": ["drift_grey"],
        **changed,
    }
    (folder / LEVELS).write_text(json.dumps([{**QUICK, "evidence": {str(size): told}}, FREE]))


def run(retinaforge, *words):
    return retinaforge("bench", "sampling", "--size", SIDE, "--images", 2, "--rounds", 1, *words)


def test_every_setting_has_a_row_whose_ratio_and_parts_follow_from_it(retinaforge, folder):
    evidence(folder, SIDE)
    code, out, err = run(retinaforge, "--model", folder, "--json")
    assert code == 0, err
    told = json.loads(out)
    rows = {row["setting"]: row for row in told["rows"]}
    assert [*rows] == ["plain", "unipc-16", "default", "quick", "free"]
    for row in rows.values():
        assert row["ratio"] == row["images_per_s"] / rows["plain"]["images_per_s"]
        assert row["total_s"] == pytest.approx(1 / row["images_per_s"])
        assert row["total_s"] == pytest.approx(sum(row[f"{part}_s"] for part in bench.PARTS))
        assert row["denoise_s"] > 0 < row["decode_s"]
    assert rows["plain"]["ratio"] == 1
    quick = rows["quick"]
    assert (quick["admitted"], quick["broken"], quick["drift_grey"]) == (False, ["drift_grey"], 3.5)
    assert [rows[name]["admitted"] for name in ("plain", "default", "free")] == [None] * 3
    assert "round 1 of 1, plain, 2 a call" in err
    assert told["seconds_of"] == "processor"


def test_a_student_stands_among_the_levels_of_its_teacher():
    found, _ = bench.contenders("tiny", 256, 1, ["few-2", "steps-8"])
    by_name = {each.setting: each for each in found}
    assert by_name["few-2"].student
    assert not by_name["steps-8"].student
    assert by_name["few-2"].ref.name == "tiny-few"
    assert (by_name["few-2"].settings.steps, by_name["few-2"].settings.guidance) == (2, 1.0)


def test_later_rounds_draw_in_the_quickest_batch_alone(folder):
    found, side = bench.contenders(str(folder), SIDE, 2, ["quick"])
    said = []
    told, pictures = bench.measure(found, side, 2, 2, said.append)
    first, second = (sum(line.startswith(f"round {n} of 2") for line in said) for n in (1, 2))
    assert (first, second) == (2 + 2 + 1 + 1, 4)
    assert {*pictures} == {row["setting"] for row in told["rows"]}
    assert pictures["quick"].shape == (SIDE, SIDE, 3)


def test_phantoms_count_where_the_setting_needs_its_picture():
    found, _ = bench.contenders("tiny", 256, 1, [])
    counts = {each.setting: each.counts_phantoms for each in found}
    assert not counts["plain"]
    assert not counts["unipc-16"]
    assert all(counts[name] for name in counts if name not in ("plain", "unipc-16"))
    assert len(found) == len(counts), "one image fills no larger batch"
    assert {each.setting for each in found if each.plain} == {"plain", "unipc-16"}
    plain = next(each.settings for each in found if each.setting == "plain")
    assert (plain.t0, plain.steps, plain.geometry, plain.solver) == (0, 4, True, "euler")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--levels", "quik"), "--levels: no level 'quik' (expected quick or free)"),
        (("--model", "dualgan-tiny"), "--model: dualgan-tiny is drawn in one step"),
        (("--images", 0), "--images: 0 (expected 1 or more)"),
        (("--rounds", 0), "--rounds: 0 (expected 1 or more)"),
        (("--size", 70), "--size: 70 px is not a multiple of"),
        (("--plot", "nowhere/plot.png"), "--plot: nowhere/plot.png (expected a file .png or"),
        (("--sheet", "sheet.gif"), "--sheet: sheet.gif (expected a file .png or"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_is(retinaforge, folder, words, told):
    code, out, err = run(retinaforge, "--model", folder, *words)
    assert code == 2
    assert told in err
    assert out == ""
    assert "a call" not in err


def test_evidence_of_other_weights_is_told(folder):
    evidence(folder, SIDE, weights_sha256="0" * 64)
    with pytest.raises(UserError, match=f"evidence.{SIDE}: .*is of weights 000000000000"):
        bench.contenders(str(folder), SIDE, 2, None)
    assert bench.contenders(str(folder), 2 * SIDE, 2, None)[1] == 2 * SIDE
