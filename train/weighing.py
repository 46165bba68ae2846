"""What a pass takes, told without making it: its steps run on tensors that have shapes and no
storage."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop, sdpa_flop
from torch.utils.weak import WeakIdKeyDictionary

from train.optimiser import trained_parameters

_ATEN = torch.ops.aten
_COUNTED: dict[Any, Callable[..., int]] = {
    **flop_registry,
    # The same two products as any attention's, which the register of torch leaves out on a CPU.
    _ATEN._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop(
        q, k, v, out_val=None
    ),
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda gradient, q, k, v, *_, **__: sdpa_backward_flop(
            gradient.shape, q.shape, k.shape, v.shape
        )
    ),
}


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass. `held`: bytes of all that there is at its fullest besides
    weights and gradients: the batch, activations, what autocast rounds. `flops` of its products
    (two for each multiplication and addition), a checkpointed block's second ones among them."""

    held: int
    flops: int


def weigh(
    module: nn.Module, batch: Callable[[], Mapping[str, Tensor]], bf16: bool, again: bool = True
) -> Pass:
    """The pass of a module, whose tensors lose what they hold, over what `batch` makes; in
    float32, or with products in bf16 by autocast. Without `again`, checkpointed blocks are kept."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        module.to_empty(device="cpu").train(again)
        for parameter in trained_parameters(module).values():
            parameter.register_post_accumulate_grad_hook(_forget)
        with _Scales() as scales:
            made = batch()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = module(made)["loss"].mean()
            loss.backward()
    return Pass(scales.most, scales.flops)


def _forget(parameter: Tensor) -> None:
    """A gradient is counted apart: ZeRO shares it out."""
    parameter.grad = None


class _Scales(TorchDispatchMode):
    """Bytes that live, and at most did, of what is made while it lasts; and products."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self.flops = self._live = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry an operation out, and weigh what comes of it."""
        found = func(*args, **(kwargs or {}))
        count = _COUNTED.get(func._overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=found)
        for each in tree_leaves(found):
            if isinstance(each, Tensor):
                self._put(each.untyped_storage())
        return found

    def _put(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known[storage] = weakref.ref(storage, lambda _: self._take(size))
        self._live += size
        self.most = max(self.most, self._live)

    def _take(self, size: int) -> None:
        self._live -= size
