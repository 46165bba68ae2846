"""How far captions can be trusted: what could be checked, in figures; all else is not told."""

from __future__ import annotations

from engine.publish.trust import HEAD, WITHOUT, proof_of

SAID = {
    "statement": "dr_grade 2 to 4",
    "on": "idrid",
    "rows": 1096,
    "said": 48,
    "checked": 40,
    "right": 38,
    "low": 0.835,
    "high": 0.986,
    "prior": 0.6211,
}
SILENT = {**SAID, "statement": "unlike its training", "checked": 0, "right": 0, "prior": None}


def test_shares_are_of_what_was_checked():
    proof = proof_of({"statements": [SAID]})
    assert proof.head == HEAD
    (line,) = proof.lines
    assert line.name == "dr_grade 2 to 4"
    assert line.cells == ("idrid", "1,096", "48", "0.95 (0.83 to 0.99)", "0.62")
    assert not line.doubt


def test_what_nobody_could_check_is_left_out():
    assert [line.name for line in proof_of({"statements": [SILENT, SAID]}).lines] == [
        "dr_grade 2 to 4"
    ]


def test_without_figures_every_caption_is_unproven():
    for card in ({}, {"statements": []}, {"statements": [SILENT]}):
        proof = proof_of(card)
        assert (proof.words, proof.lines) == (WITHOUT, ())
