"""`ingest` as a user meets it: flags, words, exit codes, and real photographs where they lie."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from eyes import eye
from PIL import Image

from engine.data.sources import read_examples

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "labels.csv"


def write_aptos(root: Path, count: int = 3) -> Path:
    (root / "train_images").mkdir(parents=True)
    for number in range(count):
        eye(number, 96).save(root / "train_images" / f"{number:012x}.png")
    lines = [f"{number:012x},{number % 5}" for number in range(count)]
    (root / "train.csv").write_text("\n".join(["id_code,diagnosis", *lines]))
    return root


def test_a_public_set_is_read_by_itself(retinaforge, tmp_path):
    src, out = write_aptos(tmp_path / "aptos2019"), tmp_path / "aptos"
    code, told, err = retinaforge("ingest", src, "--out", out)
    assert (code, told) == (0, f"{out / 'labels.csv'}: 3 photographs\n")
    assert "3 photographs (aptos): 3 kept" in err
    examples = read_examples([str(out / "labels.csv")])
    assert sorted(each.annotation.dr_grade for each in examples) == [0, 1, 2]
    assert {each.annotation.source for each in examples} == {"aptos"}


def test_what_was_dropped_is_told_and_ends_with_3(retinaforge, tmp_path):
    src = write_aptos(tmp_path / "aptos2019")
    (src / "train_images" / "000000000001.png").write_bytes(b"no image")
    asked = ("ingest", src, "--layout", "aptos", "--out", tmp_path / "o", "--json")
    code, out, err = retinaforge(*asked)
    assert code == 3
    told = json.loads(out)
    assert (told["kept"], told["dropped"]) == (2, {"not an image": 1})
    assert "1 dropped, not an image (first: train_images/000000000001.png)" in err


def test_a_mistake_is_told_by_its_flag(retinaforge, tmp_path):
    src = write_aptos(tmp_path / "aptos2019")
    for asked, why in (
        (("--layout", "kaggle"), "error: --layout: 'kaggle' (expected aptos or"),
        (("--columns", "file=id"), "no column 'id' (for file)"),
        (("--columns", "grade=x"), "error: --columns: unknown name 'grade'"),
        (("--values", "dr_grade: a=1"), "error: --values: dr_grade is not mapped"),
        (("--format", "jpeg"), "error: --format: 'jpeg' (expected webp or png)"),
        (("--source", "a b, c"), "error: --source: 'a b, c'"),
    ):
        code, _, err = retinaforge("ingest", src, "--out", tmp_path / "o", *asked)
        assert (code, why in err) == (2, True), err
    assert not (tmp_path / "o").exists()


def test_a_run_that_was_killed_goes_on(retinaforge, tmp_path):
    src, out = write_aptos(tmp_path / "aptos2019", 24), tmp_path / "o"
    command = [sys.executable, "-c", "from serve.cli import main; main()", "ingest", src]
    run = subprocess.Popen([*command, "--out", out], stderr=subprocess.DEVNULL)
    journal = out / "private" / "journal.jsonl"
    while not (journal.exists() and journal.read_text().count("\n") > 2):
        assert run.poll() is None
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    code, _, err = retinaforge("ingest", src, "--out", out)
    assert code == 0, err
    assert len(read_examples([str(out / "labels.csv")])) == 24
    assert not list(out.rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="the photographs are not here")
def test_real_photographs_lose_nothing_but_their_doubles(retinaforge, tmp_path):
    src = tmp_path / "src"
    lines = DATA.read_text().splitlines()
    some = lines[1::12]
    for name in {part for line in some for part in line.split(",") if "/" in part}:
        (src / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA.parent / name, src / name)
    (src / "labels.csv").write_text("\n".join([lines[0], *some]))
    code, out, _ = retinaforge("ingest", src, "--out", tmp_path / "o", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["photographs"] == len(some)
    assert told["photographs"] == told["kept"] + sum(told["there_twice"].values())
    assert (told["text_outside_the_field"], told["masks_not_read"]) == (0, {})
    first = read_examples([str(tmp_path / "o" / "labels.csv")])[0]
    assert np.asarray(first.read()).shape[2] == 3
    assert Image.open(first.path).info.keys() <= {"loop", "background", "timestamp", "duration"}
