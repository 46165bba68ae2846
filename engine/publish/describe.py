"""The one place that knows which module describes which kind of plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.publish import captioned, drawn
from engine.publish.portrait import Portrait
from engine.store.plan import AnyPlan

KINDS: dict[str, Callable[[Any], Portrait]] = {
    "draw": drawn.describe,
    "caption": captioned.describe,
}


def describe(plan: AnyPlan) -> Portrait:
    """What a plan tells of its folder. Raises UserError where its model's card cannot be read."""
    return KINDS[plan.kind](plan)
