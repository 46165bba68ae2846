"""Real photographs for the gates: squares of the train and of the test split."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.data import splits
from engine.data.sources import read_examples
from engine.data.transforms import crop_to_field

ROOT = Path(__file__).parents[3]
LABELS = Path(os.environ.get("RETINAFORGE_DATA", ROOT.parent / "shared/data")) / "labels.csv"


@pytest.fixture(scope="session")
def examples():
    if not LABELS.is_file():
        pytest.skip(f"the real photographs are not here ({LABELS})")
    return read_examples([str(LABELS)])


@pytest.fixture(scope="session")
def squares():
    def read(some, side=256):
        return [np.asarray(crop_to_field(e.read(), side)) for e in some]

    return read


@pytest.fixture(scope="session")
def teaching_eyes(examples):
    """One photograph of each training eye, in a fixed random order."""
    eyes = [group[0] for group in splits.one_per_eye(splits.teaching(examples))]
    return [eyes[i] for i in np.random.default_rng(7).permutation(len(eyes))]


@pytest.fixture(scope="session")
def held_out_eyes(examples, teaching_eyes):
    """One photograph of each eye of the test split, in a fixed random order."""
    taught = {e.patient_id for e in teaching_eyes}
    eyes = [group[0] for group in splits.one_per_eye(splits.held_out(examples))]
    eyes = [eyes[i] for i in np.random.default_rng(7).permutation(len(eyes))]
    assert not taught & {e.patient_id for e in eyes}
    return eyes
