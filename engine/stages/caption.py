"""The stage that captions: photographs of a listing in, rows with words or dead letters out.

`Caption` is plain Python over a `Captioner`, so tests need no cluster; `CaptionActor` is what Ray
starts, once per worker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.caption import (
    Backend,
    CaptionerLost,
    LoadedCaptioner,
    Manner,
    Refused,
    StoredPhotograph,
    Words,
)
from engine.data.example import UnreadableImage
from engine.data.photographs import read
from engine.pixels.encode import encode_photograph
from engine.schema import LABEL_NAMES
from engine.seeds import row_id
from engine.stages.call import Failure, FatalError, worded
from engine.stages.crash import DEATHS, Ledger, survive
from engine.stages.limits import Meter, PartLimits
from engine.stages.node import plan_here
from engine.stages.outcome import as_outcomes, images
from engine.store import ranges
from engine.store.listing import Listed, Listing, check_listing
from engine.store.plan import CaptionPlan


@dataclass(frozen=True)
class CaptionOutcome:
    """What became of one photograph: its picture and words, or why there are none."""

    index: int
    listed: Listed
    picture: StoredPhotograph | None = None
    words: Words | None = None
    failure: Failure | None = None


class Caption:
    """Captions rows of a plan with a captioner that is loaded already; photographs lie below
    `images`.
    """

    def __init__(
        self,
        plan: CaptionPlan,
        listing: Listing,
        images: Path,
        captioner: LoadedCaptioner,
        batch: int | None = None,
        limits: PartLimits | None = None,
    ) -> None:
        """`listing` is the plan's; `batch` is how many photographs are handed to the captioner
        at once, and decides no word.
        """
        self.plan = plan
        self.batch = batch or 2 * captioner.at_once
        self.limits = limits or PartLimits()
        self._listing = listing
        self._images = images
        self._captioner = captioner

    def table(self, chunk: ranges.Ranges) -> pa.Table:
        """Outcomes (`outcome_schema()`) of the chunk's rows, or of its first rows if the limits
        close the part. Raises CaptionerLost.
        """
        began = time.perf_counter()
        rows = list(self.rows(chunk))
        seconds = (time.perf_counter() - began) / max(len(rows), 1)
        return to_table(self.plan, rows, seconds)

    def given_up(self, index: int, reason: str) -> pa.Table:
        """The outcome of a photograph that ends the process of every worker."""
        (listed,) = self._listing.pick([index])
        lost = CaptionOutcome(index, listed, failure=Failure(reason, DEATHS, "caption"))
        return to_table(self.plan, [lost], 0.0)

    def rows(self, chunk: ranges.Ranges) -> Iterator[CaptionOutcome]:
        """Caption batch after batch while a thread reads and encodes the next one."""
        indices = list(ranges.to_indices(chunk))
        batches = [indices[i : i + self.batch] for i in range(0, len(indices), self.batch)]
        meter = Meter(self.limits)
        with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
            ahead = reader.submit(self._read, batches[0]) if batches else None
            for number, _ in enumerate(meter.until_full(batches)):
                read = ahead.result() if ahead else []
                more = number + 1 < len(batches)
                ahead = reader.submit(self._read, batches[number + 1]) if more else None
                meter.bytes += sum(len(each.picture.file) for each in read if each.picture)
                yield from self._worded(read)

    def _read(self, indices: Sequence[int]) -> list[CaptionOutcome]:
        found = zip(indices, self._listing.pick(indices), strict=True)
        return [self._one(index, listed) for index, listed in found]

    def _one(self, index: int, listed: Listed) -> CaptionOutcome:
        try:
            photograph = read(self._images, listed)
        except UnreadableImage as error:
            return CaptionOutcome(index, listed, failure=Failure(str(error)[:500], 1, "read"))
        except Exception as error:
            return CaptionOutcome(index, listed, failure=Failure(worded(error), 1, "read"))
        try:
            file = encode_photograph(photograph.image, self.plan.image_format, photograph.mark)
        except Exception as error:
            return CaptionOutcome(index, listed, failure=Failure(worded(error), 1, "encode"))
        return CaptionOutcome(index, listed, StoredPhotograph(photograph.image, file))

    def _worded(self, read: Sequence[CaptionOutcome]) -> Iterator[CaptionOutcome]:
        answers = iter(self._captioner.caption([e.picture for e in read if e.picture]))
        for each in read:
            if each.picture is None:
                yield each
                continue
            words = next(answers)
            if isinstance(words, Refused):
                failure = Failure(words.reason[:500], words.attempts, "caption")
                yield CaptionOutcome(each.index, each.listed, failure=failure)
            else:
                yield CaptionOutcome(each.index, each.listed, each.picture, words)


def to_table(plan: CaptionPlan, rows: Sequence[CaptionOutcome], worker_seconds: float) -> pa.Table:
    """Rows captioned just now as `outcome_schema()`; nothing is said of a model that drew them, for
    none did.
    """
    pictures = [each.picture for each in rows]
    known = [each.listed.annotation for each in rows]
    columns: dict[str, Any] = {
        "id": [row_id(plan.fingerprint, each.index) for each in rows],
        "index": [each.index for each in rows],
        "image": images([p.file if p else None for p in pictures], [e.listed.path for e in rows]),
        "width": [p.image.width if p else 0 for p in pictures],
        "height": [p.image.height if p else 0 for p in pictures],
        "caption": [each.words.text if each.words else None for each in rows],
        **{name: [getattr(each, name) for each in known] for name in LABEL_NAMES},
        "source": [each.source for each in known],
        "patient_id": [each.listed.patient_id for each in rows],
        "attempts": [getattr(each.failure or each.words, "attempts", 1) for each in rows],
        **{name: [value] * len(rows) for name, value in plan.common().items()},
        "stage": [each.failure.stage if each.failure else None for each in rows],
        "reason": [each.failure.reason if each.failure else None for each in rows],
        "spec": [_spec(each.listed) if each.failure else None for each in rows],
        "worker_seconds": [worker_seconds] * len(rows),
        "drawn": [time.time()] * len(rows),
    }
    return as_outcomes(columns, len(rows))


def _spec(listed: Listed) -> str:
    return json.dumps({"path": listed.path, "row": listed.row, "sha256": listed.sha256})


class CaptionActor:
    """What Ray starts once per worker: loads the captioner, then captions a chunk of rows with each
    call.
    """

    def __init__(
        self,
        root: str,
        attempt: int,
        images: str,
        backend: Backend,
        manner: Manner,
        batch: int | None,
        limits: PartLimits,
    ) -> None:
        """Raises FatalError if this node's libraries or weights are not the plan's, UserError for
        a captioner that cannot be used from here.
        """
        plan = plan_here(Path(root))
        if plan.kind != "caption":
            raise FatalError(f"{root} is no folder of captions")
        if backend.weights_sha256() != plan.weights_sha256:
            raise FatalError(f"this machine's copy of {plan.captioner} has other weights")
        listing = check_listing(Path(root), plan.images_sha256)
        if not Path(images).is_dir():
            raise FatalError(f"this node does not see {images}: it must lie on shared storage")
        captioner = backend.load(manner)
        self._caption = Caption(plan, listing, Path(images), captioner, batch, limits)
        self._ledger = Ledger(Path(root), attempt)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """`batch` holds one chunk: its ranges as JSON. Raises FatalError."""
        chunks = [json.loads(text) for text in batch["chunk"].to_pylist()]
        chunk = [(start, stop) for each in chunks for start, stop in each]
        caption = self._caption
        try:
            return survive(self._ledger, chunk, caption.limits, caption.table, caption.given_up)
        except CaptionerLost as error:
            raise FatalError(str(error)) from error
