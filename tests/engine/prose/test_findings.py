"""Kinds of lesions are read back as they are worded, and silence beside others is a no."""

from __future__ import annotations

from random import Random

import pytest

from engine.prose.findings import FINDINGS, find, name


@pytest.mark.parametrize("finding", FINDINGS)
def test_what_is_worded_is_read_back(finding):
    for seed in range(20):
        assert find(name(finding, 1, Random(seed)))[finding] == 1
        assert find(name(finding, 0, Random(seed))) == {finding: 0}


@pytest.mark.parametrize(
    ("text", "soft", "hard", "blood"),
    [
        ("No hemorrhages, hard exudates or cotton-wool spots.", 0, 0, 0),
        ("There are dot hemorrhages. No diabetic macular edema.", 0, 0, 1),
        ("Visible are hard exudates, as well as about 5 cotton-wool spots.", 1, 1, 0),
        ("The retina is free of hemorrhage. There is a cotton wool spot.", 1, 0, 0),
        ("Severe NPDR.", None, None, None),
    ],
)
def test_a_kind_that_is_not_named_beside_others_is_not_there(text, soft, hard, blood):
    found = find(text)
    asked = ("soft_exudates", "hard_exudates", "haemorrhages")
    assert tuple(found.get(each) for each in asked) == (soft, hard, blood)
