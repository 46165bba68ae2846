"""Every command says what it reads, what it writes and whether a cluster runs it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import typer

from serve.commands import app
from serve.declared import as_job, captioner_folder, model_folder, parameters, photographs
from train.presets import PRESETS
from train.settings import BROUGHT, CACHES, MODELS

NAMES_A_PLACE = re.compile(r"\b(folder|file|CSV|DIR|Parquet|photographs with)\b", re.IGNORECASE)
"""How the help of a parameter speaks of what lies on a disk."""


def leaves(command):
    for each in command.commands.values():
        yield from leaves(each) if hasattr(each, "commands") else [each]


COMMANDS = [*leaves(typer.main.get_command(app))]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)
def test_what_names_a_place_is_declared(command):
    hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    declared = parameters(command)
    for each in command.params:
        if each.name not in hints:
            continue
        is_path = Path in get_args(hints[each.name]) or "Path" in str(get_args(hints[each.name])[0])
        of_text = "str" in str(get_args(hints[each.name])[0])
        if is_path or (of_text and NAMES_A_PLACE.search(each.help or "")):
            assert declared[each.name], f"{command.name}: {each.name} declares nothing"


def test_what_no_cluster_runs_says_why():
    never = {each.name: as_job(each).never for each in COMMANDS if as_job(each).never}
    assert {*never} == {"ingest", "serve", "submit", "doctor", "tune"}
    assert all(never.values())


def test_settings_that_are_words_are_known_to_be_folders_or_not():
    words = {"name", "schedule", "optimizer", "model.preset", "model.network", "data.source"}
    for preset in PRESETS.values():
        tree = {"": vars(preset.settings), "model.": preset.settings.model}
        tree["data."] = preset.settings.data
        texts = {
            branch + name
            for branch, values in tree.items()
            for name, value in values.items()
            if isinstance(value, str)
        }
        assert texts <= words | {*MODELS, *BROUGHT, *CACHES}


def test_values_that_name_nothing_on_a_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert [model_folder(each) for each in ("tiny", "null:5", "mine", "a/b")] == [
        None, None, "mine", "a/b",
    ]  # fmt: skip
    assert [photographs(each) for each in ("phantom", "phantom:9", "eyes.csv")] == [
        None, None, "eyes.csv",
    ]  # fmt: skip
    backends = ("local", "local:mine", "triton://h:1/m")
    assert [captioner_folder(each) for each in backends] == [None, "mine", None]
