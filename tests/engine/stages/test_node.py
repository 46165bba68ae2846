"""What a worker checks of its node before it makes a row."""

from __future__ import annotations

import pytest

from engine import cpu
from engine.stages.call import FatalError
from engine.stages.node import check_cpu, plan_here
from engine.store.plan import write_plan


def with_versions(plan, **versions: str):
    return plan.model_copy(update={"versions": {**plan.versions, **versions}}).sealed()


def test_a_node_that_sees_the_plan_and_has_its_libraries_works(plan, tmp_path):
    write_plan(tmp_path / "o", plan)
    assert plan_here(tmp_path / "o") == plan


def test_a_node_that_does_not_see_the_folder_says_what_to_do(tmp_path):
    with pytest.raises(FatalError, match=r"does not see .*new: ⟨out⟩ must lie on shared storage"):
        plan_here(tmp_path / "new")


def test_other_libraries_are_told_with_both_versions(plan, tmp_path):
    write_plan(tmp_path / "o", with_versions(plan, numpy="0.1", pillow="0.2"))
    with pytest.raises(FatalError, match=r"pillow \S+ \(plan: 0\.2\), numpy|numpy \S+ \(plan: 0"):
        plan_here(tmp_path / "o")


def test_the_drawing_code_counts_as_a_library(plan, tmp_path):
    write_plan(tmp_path / "o", with_versions(plan, drawing="0"))
    with pytest.raises(FatalError, match=r"drawing \d+ \(plan: 0\)"):
        plan_here(tmp_path / "o")


def test_a_plan_that_names_no_instructions_asks_for_none(plan):
    check_cpu(plan)
    with pytest.raises(FatalError, match="the plan computes with sve2: "):
        check_cpu(with_versions(plan, **{cpu.NAME: "sve2"}))
