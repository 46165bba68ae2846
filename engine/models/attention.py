"""The denoiser's blocks through the doors of `kernels`, so that a backend can be chosen for
attention and for the parts between the products.

Stands in for diffusers' `LuminaAttnProcessor2_0` and `LuminaNextDiTBlock`: the same weights, and on
a CPU the same result to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import LuminaNextDiT2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.lumina_nextdit2d import LuminaNextDiTBlock
from torch import nn

from kernels import backends
from kernels.attention import attention
from kernels.modulated_norm import gated_residual, modulated_norm
from kernels.qk_rope import qk_rope


class KernelProcessor:
    """What a block of diffusers' Lumina transformer calls to attend.

    masked: whether keys can be out of sight. Among the image's own tokens none are, and diffusers'
    mask of ones would only keep the quickest kernels from being used.
    known: keys and values by rows and tokens, while they are `kept`.
    """

    def __init__(self, masked: bool) -> None:
        self.masked = masked
        self.known: dict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor]] | None = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        query_rotary_emb: torch.Tensor | None = None,
        key_rotary_emb: torch.Tensor | None = None,
        base_sequence_length: int | None = None,
    ) -> torch.Tensor:
        """Tokens (B, T, C) attend to tokens (B, S, C): (B, T, H, D). The names of the arguments are
        those that diffusers' block passes. base_sequence_length: of the image's tokens, where their
        attention is to be as sharp among more as it was among so many."""
        query = attn.to_q(hidden_states)
        dtype, width = query.dtype, query.shape[-1] // attn.heads
        query = _heads(query, width, attn.norm_q, query_rotary_emb)
        key, value = self._looked_at(attn, encoder_hidden_states, width, key_rotary_emb)
        mask = attention_mask.bool() if self.masked and attention_mask is not None else None
        scale = None
        if base_sequence_length is not None and key_rotary_emb is not None:
            scale = math.sqrt(math.log(query.shape[1], base_sequence_length)) * attn.scale
        return attention(query.to(dtype), key.to(dtype), value, key_mask=mask, scale=scale)

    def _looked_at(
        self, attn: Attention, tokens: torch.Tensor, width: int, rotary: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values (B, S, H, D) of tokens (B, S, C), computed once where they are kept."""
        shape = tuple(tokens.shape)
        if self.known is not None and shape in self.known:
            return self.known[shape]
        key = _heads(attn.to_k(tokens), width, attn.norm_k, rotary)
        found = key, attn.to_v(tokens).unflatten(-1, (-1, width))
        if self.known is not None:
            self.known[shape] = found
        return found


class KernelBlock(LuminaNextDiTBlock):
    """A block whose norms, gates and sums may be fused. Where they are not it is diffusers' own."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        image_rotary_emb: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        encoder_mask: torch.Tensor,
        temb: torch.Tensor,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> torch.Tensor:
        """Tokens (B, T, C) and their context (B, S, C) to tokens (B, T, C)."""
        if not _fuses(hidden_states):
            return super().forward(
                hidden_states,
                attention_mask,
                image_rotary_emb,
                encoder_hidden_states,
                encoder_mask,
                temb,
                cross_attention_kwargs,
            )
        more = cross_attention_kwargs or {}
        norm, linear = self.norm1.norm, self.norm1.linear
        scale, gate, scale_mlp, gate_mlp = linear(self.norm1.silu(temb)).chunk(4, dim=1)
        normed = modulated_norm(hidden_states, scale, weight=norm.weight, eps=norm.eps)
        seen = self.attn1(
            hidden_states=normed,
            encoder_hidden_states=normed,
            attention_mask=attention_mask,
            query_rotary_emb=image_rotary_emb,
            key_rotary_emb=image_rotary_emb,
            **more,
        )
        read = self.attn2(
            hidden_states=normed,
            encoder_hidden_states=self.norm1_context(encoder_hidden_states),
            attention_mask=encoder_mask,
            query_rotary_emb=image_rotary_emb,
            key_rotary_emb=None,
            **more,
        )
        mixed = (seen + read * self.gate.tanh().view(1, 1, -1, 1)).flatten(-2)
        x = _gated(hidden_states, self.attn2.to_out[0](mixed), gate, self.norm2)
        fed = modulated_norm(x, scale_mlp, weight=self.ffn_norm1.weight, eps=self.ffn_norm1.eps)
        return _gated(x, self.feed_forward(fed), gate_mlp, self.ffn_norm2)


@contextmanager
def kept(model: LuminaNextDiT2DModel) -> Iterator[None]:
    """While it lasts, what the blocks attend to beside the image is looked at once: captions and
    labels do not change with time. There must be one context for each number of rows."""
    looking = [block.attn2.processor for block in model.layers]
    for processor in looking:
        processor.known = {}
    try:
        yield
    finally:
        for processor in looking:
            processor.known = None


def use_kernels(model: LuminaNextDiT2DModel) -> LuminaNextDiT2DModel:
    """The model itself, its blocks computing through the doors of `kernels`."""
    for block in model.layers:
        block.attn1.set_processor(KernelProcessor(masked=False))
        block.attn2.set_processor(KernelProcessor(masked=True))
        if type(block) is LuminaNextDiTBlock:
            # A wrapper would change the weights' names.
            block.__class__ = KernelBlock
    return model


def _fuses(x: torch.Tensor) -> bool:
    """Whether a kernel may compute the parts between the products. Training keeps to the modules,
    whose calls gather the weights that ZeRO has spread, and so does autocast, where precisions
    mix."""
    if torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type):
        return False
    asked = backends.forced_parts()
    return asked == "triton" or (asked is None and x.device.type == "cuda")


def _heads(
    x: torch.Tensor, width: int, norm: nn.Module | None, rotary: torch.Tensor | None
) -> torch.Tensor:
    """Queries or keys x (B, T, H D), normed and turned: (B, T, H, D)."""
    if _fuses(x) and isinstance(norm, nn.LayerNorm):
        heads = x.shape[-1] // width
        return qk_rope(x, heads, weight=norm.weight, bias=norm.bias, eps=norm.eps, rotary=rotary)
    x = (x if norm is None else norm(x)).unflatten(-1, (-1, width))
    return x if rotary is None else apply_rotary_emb(x, rotary, use_real=False)


def _gated(x: torch.Tensor, y: torch.Tensor, gate: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    return gated_residual(x, y, gate, weight=norm.weight, eps=norm.eps)
