"""Whose photographs taught the model of a drawn set: what goes with it as its attribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.models.card import card_naming
from engine.publish.drawn import COMPUTED_BY, PHANTOM_BY
from engine.publish.tables import table
from engine.shipped import PHANTOM, WEIGHTS, folder_of, is_program, names
from engine.store.plan import Plan

SHIPPED = "ATTRIBUTION.md"
UNKNOWN = (
    "Unknown: the card of the model is not here, or does not say what taught it. Whoever publishes "
    "this set has to say so."
)


def attribution(plan: Plan) -> str:
    """As Markdown: of a model of this checkout its own, else the data that its card names."""
    place = plan.model_location
    if is_program(place):
        return f"# Attribution\n\n{PHANTOM_BY if place == PHANTOM else COMPUTED_BY}\n"
    card = card_naming(folder_of(place), plan.weights_sha256)
    if card and place in names():
        return (WEIGHTS / SHIPPED).read_text(encoding="utf-8")
    licences = card.get("data_licence")
    if not isinstance(licences, Mapping) or not licences:
        return f"# Attribution\n\n{UNKNOWN}\n"
    counts = card.get("data", {}).get("sources", {})
    rows = [(name, _number(counts.get(name)), str(each)) for name, each in licences.items()]
    taught = table(("photographs", "number", "licence"), rows)
    return f"# Whose photographs the model learned from\n\n{taught}\n"


def parents(plan: Plan) -> tuple[tuple[str, str], ...]:
    """The models that the model came from: name and hash of each that its card names."""
    found = card_naming(folder_of(plan.model_location), plan.weights_sha256).get("parents", ())
    return tuple((str(each.get("preset")), str(each.get("weights_sha256"))) for each in found)


def _number(count: Any) -> str:
    return "unknown" if count is None else f"{count:,}"
