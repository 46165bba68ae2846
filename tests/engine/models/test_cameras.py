"""A model folder may bring cameras, and they decide what is drawn."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from engine.models.cameras import FILE, cameras_of, own_cameras, write_cameras
from engine.models.card import hash_folder
from engine.models.grounds import PhantomGeometry
from engine.phantom.cameras import CAMERAS
from engine.schema import Annotation, UserError

OWN = replace(CAMERAS["hrf"], colour=(0.5, 0.3, 0.2), half_height=0.9)


def test_what_is_written_is_read_and_changes_the_hash(tmp_path):
    before = hash_folder(tmp_path)
    write_cameras(tmp_path, {})
    assert cameras_of(tmp_path) == CAMERAS
    assert hash_folder(tmp_path) == before
    write_cameras(tmp_path, {"clinic": OWN})
    assert cameras_of(tmp_path) == {**CAMERAS, "clinic": OWN}
    assert hash_folder(tmp_path) != before


def test_phantoms_are_photographed_by_them():
    source = PhantomGeometry({**CAMERAS, "clinic": OWN})
    one, same, other = (
        geometry.ground(Annotation(source=name), 3, 64, light=True)
        for geometry, name in ((source, "clinic"), (source, "clinic"), (source, "hrf"))
    )
    assert np.array_equal(one.image, same.image)
    assert one.map[..., -1].any(1).sum() > other.map[..., -1].any(1).sum()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("{", "EOF"),
        ({"hrf": asdict(OWN)}, "hrf: is another camera already"),
        ({"clinic": {**asdict(OWN), "noise": 1e300}}, r"clinic: Value error, noise: 1e\+300"),
        ({"clinic": {**asdict(OWN), "law": [[0.1]]}}, "clinic: Value error, law: expected 12"),
        ({"clinic": {"colour": [1, 1, 1]}}, "clinic.disc_diameter: Field required"),
    ],
)
def test_a_broken_file_is_told_of(tmp_path, told, expected):
    text = told if isinstance(told, str) else json.dumps(told)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=expected):
        own_cameras(tmp_path)
