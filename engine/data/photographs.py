"""A user's photographs as a listing: found, hashed, matched with labels; and read again, one by
one, as pixels that carry nothing but themselves.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from PIL import Image

from engine.data.example import Example
from engine.data.identity import patient_key
from engine.data.named import (
    IMAGE_ENDINGS,
    dicom_among,
    files_below,
    is_image,
    named_file,
    same_name,
    what_is_there,
)
from engine.data.parquet_images import described_rows
from engine.files import read_regular, spelled
from engine.labels import LabelRow, read_table
from engine.pixels.door import MOST_BYTES, UnreadableImage, picture
from engine.pixels.mark import marked_again
from engine.schema import UserError
from engine.store.commits import Folder, read_commits
from engine.store.listing import Listed

HASHING_THREADS = 4
HASHED_AT_ONCE = 256
_SHOWN = 200
"""Characters of a name that is too long."""

Tell = Callable[[int, int], None]
"""Called with photographs seen and photographs in all."""


@dataclass(frozen=True)
class Found:
    """Photographs below `root`, in their order; `others` counts what is passed over there: files
    that are none by their names, hidden ones, links to folders, and `dicom` says in words if some
    are DICOM. `nameless` spells out the names, passed over too, that are not UTF-8: no table could
    hold them.
    """

    root: Path
    listed: list[Listed]
    others: int = 0
    dicom: str = ""
    nameless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Photograph:
    """One photograph as it will be stored: `image` is RGB and upright; `mark` is a fresh XMP packet
    for an image that says it is synthetic, which it must go on saying.
    """

    image: Image.Image
    mark: bytes = b""


def find(images: str) -> Found:
    """The photographs that `--images` names, not yet hashed: a folder with all below it, a data set
    folder, a pattern, an image, or Parquet files with an `image` column.

    Raises UserError where there is none that can be listed, and for a folder that cannot be read.
    """
    if not images.strip():
        raise UserError("is empty", asked="images", expected=_EXPECTED)
    try:
        return _find(images)
    except OSError as error:
        where, problem = str(error.filename or images)[:_SHOWN], f"cannot be read: {error.strerror}"
        raise UserError(problem, file=where, asked="images", expected=_EXPECTED) from error


def _find(images: str) -> Found:
    path = Path(images)
    if path.is_dir():
        if (path / "plan.json").is_file():
            folder = Folder(path)
            parts = [path / folder.part_of(commit) for commit in read_commits(folder)[0]]
            return _some(Found(path, sorted(_rows(path, parts), key=_place)), images)
        return _some(_below(path), images)
    files = [path] if path.is_file() else [Path(name) for name in glob.glob(images, recursive=True)]
    files = sorted(file for file in files if file.exists() and not file.is_dir())
    if not files:
        there = what_is_there(path)
        raise UserError(
            f"no such photographs{there}", file=images, asked="images", expected=_EXPECTED
        )
    files, nameless = _named(files)
    root = Path(os.path.commonpath([file.parent for file in files]))
    if all(file.suffix.lower() == ".parquet" for file in files):
        listed = sorted(_rows(root, files), key=_place)
        return _some(Found(root, listed, nameless=nameless), images)
    if path.is_file() and path.suffix.lower() not in IMAGE_ENDINGS:
        problem = f"is no image by its name (one ends in {', '.join(IMAGE_ENDINGS)})"
        raise UserError(problem, file=images, asked="images", expected=_EXPECTED)
    chosen = files if path.is_file() else [file for file in files if is_image(file)]
    listed = sorted((_listed(root, file) for file in chosen), key=_place)
    return _some(Found(root, listed, len(files) - len(chosen), nameless=nameless), images)


def hashed(found: Found, tell: Tell) -> list[Listed]:
    """The photographs with the hash of their bytes; one that cannot be read has none."""

    def one(listed: Listed) -> Listed:
        try:
            return replace(listed, sha256=hashlib.sha256(_bytes(found.root, listed)).hexdigest())
        except UnreadableImage:
            return listed

    done: list[Listed] = []
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        while len(done) < len(found.listed):
            done += pool.map(one, found.listed[len(done) : len(done) + HASHED_AT_ONCE])
            tell(len(done), len(found.listed))
    return done


def labelled(found: Found, table: Path) -> tuple[Found, int]:
    """The photographs with the labels of a CSV: by the path that it names, else by a file name that
    stands once on either side. Also how many of its lines name none of them.

    Raises UserError where two lines name one photograph, and where no line names any.
    """
    files = [each for each in found.listed if each.row is None]
    by_path = {_path_key(found.root / each.path): each for each in files}
    names = Counter(_name_key(each.path) for each in files)
    by_name = {_name_key(e.path): e for e in files if names[_name_key(e.path)] == 1}
    rows = read_table(table)
    told = Counter(_name_key(row.file) for row in rows if row.file)
    known: dict[str, LabelRow] = {}
    for row in rows:
        if row.file is None:
            raise UserError("names no file", file=table, line=row.line, field="file")
        if "\0" in row.file:
            raise UserError("holds a NUL character", file=table, line=row.line, field="file")
        match = by_path.get(_path_key(named_file(table.parent, row.file)[0]))
        if match is None and told[_name_key(row.file)] == 1:
            match = by_name.get(_name_key(row.file))
        if match is not None and known.setdefault(match.path, row) is not row:
            raise UserError(
                f"line {known[match.path].line} names this photograph too",
                file=table,
                line=row.line,
                field="file",
            )
    if not known:
        raise UserError(
            "no line names one of the photographs",
            file=table,
            field="file",
            expected=f"paths relative to the table, or file names below {found.root}",
        )
    listed = [_with_labels(each, known.get(each.path)) for each in found.listed]
    return replace(found, listed=listed), len(rows) - len(known)


def read(root: Path, listed: Listed) -> Photograph:
    """The photograph as it was when it was listed. Raises UnreadableImage for one that is gone,
    changed, corrupt, huge or no image.
    """
    data = _bytes(root, listed)
    if listed.sha256 not in (None, hashlib.sha256(data).hexdigest()):
        raise UnreadableImage("the file has changed since it was listed")
    found = picture(data, "the file")
    return Photograph(found.image, marked_again(found.packet))


def differing(listed: Iterable[Listed], found: Sequence[Listed], labels: bool) -> str:
    """In words, how the photographs now found differ from those of a listing by path, size and
    hash, and by `labels` where these were given again; empty where they do not.
    """
    before = {each.place: each for each in listed}
    now = {each.place: each for each in found}
    gone, new = before.keys() - now.keys(), now.keys() - before.keys()
    both = before.keys() & now.keys()
    changed = [place for place in both if _changed(before[place], now[place], labels)]
    counts = (
        (len(new), "new", new),
        (len(gone), "gone", gone),
        (len(changed), "changed or with other labels", changed),
    )
    return "; ".join(
        f"{count:,} photographs are {how}, such as {min(which)[0]}"
        for count, how, which in counts
        if count
    )


def _changed(before: Listed, now: Listed, labels: bool) -> bool:
    """One that could not be read then, or cannot now, has no hash to compare."""
    if before.bytes != now.bytes:
        return True
    if before.sha256 != now.sha256 and before.sha256 and now.sha256:
        return True
    if not labels:
        return False
    same_patient = patient_key(before.patient_id) == patient_key(now.patient_id)
    return before.annotation != now.annotation or not same_patient


_EXPECTED = "a folder, a pattern in quotes, or Parquet files with an image column"


def _path_key(path: Path) -> str:
    """The file's own path, whatever links and forms of its name lead there."""
    return same_name(path.resolve())


def _name_key(path: str) -> str:
    return same_name(Path(path).name)


def _some(found: Found, images: str) -> Found:
    if not found.listed:
        told = f"; {found.dicom}" if found.dicom else ""
        raise UserError(
            f"no photographs here{told}", file=images, asked="images", expected=_EXPECTED
        )
    _named([found.root])
    return found


def _named(files: Sequence[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """Absolute paths of the files whose names are UTF-8, and the names of the others spelled out.
    Raises UserError if there are only others.
    """
    paths = [file.absolute() for file in files]
    named = [path for path in paths if _is_utf8(path)]
    nameless = tuple(spelled(path) for path in paths if not _is_utf8(path))
    if nameless and not named:
        raise UserError("the name is not UTF-8", file=nameless[0], expected="another name")
    return named, nameless


def _is_utf8(path: Path) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in str(path))


def _place(listed: Listed) -> tuple[str, int]:
    return listed.place


def _below(root: Path) -> Found:
    files, folders = files_below(root)
    images = [path for path in files if is_image(path) and path.exists()]
    unknown = [path for path in files if not is_image(path)]
    named, nameless = _named(images)
    listed = sorted((_listed(root.absolute(), path) for path in named), key=_place)
    others = folders + len(files) - len(images)
    return Found(root, listed, others, dicom_among(unknown), nameless)


def _listed(root: Path, file: Path) -> Listed:
    return Listed(file.relative_to(root).as_posix(), file.stat().st_size)


def _rows(root: Path, files: Iterable[Path]) -> Iterator[Listed]:
    for file in files:
        name = file.relative_to(root).as_posix()
        for row, (image, told) in enumerate(described_rows(file)):
            yield Listed(
                path=name,
                bytes=len(image),
                row=row,
                annotation=told["annotation"],
                patient_id=told["patient_id"],
            )


def _with_labels(listed: Listed, row: LabelRow | None) -> Listed:
    if row is None:
        return listed
    return replace(listed, annotation=row.annotation, patient_id=row.patient_id)


def _bytes(root: Path, listed: Listed) -> bytes:
    if listed.row is not None:
        return _bytes_of_row(root / listed.path, listed)
    path = root / listed.path
    try:
        return read_regular(path, MOST_BYTES)
    except OSError as error:
        raise UnreadableImage(f"the file: {error.strerror}") from error


def _bytes_of_row(file: Path, listed: Listed) -> bytes:
    try:
        return Example(file, listed.annotation, row=listed.row).read_bytes() or b""
    except (pa.ArrowException, OSError, TypeError) as error:
        raise UnreadableImage(f"the row: {error}") from error
