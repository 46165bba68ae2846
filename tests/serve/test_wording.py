"""Errors speak the language of the command that ran into them."""

from __future__ import annotations

import pytest
import typer

from engine.schema import UserError
from serve.commands import app
from serve.progress import say
from serve.submission import parsed
from serve.wording import speaking

ROOT = typer.main.get_command(app)


@pytest.mark.parametrize(
    ("words", "mark", "told"),
    [
        (["generate", "--count", "1", "--out", "o"], "⟨out⟩", "--out"),
        (["generate", "--count", "1", "--out", "o"], "⟨image_format⟩", "--format"),
        (["export", "eyes", "--format", "x", "--out", "o"], "⟨layout⟩", "--format"),
        (["calibrate", "m", "--data", "d"], "⟨held_out⟩", "--held-out"),
        (["calibrate", "m", "--data", "d"], "⟨model⟩", "MODEL_DIR"),
        (["verify", "eyes"], "⟨null_rows⟩", "--null-rows"),
        (["train", "text-debug"], "⟨data⟩", "--data"),
        (["train", "text-debug"], "⟨address⟩", "--address"),
        (["train", "text-debug"], "⟨micro⟩=N", "--set micro=N"),
        (["train", "text-debug"], "⟨data.cache⟩=DIR", "--set data.cache=DIR"),
    ],
)
@pytest.mark.parametrize("kind", [UserError, RuntimeError])
def test_what_was_asked_for_is_called_by_its_flag(words, mark, told, kind):
    command = parsed(ROOT, words).command
    with pytest.raises(kind) as error, speaking(command):
        raise kind(f"no {mark} here")
    assert str(error.value) == f"no {told} here"


def test_other_faults_pass_as_they_are():
    fault = KeyError("⟨out⟩")
    with pytest.raises(KeyError) as error, speaking(parsed(ROOT, ["verify", "eyes"]).command):
        raise fault
    assert error.value.args == ("⟨out⟩",)


def test_a_command_tells_its_own_flags(retinaforge, tmp_path):
    flags = ("--count", 2, "--model", "null", "--geometry", "phantom", "--out", tmp_path / "o")
    assert retinaforge("generate", *flags) == (
        2, "", "error: --geometry: null takes no geometry (expected --geometry none)\n",
    )  # fmt: skip


def test_what_is_said_on_the_way_speaks_of_flags(capsys):
    say("no picture: ⟨allow_plain⟩ is off")
    assert capsys.readouterr().err == "no picture: --allow-plain is off\n"
