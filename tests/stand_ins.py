"""Text encoders and autoencoders of others, a layer or two of each with random weights: what may
stand in for ours. Widths and channels are those of the debug denoiser."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase

import torch
from diffusers import AutoencoderKL
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    GemmaConfig,
    GemmaModel,
    GemmaTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from engine.models.text_encoder import PretrainedText

WIDTH, CHANNELS = 64, 8
_ONE_LAYER = {"hidden_size": WIDTH, "intermediate_size": 64, "num_attention_heads": 2}


def t5(width: int = WIDTH) -> PretrainedText:
    pieces = ["<pad>", "</s>", "<unk>", "▁", *ascii_lowercase]
    tokenizer = T5Tokenizer(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=width, d_kv=32, d_ff=64, num_layers=1, num_heads=2
    )
    return PretrainedText(T5EncoderModel(config).eval(), tokenizer)


def clip() -> PretrainedText:
    pieces = [*ascii_lowercase, *(f"{c}</w>" for c in ascii_lowercase)]
    ends = ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={p: i for i, p in enumerate([*pieces, *ends])}, merges=[])
    config = CLIPTextConfig(
        **_ONE_LAYER, vocab_size=len(tokenizer), num_hidden_layers=1, max_position_embeddings=40,
        bos_token_id=len(pieces), eos_token_id=len(pieces) + 1, pad_token_id=len(pieces) + 1,
    )  # fmt: skip
    return PretrainedText(CLIPTextModel(config).eval(), tokenizer)


def gemma() -> PretrainedText:
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "▁", *ascii_lowercase]
    tokenizer = GemmaTokenizer(vocab={p: i for i, p in enumerate(pieces)}, merges=[])
    config = GemmaConfig(
        **_ONE_LAYER, vocab_size=len(tokenizer), num_hidden_layers=2, num_key_value_heads=1,
        head_dim=32,
    )  # fmt: skip
    return PretrainedText(GemmaModel(config).eval(), tokenizer)


TEXTS = {"t5": t5, "clip": clip, "gemma": gemma}


def kl(channels: int = CHANNELS, levels: int = 4) -> AutoencoderKL:
    """Halves a picture at every level but one."""
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(16,) * levels, down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels, latent_channels=channels, norm_num_groups=4,
        scaling_factor=0.5, shift_factor=0.1,
    ).eval()  # fmt: skip


def save_base(folder: Path, text: PretrainedText, vae: torch.nn.Module) -> Path:
    """A folder that training may stand on."""
    text.model.save_pretrained(folder / "text_encoder")
    text.tokenizer.save_pretrained(folder / "tokenizer")
    vae.save_pretrained(folder / "vae")
    return folder
