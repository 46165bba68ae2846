"""A folder of captioned photographs says the truth about itself: cards, page and exports."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from engine.caption import StoredPhotograph, Words
from engine.data.photographs import find, hashed
from engine.pixels.encode import encode_photograph
from engine.pixels.mark import identify
from engine.publish.card import export_card, write_card
from engine.publish.export import export
from engine.publish.report import write_report
from engine.schema import Annotation, UserError
from engine.seeds import row_id
from engine.stages.call import Failure
from engine.stages.caption import CaptionOutcome, to_table
from engine.store.commits import Folder, read_commits, take_attempt
from engine.store.listing import Listed, write_listing
from engine.store.parts import write_outcomes
from engine.store.plan import CaptionPlan, read_any_plan, read_plan, refuse_differences, write_plan
from engine.store.verify import Gaps, verify
from tests.blocks import sha256_of
from tests.eyes import eye, write_eyes

LIES = ("Every image is synthetic", "None shows a patient", "asked to show", "drawn by")


@pytest.fixture
def plan(tmp_path):
    folder = write_eyes(tmp_path / "eyes", 3, 48)
    listed = hashed(find(str(folder)), lambda *_: None)
    made = CaptionPlan(
        images=3,
        images_sha256=write_listing(tmp_path / "o", listed),
        images_location=str(folder),
        backend="local",
        captioner="captioner",
        weights_sha256="0" * 64,
        image_format="webp",
        versions={"pillow": "13"},
    ).sealed()
    write_plan(tmp_path / "o", made)
    return made


@pytest.fixture
def folder(tmp_path, plan):
    """Two rows and a dead letter, committed."""
    rows = []
    for number in range(2):
        picture = StoredPhotograph(eye(number, 48), encode_photograph(eye(number, 48), "webp"))
        known = Annotation(dr_grade=number, source="clinic")
        listed = Listed(f"eye_{number:02d}.jpg", 10, annotation=known, patient_id=f"P{number}")
        rows.append(CaptionOutcome(number, listed, picture, Words(f"Caption of eye {number} <b>.")))
    rows.append(
        CaptionOutcome(2, Listed("eye_02.jpg", 3), failure=Failure("not an image", 1, "read"))
    )
    made = Folder(tmp_path / "o")
    made.make()
    attempt = take_attempt(made, 3)
    write_outcomes(made, attempt.number, plan.fingerprint, to_table(plan, rows, 0.1))
    write_card(made, attempt.number, plan, 3, 2, 1)
    return made


@pytest.mark.parametrize(("name", "value"), [("caption_source", "doctor"), ("model", "tiny")])
def test_rows_of_another_captioner_are_corrupt_though_their_hash_is_true(folder, name, value):
    (commit,) = read_commits(folder)[0]
    path = folder.root / folder.part_of(commit)
    table = pq.read_table(path)
    at = table.schema.get_field_index(name)
    column = pa.array([value, table[name][1].as_py()], pa.string())
    pq.write_table(table.set_column(at, name, column), path)
    true = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    record = folder.root / folder.record_of(commit)
    record.write_text(commit.model_copy(update=true).model_dump_json())
    assert (verify(folder.root).committed, verify(folder.root).missing) == (0, 2)


def test_captioners_and_licences_are_no_markup_in_cards(folder, plan):
    odd, shown = "<img src=x>|\n", "&#60;img src=x&#62;&#124; "
    named = plan.model_copy(update={"captioner": odd, "license": odd})
    write_card(folder, 1, named, 3, 2, 1)
    whole = (folder.root / "README.md").read_text().split("\n---\n", 1)[1]
    exported = export_card(named, 2, "imagefolder", Gaps(3, 0, 1)).split("\n---\n", 1)[1]
    assert f"a machine's ({shown}), not a doctor's" in whole
    assert f"\n| captioner | {shown} |\n| " in whole
    assert f"\n{shown}: that of the photographs" in whole
    assert f"by a machine ({shown})." in exported
    assert f", licence {shown}." in exported
    assert "<img" not in whole + exported


def test_the_folder_verifies_like_any_other(folder, plan):
    verdict = verify(folder.root)
    assert (verdict.planned, verdict.committed, verdict.dead, verdict.exit_code) == (3, 2, 1, 3)
    assert read_any_plan(folder.root) == plan
    assert row_id(plan.fingerprint, 0)


def test_the_card_tells_of_photographs_and_of_a_machines_words(folder):
    front, body = (folder.root / "README.md").read_text().removeprefix("---\n").split("\n---\n", 1)
    told = yaml.safe_load(front)
    assert "synthetic" not in told["tags"]
    assert (told["license"], told["task_categories"]) == ("other", ["image-to-text"])
    assert "2 captioned retinal photographs" in body
    assert "may show patients" in body
    assert "not a doctor's. Not for diagnosis." in body
    assert "| read: not an image | 1 |" in body
    assert "no card of this captioner is here" in body
    assert "the folder of the photographs in `plan.json`" in body
    assert "A server" not in body
    assert "asked" not in body
    assert not [lie for lie in LIES if lie in body]


def test_the_card_says_what_a_server_does_not_tell(folder, plan):
    served = plan.model_copy(update={"captioner": "triton:captioner@1", "weights_sha256": ""})
    write_card(folder, 1, served, 3, 2, 1)
    text = (folder.root / "README.md").read_text()
    assert "(triton:captioner@1), not a doctor's" in text
    assert "says a model's name and version, not its weights" in text


def test_the_captioners_figures_stand_in_the_card_and_on_the_page(folder, plan, tmp_path):
    captioner = tmp_path / "captioner"
    captioner.mkdir()
    row = {"statement": "dr_grade 2 to 4", "on": "idrid", "rows": 96, "said": 48, "checked": 40}
    row |= {"right": 38, "low": 0.835, "high": 0.986, "prior": 0.6211}
    silent = {**row, "statement": "unlike its training", "checked": 0, "right": 0, "prior": None}
    card = {"weights_sha256": "0" * 64, "statements": [row, silent]}
    (captioner / "model_card.json").write_text(json.dumps(card))
    here = plan.model_copy(update={"backend": f"local:{captioner}"})
    write_card(folder, 1, here, 3, 2, 1)
    text = (folder.root / "README.md").read_text()
    assert "| `dr_grade 2 to 4` | idrid | 96 | 48 | 0.95 (0.83 to 0.99) | 0.62 |" in text
    assert "unlike its training" not in text
    card["weights_sha256"] = "1" * 64
    (captioner / "model_card.json").write_text(json.dumps(card))
    write_card(folder, 1, here, 3, 2, 1)
    assert "dr_grade 2 to 4" not in (folder.root / "README.md").read_text()


def test_a_captioner_that_is_not_here_proves_nothing_and_is_no_error(folder, plan):
    for backend in ("local:/nowhere/at all", "triton://h:1/m", "blanked by the owner"):
        here = plan.model_copy(update={"backend": backend})
        write_card(folder, 1, here, 3, 2, 1)
        assert "no card of this captioner is here" in (folder.root / "README.md").read_text()


def test_croissant_readers_find_the_rows(folder):
    mlcroissant = pytest.importorskip("mlcroissant")
    text = (folder.root / "croissant.json").read_text()
    assert "synthetic" not in text.lower()
    assert not [lie for lie in LIES if lie in text]
    data = mlcroissant.Dataset(jsonld=str(folder.root / "croissant.json"))
    assert not data.metadata.issues.errors
    assert not data.metadata.issues.warnings
    assert len(list(data.records("rows"))) == 2
    assert data.metadata.name.startswith("captioned-fundus-")
    assert "may show patients" in data.metadata.description


def test_the_page_shows_files_and_words_and_claims_nothing(folder):
    page = write_report(folder.root).read_text()
    assert "2 captioned retinal photographs" in page
    assert "Caption of eye 1 &lt;b&gt;." in page
    assert "eye_01.jpg" in page
    assert "Quality and privacy" not in page
    assert "Refused by a gate" not in page
    assert not [lie for lie in (*LIES, "ynthetic", "seed") if lie in page.split("<script>")[0]]


def test_no_site_shows_photographs_that_were_not_drawn(folder, tmp_path):
    with pytest.raises(UserError, match="not drawn and may show patients"):
        export(folder.root, "site", tmp_path / "exported", lambda *_: None)
    assert not [path for path in tmp_path.iterdir() if "exported" in path.name]


@pytest.mark.parametrize("layout", ["synfundus", "imagefolder", "webdataset"])
def test_exports_carry_photographs_without_a_mark(folder, layout, tmp_path):
    if layout == "webdataset":
        pytest.importorskip("webdataset")
    out = tmp_path / "exported"
    assert export(folder.root, layout, out, lambda *_: None) == 2
    words = (out / "README.md").read_text()
    assert "2 captioned retinal photographs" in words
    assert not [lie for lie in LIES if lie in words]
    if layout == "synfundus":
        assert identify(out / "Part0/1.png").words.startswith("no mark found")
        assert np.array_equal(Image.open(out / "Part0/1.png"), eye(1, 48))
        with (out / "SynFundus-1M_gen_cond.csv").open() as file:
            assert [row["dr_grade"] for row in csv.DictReader(file)] == ["0", "1"]


def test_a_drawing_command_keeps_out_and_so_does_another_captioner(folder, plan):
    with pytest.raises(UserError, match="captioned, not drawn"):
        read_plan(folder.root)
    other = plan.model_copy(update={"captioner": "triton:x@1", "weights_sha256": ""})
    with pytest.raises(UserError, match=r'captioner: "captioner" → "triton:x@1"'):
        refuse_differences(plan, other, folder.root / "plan.json")
    moved = plan.model_copy(update={"images_location": "/elsewhere", "backend": "local:other"})
    assert moved.sealed().fingerprint == plan.fingerprint


def test_a_plan_changed_by_hand_is_refused(folder):
    file = folder.root / "plan.json"
    text = file.read_text()
    file.write_text(text.replace('"captioner": "captioner"', '"captioner": "doctor"'))
    with pytest.raises(UserError, match="changed after it was written"):
        read_any_plan(folder.root)
    file.write_text(text.replace('"images": 3', '"images": "many"'))
    with pytest.raises(UserError, match="not a plan"):
        read_any_plan(folder.root)
