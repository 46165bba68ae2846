"""The data card: its front matter loads the rows, its figures are the folder's own, and it claims
nothing that the model's card does not.
"""

from __future__ import annotations

import json

import pytest
import yaml

from engine.call import LevelTaken, LightDecoder
from engine.publish.card import export_card, write_card
from engine.store.commits import leftovers
from engine.store.verify import Gaps
from tests.engine.publish.conftest import ROWS

WHOLE = Gaps(3, 0, 0)


def card_of(folder, attempt, plan):
    write_card(folder, attempt.number, plan, 100, ROWS, 4)
    text = (folder.root / "README.md").read_text()
    front, body = text.removeprefix("---\n").split("\n---\n", 1)
    return yaml.safe_load(front), body


def line_of(body, start):
    return next(line for line in body.splitlines() if line.startswith(start))


def test_the_front_matter_is_what_the_hub_reads(filled, attempt, plan):
    front, _ = card_of(filled, attempt, plan.model_copy(update={"license": "cc0-1.0"}))
    assert front["license"] == "cc0-1.0"
    assert "synthetic" in front["tags"]
    assert front["size_categories"] == ["n<1K"]
    assert front["configs"] == [{"config_name": "default", "data_files": "parts/*.parquet"}]


@pytest.mark.parametrize(
    "license", ["no", "1.0", "a: b #c", 'say "no"', "line\nbreak", "\x85\u2028"]
)
def test_odd_names_stay_the_texts_that_they_are(filled, attempt, plan, license):
    odd = plan.model_copy(update={"license": license, "model": "we: ird #name"})
    front, _ = card_of(filled, attempt, odd)
    assert front["license"] == license
    assert front["pretty_name"] == "Synthetic fundus photographs (we: ird #name)"
    exported = (
        export_card(odd, 3, "imagefolder", WHOLE).removeprefix("---\n").split("\n---\n", 1)[0]
    )
    assert yaml.safe_load(exported)["license"] == license


def test_a_decoder_and_a_level_stand_in_the_card_where_they_have_a_part(filled, attempt, plan):
    _, without = card_of(filled, attempt, plan)
    light = LightDecoder(location="light", sha256="d" * 64)
    level = LevelTaken(model="m", name="quick", sha256="e" * 64, weights_sha256="f" * 64)
    settings = plan.settings.model_copy(update={"decoder": light})
    _, body = card_of(
        filled, attempt, plan.model_copy(update={"settings": settings, "level": level})
    )
    assert line_of(body, "| decoder") == f"| decoder (sha256) | `{'d' * 64}` |"
    assert line_of(body, "| level") == f"| level | quick, by evidence `{'e' * 12}` |"
    table = body.split("## Provenance\n")[1].strip().split("\n\n")[0]
    assert all(row.startswith("|") for row in table.splitlines())
    assert "| decoder" not in without
    assert "| level" not in without


@pytest.mark.parametrize(
    "odd", ['m"><img src=x onerror=alert(1)>', "a|b", "a\nb", "![a](b)", "a&lt;"]
)
def test_names_and_licences_are_no_markup_in_a_card(filled, attempt, plan, odd):
    signs = {sign: f"&#{ord(sign)};" for sign in "&<>|[]"}
    shown = "".join({**signs, "\n": " "}.get(sign, sign) for sign in odd)
    named = plan.model_copy(update={"license": odd, "model": odd})
    _, body = card_of(filled, attempt, named)
    exported = export_card(named, 3, "imagefolder", WHOLE).split("\n---\n", 1)[1]
    assert line_of(body, "| model |") == f"| model | {shown} |"
    assert f"\n{shown}. " in body
    assert line_of(exported, "Model ").startswith(f"Model {shown}, ")
    assert line_of(exported, "Model ").endswith(f", licence {shown}.")
    for text in (body, exported):
        assert odd not in text
        assert "<" not in text.split("<!-- made from")[0]


def test_datasets_loads_the_folder_by_its_card(filled, attempt, plan, tmp_path):
    datasets = pytest.importorskip("datasets")
    card_of(filled, attempt, plan)
    rows = datasets.load_dataset(str(filled.root), split="train", cache_dir=str(tmp_path / "c"))
    assert len(rows) == ROWS
    assert rows[0]["image"].size == (8, 8)


def test_label_shares_are_those_of_the_plan_and_of_the_rows(filled, attempt, plan):
    _, body = card_of(filled, attempt, plan)
    asked = [plan.recipe.spec(index, plan.fingerprint).annotation for index in range(100)]
    for grade in range(5):
        want = sum(each.dr_grade == grade for each in asked)
        have = sum(each.dr_grade == grade for each in asked[:ROWS])
        line = line_of(body, f"| `dr_grade` | diabetic retinopathy {grade}:")
        assert line.endswith(f"| {want / 100:.1%} | {have / ROWS:.1%} | {have} |")


def test_rejects_and_failures_stand_there_by_reason(filled, attempt, plan):
    _, body = card_of(filled, attempt, plan)
    assert "| reason | refusals |" in body
    assert "| blurred | 2 |" in body
    assert "became a dead letter where its last try was refused too" in body
    assert "Gates that judged every image: none." in body
    assert "| draw: ValueError: bad row | 4 |" in body


def test_without_evidence_every_label_is_said_to_be_unproven(filled, attempt, plan):
    _, body = card_of(filled, attempt, plan)
    assert "Take every label as unproven" in body
    assert "Not for diagnosis" in body


def test_a_programs_card_speaks_of_no_weights_and_no_learning(filled, attempt, plan):
    drawn = plan.model_copy(update={"model": "phantom", "model_location": "phantom"})
    exported = export_card(drawn, 3, "imagefolder", WHOLE)
    for text in (card_of(filled, attempt, drawn)[1], exported):
        assert "what a program *drew*" in text
        assert "weights" not in text
        assert "model was" not in text
    _, body = card_of(filled, attempt, drawn)
    assert "digital source type `algorithmicMedia`" in body
    assert "no model learned from photographs" in body
    assert "`trainedAlgorithmicMedia`" in card_of(filled, attempt, at_home(plan))[1]


def at_home(plan):
    return plan.model_copy(update={"model": "mine", "model_location": "/home/me/mine"})


def test_a_model_that_nobody_evaluated_says_what_taught_it(filled, attempt, plan, tmp_path):
    card = {
        "weights_sha256": plan.weights_sha256,
        "real_examples_per_label": {"dr_grade": 395, "is_rvo": 6, "is_gc": 11},
        "real_positives_per_label": {"dr_grade": 260, "is_rvo": 0, "is_gc": 5},
        "phantom_examples_per_label": {"dr_grade": 2000, "is_rvo": 2000},
    }
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_card.json").write_text(json.dumps(card))
    placed = plan.model_copy(update={"model_location": str(tmp_path / "model")})
    _, body = card_of(filled, attempt, placed)
    assert "| `dr_grade` | 260 | 135 | 2,000 | unknown | unknown |" in body
    assert "| `is_gc` | 5 | 6 | unknown | unknown | unknown |" in body
    assert "| `is_rvo` (unproven on photographs) | 0 | 6 | 2,000 | unknown | unknown |" in body
    older = {name: value for name, value in card.items() if name != "real_positives_per_label"}
    (tmp_path / "model" / "model_card.json").write_text(json.dumps(older))
    _, body = card_of(filled, attempt, placed)
    assert "| `is_rvo` | unknown | unknown | 2,000 | unknown | unknown |" in body


def test_evidence_of_the_models_card_is_shown_and_gaps_are_unknown(filled, attempt, plan, tmp_path):
    evidence = [
        {"label": "dr_grade", "real": 260, "real_without": 135, "phantom": 2000, "auc": 0.71,
         "low": 0.64, "high": 0.78, "read_on": "real eyes"},
        {"label": "is_rvo", "real": 0, "real_without": 6, "phantom": 2000, "auc": None, "low": None,
         "high": None, "read_on": None},
    ]  # fmt: skip
    card = {"weights_sha256": plan.weights_sha256, "label_evidence": evidence}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_card.json").write_text(json.dumps(card))
    placed = plan.model_copy(update={"model_location": str(tmp_path / "model")})
    _, body = card_of(filled, attempt, placed)
    assert "| `dr_grade` | 260 | 135 | 2,000 | 0.71 (0.64–0.78) | real eyes |" in body
    assert "| `is_rvo` (unproven on photographs) | 0 | 6 | 2,000 | unknown | unknown |" in body
    assert "| `is_gc` | unknown | unknown | unknown | unknown | unknown |" in body
    assert "of a phantom of its own labels" not in body
    on_phantoms = plan.settings.model_copy(update={"geometry": True})
    drawn_on = placed.model_copy(update={"settings": on_phantoms})
    assert "of a phantom of its own labels" in card_of(filled, attempt, drawn_on)[1]
    assert str(tmp_path) not in (filled.root / "README.md").read_text()
    other = placed.model_copy(update={"weights_sha256": "0" * 64})
    assert "Take every label as unproven" in card_of(filled, attempt, other)[1]


def test_writing_the_card_leaves_no_temporary_file(filled, attempt, plan):
    card_of(filled, attempt, plan)
    card_of(filled, attempt, plan)
    assert list(leftovers(filled)) == []


def test_a_folder_without_rows_has_a_card(folder, attempt, plan):
    write_card(folder, attempt.number, plan, 100, 0, 0)
    assert "# 0 synthetic" in (folder.root / "README.md").read_text()
