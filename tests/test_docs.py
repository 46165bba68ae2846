"""What the documents name is there: files, presets, flags of commands, targets of make; and their
tables are whole."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import typer

from serve.commands import app
from train.presets import PRESETS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")])
TOP = "engine|train|serve|kernels|tests|docs|deploy"


def named(document: Path) -> list[Any]:
    return [pytest.param(document, id=str(document.relative_to(ROOT)))]


every = pytest.mark.parametrize("document", [each for one in DOCUMENTS for each in named(one)])


def commands(text: str) -> list[str]:
    """Lines in fences that call the command line, with their continuations."""
    fences = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    whole = "\n".join(fences).replace("\\\n", " ")
    return re.findall(r"^\s*\$?\s*((?:\.venv/bin/)?retinaforge .*)$", whole, re.M)


@every
def test_the_files_that_it_names_are_there(document):
    text = document.read_text()
    paths = re.findall(rf"`((?:{TOP})/[\w./-]+)`", text)
    paths += [str(document.parent / each) for each in re.findall(r"\]\(([\w./-]+)\)", text)]
    gone = [
        each for each in paths if not (ROOT / each).exists() and not (ROOT / f"{each}.py").exists()
    ]
    assert gone == []


@every
def test_the_commands_that_it_shows_have_these_flags(document):
    root: Any = typer.main.get_command(app)
    for line in commands(document.read_text()):
        words = shlex.split(line, comments=True)[1:]
        command, rest = root, words
        while hasattr(command, "commands") and rest and rest[0] in command.commands:
            command, rest = command.commands[rest[0]], rest[1:]
        assert command is not root or words[0].startswith("-"), line
        flags = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
        own = rest[: rest.index("--")] if "--" in rest else rest
        given = {word.partition("=")[0] for word in own if re.match(r"--\w", word)}
        assert given <= {*flags, "--help", "--version"}, line


@every
def test_the_presets_and_targets_that_it_shows_exist(document):
    text = document.read_text()
    presets = re.findall(r"retinaforge train ([\w-]+)", text)
    assert {each for each in presets if "-" in each} <= {*PRESETS}
    targets = set(re.findall(r"^make ([\w-]+)", text, re.M))
    makefile = (ROOT / "Makefile").read_text()
    assert targets <= {*re.findall(r"^([\w-]+):", makefile, re.M)}


@every
def test_every_row_of_a_table_has_as_many_cells_as_its_head(document):
    cells = None
    for number, line in enumerate(document.read_text().splitlines(), 1):
        # A bar within code is no border.
        found = re.sub(r"`[^`]*`", "", line).count("|") if line.startswith("|") else None
        assert cells is None or found in (None, cells), f"line {number}"
        cells = found if cells is None or found is None else cells


@every
def test_its_tables_say_what_was_measured(document):
    text = document.read_text()
    assert run_path(str(ROOT / "docs/evidence/tables.py"))["renewed"](text) == text


def test_every_file_of_evidence_is_made_by_the_one_command():
    told = (ROOT / "docs/evidence/run.sh").read_text()
    files = {each.stem for each in ROOT.glob("docs/evidence/*.json")}
    assert files == set(re.findall(r"^measured (\S+)", told, re.M))
