"""Measure: what a set's pictures with their masks are worth to who must find vessels.

A small U-Net (Ronneberger et al. 2015, arXiv 1505.04597) learns from photographs whose vessels
people marked, from the set, and from both, by equal steps, and marks photographs of the test split
at 256 pixels. A figure is the mean over these and over seeds of training; its interval is over
eyes.

- Floor: what photographs teach. Control: the marks of another eye.
- `share` is what the set alone teaches over what photographs teach. It is void where photographs
  teach less than F1 0.70: a weak rival is no rival.
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
from engine.data.masked import Sought, masked_set
from engine.data.outlines import read_square
from engine.data.splits import held_out, spread, teaching
from engine.evaluate.figures import Figure, estimate, without
from engine.evaluate.geometry import dice
from engine.evaluate.sets import SIZE, Sets
from engine.models.segmenter import FIELD_LIGHT
from engine.schema import UserError
from train.practice import learn, order, said, seen

VESSELS = Sought("vessels", "mask_vessel", ("mask_vessel",))
ARMS: Mapping[str, tuple[str, ...]] = {
    "real": ("photographs",),
    "synthetic": ("set",),
    "both": ("photographs", "set"),
}
"""From which pictures each network learns, in equal parts."""
ENOUGH = 0.70
_FEATURES = (8, 12, 24, 32, 48, 8)
_RATE = 6e-3
_AROUND = 10.0
"""Pixels round a place that are its surround."""
_STANDS = 32.0
_LIGHT = 0.25
"""Share by which each colour is made brighter or darker at most."""


@dataclass(frozen=True)
class Labour:
    """How much is spent: steps of each training, seeds, pictures of the set at most, and crops
    of a step with their side in pixels."""

    steps: int
    seeds: int
    pictures: int
    batch: int = 4
    crop: int = 128


SHORT = Labour(100, 2, 80)
LONG = Labour(280, 3, 400)


@dataclass(frozen=True)
class MarkedPictures:
    """Pictures (N, 3, S, S) uint8 with vessels (N, S, S) bool, within fields (N, S, S) bool, and
    whose eyes they are."""

    images: torch.Tensor
    vessels: np.ndarray
    fields: np.ndarray
    eyes: Sequence[Hashable]


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`: `f1_real`, `f1_synthetic`, `f1_both`, and `share`."""
    return vessels(sets, SHORT if sets.quick else LONG)


def vessels(sets: Sets, labour: Labour) -> list[Figure]:
    """`measure`, with as much labour as this. UserError where nobody marked vessels."""
    taught, tested = (_of_examples(side(sets.photographs), sets) for side in (teaching, held_out))
    if tested is None:
        raise UserError("no photograph to test with has a mask_vessel", file=sets.real_source)
    pools = {"photographs": taught, "set": _of_set(sets, labour)}
    found: dict[str, np.ndarray] = {}
    for arm, names in ARMS.items():
        chosen = [pool for name in names if (pool := pools[name]) is not None]
        if len(chosen) == len(names):
            found[arm] = _scores(arm, chosen, tested, labour, sets.tell)
    return figures(found, tested)


def figures(found: Mapping[str, np.ndarray], tested: MarkedPictures) -> list[Figure]:
    """Of each arm's F1 (N,) of tested pictures, a mean over seeds."""
    chance = [dice(a, b) for a, b in zip(tested.vessels, np.roll(tested.vessels, 1, 0))]
    control = float(np.mean([each for each in chance if each is not None]))
    floor = float(found["real"].mean()) if "real" in found else None
    rows = []
    for arm in ARMS:
        name = f"f1_{arm}"
        if arm in found:
            made = estimate(name, _by_eye(tested, found[arm]), np.mean)
            rows.append(replace(made, floor=floor, control=control))
        else:
            rows.append(without(name, "nothing with marked vessels teaches it"))
    return [*rows, _share(found, tested, floor)]


def _share(found: Mapping[str, np.ndarray], tested: MarkedPictures, floor: float | None) -> Figure:
    if floor is None or "synthetic" not in found:
        return without("share", "it needs marked photographs that teach, and a set")
    if floor < ENOUGH:
        return without("share", f"void: photographs teach F1 {floor:.2f}, below {ENOUGH:.2f}")
    pairs = _by_eye(tested, found["synthetic"], found["real"])
    return estimate("share", pairs, lambda rows: float(rows[:, 0].mean() / rows[:, 1].mean()))


def _by_eye(
    tested: MarkedPictures, *columns: np.ndarray
) -> dict[Hashable, list[tuple[float, ...]]]:
    rows: dict[Hashable, list[tuple[float, ...]]] = {}
    for eye, row in zip(tested.eyes, zip(*columns)):
        rows.setdefault(eye, []).append(row)
    return rows


def _of_examples(examples: Sequence[Example], sets: Sets) -> MarkedPictures | None:
    marked = [each for each in examples if VESSELS.in_example(each)]
    rows = []
    for eye, example in zip(eyes(marked), marked):
        wanted = tuple(each for each in example.masks if each[0] in VESSELS.columns)
        try:
            image, masks = read_square(replace(example, masks=wanted), SIZE)
        except UnreadableImage as error:
            sets.tell(f"vessels: left out: {error}")
            continue
        rows.append((eye, image, masks["vessel"]))
    return _stacked(rows)


def _of_set(sets: Sets, labour: Labour) -> MarkedPictures | None:
    try:
        masked = masked_set(sets.set_source, VESSELS)
    except UserError as error:
        sets.tell(f"vessels: {error.problem}")
        return None
    found = [
        (square.eye, square.image, square.masks["vessel"])
        for square in masked.squares(SIZE, lambda why: sets.tell(f"vessels: left out: {why}"))
    ]
    return _stacked(spread(found, labour.pictures))


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
        tell(f"vessels: {arm}: {seed + 1} of {labour.seeds} trainings of {labour.steps} steps")
        network = _trained(pools, labour, seed)
        found = said(network, tested.images, at_once=4)[:, 0].numpy() > 0
        pairs = zip(found & tested.fields, tested.vessels)
        scores.append([dice(one, marked) or 0.0 for one, marked in pairs])
    return np.mean(scores, 0)


def _trained(pools: Sequence[MarkedPictures], labour: Labour, seed: int) -> nn.Module:
    """All arms of a seed start from the same weights."""
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

    learn(network, labour.steps, loss_at, rate=_RATE)
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
        mark = torch.from_numpy(pool.vessels[row][box].astype(np.float32))
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
