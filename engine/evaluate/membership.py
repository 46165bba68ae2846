"""Does a model's loss tell the photographs that taught it from others of the same camera?

An attack by loss (Yeom et al. 2018, arXiv 1709.01604; of diffusion models Carlini et al. 2023,
arXiv 2301.13188): a denoiser's at fixed noise and times, given labels and geometry; a painter's
distance from the photograph whose geometry and colour it was given. Training mirrors every other
row, so the least of a photograph and its mirror image counts: what was learned by heart the other
way round is else as strange as any other. 0.5 is a model that remembers nothing that can be told
so. Members are the photographs that its folder names
(`engine.models.naming`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine import registry, seeds
from engine.data.example import UnreadableImage
from engine.data.likeness import bits_of, likeness
from engine.data.splits import spread
from engine.data.transforms import to_tensor
from engine.diffusion.loss import rectified_flow_loss
from engine.diffusion.pipeline import RetinaForgePipeline
from engine.evaluate.area import Strata, above
from engine.evaluate.figures import Figure, without
from engine.evaluate.lineage import ancestors
from engine.evaluate.sets import Looked, Sets
from engine.models import transformer
from engine.models.folder import is_network
from engine.models.gan import CODES, GeometryGan
from engine.models.geometry import geometry_latents, to_layers
from engine.models.grounds import geometry_map
from engine.models.naming import NamedPhotographs
from engine.models.patches import encoder_of
from engine.models.segmenter import Segmenter
from engine.registry.diffusion import PipelineRef
from engine.registry.sampler import SamplerRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import Annotation, UserError
from engine.shipped import SEGMENTER

NAME = "membership_auc"
TIMES = (0.7, 0.8, 0.9)
"""From noise 0 to photograph 1: what is remembered shows where little is left to guess."""
_QUICK, _MOST = 24, 100
"""Photographs of each kind."""
_LEAST = 4

Loss = Callable[[Annotation, np.ndarray], float]
"""Of a photograph's square (S, S, 3) uint8, S the model's own size."""


@dataclass(frozen=True)
class Suspects:
    """The `folder` of the model that drew a set, photographs that it says it was taught, and
    held-out ones of the same cameras."""

    folder: Path
    members: Sequence[Looked]
    strangers: Sequence[Looked]


def suspects_of(sets: Sets, taught: Sequence[Looked]) -> Suspects:
    """Of photographs of the train split and of the test split. UserError where the model is not at
    hand."""
    tree = ancestors(sets.set_source)
    if not tree or tree[0].folder is None:
        raise UserError("the model that drew the set is not at hand")
    return Suspects(tree[0].folder, *_sides(tree[0].named, taught, sets.pictures("tested")))


def membership(sets: Sets, suspects: Suspects) -> Figure:
    """The chance that a photograph that taught has a lower loss than one of its camera that did
    not. Floor: of one half of the held-out eyes against the other."""
    try:
        loss, size = loss_of(suspects.folder)
    except UserError as error:
        return without(NAME, error.problem)
    most = _QUICK if sets.quick else _MOST
    sides = [
        _lost(loss, sets.opened(name, [each.example for each in spread(side, most)], size))
        for name, side in (("members", suspects.members), ("strangers", suspects.strangers))
    ]
    if min(map(len, sides)) < _LEAST:
        few = f"{len(sides[0])} photographs that taught and {len(sides[1])} of their cameras that"
        return without(NAME, f"{few} did not, {_LEAST} of each are needed", len(sides[0]))
    floor = above("", _by_camera(sides[1][::2], sides[1][1::2])).value
    return replace(above(NAME, _by_camera(*sides)), floor=floor)


def loss_of(folder: Path) -> tuple[Loss, int]:
    """The loss by which a model was trained, and the size that it draws at. UserError where there
    is none that a photograph alone can be asked."""
    ref = registry.examine(SamplerRef, folder)
    segmenter = registry.find(SegmenterRef, SEGMENTER).load()
    if isinstance(ref, PipelineRef):
        return _of_denoiser(folder, segmenter), ref.size
    if is_network(folder, GeometryGan.__name__):
        return _of_painter(folder, segmenter), ref.size
    raise UserError("a refiner has no loss of a photograph alone")


def _of_denoiser(folder: Path, segmenter: Segmenter) -> Loss:
    pipeline = RetinaForgePipeline.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    encode, told = encoder_of(pipeline.vae), pipeline.config

    @torch.no_grad()
    def loss(annotation: Annotation, square: np.ndarray) -> float:
        latents = encode(to_tensor(Image.fromarray(square))[None])
        geometry = None
        if pipeline.geometry_encoder is not None:
            geometry = geometry_latents(encode, _map(segmenter, square))
        context = pipeline.conditioner.read([""], [annotation], geometry=geometry)

        def velocity(noisy: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
            return transformer.velocity(
                pipeline.transformer, noisy, times, context,
                told.latent_spread, told.time_scale, told.native_side,
            )  # fmt: skip

        # The same for all photographs, so that none has the easier noise.
        noise = seeds.noise([0], latents.shape[1:])
        times = (torch.tensor([time]) for time in TIMES)
        return float(
            np.mean([float(rectified_flow_loss(velocity, latents, noise, each)) for each in times])
        )

    return loss


def _of_painter(folder: Path, segmenter: Segmenter) -> Loss:
    painter = GeometryGan.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    painter = painter.float().eval()

    @torch.no_grad()
    def loss(annotation: Annotation, square: np.ndarray) -> float:
        maps, image = _map(segmenter, square), to_tensor(Image.fromarray(square))[None]
        field = maps[:, -1:]
        colour = (image * field).sum((2, 3)) / field.sum().clamp_min(1)
        style = torch.cat([colour, torch.zeros(1, CODES)], 1)
        painted = painter(maps, style, torch.zeros(1, 2, *square.shape[:2]))
        return float(((painted - image).abs() * field).sum() / field.sum().clamp_min(1))

    return loss


@torch.no_grad()
def _map(segmenter: Segmenter, square: np.ndarray) -> torch.Tensor:
    return to_layers(geometry_map(segmenter.masks(square)))[None].float()


def _sides(
    named: NamedPhotographs, taught: Sequence[Looked], tested: Sequence[Looked]
) -> tuple[list[Looked], list[Looked]]:
    """Photographs that are named, and of the same cameras held-out ones that are not."""
    members = [each for each in taught if _is_named(named, each)]
    cameras = {_camera(each) for each in members}
    others = [each for each in tested if _camera(each) in cameras and not _is_named(named, each)]
    met = {_camera(each) for each in others}
    return [each for each in members if _camera(each) in met], others


def _camera(looked: Looked) -> str | None:
    return looked.example.annotation.source


def _is_named(named: NamedPhotographs, looked: Looked) -> bool:
    try:
        content = hashlib.sha256(looked.example.identity()).hexdigest()
    except UnreadableImage:
        return False
    return named.has(content, bits_of([likeness(looked.image)])[0])


def _lost(loss: Loss, opened: Sequence[Looked]) -> list[tuple[str | None, float]]:
    """The camera of each, and how little it loses as it is or mirrored."""
    return [
        (_camera(each), -min(loss(*way) for way in _ways(each.example.annotation, each.image)))
        for each in opened
    ]


def _ways(annotation: Annotation, image: np.ndarray) -> list[tuple[Annotation, np.ndarray]]:
    side = annotation.eye_side
    other = annotation.model_copy(update={"eye_side": None if side is None else 1 - side})
    return [(annotation, image), (other, np.ascontiguousarray(image[:, ::-1]))]


def _by_camera(
    ones: Sequence[tuple[str | None, float]], others: Sequence[tuple[str | None, float]]
) -> Strata:
    def of(camera: str | None, each: Sequence[tuple[str | None, float]]) -> list[float]:
        return [value for source, value in each if source == camera]

    return {camera: (of(camera, ones), of(camera, others)) for camera in {c for c, _ in ones}}
