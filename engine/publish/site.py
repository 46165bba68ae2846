"""A public repository of a drawn set: pages that open from a disk, or lie on any server of files,
and ask no other machine for anything.

```
index.html browse.html image.html download.html safety.html    the pages, with their scripts
data/index.js       which rows fit each choice of a filter, as bits
data/0000.js …      what is said of `AT_ONCE` rows each: a page on a disk cannot read JSON
shown/0000/…        small copies, and masks as layers
bundle/             images as files with table, card, Croissant, licence and attribution
bundle.zip          the same in one file
```
"""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.transforms import crop_to_field
from engine.files import sha256_of
from engine.pixels.door import decode
from engine.publish.attribution import attribution, parents
from engine.publish.croissant import LISTED, bundle_record
from engine.publish.describe import describe
from engine.publish.gallery import AGAIN, ONCE, exhibit, filters
from engine.publish.layouts import FILES_A_FOLDER, Shipment, image_name, imagefolder
from engine.publish.mix import value_words
from engine.publish.pages import filled
from engine.publish.portrait import Portrait
from engine.schema import LABEL_NAMES, LABELS, UserError
from engine.store.rows import Row

AT_ONCE = 200
"""Thumbnails on a page, and rows in a file of what is said of them."""
FRONT = 12
"""Photographs on the front page."""
SIDE = 256
"""Pixels at which doubles are looked for, as the judge looks."""
SMALL = "small"
"""The bits of rows that have a small copy."""
BUNDLE, ARCHIVE = "bundle", "bundle.zip"
PAGES = {
    "index": "About",
    "browse": "Browse",
    "image": "One photograph",
    "download": "Download",
    "safety": "Safety",
}


def write_site(rows: Iterator[list[Row]], out: Path, shipment: Shipment) -> None:
    """The layout `site`. Raises UserError for photographs that were not drawn: they are somebody's,
    and no page says whether they may be shown."""
    described = describe(shipment.plan)
    if described.drawn is None:
        raise UserError(
            "these photographs were not drawn and may show patients",
            asked="layout",
            expected="a drawn set; other layouts take them",
        )
    shelf = _Shelf(out, shipment)
    imagefolder(shelf.passing(rows), out / BUNDLE, shipment)
    shelf.close()
    _complete_bundle(out / BUNDLE, shipment, described)
    _write_index(shelf, described)
    _write_pages(shelf, described)


class _Shelf:
    """What was seen of the rows on their way into the bundle."""

    def __init__(self, out: Path, shipment: Shipment) -> None:
        # Torch and the networks are for whoever counts doubles, not for every export.
        from engine.evaluate.doubles import DOUBLE, Doubles
        from engine.evaluate.near import Eyesight

        self.out, self.shipment = out, shipment
        self.indices: list[int] = []
        self.having: dict[str, list[int]] = defaultdict(list)
        self.front: list[dict[str, Any]] = []
        self.double, self.doubles = DOUBLE, Doubles()
        self._eyesight = Eyesight()
        self._said: list[dict[str, Any]] = []
        self._front_every = max(1, -(-shipment.rows // FRONT))
        (out / BUNDLE).mkdir()
        (out / "data").mkdir()

    def passing(self, rows: Iterator[list[Row]]) -> Iterator[list[Row]]:
        """The same rows, seen."""
        for batch in rows:
            for row in batch:
                self._see(row)
            yield batch

    def close(self) -> None:
        """Write what is still to be said, and which rows show an eye once more."""
        self._write()
        for number, first in enumerate(self.doubles.firsts()):
            self.having[ONCE if first else AGAIN].append(number)

    def _see(self, row: Row) -> None:
        number, file = len(self.indices), image_name(row, self.shipment.extension)
        folder = f"shown/{row['index'] // FILES_A_FOLDER:04d}"
        (self.out / folder).mkdir(parents=True, exist_ok=True)

        def show(name: str, data: bytes) -> str:
            (self.out / folder / name).write_bytes(data)
            return f"{folder}/{name}"

        seen = exhibit(row, f"{BUNDLE}/{file}", show)
        small = (SMALL,) if seen.thumb != seen.file else ()
        for token in (*seen.tokens, *small):
            self.having[token].append(number)
        self.indices.append(row["index"])
        field = crop_to_field(decode(row["image"]["bytes"], file), SIDE)
        self.doubles.add(self._eyesight.look(np.asarray(field), vessels=False))
        said = asdict(seen)
        said["facts"] = [each for each in seen.facts if each[0] not in LABEL_NAMES]
        said["labels"] = [(each.name, value_words(each, row[each.name])) for each in LABELS]
        del said["tokens"]
        self._said.append(said)
        if number % self._front_every == 0:
            self.front.append(said)
        if len(self._said) == AT_ONCE:
            self._write()

    def _write(self) -> None:
        if self._said:
            number = (len(self.indices) - 1) // AT_ONCE
            text = json.dumps(self._said, ensure_ascii=False)
            _write(self.out / "data" / f"{number:04d}.js", f"told({number}, {text});\n")
        self._said = []


def _complete_bundle(bundle: Path, shipment: Shipment, described: Portrait) -> None:
    plan = shipment.plan
    listed = sha256_of(bundle / LISTED).hex()
    record = bundle_record(plan, described, shipment.rows, shipment.finished, listed)
    _write(bundle / "croissant.json", json.dumps(record, indent=1) + "\n")
    _write(bundle / "README.md", shipment.card)
    assert described.drawn is not None
    _write(bundle / "ATTRIBUTION.md", attribution(described.drawn))
    _write(bundle / "LICENSE", filled("site/licence.md", plan=plan))
    with zipfile.ZipFile(bundle.with_name(ARCHIVE), "w") as archive:
        # Images are compressed already.
        for path in sorted(each for each in bundle.rglob("*") if each.is_file()):
            archive.write(path, path.relative_to(bundle.parent))


def _write_index(shelf: _Shelf, described: Portrait) -> None:
    """What the pages' scripts know of all rows."""
    count = len(shelf.indices)
    bits = {token: _bits(numbers, count) for token, numbers in shelf.having.items()}
    offered = filters({token: len(numbers) for token, numbers in shelf.having.items()})
    assert described.drawn is not None
    index = {
        "rows": shelf.indices,
        "filters": [asdict(each) for each in offered],
        "bits": bits,
        "atOnce": AT_ONCE,
        "inFolder": FILES_A_FOLDER,
        "extension": shelf.shipment.extension,
        "picture": described.picture,
        "evidence": asdict(described.proof),
        # A row says its model and weights itself.
        "lineage": [*_parents(described), *described.facts[2:]],
    }
    _write(shelf.out / "data" / "index.js", f"const SITE = {json.dumps(index)};\n")


def _parents(described: Portrait) -> list[tuple[str, str]]:
    assert described.drawn is not None
    return [(f"parent: {name}", digest) for name, digest in parents(described.drawn)]


def _bits(numbers: list[int], count: int) -> str:
    """Hexadecimal, the first row's bit the highest of the first byte."""
    bits = np.zeros(count, bool)
    bits[numbers] = True
    return np.packbits(bits).tobytes().hex()


def _write_pages(shelf: _Shelf, described: Portrait) -> None:
    values = {
        "described": described,
        "plan": shelf.shipment.plan,
        "rows": shelf.shipment.rows,
        "distinct": shelf.doubles.distinct,
        "double": shelf.double,
        "gaps": shelf.shipment.gaps,
        "front": shelf.front,
        "filters": filters({token: len(each) for token, each in shelf.having.items()}),
        "lineage": [*described.facts, *_parents(described)],
        "files": _files(shelf.out),
        "archive_sha256": sha256_of(shelf.out / ARCHIVE).hex(),
        "pages": PAGES,
    }
    for page in PAGES:
        _write(shelf.out / f"{page}.html", filled(f"site/{page}.html", page=page, **values))
    for name in ("site.css", "site.js", "browse.js", "image.js"):
        _write(shelf.out / name, filled(f"site/{name}"))


def _files(out: Path) -> dict[str, str]:
    """The files on the download page, with their sizes in words."""
    listed = ("README.md", "croissant.json", LISTED, "LICENSE", "ATTRIBUTION.md")
    names = (ARCHIVE, *(f"{BUNDLE}/{name}" for name in listed))
    return {name: _size((out / name).stat().st_size) for name in names}


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
