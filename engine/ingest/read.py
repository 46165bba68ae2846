"""The photographs of a survey read one after the other, several at a time, into a destination.

They are written in the order of their paths, whoever is read first, so a run that was killed and
one that was not leave the same folder.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.ingest.destination import IMAGES, MASKS, Destination, Line
from engine.ingest.picture import Dropped, Taken, Writing, take
from engine.ingest.record import Record
from engine.ingest.survey import Survey

Tell = Callable[[int, int], None]
"""Called with photographs done and photographs in all."""
_THREADS = 8
NO_CONSENT = "no consent"
SAME_BYTES, SAME_PIXELS = "the same file as another", "the same pixels as another"


@dataclass(frozen=True)
class Intake:
    """One photograph of the source after it was read: its line of the journal. `same_as` is the
    name of the one that has its pixels; `reason` why it was dropped."""

    file: Path
    record: Record
    line: Line

    @property
    def reason(self) -> str | None:
        """Why it was dropped; None for one that is kept, or there twice."""
        return self.line.get("reason")

    @property
    def same_as(self) -> str | None:
        """The name of the photograph that has its pixels; None for the first of them."""
        return self.line.get("same_as")

    @property
    def look(self) -> np.ndarray:
        """See `engine.ingest.same.look_of`."""
        return np.frombuffer(base64.b64decode(self.line["look"]), np.int8)


def image_name(name: str, writing: Writing) -> str:
    """Where the image of a photograph lies."""
    return f"{IMAGES}/{name}.{writing.image_format}"


def mask_name(name: str, column: str) -> str:
    """Where a mask of it lies."""
    return f"{MASKS}/{name}.{column.removeprefix('mask_')}.png"


def readings(found: Survey, destination: Destination, writing: Writing, tell: Tell) -> list[Intake]:
    """All photographs read, those of an earlier run by its journal."""
    files = sorted(found.found)
    before = destination.journal()
    reader = _Reader(found, destination, writing)
    known = {f: line for f in files if (line := reader.known(f, before)) is not None}
    firsts = [each for each in known.values() if "look" in each and "same_as" not in each]
    first = {each["pixels"]: each["name"] for each in firsts}
    for file, taken in reader.ahead([f for f in files if f not in known]):
        known[file] = reader.write(file, taken, first)
        tell(len(known), len(files))
    refused = {each["pixels"] for each in known.values() if each.get("reason") == NO_CONSENT}
    for file, line in known.items():
        if line.get("pixels") in refused:
            # Another copy of it may lie there under a name of which no table speaks.
            known[file] = {**line, "reason": NO_CONSENT}
    return [Intake(file, found.found[file], known[file]) for file in files]


@dataclass(frozen=True)
class _Reader:
    found: Survey
    destination: Destination
    writing: Writing

    def place(self, file: Path) -> str:
        return os.fsencode(file.relative_to(self.found.root)).decode("utf-8", "backslashreplace")

    def stamp(self, file: Path) -> str:
        """What a line of the journal was made of."""
        seen = file.stat()
        record = self.found.found[file]
        told = repr((record.masks, record.synthetic, record.consent is False))
        return f"{seen.st_size}-{seen.st_mtime_ns}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def known(self, file: Path, before: dict[str, Line]) -> Line | None:
        line = before.get(self.place(file))
        if line is None or line["stamp"] != self.stamp(file):
            return None
        if "reason" in line:
            return line
        here = image_name(line.get("same_as") or line["name"], self.writing)
        return line if self.destination.holds(here) else None

    def ahead(self, files: list[Path]) -> Iterator[tuple[Path, Taken | Dropped]]:
        """What was read, in order; a few are read while the first is written."""
        workers = min(_THREADS, os.cpu_count() or 1)
        waiting: deque[tuple[Path, Future[Taken | Dropped]]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            try:
                for file in files:
                    waiting.append((file, pool.submit(self._read, file)))
                    if len(waiting) > 2 * workers:
                        first, future = waiting.popleft()
                        yield first, future.result()
                while waiting:
                    first, future = waiting.popleft()
                    yield first, future.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _read(self, file: Path) -> Taken | Dropped:
        record = self.found.found[file]
        try:
            return take(file, record.masks, record.synthetic, self.writing)
        except Dropped as dropped:
            return dropped

    def write(self, file: Path, taken: Taken | Dropped, first: dict[str, str]) -> Line:
        """Write the files of one and its line; `first` names who had its pixels first."""
        name = self.destination.name_of("photograph", self.place(file))
        line: Line = {"file": self.place(file), "stamp": self.stamp(file), "name": name}
        if isinstance(taken, Dropped):
            line["reason"] = str(taken)
        elif self.found.found[file].consent is False:
            line |= {"reason": NO_CONSENT, "pixels": taken.pixels}
        else:
            line |= {
                "sha256": taken.sha256,
                "pixels": taken.pixels,
                "look": base64.b64encode(taken.look.tobytes()).decode(),
                "text": taken.text,
                "patient": taken.patient,
                "laterality": taken.laterality,
                "camera": taken.camera,
                "masks": sorted(taken.masks),
                "lost": list(taken.lost),
            }
            if first.setdefault(taken.pixels, name) != name:
                line["same_as"] = first[taken.pixels]
            else:
                for column, data in taken.masks.items():
                    self.destination.write(mask_name(name, column), data)
                self.destination.write(image_name(name, self.writing), taken.image)
        self.destination.note(line)
        return line
