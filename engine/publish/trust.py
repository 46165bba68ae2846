"""How far captions can be trusted, as the card of a captioner tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.publish.portrait import Proof, Tested

HEAD = ("statement", "read on", "eyes", "said of", "right (95 %)", "had it been said of all")
WORDS = (
    "What the captions state, read against what was known of photographs and phantoms that taught "
    "nothing. What is not in the table is not said, or nobody could check it."
)
WITHOUT = (
    "Unknown: no card of this captioner is here. Take every caption as unproven until "
    "`retinaforge evaluate captions` has read it on photographs whose labels are known."
)


def proof_of(card: Mapping[str, Any]) -> Proof:
    """Each statement that could be checked: of how many `rows` eyes of one source (or phantoms) it
    was `said`, the share of right ones among those `checked` and its interval, and that share had
    it been said of every eye."""
    checked = [row for row in card.get("statements", ()) if row["checked"]]
    return Proof(WORDS, HEAD, tuple(map(_tested, checked))) if checked else Proof(WITHOUT)


def _tested(row: Mapping[str, Any]) -> Tested:
    right = row["right"] / row["checked"]
    cells = (
        row["on"],
        f"{row['rows']:,}",
        f"{row['said']:,}",
        f"{right:.2f} ({row['low']:.2f} to {row['high']:.2f})",
        f"{row['prior']:.2f}",
    )
    return Tested(row["statement"], cells)
