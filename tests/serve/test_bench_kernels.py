"""`bench kernels`: rows that say how they came about, the files beside them, and what does not run
here."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from kernels import backends, bench, bench_parts
from kernels.bench import PLAIN, Shape
from kernels.bench_parts import PartShape
from serve import bench_kernels
from serve.commands import app

SMALL = (
    Shape("grouped", 1, 40, 40, 4, 2, 64),
    Shape("masked", 2, 40, 30, 2, 2, 72, masked=True),
)


FEW = (PartShape("odd", 2, 9, 216, 3),)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What one run printed as JSON, and its folder."""
    out = tmp_path_factory.mktemp("kernels") / "bench"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "SHAPES", {"cpu": SMALL, "cuda": SMALL})
        patch.setattr(bench_parts, "SHAPES", {"cpu": FEW, "cuda": FEW})
        run = CliRunner().invoke(app, ["bench", "kernels", "--no-compiled", "--json", "--out", out])
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout), out


def test_every_row_names_its_setting_and_how_it_came_about(printed):
    found, out = printed
    rows = found["rows"]
    timed = [row for row in rows if row["ms"] is not None]
    for shape in SMALL:
        of_shape = {row["backend"]: row for row in timed if row["shape"] == shape.name}
        assert {PLAIN, "reference", "sdpa"} <= set(of_shape)
        assert of_shape[PLAIN]["ratio"] == 1
        for row in of_shape.values():
            assert row["setting"] == f"{shape.name}: {row['backend']}"
            assert 0 < row["ms"] < 1000
            assert row["ratio"] > 0
            assert 0 < row["error"] < 1e-6
            assert row["obtained"].startswith(("cpu, 1 thread", "cuda: "))
    assert found["sm_90"] == []
    with (out / "kernels.csv").open() as file:
        assert [row["setting"] for row in csv.DictReader(file)] == [r["setting"] for r in rows]
    with Image.open(out / "kernels.png") as picture:
        assert picture.width > 500


def test_the_parts_beside_attention_have_rows_of_their_own(printed):
    found, _ = printed
    for part in ("qk_rope", "modulated_norm", "gated_residual", "image_out"):
        (plain, *_) = [row for row in found["rows"] if row["shape"] == f"{part}, odd"]
        assert (plain["backend"], plain["ratio"]) == ("reference", 1)
        assert 0 < plain["ms"] < 1000
        assert plain["error"] < 1e-6
    assert found["sm_90_parts"] == []


def test_kernels_between_the_products_have_their_costs_and_faults_read(monkeypatch, capsys):
    compiled = pytest.importorskip("kernels.compiled")
    few = list(compiled.image_out.builds(bench.torch.float32))
    monkeypatch.setattr(compiled, "builds", lambda: iter(few))
    (row,) = bench_kernels.hopper_parts()
    assert row["setting"].startswith("image_out")
    assert 8 <= row["registers"] <= 255
    assert (row["spills"], row["fault"]) == (0, None)
    bad = {**row, "spills": 7, "fault": "7 spills"}
    bench_kernels.show([], {}, [], [row, bad])
    told = capsys.readouterr().out
    assert "2 kernels between the products" in told
    assert "7 spills" in told


def test_a_backend_that_did_not_run_is_named_and_has_no_time(printed):
    found, _ = printed
    for name, reason in found["not_run"].items():
        assert backends.why_not(name, "cpu") == reason
        own = [row for row in found["rows"] if row["backend"].startswith(name)]
        assert all(row["ms"] is None and row["obtained"] == "interpreter" for row in own)


def test_memory_is_what_a_call_holds():
    row = next(iter(bench.rows("cpu", (Shape("one", 1, 256, 256, 2, 2, 64),))))
    out, mask = 256 * 2 * 64 * 4, 256
    assert row["backend"] == PLAIN
    assert row["memory_mb"] * bench.MEGABYTE >= out + mask
    of = {r["backend"]: r["memory_mb"] for r in bench.rows("cpu", (SMALL[0],))}
    assert of["sdpa math"] > of["sdpa"]


def test_plain_is_what_diffusers_does_and_errors_are_seen():
    shape = SMALL[1]
    inputs = q, k, v, mask = shape.inputs("cpu", bench.torch.float32)
    assert not mask.all()
    right = bench.plain(*inputs)
    assert bench.relative_error(right, inputs) < 1e-6
    assert bench.relative_error(bench.plain(q, k, v, None), inputs) > 0.01
    assert bench.relative_error(right * 1.01, inputs) == pytest.approx(0.01, rel=1e-3)


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_kernels, "measure", lambda: pytest.fail("measured"))
    file = tmp_path / "file"
    file.write_text("")
    run = CliRunner().invoke(app, ["bench", "kernels", "--out", file / "bench"])
    assert run.exit_code != 0
    assert "--out" in str(run.exception)


def test_the_sm_90_table_holds_the_worst_of_each_tiles_variants(monkeypatch):
    compiled = pytest.importorskip("kernels.attention.compiled")
    flash = pytest.importorskip("kernels.attention.flash")
    monkeypatch.setattr(flash, "TILES", {64: flash.TILES[64][-1:]})
    monkeypatch.setattr(compiled, "TYPES", {bench.torch.bfloat16: "bf16"})
    (row,) = bench_kernels.hopper()
    costs = [compiled.compile_for_hopper(variant) for variant in compiled.variants()]
    assert (row["variants"], row["tile"], row["fault"]) == (4, "64x64 4w 3s", None)
    assert row["registers"] == max(cost.registers for cost in costs)
    assert row["hgmma"] == min(cost.hgmma for cost in costs) > 0
    assert row["obtained"] == "compiled only, for sm_90"


def test_tables_hold_what_json_holds(printed, capsys):
    found, _ = printed
    code = [{"width": 64, "dtype": "bfloat16", "tile": "64x64 4w 3s", "registers": 128}]
    code[0] |= {"spills": 0, "hgmma": 8, "hmma": 0, "shared_bytes": 57_344}
    bench_kernels.show(found["rows"], found["not_run"], code)
    told = capsys.readouterr().out
    for word in ("grouped", PLAIN, "sdpa math", "interpreter", "57,344", "compiled here, not run"):
        assert word in told
    assert told.count("was not timed") == len(found["not_run"])
