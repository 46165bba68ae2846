"""The optimiser of a run: AdamW, or Muon for the matrices inside a network's blocks and AdamW for
all else.

A ZeRO worker holds a slice of a matrix, and Muon's step is of a whole one. So the optimiser asks
whoever shards to have slices made orthogonal: `train.zero` gathers them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from engine.schema import UserError
from train.settings import Settings

MOMENTUM = 0.95
"""Share of Muon's mean of gradients that is kept at each step."""
Orthogonal = Callable[[Tensor, Tensor], Tensor]
"""From what is updated (a matrix, or a worker's flat slice of some) and the direction of the same
shape: that shape's part of the orthogonal steps."""


class MuonAdamW(torch.optim.AdamW):
    """Groups that say `muon` are updated by Muon with Nesterov's momentum, the others by AdamW.

    The momentum is a mean of gradients as AdamW's first one is, and lies under the same name.
    """

    param_groups: list[dict[str, Any]]

    def __init__(self, groups: list[dict[str, Any]], betas: tuple[float, float]) -> None:
        super().__init__(groups, lr=0.0, betas=betas)
        self.orthogonal: Orthogonal = lambda _, direction: orthogonal(direction)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One step of each group at its rate."""
        groups = self.param_groups
        try:
            self.param_groups = [group for group in groups if not group["muon"]]
            super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            for updated in group["params"] if group["muon"] else ():
                self._update(updated, group["lr"], group["weight_decay"])

    def _update(self, updated: Tensor, rate: float, decay: float) -> None:
        gradient, mean = updated.grad, self.state[updated]["exp_avg"]
        assert gradient is not None
        mean.lerp_(gradient, 1 - MOMENTUM)
        direction = gradient.lerp(mean, MOMENTUM)
        updated.mul_(1 - rate * decay)
        updated.sub_(self.orthogonal(updated, direction), alpha=rate)


def orthogonal(direction: Tensor) -> Tensor:
    """Muon's step for a direction (rows, columns) in float32: five Newton-Schulz iterations (Jordan
    et al. 2024), with entries as large as AdamW's so that one rate does for both (Liu et al. 2025,
    arXiv 2502.16982, section 2.2). Momentum, rate and decay are the caller's."""
    step = nn.Parameter(torch.zeros_like(direction))
    step.grad = direction
    plain = {"lr": 1.0, "weight_decay": 0.0, "momentum": 0.0, "nesterov": False}
    torch.optim.Muon([step], **plain, adjust_lr_fn="match_rms_adamw").step()
    return -step.detach()


def trained_parameters(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained, by name; shared ones once."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def by_muon(module: nn.Module, settings: Settings) -> set[str]:
    """The trained parameters that Muon updates: matrices inside the parts that the module calls its
    `blocks`, where it is asked for. UserError where a module names none."""
    if settings.optimizer != "muon":
        return set()
    blocks = getattr(module, "blocks", ())
    parameters = trained_parameters(module).items()
    found = {name for name, p in parameters if p.ndim == 2 and name.startswith(tuple(blocks))}
    if not found:
        problem = "Muon is for matrices inside blocks, and this preset's model tells of none"
        raise UserError(problem, field="optimizer", expected="adamw")
    return found


def make_optimizer(module: nn.Module, settings: Settings) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019), decaying matrices only, with Muon where it is asked for;
    the loop sets the rate."""
    muon = by_muon(module, settings)
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in trained_parameters(module).items():
        groups.setdefault((name in muon, parameter.ndim >= 2), []).append(parameter)
    listed: list[dict[str, Any]] = [
        {"params": group, "muon": is_muon, "weight_decay": settings.weight_decay * is_matrix}
        for (is_muon, is_matrix), group in groups.items()
    ]
    if muon:
        return MuonAdamW(listed, settings.betas)
    return torch.optim.AdamW(listed, lr=0.0, betas=settings.betas)


def begin(
    optimizer: torch.optim.Optimizer, updated: Tensor, muon: bool, settings: Settings
) -> None:
    """The state of what has not been updated yet. The averaged weights are one more state, which
    the optimiser ignores, so that ZeRO shards and gathers them as it does the others."""
    state = {"step": torch.tensor(0.0), "exp_avg": torch.zeros_like(updated.data)}
    if not muon:
        state["exp_avg_sq"] = torch.zeros_like(updated.data)
    if settings.ema:
        state["ema"] = updated.detach().clone()
    optimizer.state[updated] = state
