"""The null model: nothing to find, and nothing to get wrong but its milliseconds."""

from __future__ import annotations

import pytest
from calls import settings, specs

from engine import registry
from engine.registry import SamplerRef
from engine.schema import UserError


def test_null_needs_nothing_and_its_colour_is_the_seed():
    ref = registry.find(SamplerRef, "null:2.5")
    assert (ref.FAMILY, ref.milliseconds, ref.size) == ("null", 2.5, 8)
    images = ref.load(settings()).draw(specs(3, size=8))
    assert [drawn.image.shape for drawn in images] == [(8, 8, 3)] * 3
    assert len({drawn.image.tobytes() for drawn in images}) == 3


@pytest.mark.parametrize("name", ["null:x", "null:-1", "null:1e9", "null:nan"])
def test_milliseconds_that_are_none_are_refused(name):
    with pytest.raises(UserError, match=r"⟨model⟩: .*expected null or null:MILLISECONDS"):
        registry.find(SamplerRef, name)


def test_it_draws_one_size_and_no_eye_and_has_no_card():
    ref = registry.find(SamplerRef, "null:")
    assert (ref.milliseconds, ref.draws_eyes, ref.reads_prompts) == (0, False, False)
    assert (ref.folder, ref.describe().card, ref.pixel_libraries(settings())) == (None, {}, ())
    ref.check_size(8)
    for size in (7, 16, 64):
        with pytest.raises(UserError, match="null: cannot draw"):
            ref.check_size(size)
    assert registry.find(SamplerRef, "null:500").expected_seconds(settings(), 8) > 0.5
