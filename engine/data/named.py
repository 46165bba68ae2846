"""A file that a table or a flag names: found though its name is in another Unicode form on disk, or
said what lies there in its place."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from engine.kinds import DICOM, kind_of_file
from engine.schema import UserError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


def same_name(name: str | Path) -> str:
    """A path's text in one Unicode form: é is one sign on some disks and two on others."""
    return unicodedata.normalize("NFC", str(name))


def named_file(folder: Path, name: str) -> tuple[Path, str | None]:
    """The file that `name` names below a folder, and what is wrong with it in words; None for a
    regular file. Nothing is read of a photograph, so thousands are checked within seconds."""
    path = folder / name
    problem = problem_of(path)
    if problem is None:
        return path, None
    others = (folder / form for form in _forms(name))
    return next(((other, None) for other in others if problem_of(other) is None), (path, problem))


def what_is_there(path: Path) -> str:
    """What lies where this file was looked for under nearly its name, in words; empty if nothing
    does."""
    found = _alike(path)
    if not found and "\\" in str(path):
        path = Path(str(path).replace("\\", "/"))
        found = [path.name] if os.path.isfile(path) else []
    return f"; {' and '.join(found[:3])} {'are' if found[1:] else 'is'} there" if found else ""


def is_image(file: Path) -> bool:
    """By its name; what is hidden is some program's own."""
    return file.suffix.lower() in IMAGE_ENDINGS and not file.name.startswith(".")


def files_below(root: Path) -> tuple[list[Path], int]:
    """All files in a folder and its folders, and how many of these folders are passed over: hidden
    ones and links. Raises UserError by name for one that cannot be read."""
    found, passed = [], 0
    for folder, inner, names in os.walk(root, onerror=_locked):
        found += [Path(folder, name) for name in names]
        entered = [name for name in inner if name[0] != "." and not Path(folder, name).is_symlink()]
        passed += len(inner) - len(entered)
        inner[:] = entered
    return found, passed


def problem_of(path: Path) -> str | None:
    """In words, why this is no regular file that may be read; None where it is one."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return f"no such file: {path}"
    except OSError as error:
        return f"cannot be read: {path}: {error.strerror}"
    except ValueError:
        return "holds a NUL character"
    if stat.S_ISDIR(found.st_mode):
        return f"is a folder: {path}"
    if not stat.S_ISREG(found.st_mode):
        return f"is no regular file: {path}"
    if not os.access(path, os.R_OK):
        return f"may not be read: {path}"
    if path.suffix.lower() not in IMAGE_ENDINGS and (kind := kind_of_file(path)) is DICOM:
        return f"is {kind.words}: {path}"
    return None


def dicom_among(files: list[Path]) -> str:
    """In words, that some of the first of these files are DICOM; empty if none is."""
    count = sum(kind_of_file(file) is DICOM for file in files[:_LOOKED_AT])
    if not count:
        return ""
    some = "at least " if len(files) > _LOOKED_AT else ""
    return f"{some}{count} of them are DICOM: `retinaforge ingest` makes photographs of it"


_LOOKED_AT = 50


def _locked(error: OSError) -> None:
    raise UserError(f"cannot be read: {error.strerror}", file=error.filename) from error


def _forms(name: str) -> Iterator[str]:
    """The name in other Unicode forms, its folder apart: it may have come another way."""
    if not name.isascii():
        both = [
            (unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part))
            for part in os.path.split(name)
        ]
        yield from (os.path.join(*parts) for parts in product(*both))


def _alike(path: Path) -> list[str]:
    """Files beside this one that differ by case or suffix alone."""
    wanted = same_name(path.name).casefold()
    stems = {wanted, wanted.rpartition(".")[0]}
    names = sorted(_names(path.parent))
    same = [name for name in names if same_name(name).casefold() == wanted]
    return same or [
        name
        for name in names
        if Path(name).suffix.lower() in (*IMAGE_ENDINGS, ".dcm")
        and same_name(Path(name).stem).casefold() in stems
    ]


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (OSError, ValueError):
        return []
