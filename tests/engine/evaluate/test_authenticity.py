"""Telling samples from photographs: like ones are not told, others are, and phantoms hardly."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import splits
from engine.data.example import Example
from engine.data.sources import read_examples
from engine.evaluate.authenticity import authenticity
from engine.evaluate.evidence import draw_phantoms
from engine.phantom.render import draw
from engine.schema import Annotation

ROWS = 30
ROOT = Path(__file__).parents[3]
LABELS = Path(os.environ.get("RETINAFORGE_DATA", ROOT.parent / "shared/data")) / "labels.csv"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> list[Example]:
    """Phantoms as photographs of one camera."""
    folder = tmp_path_factory.mktemp("photographs")
    found = []
    for seed in range(ROWS):
        path = folder / f"{seed}.png"
        annotation = Annotation(source="idrid", dr_grade=seed % 2)
        Image.fromarray(draw(annotation, seed, 256).image).save(path)
        found.append(Example(path, annotation, split="test"))
    return found


def areas(draw_specs, examples) -> list[float]:
    return [each.auc for each in authenticity(draw_specs, examples, 1)]


def test_eyes_of_one_kind_are_not_told_apart_and_those_of_another_camera_are(photographs):
    alike = areas(draw_phantoms, photographs)
    others = areas(
        lambda specs: draw_phantoms(
            [
                s.model_copy(
                    update={"annotation": s.annotation.model_copy(update={"source": "hrf"})}
                )
                for s in specs
            ]
        ),
        photographs,
    )
    assert max(alike) < 0.75
    assert min(others) > 0.95


def test_a_file_that_cannot_be_read_is_left_out_and_too_few_are_refused(photographs, tmp_path):
    broken = Example(tmp_path / "gone.png", Annotation(source="idrid"), split="test")
    told = next(authenticity(draw_phantoms, [broken, *photographs], 1))
    assert told.pairs == ROWS
    assert told.by_source == {"idrid": told.auc}
    with pytest.raises(ValueError, match="4 readable photographs"):
        next(authenticity(draw_phantoms, photographs[:4], 1))


@pytest.mark.slow
@pytest.mark.skipif(not LABELS.exists(), reason=f"{LABELS} with real photographs is not here")
def test_phantoms_are_hardly_told_from_held_out_photographs():
    examples = splits.held_out(read_examples([str(LABELS)]))
    told = list(authenticity(draw_phantoms, examples, 2))
    for classifier in ("logistic regression", "random forest"):
        assert np.mean([each.auc for each in told if each.classifier == classifier]) <= 0.87
