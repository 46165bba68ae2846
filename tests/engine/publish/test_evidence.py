"""What each label was learned from: cards that tell all, half, or nothing of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.publish.evidence import UNPROVEN, LabelEvidence, evidence_of, proof_of
from engine.schema import LABELS

SEEN = LabelEvidence("is_gc", 3, 5, 9, 0.714, 0.64, 0.78, "real eyes")


def test_every_label_has_a_line_and_what_a_card_leaves_out_is_unknown():
    row = {"label": "is_gc", "real": 3, "reader_auc": 0.9, "auc": 0.714}
    lines = evidence_of({"label_evidence": [row, {"label": "is_of_the_future", "real": 1}]})
    assert [line.label for line in lines] == [label.name for label in LABELS]
    known = {line.label: line for line in lines}
    assert known["is_gc"] == LabelEvidence("is_gc", 3, None, None, 0.714, None, None, None)
    assert known["is_rvo"] == LabelEvidence("is_rvo", *[None] * 7)


def test_counts_of_the_training_stand_in_where_nobody_has_evaluated():
    card = {
        "real_examples_per_label": {"is_gc": 8, "is_rvo": 4},
        "real_positives_per_label": {"is_gc": 3},
        "phantom_examples_per_label": {"is_gc": 2000},
    }
    known = {line.label: line for line in evidence_of(card)}
    taught = known["is_gc"]
    assert (taught.real, taught.real_without, taught.phantom) == (3, 5, 2000)
    assert known["is_rvo"] == LabelEvidence("is_rvo", *[None] * 7)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (SEEN, "0.71 (0.64–0.78)"),
        (replace(SEEN, low=None), "0.71"),
        (replace(SEEN, auc=None), "unknown"),
    ],
)
def test_the_area_is_told_as_far_as_it_is_known(line, words):
    assert line.steering == words


@pytest.mark.parametrize(
    ("line", "unproven"),
    [
        (SEEN, False),
        (replace(SEEN, real=0), True),
        (replace(SEEN, read_on="phantoms"), True),
        (replace(SEEN, real=None, read_on=None), False),
    ],
)
def test_a_label_is_unproven_without_photographs(line, unproven):
    assert line.unproven is unproven


def test_a_proof_is_a_table_or_says_why_there_is_none():
    assert proof_of({}, " More.", "No card.").words == "No card."
    assert not proof_of({"label_evidence": []}, "", "No card.").lines
    row = {"label": "is_gc", "real": 0, "real_without": 1234, "phantom": 2000}
    proof = proof_of({"label_evidence": [row]}, " More.", "No card.")
    assert proof.words.endswith("looks so. More.")
    (line,) = (each for each in proof.lines if each.name == "is_gc")
    assert line.cells == ("0", "1,234", "2,000", "unknown", "unknown")
    assert line.doubt == UNPROVEN
    assert {len(each.cells) for each in proof.lines} == {len(proof.head) - 1}
