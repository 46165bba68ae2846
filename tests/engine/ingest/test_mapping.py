"""`--columns` and `--values`: what a clinic's own table says, and what is not guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.ingest.mapping import read_mapping, source_word
from engine.ingest.record import Record, joined
from engine.ingest.sheet import SheetLine, read_sheet
from engine.schema import UserError


def test_a_clinics_words_become_our_values():
    mapping = read_mapping(
        ["file=Bild,dr_grade=Befund,is_dme=DME", "eye_side=Auge,patient_id=Fall,consent=Einw"],
        ["dr_grade: keine=0, NPDR=unknown>0, referable=unknown>1, ?=unknown"],
    )
    row = SheetLine({"bild": "a.jpg", "befund": "npdr", "dme": "Yes", "auge": "OS", "fall": "7"})
    read = mapping.record(row, Path("x"))
    assert read == Record("a.jpg", {"is_dme": 1, "eye_side": 1}, least=1, patient="7")
    for word, labels, least in (
        ("Keine", {"dr_grade": 0}, None),
        ("referable", {}, 2),
        ("?", {}, None),
        ("3.0", {"dr_grade": 3}, None),
    ):
        read = mapping.record(SheetLine({"befund": word}), Path("x"))
        assert (read.labels, read.least) == (labels, least)
    assert not row.unread


def test_what_is_not_known_is_counted_and_not_guessed():
    mapping = read_mapping(
        ["file=f,dr_grade=g,is_gc=c,eye_side=e,split=s,consent=k,source=q,license=l"], []
    )
    cells = {"g": "5", "c": "maybe", "e": "both", "s": "fold 3", "k": "asked", "l": "see\n§ 5"}
    row = SheetLine({**cells, "q": "Praxis Dr. Mustermann, Koeln"})
    read = mapping.record(row, Path("x"))
    # No consent, as nobody knows whether "asked" is one.
    assert read == Record("", consent=False)
    assert {column for column, _ in row.unread} == {*"gceskql"}


def test_masks_lie_relative_to_the_table():
    mapping = read_mapping(["file=f,mask_disc=disc"], [])
    (mask,) = mapping.record(SheetLine({"disc": "m/1.png"}), Path("t")).masks
    assert (mask.column, mask.files) == ("mask_disc", (Path("t/m/1.png"),))


def test_a_number_that_is_not_there_is_unknown_and_infinity_is_no_grade():
    mapping = read_mapping(["file=f,dr_grade=g"], [])
    for cell in ("", "NaN", "n/a", "null"):
        row = SheetLine({"g": cell})
        assert (mapping.record(row, Path("x")).labels, row.unread) == ({}, {})
    for cell in ("inf", "1.5", "-1", "1e400", "one"):
        row = SheetLine({"g": cell})
        assert (mapping.record(row, Path("x")).labels, row.unread) == ({}, {("g", cell): 1})


def test_consent_is_given_in_words_of_any_language():
    mapping = read_mapping(["file=f,consent=k"], ["consent: ja=1, nein=0"])
    words = {"ja": True, "nein": False, "yes": True, "0": False, "": None, "jein": False}
    for word, consent in words.items():
        assert mapping.record(SheetLine({"k": word}), Path("x")).consent is consent


@pytest.mark.parametrize(
    ("columns", "values", "why"),
    [
        (["file"], [], "OURS=THEIRS"),
        (["fil=Name"], [], "did you mean 'file'"),
        (["is_dme=DME"], [], "names no file"),
        (["file=f"], ["dr_grade: a=1"], "dr_grade is not mapped"),
        (["file=f,dr_grade=g"], ["dr_grade: a=5"], "0 to 4, or unknown, unknown>0 or unknown>1"),
        (["file=f,is_dme=g"], ["is_dme: a=unknown>0"], "0 to 1, or unknown"),
        (["file=f,dr_grade=g"], ["dr_grade a=1"], "LABEL: THEIRS=OURS"),
        (["file=f,dr_grade=g"], ["dr_grade: a"], "THEIRS=OURS"),
    ],
)
def test_mistakes_are_named(columns, values, why):
    with pytest.raises(UserError) as told:
        read_mapping(columns, values)
    assert why in str(told.value)


def test_a_source_is_a_word():
    assert source_word("Visucam 500") == "visucam-500"
    with pytest.raises(UserError, match="32 at most"):
        source_word("Dr. Mustermann, Koeln")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_tables_with_any_separator_are_read(tmp_path, separator):
    file = tmp_path / "t.csv"
    lines = [["Bild Name", "Befund", ""], ["a.jpg", 'x "y"', ""], ["", "", ""], ["b.jpg", "2"]]
    file.write_text("\ufeffsep=;\n" * (separator == ";") + "\n".join(map(separator.join, lines)))
    sheet = read_sheet(file)
    assert sheet.columns[:2] == ("Bild Name", "Befund")
    assert [cells for _, cells in sheet.lines][1] == {"bildname": "b.jpg", "befund": "2"}


def test_a_table_without_columns_or_with_one_twice_is_refused(tmp_path):
    for text, why in (("", "has no head line"), ("a,A \n1,2\n", "'a' stands twice")):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(UserError, match=why):
            read_sheet(tmp_path / "t.csv")


def test_two_lines_of_one_photograph_are_joined_and_contradictions_unknown():
    first = Record("a", {"dr_grade": 1, "is_dme": 0}, split="train", consent=True)
    second = Record("a", {"dr_grade": 2, "is_gc": 1}, split="test", patient="7", consent=False)
    both, differing = joined(first, second)
    assert both.labels == {"is_dme": 0, "is_gc": 1}
    assert differing == ("dr_grade",)
    assert (both.split, both.patient, both.consent) == ("test", "7", False)
