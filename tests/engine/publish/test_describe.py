"""Every kind of plan that a folder may hold is described, and by its own module."""

from __future__ import annotations

import typing

import pytest

from engine.publish.describe import KINDS, describe
from engine.publish.pages import TEMPLATES
from engine.store.plan import AnyPlan, CaptionPlan


@pytest.fixture
def captions():
    return CaptionPlan(
        images=1,
        images_sha256="1" * 64,
        images_location="/eyes",
        backend="local",
        captioner="captioner",
        weights_sha256="0" * 64,
        image_format="webp",
        versions={},
    ).sealed()


def test_no_kind_of_plan_is_without_words(plan, captions):
    assert {plan.kind, captions.kind} == {*KINDS}
    assert len(KINDS) == len(typing.get_args(AnyPlan))


def test_drawn_and_taken_photographs_are_never_told_alike(plan, captions):
    drawn, taken = describe(plan), describe(captions)
    assert (drawn.drawn, taken.drawn) == (plan, None)
    assert "None shows a patient" in drawn.lead
    assert "may show patients" in taken.lead
    assert taken.kept is taken.guard is taken.warning is None


def test_each_kind_has_both_cards(plan, captions):
    for told in (describe(plan), describe(captions)):
        for name in ("card.md", "export.md"):
            assert (TEMPLATES / told.templates / name).is_file()
