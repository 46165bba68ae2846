"""Whether a set has the texture of photographs: power by octave of spatial frequency, and what
stands out at the spacing of patches.

Of each photograph the middle square of half its side, which lies in the field of every camera, is
taken from the green channel, divided by its mean (how bright a photograph is says nothing of its
texture) and tapered by a Hann window (Harris 1978). Octaves are in cycles per 256 pixels, so that
the last ends at the finest that pixels hold, whatever the size. What is compared is the mean over
eyes of the power in decibels.

A network that works by patches can leave seams: lines along rows and columns that come again every
8, 16 or 32 pixels of the picture as it was drawn. They are told by the power of these waves and
their overtones, along either axis, over that of the waves half-way between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.data.splits import one_per_eye
from engine.evaluate.figures import Figure, difference
from engine.phantom.render import draw
from engine.seeds import row_seed

OCTAVES: tuple[tuple[int, int], ...] = tuple((2**k, 2 ** (k + 1)) for k in range(1, 7))
"""From 2 to 128 cycles per 256 pixels."""
SPACINGS = (8, 16, 32)
"""Pixels from seam to seam that are looked for."""
NAMES = (*(f"octave_{low}_{high}" for low, high in OCTAVES), *(f"seams_{n}" for n in SPACINGS))
_LEAST = 1e-12
"""Of power: a black square has none, and no decibels."""

Spectra = Sequence[np.ndarray]
"""What `power` says of each eye."""


def power(image: np.ndarray) -> np.ndarray:
    """Power density in dB by octave, then how much of it is at each spacing over what is beside it
    (9,), of a photograph (S, S, 3) uint8 that fills its square. ValueError for one below 256
    pixels, whose square tells no 2 from 4 cycles."""
    side = len(image) // 2
    if side < 128:
        raise ValueError(f"a photograph of {len(image)} pixels: at least 256 are needed")
    start = (len(image) - side) // 2
    green = image[start : start + side, start : start + side, 1].astype(np.float64)
    taper = np.hanning(side)[:, None] * np.hanning(side)
    contrast = green / max(1.0, green.mean()) - 1
    contrast -= (contrast * taper).sum() / taper.sum()
    found = np.abs(np.fft.fft2(contrast * taper)) ** 2 / (taper**2).sum()
    along = np.fft.fftfreq(side) * 256
    cycles = np.hypot(along[:, None], along)
    mean = [found[(cycles >= low) & (cycles < high)].mean() for low, high in OCTAVES]
    octaves = 10 * np.log10(np.maximum(mean, _LEAST))
    return np.array([*octaves, *(_seams(found, spacing) for spacing in SPACINGS)])


def _seams(power: np.ndarray, spacing: int) -> float:
    """How many dB waves along an axis that come again every `spacing` pixels have over those
    half-way between; power (N, N) as a discrete Fourier transform orders it."""
    side = len(power)
    step = side // spacing
    # The taper spreads each wave over its neighbours on either side.
    near = power[:, [-1, 0, 1]].sum(1) + power[[-1, 0, 1]].sum(0)
    smooth = np.maximum(near + np.roll(near, 1) + np.roll(near, -1), _LEAST)
    at = np.arange(step, side // 2 - step // 2, step)
    between = (smooth[at - step // 2] * smooth[at + step // 2]) ** 0.5
    return float(np.mean(10 * np.log10(smooth[at] / between)))


def spectra(
    examples: Iterable[Example], size: int, left_out: Callable[[str], None]
) -> Iterator[np.ndarray]:
    """The power of each photograph, read at `size` pixels, with a word of each that cannot be."""
    for example in examples:
        try:
            # Masks are no texture, and a broken one does not spoil its photograph.
            yield power(read_square(replace(example, masks=()), size)[0])
        except UnreadableImage as error:
            left_out(str(error))


def one_of_each(examples: Sequence[Example], most: int) -> list[Example]:
    """A photograph of each eye, at most so many, spread evenly over all."""
    firsts = [eye[0] for eye in one_per_eye(examples)]
    count = min(most, len(firsts))
    return [firsts[number * len(firsts) // count] for number in range(count)]


def phantoms(examples: Sequence[Example], size: int) -> Iterator[np.ndarray]:
    """The power of a phantom with the labels and the source of each photograph."""
    for number, example in enumerate(examples):
        yield power(draw(example.annotation, row_seed(0, number), size).image)


def figures(set_: Spectra, real: Spectra, others: Spectra, drawn: Spectra) -> list[Figure]:
    """By octave and spacing how many dB more the set has than `real` photographs; `floor` is the
    same of `others` like these, `control` of phantoms."""
    found = []
    for number, name in enumerate(NAMES):
        base = _column(real, number)
        figure, floor, control = (
            difference(name, _column(each, number), base) for each in (set_, others, drawn)
        )
        found.append(replace(figure, floor=floor.value, control=control.value))
    return found


def _column(spectra: Spectra, number: int) -> Sequence[float]:
    return [float(each[number]) for each in spectra]
