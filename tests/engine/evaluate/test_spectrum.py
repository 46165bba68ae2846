"""Power by octave: waves fall into theirs, light does not count, and phantoms are as phantoms."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from engine.data.example import Example
from engine.data.phantoms import phantom_examples
from engine.evaluate.spectrum import (
    NAMES,
    OCTAVES,
    SPACINGS,
    figures,
    one_of_each,
    phantoms,
    power,
    spectra,
)
from engine.schema import Annotation


def picture(light):
    return np.repeat(light.clip(0, 255).round().astype(np.uint8)[..., None], 3, -1)


@pytest.mark.parametrize("side", [256, 512, 1024])
@pytest.mark.parametrize("number", range(len(OCTAVES)))
def test_a_wave_falls_into_its_octave_at_every_size(side, number):
    cycles = 1.4 * OCTAVES[number][0]
    wave = 100 + 60 * np.sin(2 * np.pi * cycles * np.arange(side) / 256)
    assert power(picture(np.tile(wave, (side, 1))))[: len(OCTAVES)].argmax() == number


def test_noise_is_flat_and_brighter_light_is_no_other_texture():
    rng = np.random.default_rng(0)
    noise = 1 + 0.2 * rng.normal(size=(512, 512))
    dim, bright = power(picture(60 * noise)), power(picture(100 * noise))
    assert np.ptp(dim[1 : len(OCTAVES)]) < 1
    assert bright == pytest.approx(dim, abs=0.2)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("side", [512, 1024])
def test_faint_seams_stand_out_at_their_spacing_and_noise_has_none(side, spacing):
    light = 100 + 10 * np.random.default_rng(0).normal(size=(side, side))
    plain = power(picture(light))[len(OCTAVES) :]
    assert abs(plain).max() < 2
    light[::spacing] += 8
    light[:, ::spacing] += 8
    seamed = power(picture(light))[len(OCTAVES) :]
    place = SPACINGS.index(spacing)
    assert (seamed - plain)[place] > 6
    assert all((seamed - plain)[:place] < 6), "no shorter spacing than there is"


def test_blur_takes_the_fine_octaves_alone():
    rng = np.random.default_rng(0)
    sharp = picture(100 + 20 * rng.normal(size=(512, 512)))
    soft = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(2)))
    lost = power(sharp) - power(soft)
    assert abs(lost[0]) < 1
    assert lost[len(OCTAVES) - 1] > 10
    assert (np.diff(lost[1 : len(OCTAVES)]) > 0).all()


def test_a_black_photograph_has_decibels_and_a_tiny_one_is_refused():
    assert np.isfinite(power(np.zeros((256, 256, 3), np.uint8))).all()
    with pytest.raises(ValueError, match="at least 256"):
        power(np.zeros((255, 255, 3), np.uint8))


def test_figures_are_differences_to_photographs_with_intervals_over_eyes():
    rng = np.random.default_rng(0)
    base = [rng.normal(range(len(NAMES)), 1) for _ in range(30)]
    for each in figures([p + 3 for p in base], base, base[:15], base[15:]):
        assert each.value == pytest.approx(3)
        assert 1.5 < each.low < 3 < each.high < 4.5
        assert each.n == 30
        assert each.floor == pytest.approx(-each.control)
    assert figures(base, base[:1], [], base)[0].low is None
    assert figures(base, base, [], base)[0].floor is None


def test_an_eye_is_read_once_and_what_cannot_be_is_told(tmp_path):
    rng = np.random.default_rng(0)
    examples = []
    for number in range(6):
        file = tmp_path / f"{number}.png"
        Image.fromarray(picture(rng.uniform(50, 200, (256, 256)))).save(file)
        examples.append(Example(file, Annotation(), patient_id=str(number // 2)))
    assert [each.path.name for each in one_of_each(examples, 9)] == ["0.png", "2.png", "4.png"]
    assert [each.path.name for each in one_of_each(examples, 1)] == ["0.png"]
    examples[0].path.write_bytes(b"no image")
    told = []
    assert len(list(spectra(one_of_each(examples, 9), 256, told.append))) == 2
    assert "0.png" in told[0]


def test_phantoms_have_the_labels_of_photographs():
    examples = phantom_examples("phantom:2")
    first, again = (np.stack(list(phantoms(examples, 256))) for _ in range(2))
    assert first.shape == (2, len(NAMES))
    assert np.array_equal(first, again)
