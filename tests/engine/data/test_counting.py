"""What counts as a photograph, and as an eye: nothing drawn is the one, nor a Parquet part the
other."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import shipped
from engine.data import identity, splits
from engine.data.example import Example
from engine.data.known_eyes import SAME_EYE
from engine.data.sources import read_examples
from engine.models.card import read_card
from engine.pixels.encode import Origin, encode, encode_photograph, xmp_packet
from engine.schema import Annotation
from engine.stages.outcome import as_outcomes, images
from engine.store.commits import Folder, take_attempt
from engine.store.parts import write_outcomes
from engine.store.plan import CaptionPlan, write_plan
from train.census import census

DATA = Path(os.environ.get("RETINAFORGE_DATA", Path(__file__).parents[4] / "shared" / "data"))
MARK = xmp_packet(Origin("tiny", "ab12", 3))


def write_rows(root, plan, files):
    """A folder of `plan` with these image files as rows, twenty to a part."""
    write_plan(root, plan)
    folder = Folder(root)
    folder.make()
    attempt = take_attempt(folder, len(files)).number
    for start in range(0, len(files), 20):
        some = files[start : start + 20]
        indices = range(start, start + len(some))
        columns = {
            "id": [f"{i:032x}" for i in indices],
            "index": list(indices),
            "image": images(some),
            "dr_grade": [i % 5 for i in indices],
            "caption": ["an eye"] * len(some),
        }
        write_outcomes(folder, attempt, plan.fingerprint, as_outcomes(columns, len(some)))
    return root


def photograph(mark=b""):
    return encode_photograph(Image.new("RGB", (16, 16), (150, 80, 30)), "webp", mark)


@pytest.fixture
def caption_plan():
    return CaptionPlan(
        image_format="webp",
        versions={},
        license="other",
        images=3,
        images_sha256="0" * 64,
        images_location="eyes",
        backend="local",
        captioner="captioner",
        weights_sha256="",
    ).sealed()


@pytest.mark.parametrize(("model", "kind"), [("phantom", "phantoms"), ("null", "synthetic")])
def test_a_folder_of_ours_that_was_drawn_holds_no_photograph(tmp_path, plan_of, model, kind):
    # Unmarked files: the plan alone says what they are.
    root = write_rows(tmp_path / "o", plan_of(model, 32), [photograph()] * 45)
    counted = census(read_examples([str(root)]), 32)
    assert (counted["data"]["photographs"], counted["data"]["eyes"]) == (0, 0)
    assert counted["data"]["sources"] == {}
    assert counted["data"][kind] == 45
    assert counted["real_examples_per_label"]["dr_grade"] == 0
    per_label = {"phantoms": "phantom_", "synthetic": "synthetic_"}[kind]
    assert counted[f"{per_label}examples_per_label"]["dr_grade"] == 45


def test_photographs_that_have_a_label_are_counted_apart_from_those_that_know_it():
    known = [Example(Path(f"{i}.png"), Annotation(dr_grade=i % 3, is_amd=0)) for i in range(6)]
    counted = census([*known, *read_examples(["phantom:2"])], 32)
    assert counted["real_examples_per_label"]["dr_grade"] == 6
    assert counted["real_positives_per_label"]["dr_grade"] == 4
    assert counted["real_examples_per_label"]["is_amd"] == 6
    assert counted["real_positives_per_label"]["is_amd"] == 0
    assert counted["real_positives_per_label"]["is_gc"] == 0


def test_what_another_model_drew_is_counted_by_its_maker(tmp_path, plan_of):
    root = write_rows(tmp_path / "o", plan_of("null", 32), [photograph()] * 3)
    counted = census([*read_examples([str(root)]), *read_examples(["phantom:2"])], 32)["data"]
    assert (counted["phantoms"], counted["synthetic"]) == (2, 3)
    assert counted["drawn_by"] == {"null": 3}


def test_captioned_photographs_are_photographs_unless_their_own_mark_says_no(
    tmp_path, caption_plan
):
    files = [photograph(), photograph(MARK), photograph()]
    examples = read_examples([str(write_rows(tmp_path / "o", caption_plan, files))])
    assert [e.synthetic for e in examples] == [False, True, False]
    assert examples[1].maker == "tiny"
    counted = census(examples, 32)["data"]
    assert (counted["photographs"], counted["eyes"], counted["synthetic"]) == (2, 2, 1)


@pytest.mark.parametrize("image_format", ["webp", "png", "jpeg"])
def test_exported_images_are_known_by_their_mark(tmp_path, image_format):
    pixels = np.full((16, 16, 3), 90, np.uint8)
    (tmp_path / "made.png").write_bytes(encode(pixels, image_format, Origin("tiny", "ab", 1)))
    Image.fromarray(pixels).save(tmp_path / "taken.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    made, taken, torn = read_examples([str(tmp_path)])
    assert (made.maker, taken.maker, torn.maker) == ("tiny", None, None)
    drawn, photographs = splits.drawn_apart([made, taken])
    assert (drawn, photographs) == ([made], [taken])


def test_a_table_that_says_phantom_is_believed(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("file,source\na.png,phantom\na.png,hrf\n")
    examples = read_examples([str(tmp_path / "labels.csv")])
    assert [e.synthetic for e in examples] == [True, False]


def test_every_row_of_a_part_is_an_eye_of_its_own(tmp_path, caption_plan):
    examples = read_examples([str(write_rows(tmp_path / "o", caption_plan, [photograph()] * 60))])
    assert len({e.path for e in examples}) == 3
    assert len(splits.one_per_eye(examples)) == 60
    assert census(examples, 32)["data"]["eyes"] == 60


def eye(name, split, source="idrid"):
    return Example(Path(name), Annotation(source=source), split=split)


def test_a_held_out_photograph_of_a_known_training_eye_is_held_out_of_nothing():
    twin = SAME_EYE["IDRiD_55.jpg"]
    eyes = [eye(twin, "train"), eye("IDRiD_55.jpg", "test"), eye("IDRiD_57.jpg", "test")]
    assert [e.path.name for e in splits.held_out(eyes)] == ["IDRiD_57.jpg"]
    assert not splits.teaching(eyes), "one eye, and it is in the test split"
    assert [e.path.name for e in splits.teaching(eyes[:1])] == [twin]
    assert not splits.held_out([eye("idrid_55.PNG", "test", "Kowa")]), "the name alone tells"


def test_the_known_pairs_are_a_train_and_a_test_photograph_of_the_published_set():
    if not (DATA / "labels.csv").is_file():
        pytest.skip(f"the real photographs are not here ({DATA})")
    examples = read_examples([str(DATA / "labels.csv")])
    split = {e.path.name: e.split for e in examples}
    for held_out, taught in SAME_EYE.items():
        assert (split[held_out], split[taught]) == ("test", "train")
    teaching = splits.teaching(examples)
    assert len(teaching) == 474
    assert not {e.path.name for e in teaching} & set(SAME_EYE.values())
    left = [e.path.name for e in splits.held_out(examples)]
    assert len(left) == list(split.values()).count("test") - len(SAME_EYE)


@pytest.mark.parametrize("model", ["tiny", "dualgan-tiny", "gate", "debug", "segmenter"])
def test_cards_name_the_test_eyes_that_taught(model):
    """Each named pair is one eye, and such a photograph teaches no more."""
    if not (DATA / "labels.csv").is_file():
        pytest.skip(f"the real photographs are not here ({DATA})")
    examples = read_examples([str(DATA / "labels.csv")])
    eye = {e.path.name: number for number, e in zip(identity.eyes(examples), examples)}
    split = {e.path.name: e.split for e in examples}
    teaching = {e.path.name for e in splits.teaching(examples)}
    told = read_card(shipped.WEIGHTS / model)["test_eyes"]
    assert told["photographs"] == len(told["taught"]) > 0
    for taught, held_out in told["taught"].items():
        assert (eye[taught], split[held_out]) == (eye[held_out], "test")
        assert taught not in teaching
