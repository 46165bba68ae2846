"""Templates filled: Markdown for cards, HTML for the report."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from engine.publish.tables import plain, quoted

TEMPLATES = Path(__file__).parent / "templates"


def filled(name: str, **values: Any) -> str:
    """The text of a template. In HTML all that is filled in is text and no markup; in Markdown what
    is not ours goes through `plain` or `quoted`. Raises UndefinedError for a value that is not
    given.
    """
    return _environment(Path(name).suffix).get_template(name).render(values)


@cache
def _environment(suffix: str) -> Environment:
    markdown = suffix == ".md"
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=not markdown,
        undefined=StrictUndefined,
        keep_trailing_newline=markdown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"plain": plain, "quoted": quoted, "grouped": "{:,}".format}
    return made
