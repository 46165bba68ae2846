"""Photographs with masks of lesions, whatever brings them: rows of a folder and lines of a table
give the same squares; older rows are parted by light; what cannot be read is told."""

from __future__ import annotations

import csv
import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from engine.data.masked import LESIONS, STRUCTURES, masked_photographs, masked_set
from engine.data.outlines import by_light
from engine.phantom.render import draw
from engine.pixels.encode import Origin, encode, encode_mask
from engine.schema import IMAGE_TYPE, MASKS, Annotation, UserError
from engine.seeds import row_seed
from engine.store.parts import Cost, write_part
from tests.blocks import attempt, block, folder

__all__ = ["attempt", "block", "folder"]

SIDE = 128
NEW = ("mask_dark_lesion", "mask_bright_lesion")


@pytest.fixture(scope="module")
def phantoms():
    return [draw(Annotation(dr_grade=3), row_seed(5, index), SIDE) for index in range(3)]


@pytest.fixture
def set_of(folder, attempt, plan, block, phantoms):
    """A folder whose rows are the phantoms, less some columns."""

    def filled(*without):
        rows = block(0, len(phantoms))
        for name in ("image", *MASKS):
            files = [
                encode(each.image, "png", Origin("phantom", "", 1))
                if name == "image"
                else encode_mask(each.masks[name.removeprefix("mask_")])
                for each in phantoms
            ]
            column = pa.array([{"bytes": file, "path": None} for file in files], IMAGE_TYPE)
            rows = rows.set_column(rows.schema.get_field_index(name), name, column)
        kept = [name for name in rows.schema.names if name not in without]
        write_part(folder, attempt.number, plan.fingerprint, rows.select(kept), Cost(1.0, 0.0))
        return str(folder.root)

    return filled


@pytest.fixture
def table(tmp_path, phantoms):
    """A table of the phantoms as if they were photographs, with these columns of masks."""

    def written(columns, splits=("test",) * 3):
        with (tmp_path / "eyes.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", "split", *columns])
            for number, (each, split) in enumerate(zip(phantoms, splits)):
                names = [f"{number}.png", *(f"{number}-{column}.png" for column in columns)]
                Image.fromarray(each.image).save(tmp_path / names[0])
                for name, column in zip(names[1:], columns):
                    mask = encode_mask(each.masks[column.removeprefix("mask_")])
                    (tmp_path / name).write_bytes(mask)
                lines.writerow([names[0], split, *names[1:]])
        return str(tmp_path / "eyes.csv")

    return written


def squares(masked, left_out=None):
    return list(masked.squares(SIDE, [].append if left_out is None else left_out.append))


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a[1], b[1])
        and a[2].keys() == b[2].keys()
        and all(np.array_equal(a[2][name], b[2][name]) for name in a[2])
        for a, b in zip(one, other)
    )


def test_rows_and_lines_of_the_same_photographs_give_the_same_squares(set_of, table):
    rows, lines = (
        masked_set(set_of(), LESIONS),
        masked_set(table(["mask_disc", "mask_lesion", *NEW]), LESIONS),
    )
    assert (rows.count, rows.by_light) == (lines.count, lines.by_light) == (3, False)
    assert same(squares(rows), squares(lines))
    assert {*squares(rows)[0][2]} == {"disc", "dark_lesion", "bright_lesion"}
    assert len({eye for eye, *_ in squares(rows)}) == 3


def test_rows_from_before_dark_and_bright_were_told_are_parted_by_light(set_of, phantoms):
    older = masked_set(set_of(*NEW), LESIONS)
    assert older.by_light
    for (_, image, masks, _), phantom in zip(squares(older), phantoms):
        parts = by_light(image, phantom.masks["lesion"])
        union = masks["dark_lesion"] | masks["bright_lesion"]
        assert np.array_equal(union, phantom.masks["lesion"])
        assert parts["dark_lesion"].sum() > 0


def test_phantoms_know_their_lesions_as_they_are():
    masked = masked_set("phantom:3", LESIONS)
    assert (masked.count, masked.by_light) == (3, False)
    assert len(squares(masked)) == 3


def test_of_a_table_with_a_test_split_that_counts_and_nothing_that_was_drawn(table, set_of):
    assert (
        masked_photographs(table(["mask_lesion"], ("train", "test", "train")), LESIONS).count == 1
    )
    assert masked_photographs(table(["mask_lesion"], ("", "all", "train")), LESIONS).count == 3
    assert masked_photographs(table(["mask_lesion"]), LESIONS).by_light
    for drawn in ("phantom:3", set_of()):
        with pytest.raises(UserError, match="nothing here has a mask of lesions"):
            masked_photographs(drawn, LESIONS)


def test_a_set_without_masks_of_lesions_is_told(table, set_of):
    for source in (table(["mask_disc"]), set_of("mask_lesion", *NEW)):
        with pytest.raises(UserError, match=r"nothing here has a mask of lesions.*mask_dark"):
            masked_set(source, LESIONS)


def test_structures_are_read_by_their_own_columns_and_photographs_without_any(table, set_of):
    rows, lines = (
        masked_set(each, STRUCTURES)
        for each in (set_of(), table(["mask_vessel", "mask_cup", "mask_disc"]))
    )
    assert same(squares(rows), squares(lines))
    assert {*squares(rows)[0].masks} == {"vessel", "disc", "cup"}
    assert not rows.by_light
    bare = table(NEW)
    with pytest.raises(UserError, match=r"a mask of vessels or disc.*mask_vessel"):
        masked_set(bare, STRUCTURES)
    assert masked_photographs(bare, STRUCTURES, bare=True).count == 3


def test_what_cannot_be_read_is_told_and_left_out_whatever_else_is_broken(table, tmp_path):
    source = table([*NEW, "mask_vessel"])
    (tmp_path / "1-mask_dark_lesion.png").write_bytes(b"no image")
    (tmp_path / "2-mask_vessel.png").write_bytes(b"no image")
    told = []
    assert len(squares(masked_set(source, LESIONS), told)) == 2
    assert len(told) == 1
    assert "1-mask_dark_lesion.png" in told[0]


def test_a_row_whose_mask_has_another_size_is_told(folder, attempt, plan, block):
    rows, files = block(0, 1), {"image": io.BytesIO(), "mask_lesion": io.BytesIO()}
    for side, (name, file) in zip((32, 16), files.items()):
        Image.new("RGB" if name == "image" else "1", (side, side)).save(file, "PNG")
        column = pa.array([{"bytes": file.getvalue(), "path": None}], IMAGE_TYPE)
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    kept = [name for name in rows.schema.names if name in ("id", "index", "prompt_truncated")]
    kept += ["image", "patient_id", "mask_lesion"]
    write_part(folder, attempt.number, plan.fingerprint, rows.select(kept), Cost(1.0, 0.0))
    told = []
    assert not squares(masked_set(str(folder.root), LESIONS), told)
    assert "row 0, mask_lesion: (16, 16), its photograph is (32, 32)" in told[0]
