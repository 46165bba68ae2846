"""One optimiser step: what the loop asks of whoever computes it, and the plain one-process form."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from train.optimiser import begin, make_optimizer, trained_parameters
from train.settings import Settings

Batch = Mapping[str, Tensor]


class Stepper(Protocol):
    """Trains a copy of a recipe's module; whether alone or as one of many is its own affair."""

    rank: int
    world: int
    device: torch.device

    def step(self, batch: Batch, lr: float) -> dict[str, float]:
        """One optimiser step on this worker's rows; means over all rows, and `grad_norm`."""

    def average(self, decay: float) -> None:
        """Move the averaged weights towards the present ones: kept share `decay`."""

    def agree(self, flag: bool) -> bool:
        """Whether the flag is set on any worker."""

    def read(self, part: str) -> dict[str, Tensor]:
        """A checkpoint's part as whole CPU tensors by name; empty but on rank 0. Collective.

        They hold until the next step, which may change them.
        """

    def write(self, part: str, tensors: Mapping[str, Tensor]) -> None:
        """Take a checkpoint's part back."""

    def resume(self, step: int) -> None:
        """Set the optimiser's own count of steps; called after every `write`."""

    def show(self) -> None:
        """Put the averaged weights into the recipe's own module on rank 0. Collective."""


class OneProcess:
    """The stepper of one process: torch alone, on the GPU if there is one."""

    rank = 0
    world = 1

    def __init__(self, module: nn.Module, settings: Settings, device: torch.device) -> None:
        self.device = device
        self.shown = module.eval()
        self.trained = copy.deepcopy(module).to(device).train()
        self.settings = settings
        self.parameters = trained_parameters(self.trained)
        self.optimizer = make_optimizer(self.trained, settings)
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                begin(self.optimizer, parameter, group["muon"], settings)

    def step(self, batch: Batch, lr: float) -> dict[str, float]:
        """One step at learning rate `lr`; see `Stepper.step`."""
        self.optimizer.zero_grad(set_to_none=True)
        totals: dict[str, Tensor] = {}
        for share, piece in pieces(to_device(batch, self.device), self.settings.micro):
            values = forward(self.trained, piece, self.device)
            (values["loss"].mean() * share).backward()
            add_means(totals, values, share)
        for parameter in self.parameters.values():
            # ZeRO gives a parameter that took no part a gradient of zero: the same here, so that
            # weight decay reaches the same parameters.
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        limit = self.settings.clip or float("inf")
        totals["grad_norm"] = nn.utils.clip_grad_norm_(self.parameters.values(), limit)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        return {name: float(value) for name, value in totals.items()}

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """See `Stepper.average`."""
        if self.settings.ema:
            averaged = list(self._tensors("ema").values())
            torch._foreach_lerp_(averaged, list(self.parameters.values()), 1 - decay)

    def agree(self, flag: bool) -> bool:
        """Alone, one's own flag."""
        return flag

    @torch.no_grad()
    def read(self, part: str) -> dict[str, Tensor]:
        """See `Stepper.read`."""
        return {name: t.detach().cpu() for name, t in self._tensors(part).items()}

    @torch.no_grad()
    def write(self, part: str, tensors: Mapping[str, Tensor]) -> None:
        """See `Stepper.write`."""
        mine = self._tensors(part)
        check_names(part, mine, tensors)
        for name, tensor in mine.items():
            tensor.copy_(tensors[name])

    def resume(self, step: int) -> None:
        """See `Stepper.resume`."""
        for state in self.optimizer.state.values():
            state["step"].fill_(step)

    def show(self) -> None:
        """See `Stepper.show`."""
        averaged = self._tensors("ema" if self.settings.ema else "model")
        fill(self.shown, {**averaged, **dict(self.trained.named_buffers())})

    def _tensors(self, part: str) -> dict[str, Tensor]:
        if part == "model":
            return {**self.parameters, **dict(self.trained.named_buffers())}
        states = {name: self.optimizer.state[p] for name, p in self.parameters.items()}
        return {name: state[part] for name, state in states.items() if part in state}


@torch.no_grad()
def fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors by name into a module's parameters and buffers, wherever they are."""
    targets = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, tensor in tensors.items():
        targets[name].copy_(tensor)


def forward(module: nn.Module, batch: Batch, device: torch.device) -> dict[str, Tensor]:
    """The module's per-row values (B,): float32 on a CPU, bf16 products on a GPU."""
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        values = module(batch)
    return {name: value.float() for name, value in values.items()}


def to_device(batch: Batch, device: torch.device) -> dict[str, Tensor]:
    """The batch where the module is."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def pieces(batch: Batch, micro: int) -> Iterator[tuple[float, dict[str, Tensor]]]:
    """The batch in parts of at most `micro` rows (0: whole), each with its share of the rows."""
    rows = len(next(iter(batch.values())))
    size = micro or rows
    for start in range(0, rows, size):
        piece = {name: tensor[start : start + size] for name, tensor in batch.items()}
        yield len(next(iter(piece.values()))) / rows, piece


def add_means(totals: dict[str, Tensor], values: Mapping[str, Tensor], share: float) -> None:
    """Add the mean of each per-row value, weighted by the piece's share of the rows."""
    for name, value in values.items():
        totals[name] = totals.get(name, torch.zeros((), device=value.device)) + (
            value.detach().mean() * share
        )


def check_names(part: str, mine: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise RuntimeError unless a checkpoint's part has this module's names."""
    if mine.keys() != found.keys():
        names = ", ".join(sorted(mine.keys() ^ found.keys())[:5])
        raise RuntimeError(f"the checkpoint's {part} is of another module: {names}")
