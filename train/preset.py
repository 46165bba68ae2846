"""What a preset is: a named training run, before anything of it is imported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from train.settings import Settings

if TYPE_CHECKING:
    from train.recipe import Recipe


@dataclass(frozen=True)
class Preset:
    """A named run: its settings, and the module whose `plan(settings, data)` makes its recipe and
    whose `build(settings, data)` prepares it too.

    The module is imported when a recipe is made: naming presets must not wait for torch.
    """

    settings: Settings
    recipe: str

    def plan(self, settings: Settings, data: list[str]) -> Recipe:
        """The recipe of these settings on `data`, before any photograph is read."""
        return import_module(self.recipe).plan(settings, data)

    def build(self, settings: Settings, data: list[str]) -> Recipe:
        """The recipe of these settings on `data`."""
        return import_module(self.recipe).build(settings, data)

    def like(self, **changes: Any) -> Self:
        """Another preset, whose settings differ in this."""
        return replace(self, settings=replace(self.settings, **changes))
