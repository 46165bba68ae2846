"""No photograph of the test split may have taught a model from which a set came: known by its file,
or by what it looks like, through the whole tree."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from engine import shipped
from engine.data.example import Example
from engine.data.sources import read_examples
from engine.evaluate.lineage import ancestors, checked, most_behind, unseen
from engine.evaluate.sets import Sets
from engine.models.card import read_card, write_card
from engine.models.naming import LIKENESSES, TRAINING_KEY, NamedPhotographs, keyed_id
from engine.phantom.render import draw
from engine.registry.family import ModelRef
from engine.schema import Annotation, UserError
from engine.store.plan import write_plan
from train.census import image_hashes, keep_likenesses

DATA = Path(os.environ.get("RETINAFORGE_DATA", Path(__file__).parents[4] / "shared/data"))
SIDE = 128
GRANDPARENT = "eyes seen long ago"


@pytest.fixture
def eyes(tmp_path):
    """Twelve photographs, as a camera wrote them."""
    for number in range(12):
        image = Image.fromarray(draw(Annotation(source="idrid"), number, SIDE).image)
        image.save(tmp_path / f"eye{number}.png")
    return [tmp_path / f"eye{number}.png" for number in range(12)]


@pytest.fixture
def real(tmp_path):
    """real(files): a table that holds these out."""

    def written(files):
        with (tmp_path / "real.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["file", "split"], *([f, "test"] for f in files)])
        return str(tmp_path / "real.csv")

    return written


def model(folder, taught, parents, **facts):
    """A finished model folder, of no network: its weights, its card and what names its eyes."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(f'{{"of": "{folder}"}}')
    examples = [Example(file, Annotation()) for file in taught]
    contents = [hashlib.sha256(file.read_bytes()).hexdigest() for file in taught]
    hashes = image_hashes(contents, folder)
    keep_likenesses(examples, folder)
    write_card(folder, {**facts, "image_hashes": hashes, "parents": parents})
    card = read_card(folder)
    return {"name": facts.get("name", folder.name), "weights_sha256": card["weights_sha256"]}


@pytest.fixture
def drawn(tmp_path, eyes, plan_of):
    """drawn(**facts): a set whose model's parent learned from a model that saw eyes 0 to 3."""

    def made(**facts):
        runs = tmp_path / "runs"
        first = model(runs / "first" / "model", eyes[:4], [], name=GRANDPARENT, **facts)
        lost = {"name": "a lost one", "weights_sha256": "0" * 64}
        second = model(runs / "second" / "model", eyes[4:6], [first, lost], name="second")
        folder = runs / "third" / "model"
        third = model(folder, eyes[6:8], [second], name="third")
        said = {"model_location": str(folder), "weights_sha256": third["weights_sha256"]}
        plan = plan_of("null").model_copy(update={"model": "third", **said})
        write_plan(tmp_path / "set", plan.sealed())
        return str(tmp_path / "set")

    return made


def sets(set_source, real, said=None):
    judged = read_examples(["phantom:1"])
    held_out = read_examples([real])
    tell = (said if said is not None else []).append
    return Sets(set_source, real, judged, [], held_out, True, tell, held_out)


def anew(file, to, size=(100, 100)):
    """Smaller, compressed, and under another name."""
    small, data = Image.open(file).resize(size), io.BytesIO()
    small.save(data, "JPEG", quality=70)
    to.write_bytes(data.getvalue())
    return to


def test_the_tree_is_told_with_who_is_not_at_hand(drawn, real, eyes):
    found, told = checked(sets(drawn(), real(eyes[8:])))
    assert len(found.tested) == 4
    assert [each["name"] for each in told] == ["third", "second", GRANDPARENT, "a lost one"]
    assert [each["photographs"] for each in told] == [2, 2, 4, None]
    assert [each["seen_in_test"] for each in told] == [0, 0, 0, None]
    assert told[1]["parents"] == [GRANDPARENT, "a lost one"]


def test_a_grandparents_eye_under_another_name_is_refused_with_the_path(
    drawn, real, eyes, tmp_path
):
    set_, renamed = drawn(), anew(eyes[2], tmp_path / "holiday.jpg")
    with pytest.raises(UserError, match=f"third from second from {GRANDPARENT}") as error:
        checked(sets(set_, real([*eyes[8:], renamed])))
    assert "holiday.jpg" in str(error.value)
    # Without perceptual hashes only the file itself is known again.
    (tmp_path / "runs/first/model" / LIKENESSES).unlink()
    assert checked(sets(set_, real([*eyes[8:], renamed])))[1][2]["named"] == 4
    with pytest.raises(UserError, match="photograph of the test split"):
        checked(sets(set_, real([*eyes[8:], eyes[2]])))
    (tmp_path / "runs/first/model" / TRAINING_KEY).unlink()
    assert checked(sets(set_, real([*eyes[8:], eyes[2]])))[1][2]["seen_in_test"] is None


def allowed(folder, files, real):
    """Those of the photographs with which the model in a folder may be tested."""
    card = read_card(folder)
    told = {"name": folder.parent.name, "weights_sha256": card["weights_sha256"]}
    ref = ModelRef(location=str(folder), **told)
    return unseen(ref, read_examples([real(files)]), print)


def test_a_model_is_tested_with_what_neither_it_nor_a_parent_saw(drawn, real, eyes, tmp_path):
    drawn()
    folder = tmp_path / "runs/third/model"
    assert len(allowed(folder, eyes[8:], real)) == 4
    for taught, path in ((eyes[6], "third"), (eyes[2], f"third from second from {GRANDPARENT}")):
        renamed = anew(taught, tmp_path / "holiday.jpg")
        with pytest.raises(UserError, match=f"is tested, or one before it: {path}"):
            allowed(folder, [*eyes[8:], renamed], real)


def test_who_drew_for_a_model_is_its_ancestor(real, eyes, tmp_path, monkeypatch):
    weights, folder = tmp_path / "weights", tmp_path / "runs/reader/model"
    model(weights / "painter", eyes[:2], [], name="painter")
    monkeypatch.setattr(shipped, "WEIGHTS", weights)
    model(folder, [], [], data={"drawn_by": {"painter": 5, "a stranger": 1}})
    with pytest.raises(UserError, match="reader from painter"):
        allowed(folder, [anew(eyes[1], tmp_path / "holiday.jpg")], real)
    assert len(allowed(folder, eyes[2:], real)) == 10


def test_the_photographs_behind_a_set_are_those_of_whom_most_taught(drawn, real, eyes):
    assert most_behind(sets(drawn(), real(eyes[8:]))) is None, "of a lost one nobody knows"
    assert most_behind(sets("phantom:1", real(eyes[8:]))) == 0


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} with real photographs is not here")
@pytest.mark.parametrize(
    ("name", "photograph", "path"),
    [
        ("tiny", "hrf/images/01_dr.jpg", "tiny"),
        ("tiny", "idrid_seg/images/IDRiD_09.jpg", "tiny from segmenter"),
        ("dualgan-tiny", "idrid_seg/images/IDRiD_09.jpg", "dualgan-tiny from segmenter"),
    ],
)
def test_an_eye_of_a_shipped_models_parent_is_refused(
    name, photograph, path, real, tmp_path, plan_of
):
    weights = read_card(shipped.folder_of(name))["weights_sha256"]
    told = {"model": name, "model_location": name, "weights_sha256": weights}
    write_plan(tmp_path / "set", plan_of("null").model_copy(update=told).sealed())
    renamed = anew(DATA / photograph, tmp_path / "holiday.jpg", (700, 460))
    with pytest.raises(UserError, match=f"came: {path} ") as error:
        checked(sets(str(tmp_path / "set"), real([renamed])))
    assert "holiday.jpg" in str(error.value)


def test_every_shipped_model_that_photographs_taught_names_them():
    for name in shipped.names():
        (first, *_) = ancestors("", [name])
        assert first.photographs == 0 or len(first.card["likenesses"]) > 80, name
    assert ancestors("", ["visionclip-tiny"])[0].photographs == 0


def test_what_a_card_confesses_to_is_left_out_and_told(drawn, real, eyes):
    confessed = {"test_eyes": {"taught": {"train_1.jpg": eyes[1].name}}}
    said: list[str] = []
    set_ = drawn(**confessed)
    found, told = checked(sets(set_, real([*eyes[8:], eyes[1]]), said))
    assert [each.path.name for each in found.tested] == [each.name for each in eyes[8:]]
    assert (told[2]["seen_in_test"], told[0]["seen_in_test"]) == (1, 0)
    assert "tested: 1 left out, as a card says that their eyes taught" in said
    with pytest.raises(UserError, match=r"eye3\.png"):
        checked(sets(set_, real([eyes[1], eyes[3]])))


def test_a_model_that_moved_or_changed_names_nothing(drawn, tmp_path):
    set_ = drawn()
    (tmp_path / "runs/third/model").rename(tmp_path / "elsewhere")
    (only,) = ancestors(set_)
    assert (only.path, only.photographs, only.named.count) == (("third",), None, 0)


def test_a_program_was_taught_by_nobody_and_strangers_say_nothing(tmp_path):
    (phantom,) = ancestors(str(tmp_path), ["phantom"])
    assert phantom.photographs == 0
    (shipped,) = ancestors(str(tmp_path), ["segmenter-512"])[:1]
    assert [each.path[-1] for each in ancestors("", ["segmenter-512"])] == [
        "segmenter-512",
        "segmenter",
    ]
    assert shipped.named.count == shipped.photographs == 86
    assert ancestors(str(tmp_path)) == []


def test_what_names_photographs_is_checked(tmp_path):
    with pytest.raises(UserError, match="perceptual hash"):
        NamedPhotographs.of(tmp_path, {"likenesses": ["none"]})
    (tmp_path / "private").mkdir()
    (tmp_path / TRAINING_KEY).write_text("no key\n")
    with pytest.raises(UserError, match="not a key"):
        NamedPhotographs.of(tmp_path, {})
    (tmp_path / TRAINING_KEY).write_text("ab\n")
    named = NamedPhotographs.of(tmp_path, {"image_hashes": [keyed_id(b"\xab", "x")]})
    assert named.has("x", None)
