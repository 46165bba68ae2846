"""The command line as its help shows it."""

from __future__ import annotations

import re

import pytest
import typer

import kernels
from serve import commands

ROOT = typer.main.get_command(commands.app)
NAMES = (
    "ingest train purify curriculum convert phantom generate caption redrive verify report export",
    "identify calibrate evaluate explain serve submit tune bench doctor",
)


def leaves(command=ROOT, path=()):
    """Every command by its words."""
    for name, each in command.commands.items():
        yield from leaves(each, (*path, name)) if hasattr(each, "commands") else [(*path, name)]


@pytest.mark.parametrize("group", [(), ("evaluate",), ("bench",)], ids=" ".join)
def test_help_lists_one_unbroken_line_each(retinaforge, monkeypatch, group):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = retinaforge(*group, "--help")
    listed = re.findall(r"^│ (.{10}).*│$", out[out.index("Commands") :], re.MULTILINE)
    assert code == 0
    assert all(each[0] != " " for each in listed), out
    if not group:
        assert [each.strip() for each in listed] == " ".join(NAMES).split()


@pytest.mark.parametrize("words", [*leaves()], ids=" ".join)
def test_every_command_shows_an_example_of_itself(retinaforge, words):
    code, out, _ = retinaforge(*words, "--help")
    assert code == 0
    assert f"Example: retinaforge {' '.join(words)} " in " ".join(out.split()) + " "


def test_the_version_is_the_projects(retinaforge):
    assert retinaforge("--version") == (0, f"retinaforge {kernels.__version__}\n", "")
