"""Whatever becomes of what a command prints, its exit code tells of its work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.registry.null import NullSampler
from engine.stages.draw import Draw
from engine.store.commits import Folder, close_attempt, take_attempt
from engine.store.parts import write_outcomes
from engine.store.plan import write_plan

COMMAND = [sys.executable, "-m", "serve.cli"]


@pytest.fixture
def eyes(tmp_path, plan) -> Path:
    """A whole folder whose name ASCII does not hold."""
    root = tmp_path / "éyes"
    write_plan(root, plan)
    Folder(root).make()
    number = take_attempt(Folder(root), 3).number
    rows = Draw(plan, NullSampler(0)).table([(0, 3)])
    write_outcomes(Folder(root), number, plan.fingerprint, rows)
    close_attempt(Folder(root), number)
    return root


def shell(line: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`retinaforge` within a line of the shell, as its "$@"."""
    return subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        errors="replace",
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_that_lacks_a_character_gets_it_spelled_out(eyes, encoding):
    out = eyes.with_name(f"←{encoding}")
    done = shell(
        '"$@"',
        "export",
        eyes,
        "--format",
        "imagefolder",
        "--out",
        out,
        PYTHONIOENCODING=encoding,
        TERM="dumb",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ("←" if encoding == "utf-8" else "\\u2190") + encoding in done.stdout


@pytest.mark.parametrize("line", ['"$@" >&-', '"$@" 2>&-', '"$@" <&- >&- 2>&-', '"$@" 2>/dev/full'])
def test_output_that_nobody_takes_changes_no_exit_code(eyes, line):
    assert shell(line, "verify", eyes).returncode == 0
    assert shell(line, "verify", eyes.parent).returncode == 2


def test_output_that_a_full_disk_refuses_is_told_on_the_other_stream(eyes):
    done = shell('"$@" >/dev/full', "verify", eyes)
    assert done.returncode == 0
    assert "standard output cannot be written" in done.stderr


def test_a_reader_that_left_ends_nothing(eyes):
    line = '("$@"; echo "code $?" >&2) | true'
    done = shell(line, "verify", eyes)
    assert "code 0" in done.stderr
    assert "Broken" not in done.stderr
    assert (
        "code 0" in shell('("$@" 2>&1; echo "code $?" >&3) 3>&2 | head -c 1', "verify", eyes).stderr
    )


def test_closed_streams_are_never_given_to_a_file(eyes, tmp_path):
    """The first file that is opened would get the number of a closed stream."""
    out = tmp_path / "out"
    done = shell('"$@" >&- 2>&-', "export", eyes, "--format", "imagefolder", "--out", out)
    assert done.returncode == 0
    lines = (out / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["index"] for line in lines] == [0, 1, 2]


def test_a_name_that_is_no_utf8_is_refused_before_any_work(tmp_path):
    name = os.fsencode(tmp_path) + b"/a\xff"
    done = subprocess.run(
        [*COMMAND, "generate", "--count", "1", "--out", name], capture_output=True
    )
    assert done.returncode == 2
    assert b"\\udcff" in done.stderr
    assert b"UTF-8" in done.stderr
    assert not list(tmp_path.iterdir())


def test_identify_answers_for_names_that_are_no_utf8_and_for_the_others(eyes, tmp_path):
    out = tmp_path / "out"
    assert shell('"$@"', "export", eyes, "--format", "imagefolder", "--out", out).returncode == 0
    whole = next(out.rglob("*.webp"))
    odd = os.fsencode(tmp_path) + b"/a\xff.webp"
    with open(odd, "wb") as file:
        file.write(whole.read_bytes())
    lost = os.fsencode(tmp_path) + b"/b\xff.webp"
    done = subprocess.run([*COMMAND, "identify", odd, lost, whole, "--json"], capture_output=True)
    first, second, third = map(json.loads, done.stdout.decode().splitlines())
    assert done.returncode == 2
    assert first["file"] == f"{tmp_path}/a\\xff.webp"
    assert second["error"] == f"{tmp_path}/b\\xff.webp: no such file"
    assert (first["seed"], first["synthetic"]) == (third["seed"], True)
    words = subprocess.run([*COMMAND, "identify", odd], capture_output=True)
    assert words.stdout.decode().startswith(f"{tmp_path}/a\\xff.webp: synthetic")


def test_what_the_system_refuses_is_a_sentence(eyes):
    done = shell('"$@"', "report", eyes, "--no-one-eye")
    assert done.returncode == 0
    (eyes / "report" / "index.html").unlink()
    (eyes / "report" / "index.html").mkdir()
    done = shell('"$@"', "report", eyes, "--no-one-eye")
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
