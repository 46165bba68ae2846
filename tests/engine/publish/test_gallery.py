"""The gallery: what is said of a photograph, and which filters can tell photographs apart."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from engine.publish.gallery import COLOURS, THUMBNAIL, filters, pictures
from engine.schema import DISEASES, LABELS, MASKS, READABILITY
from engine.store.parts import write_outcomes
from engine.store.rows import shares
from engine.store.turn import turn


@pytest.fixture
def shown(folder, attempt, plan, block):
    """shown(**columns): exhibits of a row whose columns are these."""

    folder.place.make("report")

    def make(**columns):
        table = block(0, 1)
        for name, value in columns.items():
            at = table.schema.get_field_index(name)
            field = table.schema.field(at)
            table = table.set_column(at, field, pa.array([value], field.type))
        write_outcomes(folder, attempt.number, plan.fingerprint, table)
        with turn(folder.place, "report") as mine:
            return pictures(folder, shares(folder), mine, "webp"), folder.root / mine.pictures

    return make


HEALTHY = {label.name: 0 for label in DISEASES} | {label.name: 1 for label in READABILITY}


def test_an_eye_without_findings_is_healthy_and_readable(shown):
    (one,), into = shown(**HEALTHY, eye_side=1, source=None)
    assert {"healthy", "readable", "eye_side-1", "source:none_named"} <= {*one.tokens}
    assert [chip.words for chip in one.chips] == ["no finding", "left"]
    assert one.file == one.thumb == "images/000001/00000000.webp"
    assert [path.name for path in into.iterdir()] == ["00000000.webp"]


def test_findings_and_what_cannot_be_read_have_chips(shown):
    found = {"dr_grade": 3, "is_gc": 1, "is_macular_readable": 0, "eye_side": None}
    (one,), _ = shown(**{**HEALTHY, **found}, source="my clinic")
    assert "unreadable" in one.tokens
    assert "healthy" not in one.tokens
    assert "source:my_clinic" in one.tokens
    words = [chip.words for chip in one.chips]
    assert words == ["DR 3", "GC", "macula unreadable", "my clinic"]


def test_what_is_unknown_is_said_to_be_and_is_no_health(shown):
    (one,), _ = shown(**{label.name: None for label in LABELS})
    assert not {"healthy", "readable", "unreadable"} & {*one.tokens}
    assert dict(one.facts)["dr_grade"] == "unknown"
    assert one.chips == () or all(chip.kind == "" for chip in one.chips)


def test_masks_are_layers_of_one_colour_and_empty_ones_are_none(shown):
    def file(mask):
        written = io.BytesIO()
        Image.fromarray(mask).save(written, "PNG")
        return {"bytes": written.getvalue(), "path": None}

    drawn, empty = np.tri(8, dtype=bool), np.zeros((8, 8), bool)
    (one,), into = shown(mask_disc=file(drawn), mask_cup=file(empty))
    (mask,) = one.masks
    assert "mask:disc" in one.tokens
    assert "mask:cup" not in one.tokens
    assert (mask["name"], mask["colour"]) == ("disc", f"rgb{COLOURS['mask_disc']}")
    with Image.open(into / "00000000-disc.png") as layer:
        pixels = np.asarray(layer.convert("RGBA"))
    assert np.array_equal(pixels[..., 3] > 0, drawn)
    assert {tuple(colour) for colour in pixels[drawn][:, :3]} == {COLOURS["mask_disc"]}


def test_a_large_photograph_has_a_small_copy(shown):
    file = io.BytesIO()
    Image.new("RGB", (2 * THUMBNAIL, THUMBNAIL)).save(file, "WEBP")
    size = {"width": 2 * THUMBNAIL, "height": THUMBNAIL}
    (one,), into = shown(image={"bytes": file.getvalue(), "path": None}, **size)
    assert one.thumb != one.file
    with Image.open(into / "00000000-small.webp") as small:
        assert small.size == (THUMBNAIL, THUMBNAIL // 2)


def test_filters_offer_what_is_there_and_count_it(shown):
    (one,), _ = shown(**{**HEALTHY, "dr_grade": 2}, eye_side=0, source="idrid")
    made = {each.key: each for each in filters(Counter(2 * one.tokens))}
    assert {*made} == {"finding", "readability", "source", "side", "model"}
    assert [(each.token, each.count) for each in made["finding"].options] == [("dr_grade-2", 2)]
    assert made["source"].options[0].words == "idrid"
    assert filters({}) == []


def test_every_mask_has_a_colour_of_its_own():
    assert set(COLOURS) == set(MASKS)
    assert len({*COLOURS.values()}) == len(MASKS)
