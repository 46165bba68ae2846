"""Errors speak the language of the command that ran into them."""

from __future__ import annotations

import pytest

from engine.schema import UserError
from serve import jobs
from serve.wording import speaking


@pytest.mark.parametrize(
    ("words", "mark", "told"),
    [
        (["generate", "--count", "1", "--out", "o"], "⟨out⟩", "--out"),
        (["generate", "--count", "1", "--out", "o"], "⟨image_format⟩", "--format"),
        (["generate", "--count", "1", "--out", "o"], "⟨no_geometry⟩", "--no-geometry"),
        (["export", "eyes", "--format", "x", "--out", "o"], "⟨layout⟩", "--format"),
        (["calibrate", "m", "--data", "d"], "⟨held_out⟩", "--held-out"),
        (["calibrate", "m", "--data", "d"], "⟨model⟩", "MODEL_DIR"),
        (["verify", "eyes"], "⟨steps⟩", "steps"),
        (["train", "text-debug"], "⟨data⟩", "--data"),
        (["train", "text-debug"], "⟨data.cache⟩=DIR", "--set data.cache=DIR"),
    ],
)
@pytest.mark.parametrize("kind", [UserError, RuntimeError])
def test_what_was_asked_for_is_called_by_its_flag(words, mark, told, kind):
    command = jobs._parsed(tuple(words)).command
    with pytest.raises(kind) as error, speaking(command):
        raise kind(f"no {mark} here")
    assert str(error.value) == f"no {told} here"


def test_other_faults_pass_as_they_are():
    fault = KeyError("⟨out⟩")
    with pytest.raises(KeyError) as error, speaking(jobs._parsed(("verify", "eyes")).command):
        raise fault
    assert error.value.args == ("⟨out⟩",)


def test_a_command_tells_its_own_flags(retinaforge, tmp_path):
    flags = ("--count", 2, "--model", "null", "--geometry", "--out", tmp_path / "o")
    assert retinaforge("generate", *flags) == (
        2, "", "error: --geometry: null takes no geometry (expected --no-geometry)\n",
    )  # fmt: skip
