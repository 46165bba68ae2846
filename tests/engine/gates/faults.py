"""Bad images and copies planted by the tests' own hand, apart from what the gate network learned
from."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from engine.data.discs import find_disc


def black(square, rng):
    return np.full_like(square, rng.integers(0, 12))


def blurred(square, rng):
    return np.asarray(Image.fromarray(square).filter(ImageFilter.BoxBlur(rng.uniform(7, 14))))


def no_disc(square, rng):
    """The disc covered by the plainest retina beside it, at the colour around the disc."""
    disc = find_disc(square)
    if disc is None:
        return None
    size = square.shape[0]
    x, y = (round(v * size) for v in disc)
    r = round(0.115 * size)
    yy, xx = np.mgrid[:size, :size]
    away = np.hypot(xx - x, yy - y)
    inside = away < r
    ring = square[(away > r) & (away < 1.25 * r) & (square.max(2) > 30)].mean(0)
    steps = [(round(2.4 * r * np.cos(a)), round(2.4 * r * np.sin(a))) for a in np.arange(8) * 0.785]
    beside = [np.roll(square, step, axis=(0, 1)) for step in steps]
    lit = [patch for patch in beside if (patch[inside].max(1) > 40).all()]
    if not lit:
        return None
    patch = min(lit, key=lambda p: p[inside].std(0).sum()).astype(float)
    patch += ring - patch[inside].mean(0)
    mask = Image.fromarray((inside * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(4))
    soft = np.asarray(mask)[..., None] / 255
    return (square * (1 - soft) + patch * soft).clip(0, 255).astype(np.uint8)


def two_discs(square, rng):
    """A copy of the disc, mirrored upside down, in the other half of the field."""
    disc = find_disc(square)
    if disc is None:
        return None
    size = square.shape[0]
    x, y = (round(v * size) for v in disc)
    r = round(0.095 * size)
    there = (size - x, round(size * rng.uniform(0.35, 0.65)))
    piece = Image.fromarray(square).crop((x - r, y - r, x + r, y + r))
    piece = piece.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    mask = Image.new("L", piece.size, 0)
    ImageDraw.Draw(mask).ellipse((3, 3, 2 * r - 3, 2 * r - 3), fill=255)
    whole = Image.fromarray(square)
    whole.paste(piece, (there[0] - r, there[1] - r), mask.filter(ImageFilter.GaussianBlur(2)))
    return np.asarray(whole)


BAD = {"black": black, "blurred": blurred, "no disc": no_disc, "two discs": two_discs}


def copy(square, rng):
    """Mirrored, recoloured, cropped, blurred and through JPEG."""
    image = Image.fromarray(square)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    cut = [int(v) for v in rng.uniform(0, 0.1, 4) * image.width]
    image = image.crop((cut[0], cut[1], image.width - cut[2], image.height - cut[3]))
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.5, 1.5))
    image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.75, 1.25))
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.8, 1.2))
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5)))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=int(rng.integers(40, 90)))
    return np.asarray(Image.open(data).convert("RGB"))
