"""The privacy gate: planted copies of training photographs are refused, other real eyes pass."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open

from engine import gates, shipped
from engine.features import orientations
from engine.gates.calibrate import calibrate
from engine.gates.privacy import Reference, pack, unpack
from engine.models.card import PRIVACY, hash_folder, write_card
from engine.schema import Annotation, UserError
from engine.specs import Spec

from .faults import copy

SPEC = Spec(id="0", index=0, seed=0, annotation=Annotation(), prompt="", size=256)
COPIES, OTHERS = 40, 60


@pytest.fixture(scope="module")
def table(tmp_path_factory, teaching_eyes, held_out_eyes):
    """A data table of 180 training eyes and the held-out eyes that set the threshold; the first 60
    held-out eyes are kept for the judgement."""
    file = tmp_path_factory.mktemp("data") / "labels.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["file", "split", "patient_id"])
        for split, eyes in (("train", teaching_eyes[:180]), ("test", held_out_eyes[OTHERS:])):
            for example in eyes:
                writer.writerow([example.path, split, example.patient_id])
    return file


@pytest.fixture(scope="module")
def model(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("model") / "model"
    shutil.copytree(shipped.WEIGHTS / "debug", folder)
    write_card(folder, {"preset": "none"})
    before = hash_folder(folder)
    reference = folder.parent / "reference.safetensors"
    facts = calibrate(folder, [str(table)], reference=reference)
    assert hash_folder(folder) == before
    return folder, reference, facts


@pytest.mark.parametrize(("pixels", "least", "most"), [(True, 0.95, 2), (False, 0.5, 4)])
def test_copies_are_refused_and_other_eyes_pass(
    model, teaching_eyes, held_out_eyes, squares, pixels, least, most
):
    """With pixels at hand nearly every copy is found; features alone find every other one."""
    folder, reference, _ = model
    gate = gates.load(("privacy",), folder, reference if pixels else None)
    rng = np.random.default_rng(11)
    copies = [copy(square, rng) for square in squares(teaching_eyes[:COPIES])]
    refused = gate.judge(copies, [SPEC] * COPIES)
    passed = gate.judge(squares(held_out_eyes[:OTHERS]), [SPEC] * OTHERS)
    assert sum("copy" in v.reasons for v in refused) >= least * COPIES
    assert sum("copy" in v.reasons for v in passed) <= most
    assert all(0 <= v.nearest_distance <= 2 for v in [*refused, *passed])


@pytest.mark.parametrize("way", ["as it is", "mirrored", "upside down", "turned by 180 degrees"])
@pytest.mark.parametrize("pixels", [True, False])
def test_copies_are_found_whichever_way_they_lie(model, teaching_eyes, squares, pixels, way):
    folder, reference, _ = model
    gate = gates.load(("privacy",), folder, reference if pixels else None)
    number = ["as it is", "mirrored", "upside down", "turned by 180 degrees"].index(way)
    lying = [orientations(square)[number].copy() for square in squares(teaching_eyes[:10])]
    verdicts = gate.judge(lying, [SPEC] * 10)
    assert all("copy" in v.reasons for v in verdicts), [v.nearest_distance for v in verdicts]


@pytest.mark.parametrize(
    ("name", "side"),
    [("tiny", 512), ("dualgan-tiny", 256), ("refiner-tiny", 512)],
)
def test_the_shipped_gates_find_disguised_copies(name, side, teaching_eyes, held_out_eyes, squares):
    """At the size that the model draws."""
    gate = gates.load(("privacy",), shipped.WEIGHTS / name)
    rng = np.random.default_rng(11)
    copies = [copy(square, rng) for square in squares(teaching_eyes[:COPIES], side)]
    turned = [orientations(image)[2 + i % 2].copy() for i, image in enumerate(copies)]
    refused = gate.judge([*copies, *turned], [SPEC] * 2 * COPIES)
    passed = gate.judge(squares(held_out_eyes[:OTHERS], side), [SPEC] * OTHERS)
    found = ["copy" in v.reasons for v in refused]
    assert sum(found[:COPIES]) >= 0.95 * COPIES
    assert sum(found[COPIES:]) >= 0.95 * COPIES
    assert sum("copy" in v.reasons for v in passed) <= 2


def test_the_distance_of_a_row_is_what_was_judged(model, teaching_eyes, held_out_eyes, squares):
    folder, reference, _ = model
    eyes = squares([*teaching_eyes[:4], *held_out_eyes[:4]])
    for file in (None, reference):
        limit = Reference.read(file or folder / PRIVACY).nearest
        verdicts = gates.load(("privacy",), folder, file).judge(eyes, [SPEC] * len(eyes))
        assert ["copy" in v.reasons for v in verdicts] == [
            v.nearest_distance <= limit for v in verdicts
        ]
        assert [v.passed for v in verdicts] == [False] * 4 + [True] * 4


def test_a_reference_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "reference")
    with pytest.raises(UserError, match="is a pipe"):
        Reference.read(tmp_path / "reference")
    with pytest.raises(UserError, match=r"⟨reference⟩: cannot be read.*is a pipe"):
        gates.load(("privacy",), shipped.WEIGHTS / "tiny", tmp_path / "reference")


def test_a_photograph_lies_at_no_distance_from_itself(teaching_eyes, squares):
    gate = gates.load(("privacy",), shipped.WEIGHTS / "tiny")
    verdicts = gate.judge(squares(teaching_eyes[:4]), [SPEC] * 4)
    assert all(0 <= v.nearest_distance < 0.05 for v in verdicts)


def test_packed_thumbnails_keep_their_picture():
    pictures = np.random.default_rng(0).integers(-126, 127, (3, 64, 64)).astype(np.int8)
    packed = pack(pictures)
    assert packed.nbytes == pictures.nbytes / 2
    assert np.corrcoef(unpack(packed).ravel(), pictures.ravel())[0, 1] > 0.99


def test_the_neighbour_is_the_copied_photograph_by_its_keyed_id(model, teaching_eyes, squares):
    folder, _, _ = model
    gate = gates.load(("privacy",), folder)
    with safe_open(folder / PRIVACY, "numpy") as stored:
        assert set(stored.keys()) == {"features", "ids"}
        ids = [bytes(row).hex() for row in stored.get_tensor("ids")]
    verdicts = gate.judge(squares(teaching_eyes[:5]), [SPEC] * 5)
    assert [v.neighbour for v in verdicts] == ids[:5]


def test_the_card_says_how_the_gate_was_set(model):
    folder, _, facts = model
    assert json.loads((folder / "model_card.json").read_text())["privacy"] == facts
    assert facts["photographs"] == 180
    assert facts["found_with_pixels"] >= 0.9
    assert facts["held_out_repeats"] == 0
    assert not facts["thumbnails"]


def test_digest_follows_the_reference(model):
    folder, reference, _ = model
    one, other = (gates.digest(("privacy",), folder, r) for r in (None, reference))
    assert one != other
    assert one != gates.digest(("quality", "privacy"), folder)


def test_a_reference_of_another_model_is_refused(model, tmp_path):
    folder, reference, _ = model
    strange = tmp_path / "strange.safetensors"
    replace(Reference.read(reference), model="0" * 64).write(strange)
    for ask in (gates.load, gates.digest):
        with pytest.raises(UserError, match=r"strange\.safetensors: ⟨reference⟩: made for another"):
            ask(("privacy",), folder, strange)
        with pytest.raises(UserError, match="cannot be read"):
            ask(("privacy",), folder, folder / "model_card.json")


def test_without_held_out_eyes_training_eyes_are_held_out(tmp_path, table):
    lines = table.read_text().splitlines()
    few = tmp_path / "few.csv"
    few.write_text("\n".join([lines[0], *lines[1:13]]) + "\n")
    folder = tmp_path / "model"
    shutil.copytree(shipped.WEIGHTS / "debug", folder)
    write_card(folder, {})
    facts = calibrate(folder, [str(few)], thumbnails=True)
    assert facts["set_by"] == "training eyes held out one by one"
    assert facts["thumbnails"]


def test_a_model_that_was_not_calibrated_is_refused(tmp_path):
    for ask in (gates.load, gates.digest):
        with pytest.raises(UserError, match="not calibrated"):
            ask(("privacy",), tmp_path)
        with pytest.raises(UserError, match="no photographs"):
            ask(("privacy",), None)
