"""Where photographs come from: a CSV, a Parquet file, a folder, a data set folder of ours, or
phantoms, as one list of examples."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from engine.data.example import Example
from engine.data.identity import (
    content_sha256,
    contradictions,
    doubtful_patients,
    recognised,
)
from engine.data.named import (
    dicom_among,
    files_below,
    is_image,
    named_file,
    problem_of,
    what_is_there,
)
from engine.data.parquet_images import described_rows, passed_over
from engine.data.phantoms import NAME, phantom_examples
from engine.labels import LabelRow, read_table
from engine.pixels.mark import maker_of
from engine.schema import LABEL_NAMES, MASKS, Annotation, UserError, first_of, row_schema
from engine.store.commits import PARTS, PLAN, Folder, read_commits
from engine.store.listing import Listing, listing_of
from engine.store.plan import AnyPlan, read_any_plan
from engine.store.verify import gaps

_SHOWN = 200
"""Characters of a name that is too long."""


def read_examples(
    data: list[str], sha256: Callable[[Example], str] = content_sha256
) -> list[Example]:
    """All examples of `--data`: each a CSV, a Parquet file, a folder of images, a data set folder,
    or phantoms; those that are one photograph are known as one (`recognised`, by `sha256`).

    What may be a slip of the tables is said on standard error, a line for each kind. Raises
    UserError where one is missing, names what is not there or holds no image.
    """
    examples = recognised([each for source in data for each in _read_source(source)], sha256)
    if not examples:
        raise UserError("no photographs", asked="data", expected="a CSV or a folder of images")
    _tell_slips(examples)
    return examples


def read_asked(source: str, asked: str) -> list[Example]:
    """`read_examples` of one source that a door asks for by another name than `data`."""
    try:
        return read_examples([source])
    except UserError as error:
        error.args = (str(error).replace("⟨data⟩", f"⟨{asked}⟩"),)
        raise


def _tell_slips(examples: Sequence[Example]) -> None:
    pairs = doubtful_patients(each.patient_id for each in examples)
    if pairs:
        more = len(pairs) - 1
        print(
            f"patient_id: {pairs[0][0]!r} and {pairs[0][1]!r} count as two patients; are they one?"
            + (f" So do {more:,} more pairs." if more else ""),
            file=sys.stderr,
        )
    differing = contradictions(examples)
    for kind, what in (
        (True, "of a split that teaches are held out by another line, and do not teach"),
        (False, "stand in the data twice with other labels; each line is taken as it is"),
    ):
        found = [each for each in differing if (each[0] == "split") is kind]
        if found:
            column, one, other = found[0]
            print(
                f"{len(found):,} photographs {what}. "
                f"The first: {one.place} and {other.place} ({column})",
                file=sys.stderr,
            )


def _read_source(source: str) -> list[Example]:
    """UserError for what may not be looked at, wherever it lies."""
    if not source.strip():
        raise UserError("is empty", asked="data", expected="a CSV or a folder of images")
    path = Path(source)
    try:
        return list(_examples_of(source, path))
    except OSError as error:
        where = str(error.filename or path)[:_SHOWN]
        problem = f"cannot be read: {error.strerror or error}"
        raise UserError(problem, file=where, asked="data") from error


def _examples_of(source: str, path: Path) -> Iterator[Example]:
    if source.partition(":")[0] == NAME and not path.exists():
        yield from phantom_examples(source)
    elif not path.exists():
        there = what_is_there(path)
        raise UserError(f"no such file or folder{there}", file=path, asked="data")
    elif path.is_file() and path.suffix.lower() == ".parquet":
        yield from _read_parquet(path)
    elif path.is_file():
        yield from _read_csv(path)
    elif (path / PLAN).is_file():
        yield from _read_data_set(path)
    else:
        yield from _read_folder(path)


def _read_csv(path: Path) -> list[Example]:
    """Every file that the table names is there, or the first that is not is told."""
    examples: list[Example] = []
    wrong: list[UserError] = []
    for row in read_table(path):
        try:
            examples.append(_example(row, path, hint=not wrong))
        except UserError as error:
            wrong.append(error)
    if wrong:
        raise first_of(wrong, "lines name what cannot be read")
    return examples


def _example(row: LabelRow, table: Path, hint: bool) -> Example:
    """UserError for a file that is not there; with a `hint`, for which its folder is listed, what
    lies there in its place."""
    if row.file is None:
        raise UserError("names no file", file=table, line=row.line, field="file")
    found = {}
    for column, name in {"file": row.file, **row.masks}.items():
        found[column], problem = named_file(table.parent, name)
        if problem is not None:
            there = what_is_there(table.parent / name) if hint else ""
            raise UserError(f"{problem}{there}", file=table, line=row.line, field=column)
    return Example(
        path=found.pop("file"),
        annotation=row.annotation,
        split=row.split,
        patient_id=row.patient_id,
        caption=row.caption,
        masks=tuple(found.items()),
    )


def _read_parquet(path: Path) -> Iterator[Example]:
    root = path.absolute().parent.parent
    if path.absolute().parent == root / PARTS and (root / PLAN).is_file():
        problem = "is a part of a data set folder"
        raise UserError(problem, file=path, asked="data", expected=f"the folder {root}")
    photographs = 0
    for row, (image, told) in enumerate(described_rows(path)):
        maker = maker_of(io.BytesIO(image)) if image else None
        photographs += maker is None
        yield Example(path=path, row=row, size=len(image) or None, drawn_by=maker, **told)
    others = passed_over(path)
    # Parts from before a mask came lack it.
    if photographs and {*row_schema().names} - {*MASKS} <= {*pq.read_schema(path).names}:
        _tell_unlisted(path, "the list of photographs")
    elif others:
        print(f"{path}: nothing is read from the columns {', '.join(others)}", file=sys.stderr)


def _read_folder(path: Path) -> list[Example]:
    files = sorted(files_below(path)[0])
    images = [file for file in files if is_image(file)]
    problems = [problem for image in images if (problem := problem_of(image)) is not None]
    if problems:
        wrong = [UserError(problem, file=path, asked="data") for problem in problems]
        raise first_of(wrong, "files cannot be read")
    if not images and (told := dicom_among(files)):
        raise UserError(f"no photographs: {told}", file=path, asked="data")
    return [Example(path=image, annotation=Annotation()) for image in images]


def _read_data_set(path: Path) -> Iterator[Example]:
    """Its committed rows. All of a plan that draws are drawn; of captioned photographs those that
    their own mark says so of, and of the others it is known which file they were."""
    plan, folder = read_any_plan(path), Folder(path)
    if words := gaps(folder).words:
        print(f"{path}: {words}", file=sys.stderr)
    model = plan.common().get("model") if plan else None
    listing = _listing(path, plan)
    for part in map(folder.part_of, read_commits(folder)[0]):
        for row, values in enumerate(_rows(folder, part, with_images=model is None)):
            annotation = Annotation(**{n: values[n] for n in (*LABEL_NAMES, "source")})
            came_as = next(listing.pick([values["index"]])) if listing else None
            yield Example(
                path=folder.root / part,
                row=row,
                annotation=annotation,
                patient_id=values["patient_id"],
                caption=values["caption"],
                drawn_by=model or maker_of(io.BytesIO(values["image"]["bytes"])),
                size=came_as.bytes if came_as else None,
                came_as=came_as.path if came_as else None,
                content=came_as.sha256 if came_as else None,
            )


def _listing(root: Path, plan: AnyPlan | None) -> Listing | None:
    """The list of the photographs that rows were made of; None for what was drawn, and, which is
    said, where a folder was passed on without it."""
    if plan is None or plan.kind != "caption":
        return None
    listing = listing_of(root, plan.images_sha256)
    if listing.is_there():
        return listing
    _tell_unlisted(root, listing.name)
    return None


def _tell_unlisted(where: Path, missing: str) -> None:
    print(
        f"{where}: {missing} is not there, so nobody knows which photographs its rows were "
        "made of: one that is held out elsewhere teaches here, unless its patient_id tells",
        file=sys.stderr,
    )


def _rows(folder: Folder, part: str, with_images: bool) -> Iterator[dict[str, Any]]:
    """The rows of a part, one row group at most in memory."""
    columns = ["index", *LABEL_NAMES, "source", "patient_id", "caption", *(["image"] * with_images)]
    with folder.place.reader(part) as opened:
        file = pq.ParquetFile(opened)
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=columns).to_pylist()
