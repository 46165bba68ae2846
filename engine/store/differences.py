"""Where two plans differ, in words: each field with both of its values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from engine.specs.rows import Row, Rows


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """The fields that differ between two trees of values and `Rows`, as `field: old → new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{path}.{key}" if path else key
            yield from differences(old.get(key), new.get(key), inner.removeprefix("settings."))
    elif old == new:
        return
    elif isinstance(old, list | Rows) and isinstance(new, list | Rows) and len(old) == len(new):
        for number, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from differences(_plain(left), _plain(right), f"{path}[{number}]")
    else:
        yield f"{path}: {_brief(old)} → {_brief(new)}"


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Row) else value


def _brief(value: Any) -> str:
    if isinstance(value, list | Rows):
        return f"{len(value)} entries"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
