"""What a folder of drawn photographs says of itself, by its plan and its model's card."""

from __future__ import annotations

import pytest

from engine import shipped
from engine.call import LevelTaken
from engine.publish.drawn import LEARNED, PHANTOM_BY, UNGUARDED, describe
from engine.publish.evidence import HEAD
from engine.schema import LABELS


def test_it_is_synthetic_and_says_of_what_and_of_whom(plan):
    told = describe(plan)
    assert "None shows a patient" in told.lead
    assert dict(told.facts)["plan fingerprint"] == plan.fingerprint
    assert dict(told.facts)["licence"] == "cc-by-4.0"
    assert told.record["name"] == f"synthetic-fundus-{plan.fingerprint[:12]}"
    assert "/" not in str(told.record), "where the model lay is nobody's business"
    assert told.drawn == plan


def test_a_level_is_named_with_its_evidence_and_not_where_it_lay(plan_of):
    assert "level" not in dict(describe(plan_of("null")).facts)
    taken = LevelTaken(name="quick", sha256="e" * 64, model="/m/tiny", weights_sha256="f" * 64)
    facts = dict(describe(plan_of("null", level=taken)).facts)
    assert facts["level"] == "quick of tiny, by evidence eeeeeeeeeeee"
    assert "/m/" not in str(facts)


@pytest.mark.parametrize(("model", "hashed"), [("null", "version"), ("phantom", "version")])
def test_a_program_has_a_version_and_no_weights(plan_of, model, hashed):
    told = describe(plan_of(model, 32))
    assert told.words["hashed"] == hashed
    assert f"{hashed} (sha256)" in dict(told.facts)
    assert told.warning is None


def test_nothing_was_learned_is_said_of_the_program_and_of_no_folder_called_phantom(plan_of):
    told = describe(plan_of("phantom", 32))
    assert "Nothing was learned" in told.proof.words
    assert told.labels == "Labels are what a program drew."
    assert told.words["taught"] == PHANTOM_BY
    own = plan_of("null").model_copy(update={"model": "phantom", "model_location": "/m/phantom"})
    assert "Take every label as unproven" in describe(own).proof.words
    assert describe(own).words["taught"] == LEARNED


def test_a_shipped_model_proves_every_label_by_its_card(plan_of):
    proof = describe(plan_of("tiny", 256)).proof
    assert proof.head == HEAD
    assert [line.name for line in proof.lines] == [label.name for label in LABELS]
    assert any(line.doubt for line in proof.lines)
    assert "of a phantom of its own labels" not in proof.words
    on_phantoms = describe(plan_of("tiny", 256, settings={"geometry": True})).proof
    assert "of a phantom of its own labels" in on_phantoms.words


def test_a_card_of_other_weights_proves_nothing(plan_of):
    other = plan_of("tiny", 256).model_copy(update={"weights_sha256": "0" * 64})
    assert not describe(other).proof.lines


def test_a_model_without_a_privacy_gate_is_warned_of_and_one_behind_it_is_not(plan_of):
    bare = plan_of("tiny", 256)
    assert describe(bare).warning.startswith(UNGUARDED)
    assert describe(bare).guard is None
    assert "every image was kept" in describe(bare).kept
    behind = bare.model_copy(
        update={"gates": ("quality", "privacy"), "gates_sha256": "ab", "gates_reference": "/r/own"}
    )
    told = describe(behind)
    assert (told.warning, told.kept) == (None, "No image was refused.")
    assert told.guard.model == shipped.WEIGHTS / "tiny"
    assert (str(told.guard.reference), told.guard.sha256) == ("/r/own", "ab")
