"""The phantom as a model: a program, whose version is its hash."""

from __future__ import annotations

import pytest
from calls import settings, specs

from engine import registry
from engine.registry import SamplerRef
from engine.schema import MASKS, UserError


def test_the_phantom_is_a_model_without_weights_whose_version_is_its_hash(monkeypatch):
    ref = registry.find(SamplerRef, "phantom")
    assert (ref.FAMILY, ref.learned, ref.sources) == ("phantom", False, None)
    for size in (32, 40, 1024):
        ref.check_size(size)
    for size in (0, 16, 24, 33):
        with pytest.raises(UserError, match="multiple of 8 from 32"):
            ref.check_size(size)
    monkeypatch.setattr("engine.registry.phantom.VERSION", "another")
    assert registry.find(SamplerRef, "phantom").weights_sha256 != ref.weights_sha256


def test_it_draws_on_its_own_structures_and_takes_none():
    ref = registry.find(SamplerRef, "phantom")
    ref.check_start(geometry=False, t0=0.0)
    with pytest.raises(UserError, match="takes no geometry"):
        ref.check_start(geometry=True, t0=0.0)
    with pytest.raises(UserError, match="starts from no image"):
        ref.check_start(geometry=False, t0=0.5)
    (drawn,) = ref.load(settings()).draw(specs(1))
    assert {*drawn.masks} == {*MASKS}
    assert drawn.annotation is not None
    assert (drawn.image.shape, drawn.caption_source) == ((64, 64, 3), "phantom")


def test_a_folder_of_its_name_is_never_taken_for_it(tmp_path, monkeypatch):
    (tmp_path / "phantom").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not registry.find(SamplerRef, "phantom").learned
