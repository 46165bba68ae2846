"""Every recipe on data as people have them: it ends with a model, or is refused before a step."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.models.card import finished_card
from engine.schema import UserError
from train.launch import run_training

RECIPES = ("autoencoder", "diffusion", "photo-gan", "segmenter", "gate", "captioner", "text")
FULL = {"source": "Köln 眼", "dr_grade": 2, "is_fundus": 1}


def eye(number, size=(128, 96)):
    """A coloured disc with a bright spot, another in every number."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.uint8)
    image[(x - width // 2) ** 2 + (y - height // 2) ** 2 < 46**2] = (150 - 9 * number, 70, 30)
    image[(x - 40 - 5 * number) ** 2 + (y - height // 2) ** 2 < 60] = (250, 220, 120)
    return image


def table(folder, rows, mask=None):
    """A CSV of these rows, each with an eye of its own and, if `mask` is a size, a mask of it."""
    folder.mkdir()
    for number, row in enumerate(rows):
        row["file"] = f"ögé 眼 {number}.png"
        Image.fromarray(eye(number)).save(folder / row["file"])
        if mask:
            row["mask_disc"] = f"mask {number}.png"
            spot = eye(number, mask)[..., 0] == 250
            Image.fromarray(spot.astype(np.uint8) * 255).save(folder / row["mask_disc"])
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(folder / "labels.csv")


def rows(count, **more):
    return [
        {"split": "test" if i % 3 == 2 else "train", "patient_id": f"p{i}", **FULL, **more}
        for i in range(count)
    ]


def without(found, *names):
    return [{k: v for k, v in row.items() if k not in names} for row in found]


BARE = ("split", "patient_id", "source", "dr_grade", "is_fundus")
ODD = {
    "full": lambda to: table(to, rows(8), (128, 96)),
    "no source": lambda to: table(to, without(rows(8), "source"), (128, 96)),
    "file alone": lambda to: table(to, without(rows(6), *BARE)),
    "one": lambda to: table(to, rows(1)),
    "all unknown": lambda to: table(to, without(rows(8), "dr_grade", "is_fundus"), (128, 96)),
    "no masks": lambda to: table(to, rows(8)),
    "masks of another size": lambda to: table(to, rows(8), (64, 48)),
    "test alone": lambda to: table(to, rows(6, split="test"), (128, 96)),
    "of one patient": lambda to: table(to, rows(6, patient_id="a"), (128, 96)),
    "nobody readable": lambda to: table(to, rows(8, is_fundus=0)),
    "phantoms": lambda to: "phantom:5",
}


def ended(tmp_path, capsys, recipe, odd, **settings):
    """The card of the run's model, or the refusal; a refused run took no step and left nothing."""
    run = tmp_path / f"run {recipe} {odd}"
    overrides = {"steps": "2", **settings}
    if recipe == "diffusion":
        overrides["data.cache"] = str(tmp_path / "cache")
    data = tmp_path / odd
    source = str(data / "labels.csv") if data.exists() else ODD[odd](data)
    capsys.readouterr()
    try:
        model = run_training(f"{recipe}-debug", [source], 0, overrides, run, dry_run=False)
    except UserError as error:
        assert "step 1" not in capsys.readouterr().out
        assert not run.exists()
        return str(error)
    assert "this time, the training goes on" not in capsys.readouterr().out
    return finished_card(model).facts


@pytest.mark.parametrize(
    ("recipe", "odd"),
    [
        ("autoencoder", "file alone"),
        ("diffusion", "file alone"),
        ("photo-gan", "file alone"),
        ("gate", "file alone"),
        ("segmenter", "phantoms"),
        ("captioner", "no source"),
    ],
)
def test_columns_are_optional(tmp_path, capsys, recipe, odd):
    card = ended(tmp_path, capsys, recipe, odd)
    assert card["steps"] == 2
    json.dumps(card, allow_nan=False)


@pytest.mark.parametrize(
    ("recipe", "odd", "said"),
    [
        ("autoencoder", "one", "1 readable training photographs: 1 of 1 .*at least 2"),
        ("gate", "one", "1 readable eyes .*at least 4"),
        ("gate", "nobody readable", "no photograph is labelled readable"),
        ("diffusion", "test alone", "0 readable training photographs: 0 of 6"),
        ("photo-gan", "of one patient", "0 of 6 .*or of an eye that is"),
        ("diffusion", "masks of another size", "the first that was left out: .*mask 0.png"),
        ("segmenter", "masks of another size", "the first that was left out: .*mask 0.png"),
        ("segmenter", "no masks", "no photograph with masks"),
        ("captioner", "all unknown", "no photograph of which a disease is known"),
    ],
)
def test_what_cannot_teach_is_refused_with_the_reason(tmp_path, capsys, recipe, odd, said):
    share = {"data.phantoms": "0.5"} if recipe == "segmenter" else {}
    refusal = ended(tmp_path, capsys, recipe, odd, **share)
    assert isinstance(refusal, str)
    assert re.search(said, refusal), refusal


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_oddity_ends_well(tmp_path, capsys, recipe):
    for odd in ODD:
        ended(tmp_path, capsys, recipe, odd)
    for number, settings in enumerate(({"batch": "16"}, {"batch": "1"}, {"sheet_every": "1"})):
        again = f"full {number}"
        ODD["full"](tmp_path / again)
        ended(tmp_path, capsys, recipe, again, **settings)


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    source = ODD["one"](tmp_path / "set")
    for cache in ("/proc/nonexistent/cache", str(Path(source) / "cache")):
        with pytest.raises(UserError, match=r"data\.cache: the cache of encoded photographs") as e:
            run_training(
                "diffusion-debug", [source], 0, {"data.cache": cache}, tmp_path / "r", False
            )
        assert "--set data.cache=DIR" in str(e.value)
    assert not (tmp_path / "r").exists()
