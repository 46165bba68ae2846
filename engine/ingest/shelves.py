"""What lies in a folder, by name; and the published sets that tell by their folders rather than by
a table: masks of IDRiD and REFUGE, and REFUGE's glaucoma in its training photographs' names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from engine.data.named import IMAGE_ENDINGS, files_below, is_image, same_name
from engine.ingest.record import Outline, Record
from engine.kinds import DICOM, kind_of_file

_SPLIT = re.compile(r"(?<![a-z])(?:train|test|valid|eval|val\b)", re.IGNORECASE)
_SPLITS = {"train": "train", "test": "test", "valid": "val", "eval": "val", "val": "val"}
_MASKS = re.compile(r"groundtruth|mask|-gt\b", re.IGNORECASE)
_IDRID = (
    ("mask_dark_lesion", ("MA", "HE")),
    ("mask_bright_lesion", ("EX", "SE")),
    ("mask_disc", ("OD",)),
)
_REFUGE = re.compile(r"([gnvt])\d{4}", re.IGNORECASE)
_CUP, _DISC = 64, 192
"""REFUGE's masks are 0 in the cup, 128 in the rim and 255 elsewhere."""


class Shelves:
    """The files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        files, self.passed = files_below(root)
        files = sorted(file for file in files if not file.name.startswith("."))
        self.tables = [file for file in files if file.suffix.lower() == ".csv"]
        self.workbooks = [file for file in files if file.suffix.lower() in (".xlsx", ".xls")]
        self.images = [file for file in files if is_image(file) or _is_dicom(file)]
        self.others = len(files) - len(self.images) - len(self.tables) - len(self.workbooks)

    @cached_property
    def photographs(self) -> list[Path]:
        """The images that do not lie among masks."""
        return [file for file in self.images if not _MASKS.search(self._folder(file))]

    @cached_property
    def _all(self) -> set[Path]:
        return {*self.images}

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for file in self.photographs:
            for key in {_key(file.name), _key(file.stem)}:
                found.setdefault(key, []).append(file)
        return found

    def named(self, name: str, folder: Path, split: str | None) -> list[Path]:
        """The photographs that a name in a table of this folder may mean: by path, else by file
        name, with its ending or without; of several those in a folder of the table's split."""
        parts = Path(name.replace("\\", "/"))
        if folder / parts in self._all:
            return [folder / parts]
        found = self._by_name.get(_key(parts.name), [])
        if not found and parts.suffix.lower() in IMAGE_ENDINGS:
            # Messidor-2's table and its photographs write endings differently.
            found = self._by_name.get(_key(parts.stem), [])
        if len(found) > 1:
            inner = _key(str(parts.parent))
            nearer = [f for f in found if f"/{_key(self._folder(f))}".endswith(f"/{inner}")]
            found = nearer or found
        if len(found) > 1 and split:
            found = [file for file in found if self.split_of(file) == split]
        return found

    def split_of(self, file: Path) -> str | None:
        """What a path says of the split: the last word of its folders, or of a table's name."""
        inner = file.relative_to(self.root).as_posix()
        words = _SPLIT.findall(inner if file.suffix.lower() == ".csv" else self._folder(file))
        return _SPLITS[words[-1].lower()] if words else None

    def _folder(self, file: Path) -> str:
        return file.parent.relative_to(self.root).as_posix()

    def idrid_masks(self) -> Iterator[Record]:
        """IDRiD's segmentation set. A kind of lesion without a file is one that the eye has not."""
        photographs = {*self.photographs}
        masks = {file.stem: file for file in self.images if file not in photographs}
        for file in self.photographs:
            found = [
                Outline(column, tuple(masks[stem] for stem in stems if stem in masks))
                for column, kinds in _IDRID
                for stems in ([f"{file.stem}_{kind}" for kind in kinds],)
            ]
            if any(each.files for each in found):
                told = [each for each in found if each.files or each.column != "mask_disc"]
                name = file.relative_to(self.root).as_posix()
                yield Record(name, split=self.split_of(file), masks=tuple(told))

    def refuge_masks(self) -> Iterator[Record]:
        """REFUGE's photographs with disc and cup, and glaucoma by the name of a training one."""
        masks = {
            file.stem.lower(): file
            for file in self.images
            if "disc_cup_masks" in self._folder(file).lower()
        }
        for file in self.photographs:
            letter = _REFUGE.fullmatch(file.stem)
            if letter is None:
                continue
            mask = masks.get(file.stem.lower(), file)
            outlines = (("mask_disc", _DISC), ("mask_cup", _CUP)) if mask != file else ()
            glaucoma = {"g": 1, "n": 0}.get(letter[1].lower())
            yield Record(
                file.relative_to(self.root).as_posix(),
                {} if glaucoma is None else {"is_gc": glaucoma},
                split=self.split_of(file),
                masks=tuple(Outline(column, (mask,), cut) for column, cut in outlines),
            )


def _is_dicom(file: Path) -> bool:
    return kind_of_file(file) is DICOM


def _key(name: str) -> str:
    return same_name(name).casefold()
