"""A place that is no disk: whoever runs on it asks nothing of a place but what `Place` says."""

from __future__ import annotations

import errno
import io
from pathlib import Path

from engine.store.place import Draft, StaleAttempt, hidden


class Memory:
    """Files as bytes by name; see `engine.store.place.Place`."""

    def __init__(self, root: Path = Path("memory")) -> None:
        self.root = root
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()

    def is_folder(self) -> bool:
        return True

    def make(self, folder: str = "", mode: int = 0o777) -> None:
        while folder:
            self.folders.add(folder)
            folder = folder.rpartition("/")[0]

    def names(self, folder: str = "") -> list[str]:
        found = {*self.files, *self.folders}
        return sorted(name for name in found if name.rpartition("/")[0] == folder)

    def holds(self, name: str) -> bool:
        return name in self.files or name in self.folders

    def reader(self, name: str) -> io.BufferedReader:
        if name not in self.files:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(self.root / name))
        return io.BufferedReader(io.BytesIO(self.files[name]))

    def draft(self, final: str, number: int) -> Draft:
        name = hidden(final, number)
        self.files[name] = b""
        return Draft(name, final, io.BytesIO())

    def publish(self, draft: Draft) -> bool:
        if draft.final in self.files:
            self.drop(draft)
            return False
        self.overwrite(draft)
        return True

    def overwrite(self, draft: Draft) -> None:
        if self.files.pop(draft.name, None) is None:
            raise StaleAttempt(f"{draft.name} was swept by a newer run")
        draft.file.seek(0)
        self.files[draft.final] = draft.file.read()

    def drop(self, draft: Draft) -> None:
        self.files.pop(draft.name, None)

    def keep(self, name: str, data: bytes) -> None:
        if name.rpartition("/")[0] not in self.folders:
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(self.root / name))
        self.files[name] = data

    def delete(self, name: str) -> None:
        self.files.pop(name, None)

    def clear(self, folder: str) -> None:
        self.folders = {n for n in self.folders if n != folder and not n.startswith(f"{folder}/")}
        for name in [n for n in self.files if n == folder or n.startswith(f"{folder}/")]:
            del self.files[name]
