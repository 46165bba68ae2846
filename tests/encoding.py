"""Encoding for tests: a small autoencoder and outliner, and asks for latents of some examples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from engine.data.contents import Contents
from engine.data.example import Example
from engine.data.latents import LatentSettings
from engine.data.sources import read_examples
from engine.data.transforms import to_tensor
from engine.jobs.latents import LatentAsk, bring_up
from engine.jobs.run import Schedule
from engine.models import principal_components
from engine.models.geometry import Outlines
from engine.models.patches import encoder_of
from engine.models.segmenter import Segmenter
from tests.eyes import eye, write_eyes

PLAIN = LatentSettings(size=64, variants=2)


@cache
def networks():
    """An autoencoder that began as components, and an outliner that knows nothing."""
    torch.manual_seed(0)
    vae = principal_components.build("debug")
    some = torch.stack([to_tensor(eye(number, 64)) for number in range(4)])
    principal_components.start_from_components(vae, some)
    vae.eval().requires_grad_(False)
    return vae, Segmenter(features=(8, 8, 8, 8, 8, 8)).eval()


def ask_for(
    below: Path,
    examples: Sequence[Example],
    settings: LatentSettings = PLAIN,
    outlined: bool = True,
) -> LatentAsk:
    """Latents of these examples in a cache."""
    vae, segmenter = networks()
    encode, contents = encoder_of(vae), Contents(below)
    known = contents.of(examples, lambda *_: None)
    contents.keep()
    outlines = (segmenter, Outlines(segmenter, encode)) if outlined else (None, None)
    return LatentAsk(below, examples, known, settings, vae, encode, *outlines)


def encoded(ask: LatentAsk, **schedule):
    """Where the latents of an ask lie, and what was told while they were made."""
    told = []
    kept = bring_up(ask, Schedule(**{"workers": 0, **schedule}), told.append)
    return kept, told


def files(folder: Path, count: int) -> list[Example]:
    """So many photographs as files."""
    return read_examples([str(write_eyes(folder, count, 80))])


def set_folders(below: Path) -> list[Path]:
    """The sets that a cache holds, in order of their names."""
    return sorted(plan.parent for plan in below.glob("*/*/plan.json"))


def rows_below(below: Path) -> list[dict]:
    """All committed rows of a cache by key, without what tells of a run."""
    import pyarrow.parquet as pq

    rows = [
        row for part in below.glob("*/*/parts/*.parquet") for row in pq.read_table(part).to_pylist()
    ]
    loose = ("id", "index", "fingerprint")
    kept = [{name: each for name, each in row.items() if name not in loose} for row in rows]
    return sorted(kept, key=lambda row: row["key"])
