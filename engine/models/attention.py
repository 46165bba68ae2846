"""Attention of the denoiser through `kernels.attention`, so that a backend can be chosen for it.

Stands in for diffusers' `LuminaAttnProcessor2_0`: the same weights, the same result to the bit with
the `sdpa` backend on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import LuminaNextDiT2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import apply_rotary_emb

from kernels.attention import attention


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
        if attn.norm_q is not None:
            query = attn.norm_q(query)
        query = query.unflatten(-1, (-1, width))
        key, value = self._looked_at(attn, encoder_hidden_states, width)
        if query_rotary_emb is not None:
            query = apply_rotary_emb(query, query_rotary_emb, use_real=False)
        if key_rotary_emb is not None:
            key = apply_rotary_emb(key, key_rotary_emb, use_real=False)
        mask = attention_mask.bool() if self.masked and attention_mask is not None else None
        scale = None
        if base_sequence_length is not None and key_rotary_emb is not None:
            scale = math.sqrt(math.log(query.shape[1], base_sequence_length)) * attn.scale
        return attention(query.to(dtype), key.to(dtype), value, key_mask=mask, scale=scale)

    def _looked_at(
        self, attn: Attention, tokens: torch.Tensor, width: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values (B, S, H, D) of tokens (B, S, C), computed once where they are kept."""
        shape = tuple(tokens.shape)
        if self.known is not None and shape in self.known:
            return self.known[shape]
        key, value = attn.to_k(tokens), attn.to_v(tokens)
        if attn.norm_k is not None:
            key = attn.norm_k(key)
        found = key.unflatten(-1, (-1, width)), value.unflatten(-1, (-1, width))
        if self.known is not None:
            self.known[shape] = found
        return found


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
    """The model itself, its blocks attending through `kernels.attention`."""
    for block in model.layers:
        block.attn1.set_processor(KernelProcessor(masked=False))
        block.attn2.set_processor(KernelProcessor(masked=True))
    return model
