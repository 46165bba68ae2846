"""`purify` and `curriculum` as a user meets them: flags, words, exit codes."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.schema import Annotation


def test_a_table_is_purified_and_told_of(retinaforge, tmp_path):
    Image.fromarray(draw(Annotation(dr_grade=0), 1, 256).image).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "t.csv").write_text("file,dr_grade\na.png,0\nb.png,0\n")
    flags = ("--data", tmp_path / "t.csv", "--out", tmp_path / "pure")
    code, out, err = retinaforge("purify", *flags)
    table = tmp_path / "pure/labels.csv"
    assert (code, out) == (0, f"{table}: 1 photographs that teach\n"), err
    assert "dropped: cannot be read: 1" in err
    code, out, _ = retinaforge("purify", *flags, "--json")
    assert (code, json.loads(out)["dropped"]) == (0, 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("purify", "--data", "phantom:2"), "--data: phantoms are right as they are"),
        (("purify", "--data", "nowhere.csv"), "--data: no such file or folder"),
        (("curriculum", "diffusion-debug", "--last", "steps"), "--last: 'steps' (expected PATH"),
        (("curriculum", "gate-debug"), "PRESET: 'gate-debug' (expected one of diffusion-tiny"),
        (("curriculum", "diffusion-debug", "--gpu", "h200"), "--gpu: a run asks no such thing"),
    ],
)
def test_mistakes_are_told_by_flag_and_nothing_is_written(
    retinaforge, tmp_path, monkeypatch, words, told
):
    monkeypatch.chdir(tmp_path)
    code, out, err = retinaforge(*words, "--out", "run")
    assert (code, out) == (2, "")
    assert told in err
    assert not [*tmp_path.iterdir()]
