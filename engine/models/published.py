"""Published weights of Lumina-Next (Zhuo et al. 2024, arXiv 2406.18583) and of RetinaLogos, which
went on from them, in the names of diffusers' network."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import LuminaNextDiT2DModel
from torch import Tensor

from engine.models.attention import use_kernels
from engine.schema import UserError

TIME_SCALE = 1.0
"""Times are embedded as they are."""
PATCH = 2
MULTIPLE = 256
"""Of which the width of a block's inner layer is one."""
EXPECTED = "a checkpoint of Lumina-Next-T2I or RetinaLogos"
_WHOLE = {
    "pad_token": "pad_token",
    "patch_embedder.proj": "x_embedder",
    "time_caption_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_caption_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_caption_embed.caption_embedder.0": "cap_embedder.0",
    "time_caption_embed.caption_embedder.1": "cap_embedder.1",
    "norm_out.linear_1": "final_layer.adaLN_modulation.1",
    "norm_out.linear_2": "final_layer.linear",
}
_BLOCK = {
    "gate": "attention.gate",
    "attn1.to_q": "attention.wq",
    "attn1.to_k": "attention.wk",
    "attn1.to_v": "attention.wv",
    "attn1.norm_q": "attention.q_norm",
    "attn1.norm_k": "attention.k_norm",
    # One query looks at picture and caption: diffusers keeps it twice.
    "attn2.to_q": "attention.wq",
    "attn2.to_k": "attention.wk_y",
    "attn2.to_v": "attention.wv_y",
    "attn2.norm_q": "attention.q_norm",
    "attn2.norm_k": "attention.ky_norm",
    "attn2.to_out.0": "attention.wo",
    "norm1.linear": "adaLN_modulation.1",
    "norm1.norm": "attention_norm1",
    "norm2": "attention_norm2",
    "norm1_context": "attention_y_norm",
    "ffn_norm1": "ffn_norm1",
    "ffn_norm2": "ffn_norm2",
    "feed_forward.linear_1": "feed_forward.w1",
    "feed_forward.linear_2": "feed_forward.w2",
    "feed_forward.linear_3": "feed_forward.w3",
}


def published_name(name: str) -> str:
    """What a weight of diffusers' network is called in a published checkpoint."""
    block = re.match(r"layers\.\d+\.", name)
    before, table = (block[0], _BLOCK) if block else ("", _WHOLE)
    rest = name.removeprefix(before)
    stem, _, kind = rest.rpartition(".")
    return before + (table[rest] if rest in table else f"{table[stem]}.{kind}")


def read_published(file: Path) -> dict[str, Tensor]:
    """The tensors of a `consolidated*.pth`, left on the disk until they are used. Raises UserError
    for what is no such file, and for a pickle that asks for more than tensors: nothing is run."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        wanted = f"it asks for {asked[1]}" if asked else "it holds more than tensors"
        raise UserError(
            f"a pickle that could run code is not read: {wanted}", file=file, expected=EXPECTED
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        first = str(error).partition("\n")[0]
        raise UserError(f"cannot be read: {first}", file=file, expected=EXPECTED) from error
    _check_tensors(found, file)
    tensors: dict[str, Tensor] = found
    return tensors


def _check_tensors(found: Any, file: Path) -> None:
    if not isinstance(found, dict):
        raise UserError("holds no tensors by name", file=file, expected=EXPECTED)
    for name, tensor in found.items():
        if not (isinstance(name, str) and isinstance(tensor, Tensor)):
            raise UserError("no tensor", file=file, field=str(name)[:80], expected=EXPECTED)
        if not tensor.is_floating_point():
            raise UserError(f"numbers of {tensor.dtype}", file=file, field=name, expected="floats")
    # A view may say that it is larger than what is stored.
    if sum(tensor.nbytes for tensor in found.values()) > file.stat().st_size:
        raise UserError("says that it holds more than it does", file=file, expected=EXPECTED)


def denoiser_of(tensors: Mapping[str, Tensor], size: int, factor: int, file: Path) -> Any:
    """The network of published tensors, which it shares, for pictures of `size` px by an
    autoencoder with `factor` pixels a place. Raises UserError naming a weight that is missing,
    unknown or of another shape; `file` is where they were read."""
    shape = {**_shape(tensors, file), "sample_size": size // factor}
    with torch.device("meta"):
        model = LuminaNextDiT2DModel(**shape)
    needed = {name: tensor.shape for name, tensor in model.state_dict().items()}
    named = {name: published_name(name) for name in needed}
    for name, problem, expected in _differences(tensors, needed, named):
        raise UserError(problem, file=file, field=name, expected=expected)
    # A query that is kept twice has to be two tensors: safetensors writes none that are shared.
    state = {
        name: tensors[theirs].clone() if ".attn2." in name else tensors[theirs]
        for name, theirs in named.items()
    }
    model.load_state_dict(state, assign=True)
    return use_kernels(model)


def _shape(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Any]:
    """The configuration that the tensors are of."""
    block = "layers.0.attention."
    telling = ("x_embedder.weight", "final_layer.linear.weight")
    names = (*telling, f"{block}gate", f"{block}wk.weight", f"{block}wk_y.weight")
    for name in names:
        if name not in tensors:
            raise UserError("this weight is missing", file=file, field=name, expected=EXPECTED)
    embedder, last, gate, keys, worded = (tensors[name] for name in names)
    heads = gate.numel()
    if any(each.ndim != 2 for each in (embedder, last, keys, worded)) or not heads:
        raise UserError("matrices of other shapes", file=file, expected=EXPECTED)
    hidden, inputs = embedder.shape
    width = hidden // heads
    if hidden % heads or width % 4 or not width or keys.shape[0] % width or inputs % PATCH**2:
        raise UserError(
            f"{heads} heads do not divide {hidden}", file=file, field=names[2], expected=EXPECTED
        )
    layers = {found[1] for name in tensors if (found := re.match(r"layers\.(\d+)\.", name))}
    return {
        "patch_size": PATCH,
        "in_channels": inputs // PATCH**2,
        "hidden_size": hidden,
        "num_layers": len(layers),
        "num_attention_heads": heads,
        "num_kv_heads": keys.shape[0] // width,
        "multiple_of": MULTIPLE,
        "cross_attention_dim": worded.shape[1],
        "learn_sigma": last.shape[0] == 2 * inputs,
        "qk_norm": True,
    }


def _differences(
    tensors: Mapping[str, Tensor], needed: Mapping[str, torch.Size], named: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Name of a weight, what is wrong with it, what is expected."""
    shapes = {theirs: needed[name] for name, theirs in named.items()}
    for name in sorted(shapes.keys() - tensors.keys()):
        yield name, "this weight is missing", EXPECTED
    for name in sorted(tensors.keys() - shapes.keys()):
        yield name, "a weight that the network does not have", EXPECTED
    for name, expected in shapes.items():
        if tensors[name].shape != expected:
            yield name, f"has shape {tuple(tensors[name].shape)}", str(tuple(expected))
