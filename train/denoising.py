"""What the diffusion recipe trains: denoiser, label encoder and geometry encoder, new or going on
from a finished model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine import seeds
from engine.data.latents import Encoded
from engine.diffusion.loss import rectified_flow_loss
from engine.models import transformer
from engine.models.conditioner import Conditioner, Prepared
from engine.models.conditioning import LabelEncoder
from engine.models.geometry import PICTURES, GeometryEncoder
from engine.models.needs import Needs
from engine.schema import LABELS, MAX_CAPTION_TOKENS
from train.alignment import Alignment
from train.conditions import as_seen
from train.frozen import loaded, native_side, time_scale
from train.levels import by_level


class Denoising(nn.Module):
    """What is trained: denoiser, label encoder and geometry encoder.

    Caption states and geometry latents come with the batch.
    """

    blocks = ("transformer.layers.",)
    """Where the matrices lie that Muon may update."""

    def __init__(
        self,
        denoiser: nn.Module,
        label_encoder: LabelEncoder,
        geometry_encoder: GeometryEncoder,
        spread: list[float] | None,
        time_scale: float = transformer.TIME_SCALE,
        native_side: int | None = None,
    ) -> None:
        super().__init__()
        self.spread = spread
        self.time_scale = time_scale
        self.native_side = native_side
        self.transformer = denoiser
        self.label_encoder = label_encoder
        self.geometry_encoder = geometry_encoder
        self.alignment: Alignment | None = None

    def align(self, weight: float) -> None:
        """Learn the alignment of the denoiser's middle too, at this weight beside the loss."""
        config = self.transformer.config
        self.alignment = Alignment(
            config.hidden_size, config.in_channels, config.patch_size, weight
        ).float()

    def call(self) -> dict[str, Any]:
        """How `RetinaForgePipeline` must call the denoiser."""
        return {
            "latent_spread": self.spread,
            "time_scale": self.time_scale,
            "native_side": self.native_side,
        }

    @property
    def conditioner(self) -> Conditioner:
        """How a condition is read, by the present weights; captions come prepared."""
        return Conditioner(self.label_encoder, self.geometry_encoder)

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Latents, noise (B, C, h, w), times (B,), and the fields of `Prepared`."""
        prepared = Prepared(**{each.name: batch[each.name] for each in fields(Prepared)})
        context = self.conditioner.attend(prepared)

        def velocity(latents: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
            return transformer.velocity(
                self.transformer,
                latents,
                times,
                context,
                self.spread,
                self.time_scale,
                self.native_side,
            )

        with transformer.overheard(self.transformer) as middle:
            loss = rectified_flow_loss(velocity, batch["latents"], batch["noise"], batch["times"])
        levels = by_level(loss, batch["times"])
        if self.alignment is None or not self.training:
            return {"loss": loss, **levels}
        apart = self.alignment(middle[0], batch["latents"])
        return {"loss": loss + self.alignment.weight * apart, "apart": apart, **levels}


def new(
    preset: str, needs: Needs, sources: tuple[str, ...], spread: list[float] | None, size: int
) -> Denoising:
    """Untrained, to learn from pictures of `size` px; sources are the cameras that its labels
    know."""
    denoiser = transformer.build(preset, needs)
    labels = LabelEncoder(width=denoiser.config.cross_attention_dim, sources=sources)
    side = size // needs.factor
    return Denoising(
        denoiser.float(), labels.float(), _new_geometry(denoiser), spread, native_side=side
    )


def going_on(
    folder: Path, sources: tuple[str, ...], spread: list[float] | None, size: int
) -> Denoising:
    """As the finished model in the folder is, with the labels of more sources, to learn from
    pictures of `size` px; UserError where it is no such model."""
    denoiser = loaded(transformer.read, folder / "transformer").float()
    labels = loaded(LabelEncoder.from_pretrained, folder / "label_encoder")
    labels = labels.knowing(sources).float()
    if (folder / "geometry_encoder").is_dir():
        geometry = loaded(GeometryEncoder.from_pretrained, folder / "geometry_encoder").float()
    else:
        geometry = _new_geometry(denoiser)
    called = time_scale(folder), native_side(folder, size)
    return Denoising(denoiser, labels, geometry, spread, *called)


def _new_geometry(denoiser: nn.Module) -> GeometryEncoder:
    config = denoiser.config
    return GeometryEncoder(config.in_channels, config.patch_size, config.hidden_size)


def specimen(rows: int, needs: Needs, size: int) -> dict[str, torch.Tensor]:
    """A batch of `rows` photographs of `size` px as `Denoising` takes one, of no meaning, with
    captions as long as they may be."""
    side = size // needs.factor
    shape = (rows, needs.channels, side, side)
    return {
        "latents": torch.empty(shape),
        "noise": torch.empty(shape),
        "times": torch.empty(rows),
        "states": torch.empty(rows, MAX_CAPTION_TOKENS, needs.width),
        "mask": torch.ones(rows, MAX_CAPTION_TOKENS, dtype=torch.bool),
        "labels": torch.zeros(rows, len(LABELS) + 1, dtype=torch.int64),
        "geometry": torch.empty(rows, PICTURES * needs.channels, side, side),
        "given": torch.ones(rows, dtype=torch.bool),
    }


def mean_loss(module: Denoising, eyes: Sequence[Encoded], given: bool) -> float:
    """Over these eyes by their labels alone, with geometry or without, at three times and with the
    same noise whenever it is asked."""
    losses = []
    for i, eye in enumerate(eyes):
        variant = eye.variant(0)
        latent, outlined = variant.latent, variant.geometry
        assert outlined is not None
        annotation, _ = as_seen(eye.example, variant.mirrored)
        prepared = module.conditioner.prepare(
            [""], [annotation], geometry=outlined[None], given=torch.tensor([given])
        )
        for time in (0.2, 0.5, 0.8):
            batch = {
                "latents": latent[None],
                "noise": seeds.noise([i], tuple(latent.shape)),
                "times": torch.tensor([time]),
                **vars(prepared),
            }
            losses.append(float(module(batch)["loss"]))
    return sum(losses) / len(losses)
