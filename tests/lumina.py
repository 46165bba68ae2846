"""A checkpoint with the names and shapes of published weights of Lumina-Next, small and random."""

from __future__ import annotations

import torch

DIM, HEADS, KEYS, INNER = 64, 4, 2, 256


def checkpoint(layers=2, channels=4, text=48):
    """Random tensors with the names and the shapes of a published checkpoint, small."""
    narrow, keys, gives = min(DIM, 1024), DIM * KEYS // HEADS, 4 * 2 * channels
    shapes = {"pad_token": (DIM,)}

    def linear(name, out, into, bias=True):
        shapes[f"{name}.weight"] = (out, into)
        shapes.update({f"{name}.bias": (out,)} if bias else {})

    def norm(name, width, bias=False):
        shapes[f"{name}.weight"] = (width,)
        shapes.update({f"{name}.bias": (width,)} if bias else {})

    linear("x_embedder", DIM, 4 * channels)
    linear("t_embedder.mlp.0", narrow, 256)
    linear("t_embedder.mlp.2", narrow, narrow)
    norm("cap_embedder.0", text, bias=True)
    linear("cap_embedder.1", narrow, text)
    linear("final_layer.linear", gives, DIM)
    linear("final_layer.adaLN_modulation.1", DIM, narrow)
    for i in range(layers):
        at = f"layers.{i}."
        for name, out, into in (
            *(("wq", DIM, DIM), ("wk", keys, DIM), ("wv", keys, DIM), ("wo", DIM, DIM)),
            *(("wk_y", keys, text), ("wv_y", keys, text)),
        ):
            linear(f"{at}attention.{name}", out, into, bias=False)
        for name, width in (("q_norm", DIM), ("k_norm", keys), ("ky_norm", keys)):
            norm(f"{at}attention.{name}", width, bias=True)
        shapes[f"{at}attention.gate"] = (HEADS,)
        for name in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
            norm(at + name, DIM)
        norm(f"{at}attention_y_norm", text)
        linear(f"{at}adaLN_modulation.1", 4 * DIM, narrow)
        for name, out, into in (("w1", INNER, DIM), ("w2", DIM, INNER), ("w3", INNER, DIM)):
            linear(f"{at}feed_forward.{name}", out, into, bias=False)
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(s, generator=generator) * 0.2 for name, s in shapes.items()}
