"""The command line: the user's mistakes exit with 2, name the place, and leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from engine import shipped
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_into
from engine.models.card import read_card, write_card

BAD_FLAGS = [
    (("--count", 0), "--count"),
    (("--count", -5), "--count"),
    (("--count", "many"), "--count"),
    (("--count", 2**63, "--model", "null"), "--count"),
    (("--count", 2, "--model", "null", "--size", 8192), "--size"),
    (("--count", 2, "--model", "~nouser/x"), "--model"),
    (("--count", 2, "--model", "nosuch"), "--model"),
    (("--count", 2, "--size", 250), "--size"),
    (("--count", 2, "--model", "null", "--size", 9), "--size"),
    (("--count", 2, "--model", "null", "--solver", "heun"), "--solver"),
    (("--count", 2, "--model", "null", "--guidance", "nan"), "--guidance"),
    (("--count", 2, "--model", "null", "--steps", -1), "--steps"),
    (("--count", 2, "--model", "dualgan-tiny", "--steps", 5), "--steps"),
    (("--count", 2, "--model", "phantom", "--guidance", 9), "--guidance"),
    (("--count", 2, "--model", "null", "--seed", -1), "--seed"),
    (("--count", 2, "--model", "null", "--format", "gif"), "--format"),
    (("--count", 2, "--model", "null", "--workers", 0), "--workers"),
    (("--count", 2, "--model", "null", "--batch", 0), "--batch"),
    (("--count", 2, "--model", "null", "--dtype", "int8"), "--dtype"),
    (("--count", 2, "--model", "debug", "--gates", "quality,beauty"), "quality, privacy"),
    (("--count", 2, "--model", "null", "--gates", "quality"), "--gates"),
    (("--count", 2, "--model", "phantom", "--size", 24), "--size"),
    (("--count", 2, "--model", "null", "--geometry", "phantom"), "--geometry"),
    (("--count", 2, "--model", "null", "--t0", 0.5), "--t0"),
    (("--count", 2, "--model", "debug", "--t0", 1), "--t0"),
    (("--count", 2, "--model", "null", "--decoder", "light"), "--decoder"),
    (("--count", 2, "--model", "debug", "--decoder", "decoder-tiny"), "--decoder"),
    (("--count", 2, "--model", "null", "--prompts", "none.txt"), "none.txt"),
    (("--count", 2, "--unheard-of", 1), "unheard-of"),
]


@pytest.mark.parametrize(("flags", "named"), BAD_FLAGS, ids=lambda value: str(value))
def test_wrong_flags_are_refused_by_name_and_nothing_is_written(
    retinaforge, tmp_path, flags, named
):
    code, out, err = retinaforge("generate", "--out", tmp_path / "o", *flags)
    if "--size" in flags and "null" not in flags and "no model of that name" in err:
        pytest.skip("the embedded model is not in this checkout")
    assert code == 2
    assert named in err.replace("\n", " ")
    assert "Traceback" not in out + err
    assert not (tmp_path / "o").exists()


BAD_FILES = [
    ("--labels", "l.csv", "file,dr_grade,is_unicorn\nx,1,1\n", ["l.csv", "is_unicorn"]),
    ("--labels", "r.csv", "file,dr_grade\nx,7\n", ["r.csv", "line 2", "dr_grade"]),
    ("--prompts", "p.jsonl", '{"prompt": "ok"}\n{"prompt": \n', ["p.jsonl", "line 2"]),
    ("--spec", "s.yaml", "mix: [: ", ["s.yaml"]),
    ("--spec", "k.yaml", "? [a]\n: 1\n", ["k.yaml", "line 1"]),
    ("--prompts", "u.jsonl", '{"prompt": "\\ud800"}', ["u.jsonl", "line 1", "prompt"]),
    ("--prompts", "n.jsonl", '{"dr_grade": ' + "9" * 5000 + "}", ["n.jsonl", "line 1", "digits"]),
]


@pytest.mark.parametrize(("flag", "name", "text", "named"), BAD_FILES)
def test_wrong_files_are_refused_by_file_line_and_field(
    retinaforge, tmp_path, flag, name, text, named
):
    (tmp_path / name).write_text(text)
    code, out, err = retinaforge(
        "generate", "--count", 2, "--model", "null", flag, tmp_path / name, "--out", tmp_path / "o"
    )
    assert code == 2
    assert all(word in err for word in named), err
    assert "Traceback" not in out + err
    assert not (tmp_path / "o").exists()


def test_a_folder_of_other_things_is_not_written_into(retinaforge, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    code, _, err = retinaforge("generate", "--count", 2, "--model", "null", "--out", tmp_path)
    assert code == 2
    assert "not empty" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["file/o", "file/a/b", "file", "x" * 300])
def test_a_place_where_no_folder_can_be_made_is_refused(retinaforge, tmp_path, name):
    (tmp_path / "file").write_text("x")
    flags = ("--count", 2, "--model", "null", "--out", tmp_path / name)
    code, out, err = retinaforge("generate", *flags)
    assert code == 2
    assert "--out" in err
    assert "Traceback" not in out + err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_bench_refuses_wrong_numbers_before_it_measures(retinaforge):
    for flag, value in (("--workers", 0), ("--rows", 0), ("--null-rows", -1)):
        code, out, err = retinaforge("bench", "pipeline", "--model", "null", flag, value)
        assert (code, out) == (2, "")
        assert flag in err


def test_a_plan_fails_before_any_write_for_another_wording_or_an_unknown_source(
    retinaforge, tmp_path
):
    from engine.store.plan import write_plan

    plan = plan_into(tmp_path / "o", DrawAsk(model="null"), 5).plan
    recipe = plan.recipe.model_copy(update={"wording": -1})
    write_plan(tmp_path / "o", plan.model_copy(update={"recipe": recipe}).sealed())
    code, _, err = retinaforge("generate", "--count", 5, "--out", tmp_path / "o")
    assert code == 2
    assert "recipe.wording" in err

    (tmp_path / "l.csv").write_text("dr_grade,source\n1,idrid\n2,mars\n")
    flags = ("--model", "debug", "--labels", tmp_path / "l.csv", "--out", tmp_path / "p")
    code, _, err = retinaforge("generate", "--count", 5, *flags)
    assert code == 2
    assert all(word in err for word in ("l.csv", "source", "'mars'", "idrid or none"))
    assert not (tmp_path / "p").exists()


def test_verify_and_redrive_want_a_data_set_folder(retinaforge, tmp_path):
    for command in ("verify", "redrive"):
        for place in (tmp_path, tmp_path / "none"):
            code, _, err = retinaforge(command, place)
            assert code == 2
            assert "no plan.json here" in err


def test_an_unknown_preset_is_refused(retinaforge, tmp_path):
    code, out, err = retinaforge("train", "nosuch", "--out", tmp_path / "o")
    assert code == 2
    assert "nosuch" in err
    assert "Traceback" not in out + err
    code, _, err = retinaforge("train", "diffusion-debug", "--set", "steps")
    assert code == 2
    assert "PATH=VALUE" in err


@pytest.fixture
def taught(tmp_path):
    """The debug model with a card by which phantoms alone taught it is_gc and is_rvo."""
    folder = shutil.copytree(shipped.WEIGHTS / "debug", tmp_path / "taught")
    photographs = {"dr_grade": 9, "is_gc": 0, "is_rvo": 0}
    evidence = [{"label": name, "real": count} for name, count in photographs.items()]
    write_card(folder, {**read_card(folder), "label_evidence": evidence})
    return folder


def test_a_new_plan_says_which_gates_are_off_and_which_labels_no_photograph_taught(
    retinaforge, tmp_path, taught
):
    flags = ("--count", 1, "--dry-run", "--out", tmp_path / "o")
    null = ("generate", "--model", "null", *flags)
    assert "gates off: quality, privacy (null" in retinaforge(*null)[2]
    assert "gates off" not in retinaforge(*null, "--gates", "none")[2]

    own = ("generate", "--model", taught, "--steps", 1, "--gates", "none", *flags)
    assert "phantoms alone: is_gc, is_rvo" in retinaforge(*own)[2]
    (tmp_path / "l.csv").write_text("dr_grade,is_rvo\n1,\n2,0\n")
    _, _, err = retinaforge(*own, "--labels", tmp_path / "l.csv")
    assert "phantoms alone: is_rvo\n" in err


def test_a_model_that_reads_no_prompt_says_so_and_one_that_does_is_silent(retinaforge, tmp_path):
    (tmp_path / "p.txt").write_text("A left eye with glaucoma.\n")
    flags = ("--count", 1, "--dry-run", "--prompts", tmp_path / "p.txt", "--out", tmp_path / "o")
    said = "dualgan-tiny reads no prompt"
    assert said in retinaforge("generate", "--model", "dualgan-tiny", *flags)[2]
    assert "reads no prompt" not in retinaforge("generate", "--model", "debug", *flags)[2]


@pytest.mark.parametrize("given", [{}, {"labels": "l.csv"}])
def test_phantoms_are_whole_rows_with_masks_labels_and_captions(retinaforge, tmp_path, given):
    import pyarrow.dataset

    from engine.prose.parse import parse
    from engine.schema import LABEL_NAMES, MASKS

    (tmp_path / "l.csv").write_text("dr_grade,is_gc\n4,1\n")
    flags = [part for name, file in given.items() for part in (f"--{name}", tmp_path / file)]
    out = tmp_path / "o"
    common = ("--size", 64, "--workers", 1, "--out", out)
    code, _, err = retinaforge("phantom", "--count", 4, *common, *flags)
    assert code == 0, err
    assert retinaforge("verify", out)[0] == 0
    rows = pyarrow.dataset.dataset(out / "parts").to_table().to_pylist()
    assert len(rows) == len({row["image"]["bytes"] for row in rows}) == 4
    for row in rows:
        assert (row["width"], row["caption_source"], row["attempts"]) == (64, "phantom", 1)
        assert all(row[name] is not None for name in LABEL_NAMES)
        assert all(row[name] is not None for name in MASKS)
        assert given == {} or row["is_gc"] == 1
        stated = parse(row["caption"])
        assert stated.items() <= row.items()


def test_a_dry_run_draws_forecasts_and_writes_nothing(retinaforge, tmp_path):
    arguments = ("generate", "--count", 1000, "--model", "null:5", "--workers", 2, "--dry-run")
    code, out, _ = retinaforge(*arguments, "--out", tmp_path / "o", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["rows"], found["missing"], found["sampled"]) == (1000, 1000, 8)
    # A row takes five milliseconds or, on a busy machine, more: no forecast may promise less.
    assert 0 < found["images_per_s"] < 400
    assert found["seconds"] >= 1000 / 400
    assert found["bytes"] > 100_000
    code, out, _ = retinaforge(*arguments, "--out", tmp_path / "o")
    assert "1,000 of 1,000 rows to draw with 2 workers" in out
    assert not (tmp_path / "o").exists()


def test_doctor_speaks_json_and_knows_the_clashing_package(retinaforge):
    code, out, _ = retinaforge("doctor", "--json")
    found = {each["what"]: each["state"] for each in json.loads(out)}
    assert found["torch"] == found["ray"] == "ok"
    assert (found["package kernels"] == "clash") == (code == 1)


@pytest.mark.parametrize(("said", "kept"), [(None, "passive"), ("active", "active")])
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(
    retinaforge, monkeypatch, said, kept
):
    monkeypatch.setenv("OMP_WAIT_POLICY", said or "")
    if said is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    assert retinaforge("--version")[0] == 0
    assert os.environ["OMP_WAIT_POLICY"] == kept
