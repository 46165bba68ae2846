"""Layouts that other programs read, made from the committed rows of a data set folder.

`synfundus` is the layout of SynFundus-1M (arXiv 2312.00377): `Part{K}/{i}.png`, 50,000 images a
folder and at most twenty folders, i the number of the row in `SynFundus-1M_gen_cond.csv`.
`webdataset` is shards of tar files. `imagefolder` is the Hugging Face loader of that name. Image
files travel byte for byte, or pixel for pixel where the layout wants PNG, and keep their mark.
Nothing under `private/` is read.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngInfo

from engine.pixels.door import picture
from engine.publish.card import export_card
from engine.schema import IMAGE_TYPE, LABEL_NAMES, MASKS, UserError, row_schema
from engine.store.commits import Folder
from engine.store.rows import Row, batches, check_sound, require_plan, shares
from engine.store.verify import gaps

FILES_A_FOLDER = 50_000
LAST_FOLDER = 19
SHARD_ROWS = 10_000
SHARD_BYTES = 1 << 30
CSV = "SynFundus-1M_gen_cond.csv"
PROVENANCE = ("index", "id", "seed", "model", "weights_sha256", "source", "caption")
_PNG = b"\x89PNG\r\n\x1a\n"
EXTENSIONS = {"webp": "webp", "png": "png", "jpeg": "jpg"}
PLAIN = [field.name for field in row_schema() if field.type != IMAGE_TYPE]

Tell = Callable[[int, int], None]
"""Called with the rows written so far and the rows in all."""


def export(root: Path, layout: str, out: Path, tell: Tell, incomplete: bool = False) -> int:
    """Write the committed rows of `root` as `layout` to the new folder `out`; the number of rows.

    `out` appears whole or not at all. Raises UserError for an unknown layout, an `out` that holds
    anything or lies inside `root`, a folder with damaged parts or (unless `incomplete`) missing
    rows, or a layout whose library is missing.
    """
    if layout not in LAYOUTS:
        raise UserError(f"{layout!r}", field="--format", expected=" or ".join(LAYOUTS))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("is there already", file=out, expected="a new or empty folder")
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(
            "lies inside the data set folder", file=out, field="--out", expected="another place"
        )
    plan, folder = require_plan(root), Folder(root)
    parts = shares(folder)
    if not parts:
        raise UserError("no committed rows", file=root, expected="a folder with rows to export")
    lacking = gaps(folder)
    if lacking.missing and not incomplete:
        raise UserError(
            lacking.words,
            file=root,
            expected="a whole folder (repeat the command that wrote it), or --incomplete to export "
            "what is here",
        )
    check_sound(folder)
    total = sum(share.rows for share in parts)
    with _appearing(out.resolve()) as written:
        rows = _counted(batches(folder, parts, row_schema().names), total, tell)
        LAYOUTS[layout](rows, written, EXTENSIONS[plan.image_format])
        card = export_card(plan, total, layout, lacking)
        (written / "README.md").write_text(card, encoding="utf-8")
    return total


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that takes its place in one step, or is gone after an error.

    What killed exports to the same place left there is cleared first.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    for path in out.parent.iterdir():
        if re.fullmatch(rf"\.{re.escape(out.name)}\.[0-9a-f]{{32}}\.tmp", path.name):
            _clear(path)
    unheld = out.parent / f".{out.name}.{uuid.uuid4().hex}"
    unheld.mkdir()
    held = os.open(unheld, os.O_RDONLY)
    # Under a name that others clear only once it is locked.
    _hold(held)
    written = unheld.rename(unheld.with_name(f"{unheld.name}.tmp"))
    try:
        yield written
        os.replace(written, out)
    except BaseException:
        shutil.rmtree(written, ignore_errors=True)
        raise
    finally:
        os.close(held)


def _hold(folder: int) -> bool:
    """Lock an open folder; whether that could be done. The system lets go when its owner dies."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _clear(leftover: Path) -> None:
    """Remove an export's folder unless it is still written. Where the disk knows no locks that
    cannot be told, and it stays.
    """
    try:
        held = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if _hold(held):
            shutil.rmtree(leftover, ignore_errors=True)
    finally:
        os.close(held)


def _counted(rows: Iterator[list[Row]], total: int, tell: Tell) -> Iterator[list[Row]]:
    done = 0
    for batch in rows:
        yield batch
        done += len(batch)
        tell(done, total)


def _synfundus(rows: Iterator[list[Row]], out: Path, extension: str) -> None:
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


def _webdataset(rows: Iterator[list[Row]], out: Path, extension: str) -> None:
    """Samples of `{id}.webp|png|jpg`, `{id}.txt` (the caption), `{id}.json` (all other columns) and
    `{id}.mask_*.png`.
    """
    try:
        import webdataset
    except ImportError as error:
        raise UserError(
            "the layout webdataset needs the Python package of that name",
            field="--format",
            expected="the extra `export` (pip install -e '.[export]'), or another layout",
        ) from error
    pattern = str(out / "shard-%06d.tar")
    with webdataset.ShardWriter(
        pattern, maxcount=SHARD_ROWS, maxsize=SHARD_BYTES, verbose=0
    ) as shards:
        for batch in rows:
            for row in batch:
                masks = {f"{name}.png": mask for name, mask in _masks(row)}
                image = {extension: row["image"]["bytes"], "txt": row["caption"] or ""}
                shards.write({"__key__": row["id"], **image, "json": _plain(row), **masks})


def _imagefolder(rows: Iterator[list[Row]], out: Path, extension: str) -> None:
    """`images/…` beside a `metadata.jsonl` whose `file_name` names them; masks, where there are
    any, through `mask_*_file_name`, which the loader reads as images too.
    """
    with (out / "metadata.jsonl").open("w", encoding="utf-8") as metadata:
        for batch in rows:
            for row in batch:
                name = f"{row['index'] // FILES_A_FOLDER:04d}/{row['index']:08d}"
                line = {"file_name": f"images/{name}.{extension}", **_plain(row)}
                _write(out / line["file_name"], row["image"]["bytes"])
                for column, mask in _masks(row):
                    line[f"{column}_file_name"] = f"masks/{name}.{column}.png"
                    _write(out / line[f"{column}_file_name"], mask)
                metadata.write(json.dumps(line, ensure_ascii=False) + "\n")


LAYOUTS: dict[str, Callable[[Iterator[list[Row]], Path, str], None]] = {
    "synfundus": _synfundus,
    "webdataset": _webdataset,
    "imagefolder": _imagefolder,
}


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
