"""The folder that is written: images under names that say nothing, tables last, and in `private/`
the key of these names and the journal by which a killed run goes on.

The journal has a line for each photograph in the order in which they were read. A line that is cut
short, or whose photograph has changed since, counts as not written.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.files import hold, write_whole
from engine.schema import UserError

RULES = "1"
"""The version of how a source becomes files: raised when the same photograph would be written
otherwise."""
_KEY, _MANNER, _JOURNAL = "private/key", "private/ingest.json", "private/journal.jsonl"
IMAGES, MASKS = "images", "masks"

Line = dict[str, Any]


@dataclass(frozen=True)
class Destination:
    """A folder of this kind, with its key."""

    root: Path
    key: bytes

    def name_of(self, kind: str, text: str) -> str:
        """A name that only who has the key can tell from others: 16 hexadecimal digits of
        HMAC-SHA256 over a kind of thing and its text."""
        message = f"{kind}\0{text}".encode("utf-8", "surrogateescape")
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:16]

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        write_whole(self.root / name, data)

    def holds(self, name: str) -> bool:
        """Whether this file was written."""
        return (self.root / name).is_file()

    def journal(self) -> dict[str, Line]:
        """The lines of earlier runs by file, each the last of its file."""
        with suppress(FileNotFoundError):
            found: dict[str, Line] = {}
            for text in (self.root / _JOURNAL).read_text("utf-8").split("\n"):
                with suppress(json.JSONDecodeError):
                    line = json.loads(text)
                    found[line["file"]] = line
            return found
        return {}

    def note(self, line: Line) -> None:
        """Add a line to the journal; it begins a new one whatever stood cut short before it."""
        with (self.root / _JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(f"\n{json.dumps(line)}")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The time of a run, which no other on this folder shares. Raises UserError."""
        with (self.root / _KEY).open("rb") as held:
            if not hold(held):
                raise UserError("another run writes it", file=self.root, asked="out")
            yield

    def only(self, kept: set[str]) -> None:
        """Delete images and masks that no table names any more, and drafts of a killed run."""
        for folder in (IMAGES, MASKS):
            for file in (self.root / folder).iterdir():
                if f"{folder}/{file.name}" not in kept:
                    file.unlink()


def open_destination(root: Path, writing: dict[str, Any]) -> Destination:
    """The folder, new or to go on with. UserError for one that holds something else, or that was
    begun in another writing."""
    writing = {**writing, "rules": RULES}
    if root.exists() and not root.is_dir():
        raise UserError("is no folder", file=root, asked="out")
    if not (root / _MANNER).is_file():
        if root.is_dir() and any(root.iterdir()):
            raise UserError("holds something else", file=root, asked="out", expected="a new folder")
        for folder in (IMAGES, MASKS):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "private").mkdir(mode=0o700, exist_ok=True)
        (root / _KEY).write_text(secrets.token_hex(32))
        (root / _KEY).chmod(0o600)
        # Last, so that a folder has a key before it counts as one of these.
        destination = Destination(root, (root / _KEY).read_bytes())
        destination.write(_MANNER, json.dumps(writing, indent=2).encode())
        return destination
    before = json.loads((root / _MANNER).read_text("utf-8"))
    for name, value in writing.items():
        if before.get(name) != value:
            problem = f"was begun with {name} {before.get(name)}, not {value}"
            raise UserError(problem, file=root, asked="out", expected="another ⟨out⟩")
    return Destination(root, (root / _KEY).read_bytes())
