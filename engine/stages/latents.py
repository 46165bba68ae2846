"""The stage that encodes: photographs of a set in, rows of latents or dead letters out.

`Encode` is plain Python over an encoder, so tests need no cluster; `LatentActor` is what Ray
starts, once per worker. Each photograph is encoded alone and on one thread, so a row has the same
bytes whichever worker makes it and whatever its neighbours are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from engine import device
from engine.data.example import UnreadableImage
from engine.data.latent_sets import (
    REFUSED,
    SEGMENTER,
    VAE,
    content_now,
    example_of,
    is_seen,
    table_of,
)
from engine.data.latents import (
    Encoder,
    Geometry,
    LatentSettings,
    encode_example,
    key_of,
    rules_of,
)
from engine.models.classes import load_component
from engine.models.geometry import Outlines
from engine.models.patches import encoder_of
from engine.models.segmenter import Segmenter
from engine.stages.call import FatalError
from engine.stages.crash import DEATHS, Ledger, survive
from engine.stages.limits import Meter, PartLimits
from engine.stages.node import plan_here
from engine.stages.outcome import as_outcomes
from engine.store import ranges
from engine.store.beside import Beside
from engine.store.latent_plan import LatentPlan

CHANGED = "changed"
"""The stage of dead letters of files that are no longer what was listed; a later run lists anew."""


class Encode:
    """Encodes rows of a plan, whose examples stand in `table`."""

    def __init__(
        self,
        plan: LatentPlan,
        table: Beside,
        encode: Encoder,
        geometry: Geometry | None,
        limits: PartLimits | None = None,
    ) -> None:
        """Raises FatalError where encoder or outliner are not the plan's."""
        self.plan = plan
        self.limits = limits or PartLimits()
        self._settings = LatentSettings(plan.size, plan.variants, plan.strength)
        self._table = table
        self._encode = encode
        self._geometry = geometry
        if rules_of(encode, self._settings, geometry) != plan.rules:
            raise FatalError(
                f"{table.place.root.parent}: its weights, or the code of this node, would make "
                "other latents than were planned; remove the folder to have all made anew"
            )

    def table(self, chunk: ranges.Ranges) -> pa.Table:
        """Outcomes (`outcome_schema(LATENTS)`) of the chunk's rows, or of its first rows if the
        limits close the part. Raises FatalError."""
        meter, rows = Meter(self.limits), []
        began = time.perf_counter()
        for index in meter.until_full(ranges.to_indices(chunk)):
            rows.append(self._row(index))
            meter.bytes += sum(len(rows[-1].get(name) or b"") for name in ("latents", "geometry"))
        return self._outcomes(rows, (time.perf_counter() - began) / max(len(rows), 1))

    def given_up(self, index: int, reason: str) -> pa.Table:
        """The outcome of a photograph that ends the process of every worker."""
        return self._outcomes([_letter(index, "encode", reason, DEATHS)], 0.0)

    def _row(self, index: int) -> dict[str, Any]:
        planned = self._table.row(index)
        example = example_of(planned)
        if not is_seen(example):
            # Whoever planned saw it a moment ago.
            raise FatalError(f"this node does not see {example.path}: it lies on no shared storage")
        try:
            content = content_now(example)
            if key_of(self.plan.rules, content) != planned["key"]:
                return _letter(index, CHANGED, f"{example.place}: changed since it was listed")
            made = encode_example(
                example, planned["key"], self._encode, self._settings, self._geometry
            )
        except UnreadableImage as error:
            return _letter(index, REFUSED, str(error))
        return {"index": index, "attempts": 1, "image_sha256": content.sha256, **made}

    def _outcomes(self, rows: Sequence[dict[str, Any]], worker_seconds: float) -> pa.Table:
        form = self.plan.FORM
        known = self.plan.columns([row["index"] for row in rows], [1] * len(rows))
        named = {name for row in rows for name in row}
        columns = {name: [row.get(name) for row in rows] for name in named}
        spent = {"worker_seconds": [worker_seconds] * len(rows), "drawn": [time.time()] * len(rows)}
        return as_outcomes({**known, **columns, **spent}, len(rows), form)


def _letter(index: int, stage: str, reason: str, tries: int = 1) -> dict[str, Any]:
    return {"index": index, "attempts": tries, "stage": stage, "reason": reason[:500]}


class LatentActor:
    """What Ray starts once per worker: loads the weights that lie beside the set, then encodes a
    chunk of rows with each call."""

    def __init__(self, root: str, attempt: int, limits: PartLimits) -> None:
        """Raises FatalError if this node does not see the set or would encode otherwise."""
        plan = plan_here(Path(root))
        if plan.kind != "latents":
            raise FatalError(f"{root} is no set of latents")
        table = table_of(Path(root), plan)
        table.check()
        encoder, outlines = load_encoder(Path(root).parent, plan.outlined)
        self._encode = Encode(plan, table, encoder, outlines, limits)
        self._ledger = Ledger(Path(root), attempt)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """`batch` holds one chunk: its ranges as JSON. Raises FatalError."""
        chunks = [json.loads(text) for text in batch["chunk"].to_pylist()]
        chunk = [(start, stop) for each in chunks for start, stop in each]
        encode, threads = self._encode, torch.get_num_threads()
        device.use_threads(device.THREADS)
        try:
            return survive(self._ledger, chunk, encode.limits, encode.table, encode.given_up)
        finally:
            # This may be the process that goes on to train.
            device.use_threads(threads)


def load_encoder(shelf: Path, outlined: bool) -> tuple[Encoder, Geometry | None]:
    """What encodes and what outlines, from the weights of a shelf."""
    vae = load_component(shelf / VAE).float().eval().requires_grad_(False)
    encoder = encoder_of(vae)
    if not outlined:
        return encoder, None
    network = Segmenter.from_pretrained(
        shelf / SEGMENTER, use_safetensors=True, local_files_only=True
    )
    return encoder, Outlines(network.float().eval(), encoder)
