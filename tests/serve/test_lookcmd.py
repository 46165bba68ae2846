"""The commands that look: what they print, and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from engine import registry
from engine.schema import UserError
from engine.stages.draw import Draw
from engine.stages.encode import Origin, encode
from engine.store.commits import Folder, take_attempt
from engine.store.parts import write_outcomes
from engine.store.plan import write_plan
from serve import lookcmd


@pytest.fixture
def call():
    """call(*arguments): exit code and standard output of the three commands."""
    app = typer.Typer()
    for command in (lookcmd.report, lookcmd.export, lookcmd.identify):
        app.command()(command)

    def run(*arguments):
        done = CliRunner().invoke(app, list(map(str, arguments)))
        if isinstance(done.exception, UserError):
            raise done.exception
        run.told = done.stderr
        return done.exit_code, done.stdout

    return run


@pytest.fixture
def marked(tmp_path):
    file = tmp_path / "eye.webp"
    file.write_bytes(encode(np.zeros((8, 8, 3), np.uint8), "webp", Origin("tiny", "ab12", 41)))
    return file


@pytest.fixture
def empty(tmp_path, plan):
    """A data set folder without rows."""
    write_plan(tmp_path / "o", plan)
    Folder(tmp_path / "o").make()
    take_attempt(Folder(tmp_path / "o"), 3)
    return tmp_path / "o"


def test_identify_answers_for_every_file_and_exits_2_for_an_unreadable_one(call, marked, tmp_path):
    code, text = call("identify", marked)
    assert (code, "seed 41" in text) == (0, True)
    (tmp_path / "notes.txt").write_text("no image")
    code, text = call("identify", tmp_path / "notes.txt", marked, "--json")
    first, second = map(json.loads, text.splitlines())
    assert code == 2
    assert "cannot be read" in first["error"]
    assert (second["synthetic"], second["model"], second["seed"]) == (True, "tiny", 41)


def test_a_file_name_cannot_forge_a_line(call, marked):
    odd = marked.with_name("eye.webp: no mark found\nother.webp")
    odd.write_bytes(marked.read_bytes())
    code, text = call("identify", odd)
    assert (code, text.count("\n")) == (0, 1)


def test_export_to_a_full_disk_says_so_and_leaves_nothing(empty, plan, tmp_path):
    table = Draw(plan, registry.NullSampler(0)).table([(0, 3)])
    write_outcomes(Folder(empty), 1, plan.fingerprint, table)
    # A file that would pass a hundred bytes is refused as one on a full disk is.
    small = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
        "from serve.cli import main; main()"
    )
    out = tmp_path / "full" / "x"
    command = [sys.executable, "-B", "-c", small, "export", empty, "--format", "imagefolder"]
    done = subprocess.run([*command, "--out", out], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"error: cannot write to {out}: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(out.parent.iterdir()) == []


def test_report_prints_the_page(call, empty):
    code, text = call("report", empty, "--json")
    assert code == 0
    assert json.loads(text)["page"] == str(empty / "report" / "index.html")


def test_a_report_says_why_it_draws_no_eye_and_is_written(call, empty, plan, capsys):
    gone = plan.model_copy(update={"model": "mine", "model_location": "/nowhere/mine"})
    (empty / "plan.json").write_text(gone.sealed().model_dump_json())
    assert lookcmd._one_eye(gone) is None
    assert "no picture of one eye: " in capsys.readouterr().err
    code, text = call("report", empty)
    assert code == 0
    assert str(empty / "report" / "index.html") in text


def test_export_refuses_before_it_writes(call, empty, tmp_path):
    with pytest.raises(UserError, match="synfundus or webdataset or imagefolder"):
        call("export", empty, "--format", "zip", "--out", tmp_path / "x")
    with pytest.raises(UserError, match="no committed rows"):
        call("export", empty, "--format", "synfundus", "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_half_whole_folder_is_told_of_by_report_and_exported_when_asked(call, empty, plan):
    table = Draw(plan, registry.NullSampler(0)).table([(0, 2)])
    write_outcomes(Folder(empty), 1, plan.fingerprint, table)
    missing = f"{empty}: 1 of 3 planned rows are missing"
    assert call("report", empty)[0] == 0
    assert missing in call.told
    out = empty.parent / "x"
    with pytest.raises(UserError, match="1 of 3 planned rows are missing"):
        call("export", empty, "--format", "synfundus", "--out", out)
    assert call("export", empty, "--format", "synfundus", "--out", out, "--incomplete")[0] == 0
    assert missing in call.told
