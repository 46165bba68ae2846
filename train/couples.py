"""Couples: where a teacher's flow begins and where it ends, for a student to learn the straight way
between them.

They are made as `retinaforge generate` draws rows: phantoms of annotations, worded, drawn by the
teacher with guidance. A folder of its own in the cache holds them, eight to a file, and a file that
is there is never made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from engine import seeds
from engine.diffusion.loss import noisy
from engine.diffusion.pipeline import RetinaForgePipeline, SampleSettings
from engine.models.cameras import cameras_of
from engine.models.grounds import PhantomGeometry, stacked
from engine.phantom import VERSION as PHANTOM
from engine.prose.template import WORDING, caption
from engine.schema import Annotation
from engine.specs.mix import default_mix
from train.chance import random_annotation
from train.journal import Pace

SHARD = 8
"""Couples of a file; all of one size."""
_VERSION = 1
_NAMED, _WORDLESS, _USUAL = 0.85, 0.15, 0.5
"""Shares of couples that name a camera, that have no caption, and whose labels are as usual in a
clinic."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Teaching:
    """All that decides couples: the teacher by its hash, how it is called, the sizes of files by
    turns, the seed, and what is known by `sources`."""

    teacher: str
    steps: int
    guidance: float
    t0: float
    sizes: tuple[int, ...]
    seed: int
    sources: tuple[str, ...]

    @property
    def key(self) -> str:
        """Tells these couples from others."""
        rules = [_VERSION, PHANTOM, WORDING, asdict(self)]
        return hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:16]

    def size(self, shard: int) -> int:
        """Pixels of the couples of a file."""
        return self.sizes[shard % len(self.sizes)]

    def asked(self, number: int) -> tuple[Annotation, str, int]:
        """Annotation, caption and seed of a couple: a pure function."""
        rng = seeds.row_random(self.seed, number, "couple")
        usual = rng.random() < _USUAL
        annotation = default_mix().draw(number, rng) if usual else random_annotation(rng)
        if self.sources and rng.random() < _NAMED:
            annotation = annotation.model_copy(update={"source": rng.choice(self.sources)})
        worded = rng.random() >= _WORDLESS
        return (
            annotation,
            caption(annotation, rng) if worded else "",
            seeds.row_seed(self.seed, number),
        )


class Couples:
    """The couples of a teaching below a folder of the cache."""

    def __init__(self, cache: Path, teaching: Teaching) -> None:
        self.folder = cache / f"couples-{teaching.key}"
        self.teaching = teaching

    def file(self, shard: int) -> Path:
        """Where a shard lies once it is made."""
        return self.folder / f"{shard:05d}.safetensors"

    def make(
        self, pipeline: RetinaForgePipeline, home: Path, count: int, say: Callable[[str], None]
    ) -> None:
        """Bring the first `count` files up to date. `home` is the teacher's folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        pace = Pace("drew couple", say, to_the_end=True)
        for shard in range(count):
            if not self.file(shard).exists():
                self._make(shard, pipeline, PhantomGeometry(cameras_of(home)))
            pace((shard + 1) * SHARD, count * SHARD)

    @torch.no_grad()
    def _make(self, shard: int, pipeline: RetinaForgePipeline, source: PhantomGeometry) -> None:
        teaching, size = self.teaching, self.teaching.size(shard)
        rows = [teaching.asked(number) for number in range(shard * SHARD, (shard + 1) * SHARD)]
        annotations, prompts, row_seeds = (list(each) for each in zip(*rows, strict=True))
        lit, outlined = teaching.t0 > 0, pipeline.geometry_encoder is not None
        grounds = []
        if lit or outlined:
            grounds = [source.ground(a, seed, size, lit) for a, _, seed in rows]
        given = stacked(grounds, outlined, lit)
        how = SampleSettings(
            size=size, steps=teaching.steps, guidance=teaching.guidance, t0=teaching.t0
        )
        begun = pipeline.noise(row_seeds, size)
        if lit:
            times = torch.full((len(rows),), teaching.t0, device=begun.device)
            begun = noisy(pipeline.begin(given["start"], teaching.t0).latents, begun, times)
        found = {
            "begun": begun,
            "ended": pipeline.drawn(
                prompts, annotations, row_seeds, how, given.get("geometry"), given.get("start")
            ),
        }
        if outlined:
            found["geometry"] = pipeline.outlined(begun, given["geometry"])
        told = [[a.model_dump(exclude_none=True), prompt] for a, prompt, _ in rows]
        _save(found, told, self.file(shard))

    def row(self, shard: int, place: int) -> Row:
        """A couple: latents `begun`, `ended` (C, h, w), `geometry` (G, h, w) or None, annotation
        and caption."""
        with safe_open(self.file(shard), "pt") as file:
            annotation, prompt = json.loads(file.metadata()["rows"])[place]
            names = list(file.keys())
            found: Row = {name: file.get_slice(name)[place].float() for name in names}
        return {
            "geometry": None,
            **found,
            "annotation": Annotation(**annotation),
            "caption": prompt,
        }


def _save(found: dict[str, torch.Tensor], rows: Sequence[Any], file: Path) -> None:
    """Whole or not at all, in float16."""
    half = {name: value.half().cpu().contiguous() for name, value in found.items()}
    partial = file.with_suffix(f".{os.getpid()}.tmp")
    save_file(half, partial, metadata={"rows": json.dumps(rows)})
    partial.replace(file)
