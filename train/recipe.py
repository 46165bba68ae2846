"""What a recipe must offer so that the loop can train it.

A recipe knows what is trained, on what, and what the finished folder looks like. It knows nothing
of steps, workers, optimisers or checkpoints; those are the loop's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from PIL import Image
from torch import Tensor, nn

from train.settings import Settings

if TYPE_CHECKING:
    from engine.data.example import Example
    from engine.jobs.run import Schedule


class Recipe(Protocol):
    """One thing to train. B is the number of rows asked for.

    Making one checks settings and tables and opens no photograph: it raises UserError within
    seconds or not at all. What takes longer (decoding, outlining, encoding) is `prepare`'s, and
    only then is there a `module`.
    """

    settings: Settings
    counts: str
    """How many photographs of how many teach, in words."""
    refused: list[str]
    """Why files of the data were left out, one line each."""

    def sketch(self) -> nn.Module:
        """A module as large as the one that will be trained."""

    def prepare(self) -> Self:
        """Read the photographs and build the module; UserError where none can be read."""

    @property
    def module(self) -> nn.Module:
        """What is trained: `module(batch)` gives per-row values (B,), and "loss" is minimised.

        The loop trains a copy of it. The recipe's own stays where the recipe put it (the CPU), and
        is given the averaged weights before `sheet`, `score` and `export`.
        """

    def batch(self, positions: Sequence[int]) -> dict[str, Tensor]:
        """Rows for the global sample positions, on the CPU: first dimension B.

        A pure function of (settings.seed, position) for each row: choice of example,
        augmentation, time, noise and dropout all come from it, so that a changed number of
        workers sees the same rows. On a GPU it is called from another thread, one batch ahead.
        """

    # What follows runs once before the first step too, with `few`: the same code on the same data
    # and settings, with as little of each kind of work as there can be, so that a night of training
    # does not find out at its end that there is no way to end. None of it may change what `batch`
    # gives.

    def sheet(self, few: bool = False) -> Image.Image | None:
        """A picture of what the present weights of `module` give, or None where there is none."""

    def score(self, few: bool = False) -> dict[str, float]:
        """Held-out figures of the present weights of `module`; may be empty."""

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the finished model with the present weights of `module` into the empty `folder`.

        `facts` (steps, samples, preset, settings, scores, losses, wall seconds, workers, zero,
        versions, parents) go into `folder`/model_card.json beside the recipe's own facts.
        """


@runtime_checkable
class Specimens(Protocol):
    """A recipe whose pass can be weighed before any photograph is read (`train.weighing`)."""

    tokens: int
    """Of a row, as the denoiser reads its latents."""

    def specimen(self, rows: int) -> dict[str, Tensor]:
        """A batch as `batch` gives one, of the shapes that take most; its values mean nothing."""


@runtime_checkable
class Measurable(Protocol):
    """A recipe whose loss can be measured on what teaches nothing (`train.best`)."""

    def held_out(self) -> Iterable[dict[str, Tensor]]:
        """Batches as `batch` gives them, the same each time: noise, times and conditions too."""


@runtime_checkable
class Judgeable(Protocol):
    """A recipe of a model that draws, whose samples can be judged (`train.judging`)."""

    settings: Settings

    @property
    def examples(self) -> Sequence[Example]:
        """All that it was given, of every split."""

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """See `Recipe`."""


@runtime_checkable
class OnLatents(Protocol):
    """A recipe that learns from latents: the process that starts a run has what is lacking encoded,
    before there are workers; each of these is told where latents lie, and reads."""

    def encode(self, schedule: Schedule, say: Callable[[str], None]) -> Any:
        """Bring the cache up to date. Gives what every worker's recipe is to `take` before it is
        prepared: small, and picklable. Raises UserError, and RunError where it cannot go on."""

    def take(self, latents: Any) -> None:
        """Be told where they lie."""
