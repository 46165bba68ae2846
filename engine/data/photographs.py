"""A user's photographs as a listing: found, hashed, matched with labels; and read again, one by
one, as pixels that carry nothing but themselves.
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from engine.data.example import Example, UnreadableImage, decode
from engine.data.sources import IMAGE_ENDINGS
from engine.labels import LabelRow, label_value, read_table
from engine.schema import IMAGE_TYPE, LABEL_NAMES, Annotation, UserError
from engine.store.commits import Folder, read_commits
from engine.store.identify import marked_again
from engine.store.listing import Listed

MOST_BYTES = 256 << 20
"""Larger files are refused unread: no camera writes them."""
HASHING_THREADS = 4
HASHED_AT_ONCE = 256

Tell = Callable[[int, int], None]
"""Called with photographs seen and photographs in all."""


@dataclass(frozen=True)
class Found:
    """Photographs below `root`, in their order; `others` counts what is passed over there: files
    that are none by their names, hidden ones, links to folders.
    """

    root: Path
    listed: list[Listed]
    others: int = 0


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

    Raises UserError where there is none, and for a folder or a name that cannot be read.
    """
    if not images.strip():
        raise UserError("is empty", field="--images", expected=_EXPECTED)
    path = Path(images)
    if path.is_dir():
        if (path / "plan.json").is_file():
            folder = Folder(path)
            parts = [folder.part_of(commit) for commit in read_commits(folder)[0]]
            return _some(Found(path, sorted(_rows(path, parts), key=_place)), images)
        return _some(_below(path), images)
    files = [path] if path.is_file() else [Path(name) for name in glob.glob(images, recursive=True)]
    files = sorted(file for file in files if file.is_file())
    if not files:
        raise UserError("no such photographs", file=images, field="--images", expected=_EXPECTED)
    root = Path(os.path.commonpath([file.parent.absolute() for file in files]))
    files = [file.absolute() for file in files]
    if all(file.suffix == ".parquet" for file in files):
        return _some(Found(root, sorted(_rows(root, files), key=_place)), images)
    chosen = files if path.is_file() else [file for file in files if _is_image(file)]
    listed = sorted((_listed(root, file) for file in chosen), key=_place)
    return _some(Found(root, listed, len(files) - len(chosen)), images)


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
    by_path = {str((found.root / e.path).resolve()): e for e in found.listed if e.row is None}
    names = Counter(Path(path).name for path in by_path)
    by_name = {Path(path).name: e for path, e in by_path.items() if names[Path(path).name] == 1}
    rows = read_table(table)
    told = Counter(Path(row.file).name for row in rows if row.file)
    known: dict[str, LabelRow] = {}
    for row in rows:
        if row.file is None:
            raise UserError("names no file", file=table, line=row.line, field="file")
        if "\0" in row.file:
            raise UserError("holds a NUL character", file=table, line=row.line, field="file")
        match = by_path.get(str((table.parent / row.file).resolve()))
        if match is None and told[Path(row.file).name] == 1:
            match = by_name.get(Path(row.file).name)
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
    image = decode(data, "the file")
    with Image.open(io.BytesIO(data)) as opened:
        if opened.format == "PNG":
            # Some writers put metadata behind the pixels.
            opened.load()
        return Photograph(image, marked_again(opened))


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
    told = (before.annotation, before.patient_id) != (now.annotation, now.patient_id)
    return labels and told


_EXPECTED = "a folder, a pattern in quotes, or Parquet files with an image column"


def _some(found: Found, images: str) -> Found:
    if not found.listed:
        raise UserError("no photographs here", file=images, field="--images", expected=_EXPECTED)
    _utf8(found.root.absolute())
    return found


def _utf8(path: Path) -> str:
    """The path as text. Raises UserError where its name is none, for no table could hold it."""
    try:
        return path.as_posix().encode().decode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise UserError("the name is not UTF-8", file=shown, expected="another name") from error


def _place(listed: Listed) -> tuple[str, int]:
    return listed.place


def _below(root: Path) -> Found:
    images, others = [], 0
    for folder, inner, names in os.walk(root, onerror=_locked):
        files = [Path(folder, name) for name in names]
        found = [path for path in files if _is_image(path) and path.is_file()]
        passed = [path for path in files if path.is_file() or path.is_symlink()]
        entered = [name for name in inner if name[0] != "." and not Path(folder, name).is_symlink()]
        images += found
        others += len(passed) - len(found) + len(inner) - len(entered)
        inner[:] = entered
    return Found(root, sorted((_listed(root, path) for path in images), key=_place), others)


def _locked(error: OSError) -> None:
    raise UserError(f"cannot be read: {error.strerror}", file=error.filename) from error


def _is_image(file: Path) -> bool:
    """By its name; what is hidden is some program's own."""
    return file.suffix.lower() in IMAGE_ENDINGS and not file.name.startswith(".")


def _listed(root: Path, file: Path) -> Listed:
    return Listed(_utf8(file.relative_to(root)), file.stat().st_size)


def _rows(root: Path, files: Iterable[Path]) -> Iterator[Listed]:
    for file in files:
        try:
            with pq.ParquetFile(file) as opened:
                yield from _rows_of(file, _utf8(file.relative_to(root)), opened)
        except (pa.ArrowException, OSError, KeyError) as error:
            raise UserError(
                f"cannot be read: {error}", file=file, expected="Parquet with an `image` column"
            ) from error


def _rows_of(file: Path, name: str, opened: pq.ParquetFile) -> Iterator[Listed]:
    columns = opened.schema_arrow.names
    if "image" not in columns or opened.schema_arrow.field("image").type != IMAGE_TYPE:
        raise KeyError("no image column {bytes, path}")
    told = [name for name in (*LABEL_NAMES, "source", "patient_id") if name in columns]
    number = 0
    for batch in opened.iter_batches(64, columns=["image", *told]):
        for record in batch.to_pylist():
            data = (record.pop("image") or {}).get("bytes") or b""
            where = f"{file}: row {number}"
            yield Listed(
                path=name,
                bytes=len(data),
                row=number,
                annotation=_annotation(record, where),
                patient_id=_text(record, "patient_id", where),
            )
            number += 1


def _annotation(record: dict[str, Any], where: str) -> Annotation:
    told = {name: record.get(name) for name in LABEL_NAMES}
    labels = {name: label_value(name, value, file=where) for name, value in told.items()}
    return Annotation(**labels, source=_text(record, "source", where))


def _text(record: dict[str, Any], name: str, where: str) -> str | None:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{value!r} is no text", file=where, field=name, expected="text or null")
    return value


def _with_labels(listed: Listed, row: LabelRow | None) -> Listed:
    if row is None:
        return listed
    return replace(listed, annotation=row.annotation, patient_id=row.patient_id)


def _bytes(root: Path, listed: Listed) -> bytes:
    if listed.row is not None:
        return _bytes_of_row(root / listed.path, listed)
    path = root / listed.path
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableImage("no file")
        if found.st_size > MOST_BYTES:
            raise UnreadableImage(f"the file has {found.st_size:,} bytes, over {MOST_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"the file: {error.strerror}") from error


def _bytes_of_row(file: Path, listed: Listed) -> bytes:
    try:
        return Example(file, listed.annotation, row=listed.row).read_bytes() or b""
    except (pa.ArrowException, OSError, TypeError) as error:
        raise UnreadableImage(f"the row: {error}") from error
