"""Where photographs come from: a CSV, a folder, a data set folder of ours, or phantoms, as one list
of examples."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from engine.data.example import Example
from engine.data.phantoms import NAME, phantom_examples
from engine.labels import read_table
from engine.schema import LABEL_NAMES, Annotation, UserError
from engine.store.commits import Folder, read_commits
from engine.store.identify import maker_of
from engine.store.plan import Plan, read_any_plan

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


def read_examples(data: list[str]) -> list[Example]:
    """All examples of `--data`: each a CSV, a folder of images, a data set folder, or phantoms.

    Raises UserError where one is missing or holds no image.
    """
    examples = [example for source in data for example in _read_source(source)]
    if not examples:
        raise UserError("no photographs", field="--data", expected="a CSV or a folder of images")
    return examples


def _read_source(source: str) -> Iterator[Example]:
    path = Path(source)
    if source.partition(":")[0] == NAME and not path.exists():
        yield from phantom_examples(source)
    elif not path.exists():
        raise UserError("no such file or folder", file=path, field="--data")
    elif path.is_file():
        yield from _read_csv(path)
    elif (path / "plan.json").is_file():
        yield from _read_data_set(path)
    else:
        yield from _read_folder(path)


def _read_csv(path: Path) -> Iterator[Example]:
    for row in read_table(path):
        if row.file is None:
            raise UserError("names no file", file=path, line=row.line, field="file")
        image = path.parent / row.file
        if not image.is_file():
            raise UserError(f"no such file: {image}", file=path, line=row.line, field="file")
        masks = tuple((name, path.parent / mask) for name, mask in row.masks.items())
        yield Example(
            path=image,
            annotation=row.annotation,
            split=row.split,
            patient_id=row.patient_id,
            caption=row.caption,
            masks=masks,
        )


def _read_folder(path: Path) -> Iterator[Example]:
    for image in sorted(path.rglob("*")):
        if image.suffix.lower() in IMAGE_ENDINGS:
            yield Example(path=image, annotation=Annotation())


def _read_data_set(path: Path) -> Iterator[Example]:
    """Its committed rows. All of a plan that draws are drawn; of captioned photographs those that
    their own mark says so of."""
    plan, folder = read_any_plan(path), Folder(path)
    model = plan.model if isinstance(plan, Plan) else None
    for part in map(folder.part_of, read_commits(folder)[0]):
        for row, values in enumerate(_rows(part, with_images=model is None)):
            annotation = Annotation(**{n: values[n] for n in (*LABEL_NAMES, "source")})
            yield Example(
                path=part,
                row=row,
                annotation=annotation,
                patient_id=values["patient_id"],
                caption=values["caption"],
                drawn_by=model or maker_of(io.BytesIO(values["image"]["bytes"])),
            )


def _rows(part: Path, with_images: bool) -> Iterator[dict[str, Any]]:
    """The rows of a part, one row group at most in memory."""
    columns = [*LABEL_NAMES, "source", "patient_id", "caption", *(["image"] * with_images)]
    with pq.ParquetFile(part) as file:
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=columns).to_pylist()
