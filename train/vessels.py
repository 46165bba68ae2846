"""Measure: what a set's pictures with their masks are worth to who must find vessels, or lesions.

A small U-Net (Ronneberger et al. 2015, arXiv 1505.04597) learns from photographs whose vessels
people marked, from the set, and from both, by equal steps, and marks photographs of the test split
at 256 pixels. A figure is the mean over these and over seeds of training; its interval is over
eyes.

- Floor: what photographs teach. Control: the marks of another eye.
- `share` is what the set alone teaches over what photographs teach. It is void where photographs
  teach less than F1 0.70: a weak rival is no rival. Of lesions 0.30 is asked, which we chose.
- Rate and steps are those that were best for photographs alone (`train.vessel_search`).
- **The generator counts as labelled data**: a painter that learned from photographs' marks hands
  them on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from engine.data.example import Example, UnreadableImage
from engine.data.identity import eyes
from engine.data.masked import LESIONS, Sought, masked_set
from engine.data.outlines import read_square
from engine.data.splits import held_out, spread, teaching
from engine.evaluate.figures import Figure, estimate, without
from engine.evaluate.geometry import dice
from engine.evaluate.sets import SIZE, Sets
from engine.models.segmenter import FIELD_LIGHT
from engine.schema import UserError
from train.practice import learn, order, said, seen


@dataclass(frozen=True)
class Marks:
    """What is to be found: the masks that are read, the parts of these by name that make it up, and
    the F1 that photographs must teach."""

    sought: Sought
    parts: tuple[str, ...]
    enough: float


VESSELS = Marks(Sought("vessels", "mask_vessel", ("mask_vessel",)), ("vessel",), 0.70)
ANY_LESION = Marks(replace(LESIONS, beside=()), ("dark_lesion", "bright_lesion"), 0.30)
ARMS: Mapping[str, tuple[str, ...]] = {
    "real": ("photographs",),
    "synthetic": ("set",),
    "both": ("photographs", "set"),
}
"""From which pictures each network learns, in equal parts."""
_FEATURES = (8, 12, 24, 32, 48, 8)
RATE = 6e-3
_AROUND = 10.0
"""Pixels round a place that are its surround."""
_STANDS = 32.0
_LIGHT = 0.25
"""Share by which each colour is made brighter or darker at most."""


@dataclass(frozen=True)
class Labour:
    """How much is spent: steps of each training, seeds, pictures of the set at most, crops
    of a step with their side in pixels, and the highest rate."""

    steps: int
    seeds: int
    pictures: int
    batch: int = 4
    crop: int = 128
    rate: float = RATE


SHORT = Labour(100, 2, 80)
LONG = Labour(280, 3, 400)


@dataclass(frozen=True)
class MarkedPictures:
    """Pictures (N, 3, S, S) uint8 with marks (N, S, S) bool, within fields (N, S, S) bool, and
    whose eyes they are."""

    images: torch.Tensor
    marks: np.ndarray
    fields: np.ndarray
    eyes: Sequence[Hashable]


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`: `f1_real`, `f1_synthetic`, `f1_both`, and `share`."""
    return marked(sets, SHORT if sets.quick else LONG, VESSELS)


def marked(sets: Sets, labour: Labour, wanted: Marks) -> list[Figure]:
    """`measure` of other marks, with as much labour as this. UserError where nobody made any."""
    taught, tested = (
        of_examples(side(sets.photographs), wanted, sets) for side in (teaching, held_out)
    )
    if tested is None:
        problem = f"no photograph to test with has a mask of {wanted.sought.what}"
        raise UserError(problem, file=sets.real_source, expected=wanted.sought.expected)
    pools = {"photographs": taught, "set": _of_set(sets, labour, wanted)}
    found: dict[str, np.ndarray] = {}
    for arm, names in ARMS.items():
        chosen = [pool for name in names if (pool := pools[name]) is not None]
        if len(chosen) == len(names):
            found[arm] = _scores(arm, chosen, tested, labour, sets.tell)
    return figures(found, tested, wanted)


def figures(found: Mapping[str, np.ndarray], tested: MarkedPictures, wanted: Marks) -> list[Figure]:
    """Of each arm's F1 (N,) of tested pictures, a mean over seeds."""
    chance = [dice(a, b) for a, b in zip(tested.marks, np.roll(tested.marks, 1, 0))]
    control = float(np.mean([each for each in chance if each is not None]))
    floor = float(found["real"].mean()) if "real" in found else None
    rows = []
    for arm in ARMS:
        name = f"f1_{arm}"
        if arm in found:
            made = estimate(name, by_eye(tested, found[arm]), np.mean)
            rows.append(replace(made, floor=floor, control=control))
        else:
            rows.append(without(name, f"nothing with marked {wanted.sought.what} teaches it"))
    return [*rows, _share(found, tested, floor, wanted.enough)]


def _share(
    found: Mapping[str, np.ndarray], tested: MarkedPictures, floor: float | None, enough: float
) -> Figure:
    if floor is None or "synthetic" not in found:
        return without("share", "it needs marked photographs that teach, and a set")
    if floor < enough:
        return without("share", f"void: photographs teach F1 {floor:.2f}, below {enough:.2f}")
    pairs = by_eye(tested, found["synthetic"], found["real"])
    return estimate("share", pairs, lambda rows: float(rows[:, 0].mean() / rows[:, 1].mean()))


def by_eye(tested: MarkedPictures, *columns: np.ndarray) -> dict[Hashable, list[tuple[float, ...]]]:
    """Columns (N,) of tested pictures, as rows of each eye."""
    rows: dict[Hashable, list[tuple[float, ...]]] = {}
    for eye, row in zip(tested.eyes, zip(*columns)):
        rows.setdefault(eye, []).append(row)
    return rows


def of_examples(examples: Sequence[Example], wanted: Marks, sets: Sets) -> MarkedPictures | None:
    """Those of the examples that have such marks and can be read; None without any."""
    sought = wanted.sought
    known = [each for each in examples if sought.in_example(each)]
    rows = []
    for eye, example in zip(eyes(known), known):
        masks_of = tuple(each for each in example.masks if each[0] in sought.columns)
        try:
            image, masks = read_square(replace(example, masks=masks_of), SIZE)
        except UnreadableImage as error:
            sets.tell(f"{sought.what}: left out: {error}")
            continue
        rows.append((eye, image, _together(masks, wanted)))
    return _stacked(rows)


def _of_set(sets: Sets, labour: Labour, wanted: Marks) -> MarkedPictures | None:
    what = wanted.sought.what
    try:
        masked = masked_set(sets.set_source, wanted.sought)
    except UserError as error:
        sets.tell(f"{what}: {error.problem}")
        return None
    found = [
        (square.eye, square.image, _together(square.masks, wanted))
        for square in masked.squares(SIZE, lambda why: sets.tell(f"{what}: left out: {why}"))
    ]
    return _stacked(spread(found, labour.pictures))


def _together(masks: Mapping[str, np.ndarray], wanted: Marks) -> np.ndarray:
    """What is to be found, of masks (S, S) bool by name of which at least one is there."""
    return np.asarray(np.any([masks[name] for name in wanted.parts if name in masks], axis=0))


def _stacked(rows: Sequence[tuple[Hashable, np.ndarray, np.ndarray]]) -> MarkedPictures | None:
    if not rows:
        return None
    whose, images, masks = zip(*rows)
    fields = np.stack([image.max(-1) > FIELD_LIGHT * 255 for image in images])
    even = [evened(image, field) for image, field in zip(images, fields)]
    return MarkedPictures(seen(even, SIZE), np.stack(masks), fields, whose)


def evened(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """A picture (S, S, 3) uint8 whose light is the same everywhere within its field (S, S) bool:
    what stands out of its surround, over how much that does in the whole field. So no network
    must first learn cameras' colours, and few steps teach lines."""
    share = cv2.GaussianBlur(field.astype(np.float32), (0, 0), _AROUND) + 1e-3
    lit = image.astype(np.float32) * field[..., None]
    out = (lit - cv2.GaussianBlur(lit, (0, 0), _AROUND) / share[..., None]) * field[..., None]
    spread = out[field].std(0) + 1e-3 if field.any() else 1.0
    return np.clip(127.5 + _STANDS * out / spread, 0, 255).astype(np.uint8)


def _scores(
    arm: str,
    pools: Sequence[MarkedPictures],
    tested: MarkedPictures,
    labour: Labour,
    tell: Callable[[str], None],
) -> np.ndarray:
    """F1 (N,) of tested pictures, a mean over seeds."""
    scores = []
    for seed in range(labour.seeds):
        tell(f"{arm}: {seed + 1} of {labour.seeds} trainings of {labour.steps} steps")
        scores.append(scored(taught_by(pools, labour, seed), tested))
    return np.mean(scores, 0)


def scored(network: nn.Module, tested: MarkedPictures) -> np.ndarray:
    """A network's F1 (N,) of tested pictures; 0 where it finds nothing of what is nowhere."""
    found = said(network, tested.images, at_once=4)[:, 0].numpy() > 0
    pairs = zip(found & tested.fields, tested.marks)
    return np.array([dice(one, known) or 0.0 for one, known in pairs])


def taught_by(pools: Sequence[MarkedPictures], labour: Labour, seed: int) -> nn.Module:
    """A network that learned from these in equal parts. All of a seed start from the same
    weights."""
    from monai.networks.nets.basic_unet import BasicUNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BasicUNet(2, 3, 1, _FEATURES, norm=("instance", {"affine": True}))
    chance = torch.Generator().manual_seed(seed)
    share = labour.batch // len(pools)
    orders = [order(len(p.images), labour.steps * share, chance).view(-1, share) for p in pools]

    def loss_at(step: int) -> torch.Tensor:
        parts = [_crops(p, rows[step], labour.crop, chance) for p, rows in zip(pools, orders)]
        images, marks = (torch.cat(each) for each in zip(*parts))
        return _loss(network(images)[:, 0], marks)

    learn(network, labour.steps, loss_at, rate=labour.rate)
    return network


def _crops(
    pool: MarkedPictures, rows: torch.Tensor, side: int, chance: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (B, 3, s, s) as networks take them, mirrored and lit anew, and marks (B, s, s)."""
    images, marks = [], []
    for row in rows.tolist():
        down, right = torch.randint(SIZE - side + 1, (2,), generator=chance).tolist()
        box = (slice(down, down + side), slice(right, right + side))
        image = pool.images[row][:, *box]
        mark = torch.from_numpy(pool.marks[row][box].astype(np.float32))
        if torch.rand((), generator=chance) < 0.5:
            image, mark = image.flip(-1), mark.flip(-1)
        images.append(image)
        marks.append(mark)
    lit = 1 + (torch.rand(len(images), 3, 1, 1, generator=chance) * 2 - 1) * _LIGHT
    return (torch.stack(images).float() * lit).clamp(0, 255) / 127.5 - 1, torch.stack(marks)


def _loss(logits: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and Dice."""
    both = (logits.sigmoid() * marks).sum((1, 2))
    sums = logits.sigmoid().sum((1, 2)) + marks.sum((1, 2))
    soft = 1 - (2 * both + 1) / (sums + 1)
    return F.binary_cross_entropy_with_logits(logits, marks) + soft.mean()
