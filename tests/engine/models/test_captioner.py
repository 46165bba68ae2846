"""The captioner: what it measures, which cameras it knows, and that its words are the square's
alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.models.captioner import (
    MEASURES,
    PRESETS,
    SIDE,
    SIGNATURES,
    VALUES,
    Captioner,
    Viewed,
    chances,
    distance,
    look,
    measure,
    parted,
    signature,
    worded,
)
from engine.models.limits import SpeechLimits
from engine.models.looks import FINE, GREEN, LIGHT_FROM, looks
from engine.models.segmenter import SEGMENTS, Segmenter
from engine.prose.statements import calls_unlike
from engine.prose.structure import Structure
from engine.schema import LABELS


@pytest.fixture(scope="module")
def network() -> Captioner:
    torch.manual_seed(1)
    return Captioner(**PRESETS["debug"], cameras=("a", "b")).eval()


def round_field(size: int = SIDE) -> np.ndarray:
    """A round, orange field on black, brighter above than below."""
    row, column = np.indices((size, size)) / (size / 2) - 1
    inside = np.hypot(row, column) < 0.99
    light = (1.2 - 0.3 * row)[..., None] * np.array([140.0, 70.0, 25.0])
    return np.where(inside[..., None], light, 0).clip(0, 255).astype(np.uint8)


def test_measures_are_shares_and_places_of_outlines():
    outlines = torch.zeros(2, len(SEGMENTS), 128, 128)
    outlines[1, SEGMENTS.index("bright_lesion"), :32, :32] = 1.0
    none, some = measure(outlines)
    assert none.numel() == 4 * len(SEGMENTS) + 2 * 16 == SIGNATURES["structures"]
    assert none.std() < 1e-5
    grown = (some > none).nonzero().flatten().tolist()
    bright = SEGMENTS.index("bright_lesion")
    by_structure = [kind * len(SEGMENTS) + bright for kind in range(4)]
    assert grown == [*by_structure, 4 * len(SEGMENTS) + 16]


def test_looks_are_finite_and_tell_outline_light_and_focus():
    seen = looks(round_field())
    assert {name: len(values) for name, values in seen.items()} == {
        name: count for name, count in SIGNATURES.items() if name != "structures"
    }
    assert np.ptp(seen["outline"]) <= 2
    cut = round_field()
    cut[:30] = 0
    assert looks(cut)["outline"][24] < 100 < looks(cut)["outline"][8]
    assert seen["light"][GREEN] == pytest.approx(84 / 255, abs=0.03)
    grain = np.random.default_rng(1).normal(0, 12, (SIDE, SIDE, 3))
    noisy = (round_field() + grain).clip(0, 255).astype(np.uint8)
    assert looks(noisy)["light"][FINE] > seen["light"][FINE] + 0.5
    for blank in (0, 255):
        values = looks(np.full((SIDE, SIDE, 3), blank, np.uint8)).values()
        assert all(np.isfinite(each).all() for each in values)


def test_every_head_judges_every_row_by_itself(network):
    rows = torch.randn(5, MEASURES)
    with torch.no_grad():
        logits = network(rows)
        assert logits.shape == (5, 5, sum(VALUES))
        assert torch.allclose(network(rows[2:3]), logits[2:3], atol=1e-5)
        far = network(torch.full((1, MEASURES), 1e6))
        assert torch.equal(far, network(torch.full((1, MEASURES), 1e3)))
    held = chances(logits[0], {"dr_grade": 2.0})
    assert {name: each.shape for name, each in held.items()} == {
        label.name: (5, label.highest + 1) for label in LABELS
    }
    assert all(each.sum(1) == pytest.approx(1) for each in held.values())


def test_a_camera_is_known_by_every_signature():
    network = Captioner(**PRESETS["debug"], cameras=("a", "b"))
    generator = torch.Generator().manual_seed(2)
    shown = torch.randn(300, MEASURES, generator=generator)
    network.know(0, shown)
    network.know(1, shown + 20)
    near = network.distances(shown[:50])
    assert near.shape == (50, 2, len(SIGNATURES))
    assert (near[:, 0] < near[:, 1]).all()
    for at, (name, part) in enumerate(parted(shown).items()):
        mean, inverse = signature(part)
        assert torch.allclose(distance(part[:50], mean, inverse), near[:, 0, at])
        # Of independent measures the squared distance is as large as there are measures.
        assert (near[:, 0, at] ** 2).mean() == pytest.approx(SIGNATURES[name], rel=0.25)


def test_few_eyes_make_no_singular_camera():
    mean, inverse = signature(torch.tensor([[1.0, 2.0, 0.0], [1.0, 3.0, 0.0]]))
    assert mean.tolist() == [1.0, 2.5, 0.0]
    assert inverse.isfinite().all()


def test_structure_is_told_where_it_is_plain():
    class Draws(Segmenter):
        def forward(self, images):
            logits = torch.full((len(images), len(SEGMENTS), SIDE, SIDE), -9.0)
            row, column = np.indices((SIDE, SIDE))
            disc = np.hypot(row - 128, column - 200) < 20
            logits[:, SEGMENTS.index("disc")][:, torch.from_numpy(disc)] = 9.0
            logits[:, SEGMENTS.index("vessel"), 120:136] = 9.0
            return logits

    draws = Draws(features=(4, 4, 4, 4, 4, 4)).eval()
    seen = look(round_field(), draws)
    assert seen.measures.shape == (MEASURES,)
    assert (seen.structure.field, seen.structure.disc) == ("round", "right")
    assert 0.05 < seen.structure.vessels < 0.1
    assert look(round_field()[:, ::-1].copy(), draws).seed != seen.seed
    full = look(np.full((SIDE, SIDE, 3), 120, np.uint8), draws)
    assert full.structure.field == "frame"
    blank = look(np.zeros((SIDE, SIDE, 3), np.uint8), draws)
    assert blank.structure == Structure(field=None, disc=None, vessels=None)


def test_words_are_the_squares_alone_and_of_an_unknown_camera_nothing_of_disease():
    network = Captioner(**PRESETS["debug"], cameras=("a",)).eval()
    network.know(0, 50 + torch.randn(30, MEASURES))
    far = SpeechLimits(cameras={"a": (1.0,) * len(SIGNATURES)})
    measures = np.zeros(MEASURES, np.float32)
    seen = Viewed(measures, Structure(field="round"), seed=7)
    text = worded(network, far, seen)
    assert calls_unlike(text)
    assert worded(network, far, seen) == text
    others = {worded(network, far, replace(seen, seed=seed)) for seed in range(20)}
    assert len(others) > 3
    toned = SpeechLimits(dark=0.5, bright=0.9, soft=-1.0)
    measures[LIGHT_FROM + GREEN], measures[LIGHT_FROM + FINE] = 0.4, -2.0
    assert toned.toned(Structure(), measures) == Structure(light=-1, sharp=-1)


def test_a_folder_keeps_heads_and_cameras(network, tmp_path):
    rows = torch.randn(3, MEASURES)
    network.know(1, torch.randn(30, MEASURES))
    network.save_pretrained(tmp_path)
    again = Captioner.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(again(rows), network(rows))
        assert torch.equal(again.distances(rows), network.distances(rows))
