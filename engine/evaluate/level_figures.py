"""Figures of a level's rows beside the same rows of a reference, each with the bound that it has to
keep and the bootstrap's interval over eyes (Efron 1979)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from engine.data.visible import TONES
from engine.evaluate.area import area
from engine.evaluate.figures import about, resamples
from engine.evaluate.level_rows import LevelRow
from engine.evaluate.manifolds import lying
from engine.registry.levels import BoundedFigure
from engine.schema import UserError

JPEG = 95
"""Drift: a level may change a picture by no more than `--format jpeg` does, which saves it in this
quality: whoever takes a JPEG for the picture can take the level's."""
LABELS, DICE, LESIONS, SPREAD = -0.05, -0.02, -0.05, -0.1
"""How much less a level may have than the reference, at the far end of the interval. Areas: what is
known of one by 600 pictures (`engine.evaluate.condition`). Dice: a fiftieth, less than segmenters
of two sizes differ by. Lesions: a twentieth, as many as chance calls visible. Recall and coverage:
a tenth, as single pictures at the edge of a ball fall to either side."""
_BLACK = 15
"""Light up to which a pixel is none of the field."""

Scores = Sequence[dict[str, np.ndarray]]
"""Of the level's rows and of the reference's the chance (N,) of each label."""


def beside(
    drawn: Sequence[LevelRow], reference: Sequence[LevelRow], others: Sequence[LevelRow]
) -> Iterator[BoundedFigure]:
    """Drift, structures, lesions; and recall and coverage of `others`, reference pictures of other
    eyes."""
    yield from drift(drawn, reference)
    pairs = list(zip(drawn, reference))
    if any(row.has_masks for row in reference):
        yield from _structures(pairs)
    one, other, real = (
        np.stack([row.features for row in side]) for side in (drawn, reference, others)
    )
    found, known_ = lying(real, one), lying(real, other)
    for name in ("recall", "coverage"):
        both_ = np.stack([found[name], known_[name]], 1)
        yield shares(name, both_, np.ones_like(both_), SPREAD)


def _structures(pairs: Sequence[tuple[LevelRow, LevelRow]]) -> Iterator[BoundedFigure]:
    """Of rows that stand on structures."""
    for name in ("vessel", "disc"):
        both = [(one.dice[name], other.dice[name]) for one, other in pairs]
        known = np.array([pair for pair in both if None not in pair], float).reshape(-1, 2)
        yield shares(f"{name}_dice", known, np.ones_like(known), DICE)
    for tone in TONES:
        counts = np.array([(one.lesions[tone], other.lesions[tone]) for one, other in pairs], float)
        yield shares(f"visible_{tone}", counts[..., 0], counts[..., 1], LESIONS)


def labels_read(truth: dict[str, np.ndarray], said: Scores) -> BoundedFigure:
    """The mean over labels of the area under the curve, of what rows were asked for (N,) bool and
    what readers say of them. Raises UserError where no label is asked of some and not of others."""
    if not truth:
        raise UserError("every row has the same labels", asked="count", expected="more rows")
    count = len(next(iter(truth.values())))
    resampled = resamples(count, np.random.default_rng(0))
    weights = np.concatenate([np.ones((1, count)), resampled])
    one, other = (
        np.nanmean([area(truth[n], side[n], weights, np.zeros(count)) for n in truth], 0)
        for side in said
    )
    return _paired("label_auc", one[0], other[0], (one - other)[1:], LABELS, count)


def drift(drawn: Sequence[LevelRow], reference: Sequence[LevelRow]) -> Iterator[BoundedFigure]:
    """How far pictures are from those of the reference."""
    pairs = [(one.image, other.image) for one, other in zip(drawn, reference)]
    saved = float(np.mean([apart(_as_jpeg(image), image) for _, image in pairs]))
    measures: tuple[tuple[str, Callable[[np.ndarray, np.ndarray], float], float | None], ...] = (
        ("drift_grey", apart, saved),
        ("drift_psnr_db", _psnr, None),
        ("drift_ssim", _ssim, None),
    )
    for name, of, most in measures:
        values = np.array([of(*pair) for pair in pairs])
        drawn_again = resamples(len(values), np.random.default_rng(0)) @ values / len(values)
        value = float(values.mean())
        low, high = about(value, drawn_again)
        yield BoundedFigure(name=name, value=value, low=low, high=high, n=len(values), most=most)


def shares(name: str, found: np.ndarray, all_: np.ndarray, least: float) -> BoundedFigure:
    """A share of all in the level and in the reference, of what was found (N, 2) of so many (N, 2)
    in each eye. Raises UserError where there is nothing of the kind."""
    if not len(found) or not all_.sum(0).all():
        raise UserError(f"no row has anything for {name}", asked="count", expected="more rows")
    value, reference = found.sum(0) / all_.sum(0)
    drawn = resamples(len(found), np.random.default_rng(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        one, other = ((drawn @ found[:, k]) / (drawn @ all_[:, k]) for k in (0, 1))
    return _paired(name, value, reference, one - other, least, len(found))


def _paired(
    name: str, value: float, reference: float, change: np.ndarray, least: float, n: int
) -> BoundedFigure:
    low, high = about(float(value - reference), change)
    return BoundedFigure(
        name=name,
        value=float(value),
        reference=float(reference),
        low=low,
        high=high,
        n=n,
        least=least,
    )


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The mean difference of pictures (S, S, 3) uint8 in grey levels, within the other's field."""
    field = other.max(-1) > _BLACK
    return float(np.abs(one.astype(float) - other)[field].mean())


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    field = other.max(-1) > _BLACK
    squared = float(((one.astype(float) - other)[field] ** 2).mean())
    return float(10 * np.log10(255**2 / max(squared, 1e-4)))


def _ssim(one: np.ndarray, other: np.ndarray) -> float:
    return float(structural_similarity(one, other, channel_axis=-1))


def _as_jpeg(image: np.ndarray) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=JPEG, subsampling=0)
    return np.asarray(Image.open(data))
