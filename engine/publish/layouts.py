"""The layouts of exports: rows written as the files that other programs read.

`synfundus` is the layout of SynFundus-1M (arXiv 2312.00377): `Part{K}/{i}.png`, 50,000 images a
folder and at most twenty folders, i the number of the row in `SynFundus-1M_gen_cond.csv`.
`webdataset` is shards of tar files. `imagefolder` is the Hugging Face loader of that name; the
layout `site` (`engine.publish.site`) lays one below its pages. Image files travel byte for byte, or
pixel for pixel where the layout wants PNG, and keep their mark.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngInfo

from engine.pixels.door import picture
from engine.publish.croissant import LISTED
from engine.schema import IMAGE_TYPE, LABEL_NAMES, MASKS, UserError, row_schema
from engine.store.plan import AnyPlan
from engine.store.rows import Row
from engine.store.verify import Gaps

FILES_A_FOLDER = 50_000
LAST_FOLDER = 19
SHARD_ROWS = 10_000
SHARD_BYTES = 1 << 30
CSV = "SynFundus-1M_gen_cond.csv"
PROVENANCE = ("index", "id", "seed", "model", "weights_sha256", "source", "caption")
_PNG = b"\x89PNG\r\n\x1a\n"
EXTENSIONS = {"webp": "webp", "png": "png", "jpeg": "jpg"}


@dataclass(frozen=True)
class Shipment:
    """What is exported: so many `rows` of a plan, the last committed at a Unix time (`finished`);
    the `card` that goes with them, and what the folder lacks (`gaps`)."""

    plan: AnyPlan
    rows: int
    finished: float
    card: str
    gaps: Gaps

    @property
    def extension(self) -> str:
        """Of the image files."""
        return EXTENSIONS[self.plan.image_format]


Layout = Callable[[Iterator[list[Row]], Path, Shipment], None]
"""Writes rows into a new folder, beside what is not in them."""
PLAIN = [field.name for field in row_schema() if field.type != IMAGE_TYPE]


def synfundus(rows: Iterator[list[Row]], out: Path, shipment: Shipment) -> None:
    """PNG files, the labels of SynFundus-1M by its column names, and in a table beside it where
    each row came from. Masks have no place in that layout and lie under `masks/`.
    """
    head, number = ("idx", *LABEL_NAMES), 0
    labels = (out / CSV).open("w", newline="", encoding="utf-8")
    origins = (out / "provenance.csv").open("w", newline="", encoding="utf-8")
    with labels, origins, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        label_table = csv.DictWriter(labels, head, extrasaction="ignore")
        origin_table = csv.DictWriter(origins, ("idx", *PROVENANCE), extrasaction="ignore")
        label_table.writeheader()
        origin_table.writeheader()
        for batch in rows:
            for row, png in zip(batch, pool.map(_as_png, batch), strict=True):
                folder = min(LAST_FOLDER, number // FILES_A_FOLDER)
                place = f"Part{folder}/{number}.png"
                _write(out / place, png)
                for name, mask in _masks(row):
                    # Loaders of that layout search for every Part0 below: masks have none.
                    _write(out / "masks" / str(folder) / f"{number}.{name}.png", mask)
                label_table.writerow({"idx": number, **row})
                origin_table.writerow({"idx": number, **row})
                number += 1


def webdataset(rows: Iterator[list[Row]], out: Path, shipment: Shipment) -> None:
    """Samples of `{id}.webp|png|jpg`, `{id}.txt` (the caption), `{id}.json` (all other columns) and
    `{id}.mask_*.png`.
    """
    try:
        import webdataset
    except ImportError as error:
        raise UserError(
            "the layout webdataset needs the Python package of that name",
            asked="layout",
            expected="the extra `export` (pip install -e '.[export]'), or another layout",
        ) from error
    pattern = str(out / "shard-%06d.tar")
    with webdataset.ShardWriter(
        pattern, maxcount=SHARD_ROWS, maxsize=SHARD_BYTES, verbose=0
    ) as shards:
        for batch in rows:
            for row in batch:
                masks = {f"{name}.png": mask for name, mask in _masks(row)}
                image = {shipment.extension: row["image"]["bytes"], "txt": row["caption"] or ""}
                shards.write({"__key__": row["id"], **image, "json": _plain(row), **masks})


def imagefolder(rows: Iterator[list[Row]], out: Path, shipment: Shipment) -> None:
    """`images/…` beside a `metadata.jsonl` whose `file_name` names them; masks, where there are
    any, through `mask_*_file_name`, which the loader reads as images too.
    """
    with (out / LISTED).open("w", encoding="utf-8") as metadata:
        for batch in rows:
            for row in batch:
                name, file = _place(row), image_name(row, shipment.extension)
                line = {"file_name": file, **_plain(row)}
                _write(out / line["file_name"], row["image"]["bytes"])
                for column, mask in _masks(row):
                    line[f"{column}_file_name"] = f"masks/{name}.{column}.png"
                    _write(out / line[f"{column}_file_name"], mask)
                metadata.write(json.dumps(line, ensure_ascii=False) + "\n")


def image_name(row: Row, extension: str) -> str:
    """Where `imagefolder` lays the image of a row, from its table."""
    return f"images/{_place(row)}.{extension}"


def _place(row: Row) -> str:
    return f"{row['index'] // FILES_A_FOLDER:04d}/{row['index']:08d}"


def _plain(row: Row) -> dict[str, Any]:
    """The columns that JSON holds. A seed is text: readers that take numbers for floats would keep
    53 of its 64 bits.
    """
    seed = row.get("seed")
    return {
        **{name: row.get(name) for name in PLAIN},
        "seed": None if seed is None else str(seed),
    }


def _masks(row: Row) -> Iterator[tuple[str, bytes]]:
    for name in MASKS:
        if row.get(name) is not None:
            yield name, row[name]["bytes"]


def _as_png(row: Row) -> bytes:
    """The row's image as PNG, its pixels and its mark unchanged."""
    data: bytes = row["image"]["bytes"]
    if data.startswith(_PNG):
        return data
    stored = picture(data, f"row {row['index']}")
    if not stored.packet and row["model"] is not None:
        raise UserError(f"the image of row {row['index']} carries no mark as synthetic")
    info, file = PngInfo(), io.BytesIO()
    if stored.packet:
        info.add_itxt("XML:com.adobe.xmp", stored.packet.decode())
    stored.image.save(file, "PNG", compress_level=1, pnginfo=info)
    return file.getvalue()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
