"""What became of the rows, counted, and row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.data.example import Example
from engine.data.identity import MAY_TEACH
from engine.purify.ruling import DROPPED, FATES, KEPT, REPAIRED, Ruling, Sight
from engine.registry.scorer import ScorerRef

RULINGS = (
    "file",
    "row",
    "fate",
    "reasons",
    "doubts",
    "camera",
    "shown",
    "better",
    "caption_before",
)
"""Columns of the table of rulings: `shown` is what the reader is sure of, `better` the share of
other captions that fit better."""


@dataclass(frozen=True)
class Purified:
    """A row that teaches, what was seen of it, and its ruling."""

    example: Example
    sight: Sight
    ruling: Ruling


@dataclass(frozen=True)
class Purification:
    """Counts of rows: of those that were ruled by fate, and by reason within each; `doubts` are
    rows that are kept all the same. `cameras` are those that the reader knows photographs as."""

    rows: int
    held_out: int
    fates: dict[str, int]
    reasons: dict[str, dict[str, int]]
    doubts: dict[str, int]
    cameras: dict[str, int]
    scorer: str | None = None
    captions: int = 0

    @classmethod
    def of(
        cls, examples: Sequence[Example], found: Sequence[Purified], scorer: ScorerRef | None
    ) -> Purification:
        """The counts of rows that teach, among all examples."""
        by: dict[str, Counter[str]] = {REPAIRED: Counter(), DROPPED: Counter()}
        for each in found:
            if each.ruling.fate in by:
                by[each.ruling.fate].update(each.ruling.reasons)
        left = [each for each in found if each.ruling.fate != DROPPED]
        return cls(
            rows=len(examples),
            held_out=sum(each.split not in MAY_TEACH for each in examples),
            fates={fate: sum(e.ruling.fate == fate for e in found) for fate in FATES},
            reasons={fate: dict(counts.most_common()) for fate, counts in by.items()},
            doubts=dict(Counter(d for each in left for d in each.ruling.doubts).most_common()),
            cameras=dict(Counter(e.sight.camera or "unknown" for e in left).most_common()),
            scorer=scorer.weights_sha256 if scorer else None,
            captions=sum(bool(each.example.caption) for each in found),
        )

    @property
    def left(self) -> int:
        """Rows that teach."""
        return self.fates[KEPT] + self.fates[REPAIRED]

    @property
    def elsewhere(self) -> int:
        """Rows that would teach, but whose eye is held out."""
        return self.rows - self.held_out - sum(self.fates.values())

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rows": self.rows,
            "held_out": self.held_out,
            "of_a_held_out_eye_left_out": self.elsewhere,
            "with_a_caption": self.captions,
            **self.fates,
            "reasons": self.reasons,
            "doubts": self.doubts,
            "cameras": self.cameras,
            "scorer_sha256": self.scorer,
        }

    def lines(self) -> list[str]:
        """In words, for a terminal."""
        counted = ", ".join(f"{count:,} {fate}" for fate, count in self.fates.items())
        told = [f"{sum(self.fates.values()):,} rows that teach: {counted}"]
        for fate, counts in self.reasons.items():
            told += [f"{fate}: {reason}: {count:,}" for reason, count in counts.items()]
        told += [f"kept, and doubtful: {doubt}: {count:,}" for doubt, count in self.doubts.items()]
        if strangers := self.cameras.get("unknown"):
            told.append(
                f"{strangers:,} from no camera that the reader knows: it says little of them"
            )
        told.append(f"{self.held_out:,} held out, left as they are")
        if self.elsewhere:
            told.append(f"{self.elsewhere:,} left out, whose eye is held out")
        return told


def ruling_rows(found: Sequence[Purified]) -> list[dict[str, str]]:
    """The rulings as rows of `RULINGS`."""
    return [
        {
            "file": str(each.example.path.absolute()),
            "row": "" if each.example.row is None else str(each.example.row),
            "fate": each.ruling.fate,
            "reasons": "; ".join(each.ruling.reasons),
            "doubts": "; ".join(each.ruling.doubts),
            "camera": each.sight.camera or "",
            "shown": "; ".join(map(str, each.sight.said)),
            "better": "" if each.sight.better is None else f"{each.sight.better:.3f}",
            "caption_before": each.example.caption or "",
        }
        for each in found
    ]
