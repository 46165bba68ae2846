"""Tables of the documents, printed from what was measured: `python docs/evidence/tables.py` writes
them anew, and a test compares.

In a document a table stands between two comments. The first names its file of this folder, the head
of its first two columns, and line by line a figure, its words, and words for floor and control:

    <!-- evidence judgement-dualgan-tiny: | `dualgan-tiny`, 80
    privacy.copies_pixels | copies of training photographs | | planted
    -->
    <!-- end -->

A table of several settings names, after its file and the head of its first column, its columns by
the end of a figure's name, and its rows by the beginning:

    <!-- grid ablations: what differs
    > fd_over_floor | Fréchet distance over that of photographs
    usual | nothing
    -->
    <!-- end -->

`<!-- steering MODEL … -->` prints instead what the cards of shipped models say of their labels,
`<!-- sampling FILE -->` what `bench sampling` found, and `<!-- levels MODEL SIZE -->` what lies
beside a shipped model of its levels' pictures.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_KINDS = "evidence|grid|steering|sampling|levels"
_BLOCK = re.compile(rf"(<!-- ({_KINDS}) (.*?)-->\n)(.*?)(<!-- end -->)", re.S)


def renewed(text: str) -> str:
    """A document with each of its tables as its file says."""
    return _BLOCK.sub(lambda found: found[1] + _TABLES[found[2]](found[3]) + found[5], text)


def _evidence(asked: str) -> str:
    head, *lines = asked.strip().splitlines()
    name, _, words = head.partition(":")
    told = json.loads((HERE / f"{name.strip()}.json").read_text())
    figures = {each["name"]: each for each in told["figures"]}
    first, value = (each.strip() for each in words.split("|"))
    rows = [_row(figures[each[0]], *each[1:]) for each in map(_cells, lines)]
    return _table([first, value, "floor", "control", "n"], rows)


def _grid(asked: str) -> str:
    head, *lines = asked.strip().splitlines()
    name, _, first = head.partition(":")
    told = json.loads((HERE / f"{name.strip()}.json").read_text())
    figures = {each["name"]: each for each in told["figures"]}
    columns = [_cells(each[1:]) for each in lines if each.startswith(">")]
    rows = [
        [words, *(_value(figures[f"{begins}.{ends}"]) for ends, *_ in columns)]
        for begins, words, *_ in (_cells(each) for each in lines if not each.startswith(">"))
    ]
    return _table([first.strip(), *(words for _, words, *_ in columns)], rows)


def _cells(line: str) -> list[str]:
    cells = [each.strip() for each in line.split("|")]
    return cells + [""] * (4 - len(cells))


def _row(figure: dict[str, Any], words: str, floor: str, control: str) -> list[str]:
    beside = (_beside(figure["floor"], floor), _beside(figure["control"], control))
    return [words, _value(figure), *beside, f"{figure['n']:,}"]


def _value(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return f"not estimable: {figure['not_estimable']}"
    low, high = figure["low"], figure["high"]
    between = "" if low is None else f" ({low:.2f} to {high:.2f})"
    return f"{figure['value']:.2f}{between}"


def _beside(value: float | None, words: str) -> str:
    return "" if value is None else f"{value:.2f} ({words})" if words else f"{value:.2f}"


def _steering(asked: str) -> str:
    models = asked.split()
    said = [_label_evidence(each) for each in models]
    head = ["label", *(f"`{each}`" for each in models), "reader on eyes it never saw", "read on"]
    rows = []
    for label, first in said[0].items():
        cells = [_auc(each[label]) for each in said]
        rows.append([f"`{label}`", *cells, f"{first['reader_auc']:.2f}", first["read_on"]])
    return _table(head, rows)


def _label_evidence(model: str) -> dict[str, dict[str, Any]]:
    card = json.loads((ROOT / f"engine/weights/{model}/model_card.json").read_text())
    return {each["label"]: each for each in card["label_evidence"]}


def _auc(told: dict[str, Any]) -> str:
    return f"{told['auc']:.2f} ({told['low']:.2f} to {told['high']:.2f})"


def _sampling(asked: str) -> str:
    told = json.loads((HERE / f"{asked.strip()}.json").read_text())
    parts = ("phantom", "denoise", "decode", "finish", "total")
    head = ["setting", "images/s", "ratio", *(f"{part} s" for part in parts), "admitted"]
    rows = []
    for row in told["rows"]:
        seconds = [f"{row[f'{part}_s']:.3f}" for part in parts]
        speed, verdict = f"{row['images_per_s']:.2f}", _VERDICTS[row["admitted"]]
        rows.append([f"`{row['setting']}`", speed, f"{row['ratio']:.1f}", *seconds, verdict])
    return _table(head, rows)


def _levels(asked: str) -> str:
    model, size = asked.split()
    levels = json.loads((ROOT / f"engine/weights/{model}/levels.json").read_text())
    measured = {
        f"`{each['setting']}`": found
        for each in levels
        if (found := each.get("evidence", {}).get(size))
    }
    names = [each["name"] for each in next(iter(measured.values()), {"figures": []})["figures"]]
    rows = [[name, *(_held(found, name) for found in measured.values())] for name in names]
    verdicts = [_VERDICTS[found["admitted"]] for found in measured.values()]
    return _table(["", *measured], [*rows, ["admitted", *verdicts]])


def _held(found: dict[str, Any], name: str) -> str:
    figure = next(each for each in found["figures"] if each["name"] == name)
    value, reference = f"{figure['value']:.3g}", figure.get("reference")
    beside = value if reference is None else f"{value} ({figure['value'] - reference:+.3f})"
    return f"**{beside}**" if name in found["broken"] else beside


_VERDICTS = {True: "yes", False: "no", None: ""}
_TABLES = {
    "evidence": _evidence,
    "grid": _grid,
    "steering": _steering,
    "sampling": _sampling,
    "levels": _levels,
}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        "|" + "".join(f" {each} |" if each else " |" for each in row) + "\n" for row in lines
    )


def main() -> None:
    """Write the tables of all documents anew, and say which were not as their files say."""
    for document in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]):
        text = document.read_text()
        if (new := renewed(text)) != text:
            document.write_text(new)
            sys.stdout.write(f"{document.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
