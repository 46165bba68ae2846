"""The work of encoding: from an ask and what the cache holds to sealed plans of what it lacks. They
are carried out before anybody trains; then everybody only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError

from engine.data.contents import Content
from engine.data.example import Example
from engine.data.latent_sets import (
    SEGMENTER,
    VAE,
    Kept,
    Standing,
    Wanted,
    alone,
    lay_once,
    plan_of_set,
    set_of,
    standing,
    still_wanted,
)
from engine.data.latents import (
    Encoder,
    Geometry,
    LatentSettings,
    key_of,
    no_cache,
    rules_of,
    weights_of,
)
from engine.jobs.run import Schedule, carry_out
from engine.stages.latents import LatentActor
from engine.stages.limits import PartLimits
from engine.stages.watch import Tell
from engine.store.commits import Folder
from engine.store.latent_plan import LatentPlan
from engine.store.parts import dead_files


class Weights(Protocol):
    """A network that can be written into a folder, as diffusers' are."""

    def save_pretrained(self, folder: Path) -> Any: ...


@dataclass(frozen=True)
class LatentAsk:
    """Latents of these examples, whose `contents` are known, as `vae` and `segmenter` make them;
    they are kept below `cache`."""

    cache: Path
    examples: Sequence[Example]
    contents: Sequence[Content]
    settings: LatentSettings
    vae: Weights
    encode: Encoder
    segmenter: Weights | None = None
    geometry: Geometry | None = None

    @property
    def rules(self) -> str:
        """All that decides latents besides the photograph."""
        return rules_of(self.encode, self.settings, self.geometry)


@dataclass(frozen=True)
class Encoding:
    """The photographs of a set encoded; a `Work`. Workers find the weights beside the set."""

    plan: LatentPlan
    actor: type = LatentActor
    on_gpu: bool = False
    threads: int = 1
    rows_per_call: int = 1

    @property
    def row_seconds(self) -> float:
        return 0.1 * self.plan.variants * (self.plan.size / 256) ** 2

    @property
    def row_bytes(self) -> float:
        return 3.0 * self.plan.variants * self.plan.size**2

    def arguments(
        self, root: Path, attempt: int, batch: int | None, limits: PartLimits
    ) -> tuple[Any, ...]:
        return str(root), attempt, limits


def plan_again(out: Path, existing: LatentPlan, address: str | None) -> Encoding:
    """The encoding that the set's own plan stands for."""
    return Encoding(existing)


def bring_up(
    ask: LatentAsk, schedule: Schedule, tell: Tell, wait: Callable[[], None] = lambda: None
) -> Kept:
    """Encode what the cache lacks, and say where everything lies. `wait` is called once where
    another run encodes the same just now.

    Raises UserError where the cache cannot be written, RunError where the run cannot go on.
    """
    rules, shelf = ask.rules, ask.cache / weights_of(ask.encode, ask.geometry)
    keys = [None if each.refused else key_of(rules, each) for each in ask.contents]
    wanted = {
        key: Wanted(example, key)
        for example, key in zip(ask.examples, keys, strict=True)
        if key is not None
    }
    now = standing(shelf)
    if any(not now.knows(key) for key in wanted):
        with _cache(ask.cache), alone(shelf, wait):
            _lay_weights(shelf, ask)
            for root, work, redrive in _works(shelf, wanted, ask):
                tell(carry_out(root, work, work.plan.photographs, schedule, tell, redrive))
            now = standing(shelf)
    return _kept(now, keys, ask)


def _works(
    shelf: Path, wanted: Mapping[str, Wanted], ask: LatentAsk
) -> list[tuple[Path, Encoding, bool]]:
    """The sets that lack nothing but what is wanted are gone on with, failed rows included; what
    is lacking then is a new one."""
    now, works = standing(shelf), []
    left = {key: each for key, each in wanted.items() if not now.knows(key)}
    for root, lacking in now.lacking.items():
        plan = plan_of_set(root)
        if plan is not None and still_wanted(root, lacking, wanted):
            failed = bool(dead_files(Folder(root))[0])
            works.append((root, Encoding(plan), failed))
            for key in lacking.values():
                left.pop(key, None)
    if left:
        root, sha256 = set_of(shelf, left.values())
        works.append((root, Encoding(_plan(ask, len(left), sha256)), False))
    return works


def _plan(ask: LatentAsk, photographs: int, sha256: str) -> LatentPlan:
    how = ask.settings
    return LatentPlan(
        # A latent is what its rules say. The last bits are those of whoever came first, or a new
        # version of a library would have everything encoded again.
        versions={},
        size=how.size,
        variants=how.variants,
        strength=how.strength,
        outlined=ask.geometry is not None,
        rules=ask.rules,
        photographs=photographs,
        photographs_sha256=sha256,
    ).sealed()


def _lay_weights(shelf: Path, ask: LatentAsk) -> None:
    lay_once(shelf / VAE, ask.vae.save_pretrained)
    if ask.segmenter is not None:
        lay_once(shelf / SEGMENTER, ask.segmenter.save_pretrained)


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """What the disk refuses outside a set's own folder, in words."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise no_cache(folder, error) from error


def _kept(now: Standing, keys: Sequence[str | None], ask: LatentAsk) -> Kept:
    spots, refused = [], []
    for example, content, key in zip(ask.examples, ask.contents, keys, strict=True):
        spot = now.spots.get(key) if key else None
        spots.append(spot)
        if spot is None:
            refused.append(_why(example, content.refused or now.reason(key)))
    return Kept(tuple(spots), tuple(ask.contents), tuple(refused))


def _why(example: Example, reason: str) -> str:
    """The reason with the name of the photograph: a letter may be of its like elsewhere."""
    names = (example.place, *(str(path) for _, path in example.masks))
    return reason if any(name in reason for name in names) else f"{example.place}: {reason}"
