"""A mask's shape, whichever way a person or a program wrote it down.

Any value but the background's counts, be it 1, 255, a palette's third colour or what is not
transparent; the background is what the picture's border shows. A mask that went through JPEG or was
made smaller is cut halfway between its two tones, and numbered lesions are told from its shades.
What could be read in two ways is refused.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from engine.pixels.depth import bits_of, samples_of
from engine.pixels.refusal import Unclear

_FEW = 16
"""So many values are labels, more are shades."""
_RINGING = 16
_NEAR = 40
_WIDTH = 7
"""Pixels across, within which shades between two tones are an edge and no third tone."""
_MOSTLY = 0.75


def shape_of(image: Image.Image, data: bytes, whole: bool) -> np.ndarray:
    """The shape (H, W) bool of the one picture in a file, upright. Where it is not the `whole` of a
    structure but one of several parts, three values leave open which is meant. Raises Unclear."""
    image.load()
    values, alpha = _layers(image, data)
    if alpha is None or alpha.min() == alpha.max() > 0:
        lossy = image.format in ("JPEG", "MPO")
        return _shape(values, whole, lossy)
    return _shape_in_alpha(values, alpha, whole)


def _layers(image: Image.Image, data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Values (H, W) or (H, W, 3) as stored, and the alpha channel (H, W) if there is one."""
    if bits_of(image, data) > 8 and image.mode in ("RGB", "RGBA", "LA", "RGBX", "RGBa"):
        found = samples_of(image, data)
        values, alpha = found[..., :3], found[..., 3] if found.shape[2] == 4 else None
    else:
        upright = ImageOps.exif_transpose(image)
        alpha = None
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            alpha = np.asarray(upright.getchannel("A"))
            upright = upright.convert("RGB")
        elif upright.mode == "P" and len(upright.getcolors(256) or ()) > _FEW:
            upright = upright.convert("RGB")
        values = np.asarray(upright.convert("L") if upright.mode == "1" else upright)
    if values.ndim == 3 and all((values[..., 0] == values[..., n]).all() for n in (1, 2)):
        values = values[..., 0]
    return values[..., :3] if values.ndim == 3 else values, alpha


def _shape(values: np.ndarray, whole: bool, lossy: bool) -> np.ndarray:
    labels = _labels(values)
    found, counts = _counted(labels)
    many = len(found) > _FEW and not _islands(labels)
    if lossy or many or (values.ndim == 2 and _rings(found)):
        return _cut(_as_bytes(values))
    if len(found) == 1:
        if found[0] == 0:
            return np.zeros(labels.shape, bool)
        raise Unclear("one value everywhere: all of it, or nothing?")
    if len(found) > 2 and not whole:
        raise Unclear(f"{len(found)} values, and nothing says which of them is meant")
    background = _background(labels)
    rest = 1 - counts[found == background].sum() / labels.size
    if background != 0 and 0 in found and rest > 0.5:
        raise Unclear("which value is the background cannot be told")
    return np.asarray(labels != background)


def _shape_in_alpha(values: np.ndarray, alpha: np.ndarray, whole: bool) -> np.ndarray:
    """What is not transparent, where colours say no other."""
    if not alpha.any():
        if np.unique(_labels(values)).size > 1:
            raise Unclear("transparent everywhere")
        return np.zeros(alpha.shape, bool)
    levels = np.unique(alpha)
    soft = len(levels) > _FEW or _rings(levels)
    shape = np.asarray(alpha > alpha.max() // 2 if soft else alpha > 0)
    if _border(shape[..., None]).mean() >= _MOSTLY:
        raise Unclear("what is transparent lies within: it may be the shape or a hole")
    inside = _as_bytes(values)[shape].reshape(int(shape.sum()), -1)
    if np.ptp(inside, axis=0).max() > _RINGING and (not whole or inside.max(1).min() <= _RINGING):
        raise Unclear("one shape in its transparency and another in its colours")
    return shape


def _cut(values: np.ndarray) -> np.ndarray:
    """Shades (H, W) or (H, W, 3) uint8 of two tones, cut halfway."""
    import cv2

    layers = values.reshape(*values.shape[:2], -1).astype(np.int16)
    border = _border(layers)
    back = np.median(border, axis=0).astype(np.int16)
    off = np.abs(layers - back).max(2)
    near = off <= _NEAR
    if not layers.any():
        return np.zeros(near.shape, bool)
    tone = np.median(layers[off > off.max() // 2], axis=0).astype(np.int16)
    apart = np.abs(tone - back).max()
    like = np.abs(layers - tone).max(2) <= _NEAR
    between = ~near & ~like
    edge = np.ones((_WIDTH, _WIDTH), np.uint8)
    beside = np.logical_and(*(cv2.dilate(each.astype(np.uint8), edge) > 0 for each in (near, like)))
    third = int((between & ~beside).sum())
    steady = (np.abs(border - back).max(1) <= _NEAR).mean() >= _MOSTLY
    if apart <= 2 * _NEAR or not steady or not like.any() or third > 0.02 * (~near).sum():
        raise Unclear("many values that are not two tones: no mask")
    return np.asarray(off > apart / 2)


def _islands(labels: np.ndarray) -> bool:
    """Whether values (H, W) have little but the background for neighbours, as numbered lesions have
    and shades have not."""
    found, places = np.unique(labels, return_inverse=True)
    places = places.reshape(labels.shape)
    back = np.bincount(_border(places[..., None]).ravel()).argmax()
    edges, shores = np.zeros(len(found), int), np.zeros(len(found), int)
    for each in (places, places.T):
        for one, other in ((each[1:], each[:-1]), (each[:-1], each[1:])):
            edges += np.bincount(one[one != other], minlength=len(found))
            shores += np.bincount(one[(one != other) & (other == back)], minlength=len(found))
    alone = shores >= _MOSTLY * edges
    return bool(np.delete(alone, back).mean() >= _MOSTLY)


def _background(labels: np.ndarray) -> int:
    found, counts = np.unique(_border(labels[..., None]), return_counts=True)
    if counts.max() >= _MOSTLY * counts.sum():
        return int(found[counts.argmax()])
    if 0 in labels:
        return 0
    raise Unclear("which value is the background cannot be told")


def _border(layers: np.ndarray) -> np.ndarray:
    """The outermost pixels (N, C) of layers (H, W, C)."""
    return np.concatenate([layers[0], layers[-1], layers[:, 0], layers[:, -1]])


def _labels(values: np.ndarray) -> np.ndarray:
    """One whole number (H, W) a pixel; 0 is black, the first of a palette, or nothing."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise Unclear("values that are no numbers")
        found, places = np.unique(values, return_inverse=True)
        return places.reshape(values.shape) + (1 if found[0] != 0 else 0)
    if values.ndim == 2:
        return values
    wide = values.astype(np.int64 if values.dtype.itemsize > 1 else np.int32)
    bits = 8 * values.dtype.itemsize
    return np.asarray(wide @ np.array([1 << 2 * bits, 1 << bits, 1], wide.dtype))


def _counted(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values and how often each stands there; bytes are counted many times faster unsorted."""
    if labels.dtype.itemsize > 1:
        return np.unique(labels, return_counts=True)
    counts = np.bincount(labels.view(np.uint8).ravel(), minlength=256)
    return np.flatnonzero(counts), counts[counts > 0]


def _rings(found: np.ndarray) -> bool:
    """Whether more than two values cluster round two that lie far apart, as JPEG leaves them."""
    low, high = int(found.min()), int(found.max())
    far = np.minimum(found.astype(np.int64) - low, high - found.astype(np.int64))
    return len(found) > 2 and high - low >= 128 and bool((far <= _RINGING).all())


def _as_bytes(values: np.ndarray) -> np.ndarray:
    """Shades as uint8, black and white where they were."""
    if values.dtype == np.uint8:
        return values
    wide = values.astype(np.float32)
    low, high = float(wide.min()), float(wide.max())
    return ((wide - low) * (255 / max(high - low, 1e-9)) + 0.5).astype(np.uint8)
