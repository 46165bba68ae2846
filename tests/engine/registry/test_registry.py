"""One door to every family of models: a new one is a class and a line in the table."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import ClassVar

import pytest

from engine import registry, shipped
from engine.models.card import verified_card, write_card
from engine.registry import FAMILIES, ModelRef, SamplerRef
from engine.registry.base import BaseRef
from engine.registry.captioner import CaptionerRef
from engine.registry.gate import GateRef
from engine.registry.scorer import ScorerRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import UserError


@dataclass(frozen=True, kw_only=True)
class EchoRef(ModelRef):
    """A family that says a word: its folder holds `echo.json`."""

    FAMILY: ClassVar[str] = "echo"
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)

    word: str

    @classmethod
    def holds(cls, folder):
        return (folder / "echo.json").is_file()

    @classmethod
    def examine(cls, place):
        word = json.loads((place.folder / "echo.json").read_text())["word"]
        digest = verified_card(place.folder).sha256
        return cls(name=place.name, location=place.location, weights_sha256=digest, word=word)

    def load(self):
        return lambda times: " ".join([self.word] * times)


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """The folder of an echo, whose family stands in the table."""
    monkeypatch.setattr(registry, "FAMILIES", [*FAMILIES, EchoRef])
    folder = tmp_path / "run/model"
    folder.mkdir(parents=True)
    (folder / "echo.json").write_text('{"word": "eye"}')
    write_card(folder, {"name": "echo", "data": {"words": 1}, "licence": "CC0-1.0"})
    return folder


def test_a_new_family_is_found_examined_loaded_and_described(echo):
    for place in (echo, str(echo), echo.parent, str(echo.parent)):
        ref = registry.find(EchoRef, place)
        assert (ref.word, ref.location, ref.folder) == ("eye", str(echo), echo)
        assert ref.load()(3) == "eye eye eye"
    assert registry.find(EchoRef, str(echo.parent)).name == "run"
    assert registry.examine(EchoRef, echo) == registry.find(EchoRef, echo)
    told = ref.describe()
    assert (told.libraries, told.learned_from, told.licence) == (
        ("numpy",),
        {"words": 1},
        "CC0-1.0",
    )
    assert told.card["weights_sha256"] == ref.weights_sha256


def test_another_familys_folder_is_not_taken(echo, folder):
    with pytest.raises(UserError, match="no echo of that name"):
        registry.find(EchoRef, folder)
    with pytest.raises(UserError, match="no segmenter of that name"):
        registry.find(SegmenterRef, echo)
    with pytest.raises(UserError, match=r"no model_index\.json"):
        registry.find(SamplerRef, str(echo))
    with pytest.raises(UserError, match="no echo of that name"):
        registry.examine(EchoRef, echo.parent)


def test_altered_files_are_refused_and_told(echo):
    (echo / "echo.json").write_text('{"word": "ear"}')
    with pytest.raises(UserError, match="not those that the model card names"):
        registry.find(EchoRef, echo)


def test_every_model_of_this_checkout_is_of_a_family():
    assert registry.names(SamplerRef) == [
        "tiny",
        "debug",
        "dualgan-tiny",
        "refiner-tiny",
        "tiny-few",
        "phantom",
        "null[:MS]",
    ]
    here = ["tiny", "debug", "dualgan-tiny", "refiner-tiny", "tiny-few"]
    assert registry.shipped_names(SamplerRef) == here
    for wanted in (CaptionerRef, GateRef):
        assert registry.names(wanted) == [wanted.FAMILY]
    assert registry.names(SegmenterRef) == ["segmenter", "segmenter-512"]
    assert registry.names(ScorerRef) == ["visionclip-tiny"]
    assert len({family.FAMILY for family in FAMILIES}) == len(FAMILIES)
    known = {name for family in FAMILIES for name in registry.names(family)}
    assert {*shipped.names()} <= known
    assert registry.names(BaseRef) == ["tiny", "debug"]


def test_a_name_of_this_checkout_wins_over_a_folder_here_and_a_path_does_not(
    gan_folder, tmp_path, monkeypatch
):
    shutil.copytree(gan_folder, tmp_path / "here/tiny")
    monkeypatch.chdir(tmp_path / "here")
    assert registry.find(SamplerRef, "tiny").FAMILY == "pipeline"
    assert registry.find(SamplerRef, "./tiny").FAMILY == "gan"


@pytest.mark.parametrize("name", ["nullify", "nosuch", "a/b", "~nouser/x", "x" * 5000, "gate"])
def test_unknown_names_are_refused_with_the_known_ones(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="⟨model⟩"):
        registry.find(SamplerRef, name)
