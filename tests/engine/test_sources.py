"""A source that a model does not know is told with file and line."""

from __future__ import annotations

import pytest

from engine import registry
from engine.schema import UserError


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.csv", "file,source\n0.png,idrid\nmars.png,mars\n", ": line 3"),
        (
            "a.jsonl",
            '{"prompt": "mars"}\n\n{"prompt": "an eye", "source": "mars"}\n',
            ": line 3",
        ),
        ("a.yaml", "source: {idrid: 1, mars: 3}\n", ""),
    ],
)
def test_an_unknown_source_is_told_with_its_line(tmp_path, name, text, line):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(UserError, match=rf"{name}{line}: source: debug does not know .*'mars'"):
        registry.resolve("debug").check_sources(["idrid", "mars"], file)


def test_sources_that_the_model_does_not_know_are_refused():
    ref = registry.resolve("debug")
    ref.check_sources(["idrid"])
    with pytest.raises(UserError, match=r"source: debug does not know .*'mars'.*idrid"):
        ref.check_sources(["idrid", "mars"])
    registry.resolve("null").check_sources(["mars"])
