"""A published checkpoint becomes a model folder of ours, to go on from."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from engine import registry, shipped
from engine.diffusion.pipeline import RetinaForgePipeline
from engine.files import sha256_of
from engine.models.card import write_card
from engine.models.classes import read_needs
from engine.models.conditioning import LabelEncoder
from engine.models.published import TIME_SCALE, denoiser_of, read_published
from engine.registry.base import BaseRef
from engine.registry.diffusion import PipelineRef
from engine.schema import UserError

SIZE = 512
"""Pixels at which RetinaLogos was trained, and that the card names."""
SAMPLING = {"solver": "euler", "steps": 50, "guidance": 4.0}
"""As RetinaLogos is drawn from."""


def convert(checkpoint: Path, base: str, out: Path) -> Path:
    """Write the pipeline of a published checkpoint into the new folder `out`, with autoencoder and
    text encoder of the model `base`; gives `out`.

    Labels say nothing until somebody trains them, and there is no geometry. Raises UserError for a
    checkpoint of another layout (`engine.models.published`) and a base that does not fit it.
    """
    if out.exists():
        raise UserError("is there already", file=out, asked="out", expected="a new folder")
    found = registry.find(BaseRef, base)
    needs = read_needs(shipped.folder_of(found.location))
    denoiser = denoiser_of(read_published(checkpoint), SIZE, needs.factor, checkpoint)
    config = denoiser.config
    for has, needed, what in (
        (needs.channels, config.in_channels, "channels of latents"),
        (needs.width, config.cross_attention_dim, "numbers of a token's state"),
    ):
        if has != needed:
            raise UserError(f"{has} {what}", asked="base", expected=f"{needed}, as {checkpoint}")
    vae, text = found.load()
    pipeline = RetinaForgePipeline(
        transformer=denoiser,
        vae=vae,
        text_encoder=text.model,
        tokenizer=text.tokenizer,
        label_encoder=_silent(config.cross_attention_dim),
        geometry_encoder=None,
        time_scale=TIME_SCALE,
    )
    origin = {"file": checkpoint.name, "sha256": sha256_of(checkpoint).hex()}
    facts = {"name": out.name, "size": SIZE, "sampling": SAMPLING, "converted_from": origin}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as draft:
        folder = Path(draft) / out.name
        pipeline.save_pretrained(folder)
        write_card(folder, facts)
        registry.examine(PipelineRef, folder)
        folder.rename(out)
    return out


def _silent(width: int) -> LabelEncoder:
    labels = LabelEncoder(width, ())
    for table in labels.tables:
        torch.nn.init.zeros_(table.weight)
    return labels
