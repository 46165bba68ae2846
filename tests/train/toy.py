"""A recipe small enough to see through: a two-layer regression of sine waves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from engine.models.card import write_card
from engine.schema import UserError
from train.preset import Preset
from train.settings import Settings

SETTINGS = Settings(
    name="toy",
    steps=10,
    batch=8,
    lr=1e-2,
    warmup=2,
    weight_decay=0.1,
    ema=0.9,
    clip=1.0,
    checkpoint_every=100,
    model={"width": 16, "poison": -1},
    data={"sleep": 0.0, "pids": "", "fails": ""},
)


class Regression(nn.Module):
    """Fits y = sin(3x), with a bias that nothing uses, a frozen scale and a counting buffer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))
        self.unused = nn.Parameter(torch.ones(3))
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """x, y (B, 1): squared and absolute error per row."""
        if self.training:
            self.seen += 1
        error = (self.layers(batch["x"]) * self.scale - batch["y"]).squeeze(1)
        return {"loss": error.pow(2), "absolute": error.abs()}


class ToyRecipe:
    """Rows are drawn from (seed, position).

    Settings provoke faults: position `model.poison` is not a number, `data.sleep` seconds slow
    every batch, each process that builds the recipe writes its id into the file `data.pids`, and
    `data.fails` names what raises: rehearsal, sheet, score or export. Held-out sines are `goal`
    times as high as those that teach.
    """

    goal = 1.0

    def __init__(self, settings: Settings, data: list[str]) -> None:
        if data == ["wrong"]:
            raise UserError("no such data", field="--data")
        self.settings = settings
        self.counts = "no photograph teaches: sines are drawn"
        self.refused: list[str] = []

    def sketch(self):
        return Regression(self.settings.model["width"])

    def prepare(self):
        settings = self.settings
        if settings.data["pids"]:
            with open(settings.data["pids"], "a") as file:
                file.write(f"{os.getpid()}\n")
        torch.manual_seed(settings.seed)
        self.module = Regression(settings.model["width"])
        if settings.init:
            weights = json.loads((Path(settings.init) / "model_card.json").read_text())["first"]
            nn.init.constant_(self.module.layers[0].bias, weights)
        return self

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        time.sleep(self.settings.data["sleep"])
        rows = []
        for position in positions:
            generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + position)
            rows.append(torch.rand(1, generator=generator) * 2 - 1)
            if position == self.settings.model["poison"]:
                rows[-1] = rows[-1] * float("nan")
        x = torch.stack(rows)
        return {"x": x, "y": torch.sin(3 * x)}

    def held_out(self):
        x = torch.linspace(-1, 1, 64)[:, None]
        yield from ({"x": part, "y": self.goal * torch.sin(3 * part)} for part in x.split(24))

    def sheet(self, few: bool = False) -> Image.Image | None:
        self._fail("rehearsal" if few else "sheet")
        return Image.new("RGB", (4, 4))

    @torch.no_grad()
    def score(self, few: bool = False) -> dict[str, float]:
        self._fail("" if few else "score")
        x = torch.linspace(-1, 1, 64)[:, None]
        return {"held_out": float(self.module({"x": x, "y": torch.sin(3 * x)})["loss"].mean())}

    def _fail(self, what: str) -> None:
        if what and self.settings.data["fails"] == what:
            raise IndexError(f"{what} fails")

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        save_file(
            {k: v.clone() for k, v in self.module.state_dict().items()}, folder / "w.safetensors"
        )
        first = self.module.layers[0].bias[0].item()
        write_card(folder, {**facts, "first": first})
        if not few:
            self._fail("export")


plan = ToyRecipe


def build(settings: Settings, data: list[str]) -> ToyRecipe:
    return ToyRecipe(settings, data).prepare()


PRESET = Preset(SETTINGS, "toy")
