"""The weights of the lowest held-out loss of a run: measured as they would be exported (averaged,
where the run averages), and kept in its folder as a checkpoint of one part.

A run that goes on measures again what it measured before, so nothing of this is in its checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from engine.schema import UserError
from train.checkpoint import Checkpoint, find, remove, sync, write
from train.folder import RunFolder
from train.recipe import Measurable, Recipe
from train.settings import Settings
from train.stepper import Stepper, forward, to_device, trained_parameters

_LOSS = "held_out_loss"


@dataclass(frozen=True)
class Best:
    """Of one run, on one worker; only rank 0 measures."""

    recipe: Recipe
    stepper: Stepper
    folder: RunFolder

    def loss(self, few: bool = False) -> float:
        """The mean of all held-out rows, or of a few, by the recipe's module. It computes on the
        stepper's device and comes back to the CPU."""
        assert isinstance(self.recipe, Measurable)
        module, device = self.recipe.module.to(self.stepper.device), self.stepper.device
        try:
            losses = [
                forward(module, to_device(batch, device), device)["loss"]
                for batch in islice(self.recipe.held_out(), 1 if few else None)
            ]
        finally:
            module.to("cpu")
        if not losses:
            raise ValueError("no held-out photograph can be read")
        return float(torch.cat(losses).mean())

    def measure(self, step: int) -> float:
        """The loss of the module's present weights, which are kept if it is the lowest so far."""
        loss = self.loss()
        if loss < lowest(self.kept()):
            keep(self.folder, self.recipe.module, step, loss)
        return loss

    def kept(self) -> Checkpoint | None:
        """See `best`."""
        return best(self.folder)

    def run_out(self, step: int) -> bool:
        """See `run_out`; the same on every rank."""
        settings, mine = self.recipe.settings, self.stepper.rank == 0
        if not settings.patience:
            return False
        return self.stepper.agree(mine and run_out(settings, self.kept(), step))


def best(folder: RunFolder) -> Checkpoint | None:
    """What was kept; None if nothing was. UserError where it is damaged."""
    found = find(folder.best)
    if found.damaged and not found.checkpoint:
        raise UserError(
            f"the weights of the lowest held-out loss are damaged: {found.told}",
            file=folder.best,
            expected="the files as they were written; without the folder, the lowest from here on",
        )
    return found.checkpoint


def lowest(kept: Checkpoint | None) -> float:
    """Its held-out loss; infinite where nothing is kept."""
    return float(kept.state[_LOSS]) if kept else float("inf")


def keep(folder: RunFolder, module: nn.Module, step: int, loss: float) -> None:
    """Put the module's weights in the place of those kept before."""
    final = folder.best / f"step_{step:08d}"
    temporary = final.with_name(f".{final.name}.{folder.claim}.tmp")
    weights = {**trained_parameters(module), **dict(module.named_buffers())}
    state = {"step": step, _LOSS: loss}
    try:
        problem = write(temporary, state, lambda part: weights if part == "model" else {}, True)
        with folder.landing():
            if problem is not None:
                raise problem
            before = [each for each in folder.best.glob("step_*") if each != final]
            remove(final)
            temporary.replace(final)
            sync(folder.best)
            for each in before:
                remove(each)
    finally:
        remove(temporary)


def run_out(settings: Settings, kept: Checkpoint | None, step: int) -> bool:
    """Whether the held-out loss has not fallen for as long as the settings wait."""
    waited = step - (kept.step if kept else 0)
    return bool(settings.patience) and waited >= settings.patience * settings.held_out_every
