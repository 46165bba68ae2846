"""A source that a model does not know is told with file and line."""

from __future__ import annotations

import pytest

from engine import registry
from engine.registry import SamplerRef
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
        registry.find(SamplerRef, "debug").check_sources(["idrid", "mars"], file)


def test_sources_that_the_model_does_not_know_are_refused():
    ref = registry.find(SamplerRef, "debug")
    ref.check_sources(["idrid"])
    with pytest.raises(UserError, match=r"source: debug does not know .*'mars'.*idrid"):
        ref.check_sources(["idrid", "mars"])
    registry.find(SamplerRef, "null").check_sources(["mars"])


@pytest.mark.parametrize(
    ("model", "threads", "device", "rows"), [("debug", 1, "cpu", 1), ("debug", 1, "cuda", 16)]
)
def test_a_model_is_usually_called_as_its_card_says(model, threads, device, rows):
    ref = registry.find(SamplerRef, model)
    call = ref.usual_call(device, "float32")
    assert (call.threads, call.rows_per_call, call.device) == (threads, rows, device)
    assert (call.solver, call.steps, call.attention) == (ref.usual.solver, ref.usual.steps, "sdpa")
    program = registry.find(SamplerRef, "phantom").usual_call("cpu", "float32")
    assert (program.solver, program.steps, program.attention) == ("none", 0, "none")
    assert program.context_tokens == 0


@pytest.mark.parametrize("source", ["", " ", "mars"])
def test_a_source_that_is_asked_for_must_be_known(source):
    with pytest.raises(UserError, match="⟨source⟩"):
        registry.find(SamplerRef, "debug").check_source(source)


def test_instructions_are_part_of_what_computes_and_phantoms_of_what_draws_on_them():
    ref = registry.find(SamplerRef, "debug")
    call = ref.usual_call("cpu", "float32")
    plain = call.model_copy(update={"geometry": False, "t0": 0.0})
    assert {"cpu", "torch"} < {*ref.pixel_libraries(plain)}
    assert "phantom" not in ref.pixel_libraries(plain)
    for change in ({"geometry": True}, {"t0": 0.5}):
        assert "phantom" in ref.pixel_libraries(plain.model_copy(update=change))


def test_how_a_refiner_is_shown_phantoms_is_part_of_what_it_paints():
    for model, refined in (("refiner-tiny", True), ("tiny", True), ("dualgan-tiny", False)):
        ref = registry.find(SamplerRef, model)
        call = ref.usual_call("cpu", "float32")
        assert ("refining" in ref.pixel_libraries(call)) is refined, model
    ref = registry.find(SamplerRef, "tiny")
    apart = ref.usual_call("cpu", "float32").model_copy(update={"geometry": False, "t0": 0.0})
    assert "refining" not in ref.pixel_libraries(apart), "nothing is refined without a phantom"
