"""What every plan has: all that decides the rows of a folder, and the fingerprint of all that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from engine.seeds import row_id
from engine.store.forms import RowForm
from engine.store.place import Place

FORMAT = 1


class Sealed(BaseModel):
    """What every plan has. `LOOSE` are the fields that decide no row and so are no part of the
    fingerprint.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    LOOSE: ClassVar[frozenset[str]] = frozenset({"fingerprint"})
    FORM: ClassVar[RowForm]
    """What its rows are."""

    format: int = FORMAT
    versions: dict[str, str]
    fingerprint: str = ""

    def identity(self) -> dict[str, Any]:
        """All that decides rows, as plain JSON values and `Rows`."""
        return self.model_dump(mode="json", exclude=set(self.LOOSE))

    def canonical(self) -> Iterator[str]:
        """The canonical JSON of the identity, piece by piece."""
        yield canonical_json(self.identity())

    def lay_down(self, place: Place) -> dict[str, Any]:
        """What plan.json is to say, once what lies beside it is written."""
        return self.model_dump(mode="json")

    def check(self) -> None:
        """Raise UserError where a table beside the plan is not the one that it was sealed with."""

    def clear_others(self, place: Place) -> None:
        """Remove from its folder what runs that came to nothing laid beside it."""

    def common(self) -> dict[str, Any]:
        """What every row says alike, by column."""
        return {"fingerprint": self.fingerprint}

    def columns(self, indices: Sequence[int], attempts: Sequence[int]) -> dict[str, list[Any]]:
        """What the rows of these indices say, each kept at its last attempt, as far as the plan
        alone tells."""
        rows = len(indices)
        known = {name: [value] * rows for name, value in self.common().items()}
        return {**known, "id": [row_id(self.fingerprint, index) for index in indices]}

    def sealed(self) -> Self:
        """This plan with its fingerprint: SHA-256 over the canonical JSON of its identity."""
        digest = hashlib.sha256()
        for piece in self.canonical():
            digest.update(piece.encode())
        return self.model_copy(update={"fingerprint": digest.hexdigest()})


def canonical_json(value: Any) -> str:
    """The one text of a value, of which fingerprints are taken."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
