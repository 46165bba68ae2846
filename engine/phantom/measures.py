"""What can be measured of any fundus photograph without masks: colour, light, texture, vessels,
disc and macula. A classifier on these tells how far phantoms are from photographs."""

from __future__ import annotations

import cv2
import numpy as np

_BANDS = (0.7, 1.4, 2.8, 5.6, 11.2)
"""Scales of texture in pixels of a picture of 256."""
MEASURES = (
    *("red", "green_over_red", "blue_over_red", "hue_spread", "saturated"),
    *("falloff", "unevenness"),
    *("contrast_0.7", "tail_0.7", "contrast_1.4", "contrast_2.8", "tail_2.8"),
    *("contrast_5.6", "contrast_11.2"),
    *("ridge_density", "ridge_strength", "ridge_calibre", "ridge_pieces", "ridge_largest"),
    *("disc_contrast", "disc_size", "disc_off_centre"),
    *("disc_green_over_red", "disc_blue_over_red", "macula_contrast"),
)
"""The names of what `measure` gives."""


def measure(image: np.ndarray) -> dict[str, float]:
    """Measures of an image (256, 256, 3) uint8 that was cropped to its field.

    Lengths are in pixels, contrasts relative to the local or the median brightness. ValueError if
    the size is another, as scales are in pixels.
    """
    if image.shape != (256, 256, 3):
        raise ValueError(f"expected an image of (256, 256, 3), got {image.shape}")
    light = image.astype(np.float32) / 255
    red = light[..., 0]
    field = (red > max(0.06 * float(np.percentile(red, 99)), 0.03)).astype(np.uint8)
    framed = cv2.copyMakeBorder(field, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    inside = np.asarray(cv2.erode(framed, np.ones((13, 13))))[1:-1, 1:-1] > 0
    if inside.sum() < 1000:
        inside[64:192, 64:192] = True
    green = _filled(light[..., 1], inside)
    flat = green / (cv2.GaussianBlur(green, (0, 0), 16) + 1e-3)
    return (
        _colour(light, inside)
        | _light(light.mean(2), inside)
        | _texture(flat, inside)
        | _vessels(flat, inside)
        | _landmarks(light, inside)
    )


def _filled(channel: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The channel with its surround filled from the inside, so that the border is no edge."""
    share = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 12)
    spread = cv2.GaussianBlur(channel * inside, (0, 0), 12) / (share + 1e-4)
    return np.where(inside, channel, spread).astype(np.float32)


def _colour(light: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    red, green, blue = (light[..., k][inside] + 1e-3 for k in range(3))
    hue = np.log(green / red)
    return {
        "red": float(np.median(red)),
        "green_over_red": float(np.median(green / red)),
        "blue_over_red": float(np.median(blue / red)),
        "hue_spread": float(hue.std()),
        "saturated": float((red > 0.97).mean()),
    }


def _light(grey: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    line = (np.arange(256, dtype=np.float32) - 127.5) / 128
    radius = np.hypot(line[None], line[:, None])
    middle = _median(grey[inside & (radius < 0.4)]) + 1e-3
    smooth = cv2.GaussianBlur(grey, (0, 0), 12)[inside]
    low, high = np.percentile(smooth, [5, 95])
    return {
        "falloff": _median(grey[inside & (radius > 0.8)]) / middle,
        "unevenness": float((high - low) / (np.median(smooth) + 1e-3)),
    }


def _median(values: np.ndarray) -> float:
    """0 where there are none: the field of a picture that is no fundus may lie anywhere."""
    return float(np.median(values)) if len(values) else 0.0


def _texture(flat: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Contrast in octaves of scale, and how heavy the tails are in the middle one."""
    blurred = [cv2.GaussianBlur(flat, (0, 0), sigma) for sigma in _BANDS]
    layers = [flat, *blurred]
    found = {}
    for index in range(len(_BANDS)):
        band = (layers[index] - layers[index + 1])[inside]
        found[f"contrast_{_BANDS[index]}"] = float(np.log(band.std() + 1e-4))
        if index in (0, 2):
            scaled = band / (band.std() + 1e-6)
            found[f"tail_{_BANDS[index]}"] = float(np.log(np.mean(scaled**4) + 1e-3))
    return found


def _vessels(flat: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Dark ridges by the larger eigenvalue of the Hessian (Frangi et al., MICCAI 1998): share of
    the field, strength, calibre and straightness."""
    strengths, found = [], {}
    for sigma in (1.0, 2.0, 3.0):
        smooth = cv2.GaussianBlur(flat, (0, 0), sigma)
        xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, ksize=3) / 4
        yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, ksize=3) / 4
        xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=3) / 4
        root = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
        ridge = np.maximum((xx + yy) / 2 + root, 0) * sigma**2
        strengths.append(ridge)
    ridge = np.max(strengths, 0)
    vessel = inside & (ridge > 0.035)
    wide = np.argmax(strengths, 0)
    found["ridge_density"] = float(vessel.sum() / inside.sum())
    found["ridge_strength"] = float(np.log(np.percentile(ridge[inside], 97) + 1e-4))
    found["ridge_calibre"] = float(wide[vessel].mean()) if vessel.any() else 0.0
    pieces = cv2.connectedComponentsWithStats(vessel.astype(np.uint8))[2][1:]
    sizes = pieces[:, cv2.CC_STAT_AREA]
    found["ridge_pieces"] = float(np.log((sizes > 4).sum() + 1))
    found["ridge_largest"] = float(sizes.max() / vessel.sum()) if len(sizes) else 0.0
    return found


def _landmarks(light: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """The brightest and the darkest round patch: disc and fovea."""
    grey = _filled(light[..., :2].mean(2), inside)
    away = cv2.GaussianBlur(grey, (0, 0), 30)
    bright = cv2.GaussianBlur(grey, (0, 0), 6) / (away + 1e-3)
    dark = cv2.GaussianBlur(grey, (0, 0), 8) / (away + 1e-3)
    row, column = np.unravel_index(np.argmax(np.where(inside, bright, 0)), bright.shape)
    patch = light[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5].reshape(-1, 3)
    disc = np.median(patch, 0) + 1e-3
    return {
        "disc_contrast": float(bright[row, column]),
        "disc_size": float(
            np.sqrt((inside & (bright > 1 + 0.5 * (bright[row, column] - 1))).sum())
        ),
        "disc_off_centre": abs(float(column) - 127.5) / 128,
        "disc_green_over_red": float(disc[1] / disc[0]),
        "disc_blue_over_red": float(disc[2] / disc[0]),
        "macula_contrast": float(np.where(inside, dark, 1).min()),
    }
