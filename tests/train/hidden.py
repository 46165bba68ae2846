"""A network with hidden matrices of sizes that two workers do not divide, and its rows."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from toy import SETTINGS

MUON = replace(SETTINGS, optimizer="muon", lr=0.02, clip=0.05)
MATRICES = ("layers.0.weight", "layers.2.weight")


class Hidden(nn.Module):
    """Two blocks between an embedding and a head."""

    blocks = ("layers.",)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Linear(2, 5)
        self.layers = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 7))
        self.head = nn.Linear(7, 1)

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """x (B, 2), y (B, 1): squared error of each row."""
        found = self.head(torch.tanh(self.layers(torch.tanh(self.embedding(batch["x"])))))
        return {"loss": (found - batch["y"]).pow(2).squeeze(1)}


def rows(step: int, first: int = 0, count: int = 8) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    x = torch.rand(8, 2, generator=generator) * 2 - 1
    whole = {"x": x, "y": torch.sin(3 * x[:, :1]) + x[:, 1:]}
    return {name: tensor[first : first + count] for name, tensor in whole.items()}


def plainly(steps: int, matrices: tuple[str, ...] = MATRICES) -> dict[str, torch.Tensor]:
    """The weights after so many steps of torch's own optimisers: Muon for these matrices."""
    module = Hidden()
    named = dict(module.named_parameters())
    muon = [named.pop(name) for name in matrices]
    groups = [
        {"params": [p for p in named.values() if p.ndim >= 2], "weight_decay": MUON.weight_decay},
        {"params": [p for p in named.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    both = [torch.optim.AdamW(groups, lr=MUON.lr, betas=MUON.betas)]
    if muon:
        how = {"momentum": 0.95, "adjust_lr_fn": "match_rms_adamw"}
        both.append(torch.optim.Muon(muon, MUON.lr, MUON.weight_decay, **how))
    for step in range(steps):
        module.zero_grad()
        module(rows(step))["loss"].mean().backward()
        nn.utils.clip_grad_norm_(module.parameters(), MUON.clip)
        for each in both:
            each.step()
    return {name: p.detach() for name, p in module.named_parameters()}
