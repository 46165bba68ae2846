"""Whose structures rows are drawn on: words, what they mean, and that it stays what it was."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from engine.call import CallSettings
from engine.data.likeness import bits_of, likeness
from engine.evaluate.geometry import dice
from engine.evaluate.lineage import ancestors
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.models.card import write_card
from engine.models.geometry_generator import GeometryGenerator
from engine.phantom.cameras import CAMERAS
from engine.phantom.render import draw
from engine.publish.drawn import describe
from engine.registry.structures import geometry_of, wanted
from engine.schema import Annotation, UserError
from engine.store.plan import write_plan

ASKED = Annotation(dr_grade=0, eye_side=0, source="idrid")
EYE = draw(ASKED, 3, 256)


@pytest.fixture
def table(tmp_path):
    """One photograph with masks of vessels and disc."""
    Image.fromarray(EYE.image).save(tmp_path / "eye.png")
    row = {"file": "eye.png"}
    for name in ("vessel", "disc"):
        row[f"mask_{name}"] = f"{name}.png"
        Image.fromarray(EYE.masks[name]).save(tmp_path / f"{name}.png")
    with (tmp_path / "eyes.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    return tmp_path / "eyes.csv"


@pytest.fixture
def generator(tmp_path):
    torch.manual_seed(0)
    folder = tmp_path / "maker"
    GeometryGenerator(style=8, widths=(8, 8)).half().save_pretrained(folder)
    write_card(folder, {"name": "maker"})
    return folder


def settings(asked):
    plan = plan_drawing(DrawAsk(model="dualgan-tiny")).plan
    return plan.settings.model_copy(update={"structures": asked.structures})


def test_phantoms_are_the_usual_and_nothing_new_in_a_plan():
    plain = plan_drawing(DrawAsk(model="dualgan-tiny")).plan
    said = plan_drawing(DrawAsk(model="dualgan-tiny", geometry="phantom")).plan
    assert said.fingerprint == plain.fingerprint
    assert "structures" not in plain.settings.identity()


def test_rows_stand_on_a_photographs_own_disc_and_vessels(table):
    source = geometry_of(settings(wanted(f"real:{table}")), CAMERAS)
    masks = source.ground(ASKED, 7, 256, False).phantom.masks
    assert dice(masks["disc"], EYE.masks["disc"]) > 0.9
    assert dice(masks["vessel"], EYE.masks["vessel"]) > 0.5
    assert not masks["lesion"].any(), "its labels say so"


def test_a_table_that_has_changed_is_not_drawn_on(table):
    planned = settings(wanted(f"real:{table}"))
    Image.fromarray(np.zeros((256, 256), bool)).save(table.parent / "vessel.png")
    with pytest.raises(UserError, match="is not what the plan was made with"):
        geometry_of(planned, CAMERAS)


def test_photographs_structures_need_the_privacy_gate(table):
    ask = DrawAsk(model="dualgan-tiny", geometry=f"real:{table}")
    assert plan_drawing(ask).plan.settings.structures.kind == "real"
    with pytest.raises(UserError, match="under the privacy gate alone"):
        plan_drawing(DrawAsk(model="dualgan-tiny", geometry=f"real:{table}", gates="quality"))


def test_where_a_generator_lies_decides_nothing_and_what_it_is_does(generator, tmp_path):
    first = plan_drawing(DrawAsk(model="dualgan-tiny", geometry=f"gan:{generator}")).plan
    moved = generator.rename(tmp_path / "elsewhere")
    again = plan_drawing(DrawAsk(model="dualgan-tiny", geometry=f"gan:{moved}")).plan
    assert again.fingerprint == first.fingerprint
    assert again.settings.structures.location != first.settings.structures.location
    plain = plan_drawing(DrawAsk(model="dualgan-tiny")).plan
    assert first.fingerprint != plain.fingerprint
    assert "scikit-image" in first.versions
    assert "scikit-image" not in plain.versions
    assert CallSettings.model_validate_json(first.settings.model_dump_json()) == first.settings


def test_a_set_comes_from_what_gave_its_anatomy_too(table, generator, tmp_path):
    """A test photograph whose vessels were drawn on was seen."""
    for number, (words, name, count) in enumerate(
        [(f"real:{table}", "real:eyes.csv", 1), (f"gan:{generator}", "maker", None)]
    ):
        ask = DrawAsk(model="dualgan-tiny", geometry=words)
        write_plan(tmp_path / f"set{number}", plan_drawing(ask).plan)
        model, anatomist = ancestors(str(tmp_path / f"set{number}"))[:2]
        assert model.path == ("dualgan-tiny",)
        assert (anatomist.path, anatomist.photographs) == ((name,), count)
        told = dict(describe(plan_drawing(ask).plan).facts)["geometry"]
        assert name.removeprefix("real:") in told
        assert ("whoever has one may know its eye again" in told) == (count == 1)
    seen = ancestors(str(tmp_path / "set0"))[1].named
    assert seen.has("", bits_of([likeness(EYE.image)])[0])


@pytest.mark.parametrize("text", ["gan:", "real:", "real", "photo", "phantom:3", ""])
def test_other_words_are_refused_with_those_that_there_are(text):
    with pytest.raises(UserError, match=r"⟨geometry⟩: .* \(expected phantom, gan, gan:FOLDER"):
        wanted(text)


def test_a_folder_of_something_else_is_no_generator(tmp_path):
    with pytest.raises(UserError, match="no geometry generator of that name"):
        wanted(f"gan:{tmp_path}")
    with pytest.raises(UserError, match="no geometry generator of that name"):
        wanted("gan:tiny")
