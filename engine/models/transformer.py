"""The denoiser: diffusers' `LuminaNextDiT2DModel`, the architecture of RetinaLogos, in our sizes.

Time runs from 0 (noise) to 1 (image), and the network predicts the velocity image - noise: as it
is, or, where the latents' spread is known, as what the best linear guess leaves of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import LuminaNextDiT2DModel
from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina
from torch import nn
from torch.utils.checkpoint import checkpoint

from engine.models.attention import KernelBlock, use_kernels
from engine.models.needs import Needs

if TYPE_CHECKING:
    from engine.models.conditioner import Context

PRESETS: dict[str, dict] = {
    # 64 tokens of 2 x 2 x 64 latents at 256 px.
    "tiny": {
        "factor": 16,
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": 64,
        "hidden_size": 256,
        "num_layers": 8,
        "num_attention_heads": 4,
        "num_kv_heads": 4,
        "multiple_of": 64,
        "cross_attention_dim": 256,
    },
    "debug": {
        "factor": 16,
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": 8,
        "hidden_size": 64,
        "num_layers": 2,
        "num_attention_heads": 2,
        "num_kv_heads": 1,
        "multiple_of": 32,
        "cross_attention_dim": 64,
    },
    # Autoencoder and text encoder of `tiny`. A token is one place of its latents, 16 px: 1,024
    # tokens at 512 px, and no seams of 32 px between patches.
    "base": {
        "factor": 16,
        "sample_size": 32,
        "patch_size": 1,
        "in_channels": 64,
        "hidden_size": 768,
        "num_layers": 16,
        "num_attention_heads": 12,
        "num_kv_heads": 4,
        "multiple_of": 64,
        "cross_attention_dim": 256,
    },
    "large": {
        "factor": 16,
        "sample_size": 32,
        "patch_size": 1,
        "in_channels": 64,
        "hidden_size": 1152,
        "num_layers": 24,
        "num_attention_heads": 18,
        "num_kv_heads": 6,
        "multiple_of": 64,
        "cross_attention_dim": 256,
    },
    # Lumina-Next-T2I 2B with the autoencoder of SDXL and Gemma 2B, as RetinaLogos has it: 1,024
    # tokens of 2 x 2 x 4 latents at 512 px.
    "retinalogos-2b": {
        "factor": 8,
        "sample_size": 64,
        "patch_size": 2,
        "in_channels": 4,
        "hidden_size": 2304,
        "num_layers": 24,
        "num_attention_heads": 32,
        "num_kv_heads": 8,
        "multiple_of": 256,
        "cross_attention_dim": 2048,
    },
}
"""The shapes of denoisers by name, and `factor`, the pixels of a place of the latents that each is
for."""
TIME_SCALE = 1000.0
"""Times 0..1 are embedded as 0..1000: sinusoids of a 256-wide embedding are flat over 0..1."""


def build(preset: str, needs: Needs | None = None) -> LuminaNextDiT2DModel:
    """An untrained denoiser whose blocks begin as identity (adaLN-Zero, Peebles & Xie 2023,
    §3.2). It fits the autoencoder and the text encoder of its preset, or those that `needs` tells
    of, at the same size in pixels."""
    shape = dict(PRESETS[preset])
    factor = shape.pop("factor")
    if needs is not None:
        shape["in_channels"], shape["cross_attention_dim"] = needs.channels, needs.width
        shape["sample_size"] = shape["sample_size"] * factor // needs.factor
    model = LuminaNextDiT2DModel(**shape, learn_sigma=False, qk_norm=True)
    # Uninitialised memory in diffusers, and never read: zero keeps the weights' hash stable.
    nn.init.zeros_(model.pad_token)
    for block in model.layers:
        nn.init.zeros_(block.norm1.linear.weight)
        nn.init.zeros_(block.norm1.linear.bias)
    nn.init.zeros_(model.norm_out.linear_2.weight)
    nn.init.zeros_(model.norm_out.linear_2.bias)
    return use_kernels(model)


def read(folder: Path) -> LuminaNextDiT2DModel:
    """A trained denoiser from its part of a pipeline folder."""
    return use_kernels(LuminaNextDiT2DModel.from_pretrained(folder))


def own_needs(preset: str) -> Needs:
    """The autoencoder and the text encoder that a preset is for."""
    shape = PRESETS[preset]
    return Needs(shape["in_channels"], shape["cross_attention_dim"], shape["factor"])


class _Checkpointed(KernelBlock):
    """A block that keeps its input alone for the backward pass, and computes the rest again."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (self.training and torch.is_grad_enabled()):
            return super().__call__(*args, **kwargs)
        return checkpoint(super().__call__, *args, use_reentrant=False, **kwargs)


def checkpointed(model: LuminaNextDiT2DModel) -> LuminaNextDiT2DModel:
    """The model itself, its blocks checkpointed in training (Chen et al. 2016, arXiv 1604.06174):
    the same gradients for a third more computing, and memory of one block."""
    for block in model.layers:
        # The class of diffusers offers none. A wrapper would change the weights' names; ZeRO
        # gathers weights in what hangs on a block's call, which has to come again with it.
        block.__class__ = _Checkpointed
    return model


def velocity(
    model: LuminaNextDiT2DModel,
    latents: torch.Tensor,
    times: torch.Tensor,
    context: Context,
    spread: Sequence[float] | None = None,
    time_scale: float = TIME_SCALE,
    native_side: int | None = None,
) -> torch.Tensor:
    """The predicted velocity (B, C, h, w) of noisy latents (B, C, h, w) at times (B,) in [0, 1].

    spread: root mean square of each of the C channels over images; None where the network predicts
    the velocity itself, as published Lumina-Next weights do. time_scale: by what times are
    multiplied before they are embedded; 1 for such weights. native_side: see `TokenGrid`.
    """
    grid = TokenGrid.of(model, latents, native_side)
    with _added(model.patch_embedder, context.patches):
        found = model(
            hidden_states=latents,
            timestep=times * time_scale,
            encoder_hidden_states=context.tokens,
            encoder_mask=context.mask,
            image_rotary_emb=grid.rotary(model.head_dim),
            cross_attention_kwargs=grid.temperature(),
            return_dict=False,
        )[0]
    # Published weights give variances too, which nobody has trained or reads (`learn_sigma`).
    found = found[:, : latents.shape[1]]
    if spread is None:
        return found
    skip, scale = precondition(torch.tensor(spread).to(latents), times.to(latents))
    return skip * latents + scale * found


def precondition(spread: torch.Tensor, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What latents and network are multiplied by to make a velocity: skip, scale (B, C, 1, 1).

    The skip is the best linear guess of the velocity z - n from x = (1 - t) n + t z where noise n
    has unit and latents z have spread s, and the scale is the deviation it leaves, so that a
    network of any width need not carry the noise through itself (Karras et al. 2022, arXiv
    2206.00364, section 5 and appendix B.6, for this path):
    skip = (t s^2 - (1 - t)) / V and scale = s / sqrt(V), V = (1 - t)^2 + t^2 s^2.
    """
    s, t = spread.view(1, -1, 1, 1), times.view(-1, 1, 1, 1)
    variance = (1 - t) ** 2 + (t * s) ** 2
    return (t * s**2 - (1 - t)) / variance, s / variance.sqrt()


@contextmanager
def overheard(model: LuminaNextDiT2DModel) -> Iterator[list[torch.Tensor]]:
    """While it lasts, the tokens (B, N, D) that the middle block gives come into the list."""
    heard: list[torch.Tensor] = []
    middle = model.layers[(len(model.layers) - 1) // 2]
    hook = middle.register_forward_hook(lambda _module, _inputs, output: heard.append(output))
    try:
        yield heard
    finally:
        hook.remove()


@contextmanager
def _added(embedder: nn.Module, patches: torch.Tensor | None) -> Iterator[None]:
    """While it lasts, the embedder gives its tokens plus `patches`.

    The class of diffusers has no place for a condition at each patch, and its weights must load
    unchanged: a hook on the embedder leaves both alone.
    """
    if patches is None:
        yield
        return
    hook = embedder.register_forward_hook(
        lambda _module, _inputs, output: (output[0] + patches, *output[1:])
    )
    try:
        yield
    finally:
        hook.remove()


@dataclass(frozen=True)
class TokenGrid:
    """The tokens of a picture: rows and columns, and `base`, the side of the square grid on which
    their positions were learned; None where a denoiser reads every grid as it is."""

    rows: int
    columns: int
    base: int | None

    @classmethod
    def of(
        cls, model: LuminaNextDiT2DModel, latents: torch.Tensor, native_side: int | None
    ) -> TokenGrid:
        """That of latents (B, C, h, w); native_side: side in places of the latents of the pictures
        from which the model first learned, or None."""
        patch = model.config.patch_size
        rows, columns = (side // patch for side in latents.shape[2:])
        return cls(rows, columns, native_side and native_side // patch)

    @property
    def growth(self) -> float:
        """How many tokens of a row lie where one did; a smaller grid is read as it is."""
        return 1.0 if self.base is None else max(1.0, (self.rows * self.columns) ** 0.5 / self.base)

    def rotary(self, head: int) -> torch.Tensor:
        """Rotary embedding (rows, columns, head / 2), complex. Positions of a larger grid lie
        between those that were learned (Chen et al. 2023, arXiv 2306.15595), as Lumina-Next draws
        beyond its size."""
        return get_2d_rotary_pos_embed_lumina(
            head, self.rows, self.columns, linear_factor=self.growth
        )

    def temperature(self) -> dict[str, int]:
        """What attention among N tokens is told where positions were learned with M: it multiplies
        logits by sqrt(log N / log M), so that its entropy stays (Jin et al. 2023, arXiv 2306.08645,
        eq. 9)."""
        if self.base is None or self.base < 2 or self.growth == 1:
            return {}
        return {"base_sequence_length": self.base**2}
