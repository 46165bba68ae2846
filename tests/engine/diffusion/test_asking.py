"""A call by diffusers' conventions as rows: prompts, labels and seeds, said once or for each."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.asking import SEEDS, asked
from engine.schema import Annotation


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_one_prompt_or_one_set_of_labels_serves_many_rows():
    rows = asked("haze", [{"is_gc": 1}, {}], 1, None)
    assert rows.prompts == ["haze", "haze"]
    assert [each.is_gc for each in rows.annotations] == [1, None]
    rows = asked(["a", "b"], {"is_gc": 0}, 2, None)
    assert rows.prompts == ["a", "a", "b", "b"]
    assert {each.is_gc for each in rows.annotations} == {0}
    assert asked(None, None, 1, None).prompts == [""]


def test_labels_that_were_given_stand_over_those_that_a_prompt_states():
    words = "A left eye with glaucoma."
    assert asked(words, None, 1, None).annotations == [Annotation(eye_side=1, is_gc=1)]
    (given,) = asked(words, {"is_gc": 0, "source": "hrf"}, 1, None).annotations
    assert (given.eye_side, given.is_gc, given.source) == (1, 0, "hrf")


def test_a_new_generator_gives_its_own_seed_and_a_used_one_draws():
    generator = seeded(7)
    assert asked("", None, 1, generator).seeds == [7]
    second = asked("", None, 2, generator).seeds
    assert 7 not in second
    assert len({*second}) == 2
    assert all(0 <= seed < SEEDS for seed in second)
    again = seeded(7)
    asked("", None, 1, again)
    assert asked("", None, 2, again).seeds == second


def test_each_row_may_have_a_generator_and_without_any_seeds_differ():
    assert asked(["a", "b"], None, 1, [seeded(3), seeded(4)]).seeds == [3, 4]
    assert len({*asked("", None, 8, None).seeds}) == 8


@pytest.mark.parametrize(
    ("prompt", "labels", "images", "generator"),
    [
        (["a", "b"], [{}, {}, {}], 1, None),
        ([], None, 1, None),
        ("a", None, 0, None),
        ("a", None, 1, [seeded(0), seeded(1)]),
        ("a", {"is_gc": 2}, 1, None),
    ],
)
def test_what_cannot_be_rows_is_refused(prompt, labels, images, generator):
    with pytest.raises(ValueError, match=r"prompts|generators|is_gc"):
        asked(prompt, labels, images, generator)
