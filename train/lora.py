"""LoRA (Hu et al. 2021, arXiv 2106.09685): of a finished denoiser small matrices beside its own are
trained, which few photographs can teach; what comes of it is a denoiser as any other."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from engine.schema import UserError
from train.denoising import Denoising

TARGETS = r"layers\.\d+\.(attn[12]\.to_(q|k|v|out\.0)|feed_forward\.linear_[123])"
"""Attention and feed-forward of every block."""


def add_adapters(denoising: Denoising, rank: int) -> None:
    """Freeze the denoiser and the geometry encoder as they are, and give each of `TARGETS` adapters
    of this rank, which change nothing until they are trained. Labels and cameras stay trained: a
    new camera has its place there. UserError without peft."""
    denoising.geometry_encoder.requires_grad_(False)
    adapt(denoising.transformer, rank)


def adapt(denoiser: nn.Module, rank: int, targets: str = TARGETS) -> None:
    """Freeze a denoiser, and give those of its matrices that `targets` names adapters of this rank.
    UserError without peft."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UserError(
            "adapters need the Python package peft",
            field="model.lora",
            expected="the extra `lora` (pip install -e '.[lora]'), or 0",
        ) from error
    denoiser.requires_grad_(False)
    # As large as its rank, so that what is added is the two matrices' product and no share of it.
    how = LoraConfig(r=rank, lora_alpha=rank, target_modules=targets)
    inject_adapter_in_model(how, denoiser)


def adapters_of(denoiser: nn.Module) -> Iterator[tuple[str, Tensor, Tensor]]:
    """What the adapters learned: the name of each matrix that they stand beside, and the two whose
    product `up @ down` is to be added to it."""
    from peft.tuners.lora import LoraLayer

    for name, layer in denoiser.named_modules():
        if isinstance(layer, LoraLayer):
            (which,) = layer.lora_A
            yield name, layer.lora_B[which].weight.detach(), layer.lora_A[which].weight.detach()


def merge_adapters(denoiser: nn.Module) -> None:
    """Add what the adapters learned to the weights that they stand beside, and take them away."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(denoiser.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge(safe_merge=True)
            denoiser.set_submodule(name, layer.get_base_layer())
