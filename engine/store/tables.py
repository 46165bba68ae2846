"""Markdown tables, and texts of the YAML above them."""

from __future__ import annotations

import json
from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; what would break a cell is escaped."""
    cells = [list(head)]
    cells += [["---"] * len(cells[0])]
    cells += [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def quoted(text: str) -> str:
    """A text for YAML that is that text and nothing else: no number, no `no`, no comment."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in plain)
