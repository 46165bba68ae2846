"""A table is purified by its photographs, each looked at once, and training reads the new one."""

from __future__ import annotations

import csv
import fcntl
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.data import splits
from engine.data.sources import read_examples
from engine.purify import picture
from engine.purify.notes import NAME
from engine.purify.run import PurifyAsk, purify
from engine.schema import UserError


def quiet(done: int, total: int) -> None:
    pass


def pure(data, out, scorer=None):
    return purify(PurifyAsk([str(each) for each in data], out, scorer and str(scorer)), quiet)


def rulings(out):
    with (out / "rulings.csv").open() as file:
        return {row["file"].rpartition("/")[2]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def done(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("pure") / "out"
    return pure([table], out), out


def test_each_row_is_kept_repaired_or_dropped_with_its_reason(done):
    report, out = done
    fates = {name: (row["fate"], row["reasons"]) for name, row in rulings(out).items()}
    assert fates["good.png"] == fates["plain.png"] == ("kept", "")
    assert fates["wrong.png"] == ("repaired", "dr_grade: the caption denies the label")
    assert fates["dark.png"][0] == fates["stripes.png"][0] == "dropped"
    assert "dark" in fates["dark.png"][1]
    assert fates["stripes.png"][1] == "not a fundus"
    assert fates["broken.png"] == ("dropped", "cannot be read")
    assert report.fates == {"kept": 2, "repaired": 1, "dropped": 3}
    told = json.loads((out / "report.json").read_text())
    assert (told["held_out"], told["reasons"]["dropped"]["not a fundus"]) == (1, 1)
    assert "dropped: not a fundus: 1" in report.lines()


def test_training_reads_the_new_table_and_what_is_held_out_is_as_it_was(done):
    _, out = done
    examples = read_examples([str(out / "labels.csv")])
    assert sorted(each.path.name for each in splits.teaching(examples)) == [
        *("good.png", "plain.png", "wrong.png")
    ]
    (held,) = splits.held_out(examples)
    assert "severe NPDR" in held.caption
    (wrong,) = (each for each in examples if each.path.name == "wrong.png")
    assert wrong.caption == "A photograph of a retina with an even background."
    assert (wrong.annotation.dr_grade, wrong.patient_id) == (0, "wrong.png")


def test_a_second_run_and_one_after_a_kill_look_at_nothing_twice(done, table, monkeypatch):
    _, out = done
    before = (out / "labels.csv").read_bytes()
    lines = (out / NAME).read_text().split("\n")
    assert len(lines) == 7
    # A kill cuts the last line short.
    (out / NAME).write_text("\n".join([*lines[:-1], lines[-1][:20]]))
    looked, real = [], picture.Examiner.examine

    def examine(self, example, caption):
        looked.append(example.path.name)
        return real(self, example, caption)

    monkeypatch.setattr(picture.Examiner, "examine", examine)
    for count in (1, 1):
        pure([table], out)
        assert len(looked) == count
    assert (out / "labels.csv").read_bytes() == before


def test_rows_of_a_parquet_file_become_files_that_training_reads(table, tmp_path):
    eyes = [each for each in read_examples([str(table)]) if each.path.stem in ("good", "plain")]
    rows = [
        {"image": {"bytes": each.read_bytes(), "path": f"deep/{each.path.name}"}, "dr_grade": 0}
        for each in eyes
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "eyes.parquet")
    pure([tmp_path / "eyes.parquet"], tmp_path / "out")
    found = read_examples([str(tmp_path / "out/labels.csv")])
    assert [each.path.name for each in found] == [each.path.name for each in eyes]
    assert [each.read_bytes() for each in found] == [each.read_bytes() for each in eyes]


def test_an_eye_that_another_row_holds_out_is_left_out(table, tmp_path):
    rows = list(csv.DictReader(table.open()))
    kept = [row for row in rows if row["file"] in ("good.png", "wrong.png", "held.png")]
    for row in kept:
        row["file"] = str(table.parent / row["file"])
    kept[0]["patient_id"] = kept[2]["patient_id"]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)
    report = pure([tmp_path / "t.csv"], tmp_path / "out")
    assert (report.elsewhere, report.left) == (1, 1)
    assert "good.png" not in (tmp_path / "out/labels.csv").read_text()


def test_a_scorer_of_the_user_ranks_captions_among_those_of_others(table, scorer, tmp_path):
    out = tmp_path / "out"
    report = pure([table], out, scorer)
    better = {name: row["better"] for name, row in rulings(out).items()}
    assert all(0 <= float(better[name]) <= 1 for name in ("good.png", "wrong.png", "plain.png"))
    assert better["broken.png"] == ""
    assert report.scorer == json.loads((out / "report.json").read_text())["scorer_sha256"]


@pytest.mark.parametrize(
    ("data", "told"),
    [("phantom:3", "phantoms are right as they are"), ("nowhere.csv", "no such file or folder")],
)
def test_mistakes_are_told(tmp_path, data, told):
    with pytest.raises(UserError, match=told):
        pure([data], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_one_in_use_and_no_scorer_are_refused(table, tmp_path):
    with pytest.raises(UserError, match="no scorer here"):
        pure([table], tmp_path / "out", table.parent)
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        pure([table], tmp_path)
    with pytest.raises(UserError, match="⟨out⟩: cannot be made: Not a directory"):
        pure([table], tmp_path / "mine/out")
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / NAME).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another run writes it"):
            pure([table], tmp_path / "out")


def test_where_nothing_is_left_no_table_is_written(table, tmp_path):
    (tmp_path / "t.csv").write_text(f"file,dr_grade\n{table.parent}/stripes.png,0\n")
    with pytest.raises(UserError, match="nothing is kept that teaches"):
        pure([tmp_path / "t.csv"], tmp_path / "out")
    assert (tmp_path / "out/report.json").is_file()
    assert not (tmp_path / "out/labels.csv").exists()
