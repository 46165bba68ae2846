"""Markdown tables, and others' texts in Markdown and in the YAML above it."""

from __future__ import annotations

import json
from collections.abc import Iterable

_SIGNS = str.maketrans({sign: f"&#{ord(sign)};" for sign in "&<>|[]"})


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; its cells are `plain`."""
    cells = [list(head)]
    cells += [["---"] * len(cells[0])]
    cells += [[plain(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def plain(text: str) -> str:
    """A text, such as the name of a folder, that stays on its line and in its cell of Markdown, and
    is no HTML, link or picture there.
    """
    line = "".join(each if each.isprintable() else " " for each in text)
    return line.translate(_SIGNS)


def quoted(text: str) -> str:
    """A text for YAML that is that text and nothing else: no number, no `no`, no comment."""
    shown = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in shown)
