"""What a calibration may be made of: it never puts a blinder gate in a better one's place, and what
it refuses leaves the folder as it was."""

from __future__ import annotations

import csv
import hashlib
import hmac
import shutil

import numpy as np
import pytest
from PIL import Image

from engine import registry, shipped
from engine.data.transforms import crop_to_field
from engine.features import Observer
from engine.gates.calibrate import calibrate
from engine.gates.privacy import Privacy, Reference
from engine.models.card import PRIVACY, read_card, write_card
from engine.phantom.render import draw
from engine.registry.gate import GateRef
from engine.schema import Annotation, UserError

EYES = 8
KEY = "5e" * 32


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Files of 20 eyes; drawn, but nothing in them says so."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(20):
        image = draw(Annotation(source="idrid"), seed, 128).image
        Image.fromarray(image).save(folder / f"{seed}.png")
    return [folder / f"{seed}.png" for seed in range(20)]


@pytest.fixture
def table(tmp_path):
    """table(files, source) -> a CSV of these photographs."""

    def write(files, source="idrid"):
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
        with file.open("w", newline="") as out:
            rows = [(path, "train", path.stem, source) for path in files]
            csv.writer(out).writerows([("file", "split", "patient_id", "source"), *rows])
        return [str(file)]

    return write


@pytest.fixture
def model(tmp_path):
    """The smallest model, as if it had learned from `EYES` photographs of one source."""
    folder = tmp_path / "model"
    shutil.copytree(shipped.WEIGHTS / "debug", folder)
    write_card(folder, {"data": {"photographs": EYES, "sources": {"idrid": EYES}}})
    return folder


def content(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def refused(folder, data, match, **flags):
    """It is refused for this, and nothing is written."""
    before = content(folder)
    with pytest.raises(UserError, match=match):
        calibrate(folder, data, **flags)
    assert content(folder) == before


def test_a_passed_on_model_is_not_calibrated_on_other_data(tmp_path, photographs, table):
    """It carries no key, so the hashes in its card tell their number alone."""
    folder = tmp_path / "passed on"
    shutil.copytree(shipped.WEIGHTS / "debug", folder)
    refused(folder, table(photographs), "20 photographs in the data, but 446 taught this model")
    assert not (folder / "private").exists()


def test_phantoms_are_nobodys_eyes(model):
    refused(model, ["phantom:9"], "no training photograph")


def test_counts_of_sources_are_compared(model, photographs, table):
    refused(model, table(photographs[:EYES], "hrf"), "0 photographs of idrid in the data, but 8")
    refused(model, table(photographs[: EYES - 1]), "7 photographs in the data, but 8 taught")


def test_a_gate_that_knows_more_stays(tmp_path, photographs, table):
    """Even where the card counts nothing."""
    folder = tmp_path / "dualgan"
    shutil.copytree(shipped.WEIGHTS / "dualgan-tiny", folder)
    card = read_card(folder)
    for name in ("data", "image_hashes", "privacy"):
        card.pop(name, None)
    write_card(folder, card)
    refused(folder, table(photographs), "knows 482 photographs, the new one 20", thumbnails=True)
    refused(folder, table(photographs), "compares pixels, and the new one would not")
    told = []
    facts = calibrate(folder, table(photographs), thumbnails=True, force=True, say=told.append)
    assert facts["forced"] == ["the gate here knows 482 photographs, the new one 20"]
    assert any("482" in line for line in told)
    assert len(Reference.read(folder / PRIVACY).ids) == 20


def test_as_many_other_photographs_are_told_by_their_features(model, photographs, table):
    calibrate(model, table(photographs[:EYES]), thumbnails=True)
    others = table(photographs[2 : EYES + 2])
    refused(model, others, "2 photographs that the gate here knows are not", thumbnails=True)


def test_a_calibration_can_be_repeated(model, photographs, table):
    """Also on a model with hashes whose key is not here: the gate has a key of its own."""
    write_card(model, {"image_hashes": [f"{n:064x}" for n in range(EYES)]})
    data = table(photographs[:EYES])
    refused(model, table(photographs[:5]), "5 photographs in the data, but 8")
    first = calibrate(model, data, thumbnails=True)
    files = content(model)
    assert {name for name in files if "private" in name} == {"private/gate_key.txt"}
    assert calibrate(model, data, thumbnails=True) == first
    assert content(model) == files


def test_with_the_trainings_key_each_photograph_is_asked_for(model, photographs, table):
    hashes = [
        hmac.digest(
            bytes.fromhex(KEY), hashlib.sha256(p.read_bytes()).hexdigest().encode(), "sha256"
        ).hex()
        for p in photographs[:EYES]
    ]
    write_card(model, {"image_hashes": hashes})
    (model / "private").mkdir()
    (model / "private/image_key.txt").write_text(KEY + "\n")
    refused(model, table(photographs[2:]), "2 photographs that taught this model are not in")
    refused(model, table(photographs[EYES:]), "none of the 8 photographs that taught this model")
    calibrate(model, table(photographs[: EYES + 2]))
    assert Reference.read(model / PRIVACY).ids[:EYES] == tuple(hashes)
    assert not (model / "private/gate_key.txt").exists()


def test_what_taught_before_its_eye_was_found_in_a_test_split_stays_known(
    model, tmp_path, photographs
):
    def id_of(path):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return hmac.digest(bytes.fromhex(KEY), digest.encode(), "sha256").hex()

    write_card(model, {"image_hashes": [id_of(path) for path in photographs[:EYES]]})
    (model / "private").mkdir()
    (model / "private/image_key.txt").write_text(KEY + "\n")
    rows = [(path, "train", path.stem) for path in photographs[:EYES]]
    rows += [(path, "test", path.stem) for path in photographs[10:12]]
    file = tmp_path / "corrected.csv"
    with file.open("w", newline="") as out:
        lines = [("file", "split", "patient_id"), *rows, (photographs[12], "test", "3.0")]
        csv.writer(out).writerows(lines)
    facts = calibrate(model, [str(file)])
    assert (facts["photographs"], facts["held_out_eyes"]) == (EYES, 2)
    assert set(Reference.read(model / PRIVACY).ids) == {id_of(p) for p in photographs[:EYES]}


def test_a_broken_key_is_named(model, photographs, table):
    (model / "private").mkdir()
    (model / "private/gate_key.txt").write_text("not one")
    refused(model, table(photographs[:EYES]), "gate_key.txt: not a key")


def test_a_folder_that_is_no_model_stays_empty(tmp_path, photographs, table):
    folder = tmp_path / "none"
    folder.mkdir()
    refused(folder, table(photographs), "not a model folder")
    (folder / "config.json").write_text("{}")
    refused(folder, table(photographs), "not a model folder")


def test_places_are_checked_before_the_work(model, tmp_path):
    """The data is not even looked for."""
    taken = tmp_path / "notes.txt"
    taken.write_text("mine")
    for place, match in (
        (tmp_path / "nonexistent/x", "⟨reference⟩: cannot be written"),
        (tmp_path, "⟨reference⟩: cannot be written"),
        (taken, "notes.txt: cannot be read"),
        (model / "x.safetensors", "stays in the house"),
    ):
        refused(model, ["nowhere"], match, reference=place)
    assert taken.read_text() == "mine"
    (model / PRIVACY).write_text("torn")
    refused(model, ["nowhere"], "cannot be read")


def test_held_out_eyes_must_be_somebodys(model, photographs, table):
    refused(model, table(photographs[:EYES]), "⟨held_out⟩: no photographs", held_out=["phantom:3"])


def test_what_taught_the_model_before_is_known_to_its_gate_too(model, photographs, table, tmp_path):
    """Also where some of it teaches again, which must not make the gate blind."""
    calibrate(model, table(photographs[:EYES]))
    later = tmp_path / "later"
    shutil.copytree(shipped.WEIGHTS / "debug", later)
    write_card(later, {})
    facts = calibrate(later, table(photographs[EYES - 2 : 2 * EYES - 2]), base=model)
    assert (facts["photographs"], facts["of_base"]) == (EYES, EYES - 2)
    assert facts["nearest"] > 0.005
    gate = Privacy(Reference.read(later / PRIVACY))
    observer = Observer(registry.find(GateRef, shipped.GATE).load())
    for file in photographs[: 2 * EYES - 2]:
        seen = observer.look(np.asarray(crop_to_field(Image.open(file), 256)))
        assert gate.is_copy(gate.nearest(seen))
