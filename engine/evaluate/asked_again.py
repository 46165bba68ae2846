"""Does a model that is asked for a photograph that taught it draw that photograph again?

It is asked with the photograph's own caption, labels and geometry under many seeds, and of each
picture it is told how near it is to the photograph by registered pixels (`engine.data.registered`),
as in the extraction of Carlini et al. 2023 (arXiv 2301.13188, section 4). Vessels that are given
make any picture resemble their photograph: so photographs of the same cameras that did not teach
are asked for likewise (floor), and what is drawn is held against a photograph that was not asked
for (control).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from engine import registry
from engine.data.example import Example
from engine.data.registered import correlation, thumbnail
from engine.data.splits import spread
from engine.diffusion.pipeline import RetinaForgePipeline, SampleSettings
from engine.evaluate.area import above
from engine.evaluate.doubles import DOUBLE
from engine.evaluate.figures import Counts, Figure, Values, estimate, share, without
from engine.evaluate.membership import Suspects
from engine.evaluate.sets import SIZE, Looked, Sets
from engine.evaluate.sheet import keep_asked
from engine.models.folder import is_network
from engine.models.gan import GeometryGan
from engine.models.grounds import geometry_map
from engine.models.segmenter import Segmenter
from engine.registry.diffusion import PipelineRef
from engine.registry.sampler import SamplerRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import UserError
from engine.shipped import SEGMENTER

NAMES = ("asked_again.nearest", "asked_again.copies", "asked_again.told_apart")
_QUICK, _MOST = (2, 8), (8, 50)
"""Photographs of each kind, and seeds of each."""

Draw = Callable[[Example, np.ndarray, Sequence[int]], np.ndarray]
"""Pictures (B, S, S, 3) uint8 of a photograph's caption and labels, on a map (S, S, 8) uint8, one
for each seed."""


@dataclass(frozen=True)
class Answer:
    """How near each seed's picture (S,) of a photograph is to it, and to another."""

    looked: Looked
    taught: bool
    near: np.ndarray
    other: np.ndarray


def asked_again(sets: Sets, suspects: Suspects) -> list[Figure]:
    """How near the nearest picture of a photograph is to it; how many are copies of it; and the
    chance that one that taught is come nearer to than one that did not."""
    try:
        draw, size = draws(suspects.folder)
    except UserError as error:
        return [without(name, error.problem) for name in NAMES]
    photographs, seeds = _QUICK if sets.quick else _MOST
    segmenter = registry.find(SegmenterRef, SEGMENTER).load()
    sides = [
        _answers(sets, draw, size, segmenter, spread(side, photographs), taught, seeds)
        for side, taught in ((suspects.members, True), (suspects.strangers, False))
    ]
    if min(map(len, sides)) < 2:
        few = f"{len(sides[0])} photographs that taught and {len(sides[1])} of their cameras"
        return [without(name, f"{few} that did not, 2 of each are needed") for name in NAMES]
    keep_asked(sets, [(e.looked, e.taught, e.near) for side in sides for e in side])
    return _figures(*sides)


def _figures(members: Sequence[Answer], strangers: Sequence[Answer]) -> list[Figure]:
    nearest, copies, told = NAMES

    def mean(values: Sequence[np.ndarray]) -> Figure:
        rows: Values = {number: [(float(each.max()),)] for number, each in enumerate(values)}
        return estimate(nearest, rows, np.mean)

    def copied(values: Sequence[np.ndarray]) -> Figure:
        counts: Counts = {
            number: (int((each >= DOUBLE).sum()), len(each)) for number, each in enumerate(values)
        }
        return share(copies, counts)

    def of(what: Callable[[Sequence[np.ndarray]], Figure]) -> Figure:
        floor = what([each.near for each in strangers]).value
        control = what([each.other for each in members]).value
        return replace(what([each.near for each in members]), floor=floor, control=control)

    ours, theirs = ([float(each.near.max()) for each in side] for side in (members, strangers))
    return [of(mean), of(copied), replace(above(told, {0: (ours, theirs)}), floor=0.5)]


def draws(folder: Path) -> tuple[Draw, int]:
    """How a model is asked for a photograph, and the size at which it draws. UserError for one that
    cannot be given a photograph's geometry."""
    ref = registry.examine(SamplerRef, folder)
    size = min(SIZE, ref.size)
    if isinstance(ref, PipelineRef):
        return _by_denoiser(ref, folder, size), size
    if is_network(folder, GeometryGan.__name__):
        painter = GeometryGan.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        painter = painter.float().eval()

        def paint(example: Example, map_: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
            count = len(seeds)
            return painter.paint(np.stack([map_] * count), [example.annotation] * count, seeds)

        return paint, size
    raise UserError("a refiner draws on a phantom's picture, and a photograph has none")


def _by_denoiser(ref: PipelineRef, folder: Path, size: int) -> Draw:
    pipeline = RetinaForgePipeline.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    usual = ref.usual
    # From noise: what starts from a phantom's picture is that phantom's. Half the steps show
    # vessels as well, and hundreds of pictures are drawn.
    how = SampleSettings(
        size, max(1, usual.steps // 2), usual.solver, usual.guidance, usual.guidance_interval,
        usual.shift, usual.context_tokens,
    )  # fmt: skip

    def sample(example: Example, map_: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        count = len(seeds)
        given = np.stack([map_] * count) if ref.takes_geometry else None
        asked = [example.caption or ""] * count, [example.annotation] * count
        return pipeline.sample(*asked, seeds, how, geometry=given)

    return sample


def _answers(
    sets: Sets,
    draw: Draw,
    size: int,
    segmenter: Segmenter,
    asked: Sequence[Looked],
    taught: bool,
    seeds: int,
) -> list[Answer]:
    opened = sets.opened("asked for again", [each.example for each in asked], size)
    found = []
    shown = [thumbnail(each.image) for each in opened]
    for number, each in enumerate(opened):
        map_ = geometry_map(segmenter.masks(each.image))
        pictures = [draw(each.example, map_, [seed])[0] for seed in range(seeds)]
        among = np.stack([shown[number], shown[(number + 1) % len(shown)]])
        near = np.stack([correlation(thumbnail(picture), among) for picture in pictures])
        found.append(Answer(each, taught, near[:, 0], near[:, 1]))
        sets.tell(f"privacy: asked for {number + 1:,} of {len(opened):,} photographs again")
    return found
