"""The family that tells how well words fit a picture: a folder of transformers' `CLIPModel`, with
its tokenizer, as its library saves it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from engine import shipped
from engine.models.card import verified_card
from engine.models.folder import check_weights, is_network
from engine.registry.family import ModelRef, Whereabouts, reading
from engine.schema import UserError

if TYPE_CHECKING:
    from engine.models.scorer import Scorer

TOKENIZER = "tokenizer.json"


class ScorerRef(ModelRef):
    """A CLIP (Radford et al. 2021, arXiv 2103.00020)."""

    FAMILY: ClassVar[str] = "scorer"
    ASKED: ClassVar[str] = "scorer"
    CLASS: ClassVar[str] = "CLIPModel"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "transformers")

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """See `ModelRef`."""
        return is_network(folder, cls.CLASS)

    @classmethod
    def examine(cls, place: Whereabouts) -> Self:
        """See `ModelRef`."""
        check_weights(place.folder)
        if not (place.folder / TOKENIZER).is_file():
            raise UserError("this file is missing", file=place.folder / TOKENIZER)
        digest = verified_card(place.folder).sha256
        return cls(name=place.name, location=place.location, weights_sha256=digest)

    @classmethod
    def missing(cls, place: str | Path, names: Sequence[str]) -> UserError:
        """See `ModelRef`."""
        return UserError(
            "no scorer here", file=place, asked=cls.ASKED, expected="a folder of a CLIPModel"
        )

    def load(self) -> Scorer:
        """See `ModelRef`."""
        from engine.models.scorer import Scorer

        folder = shipped.folder_of(self.location)
        with reading(folder, "a scorer"):
            return Scorer(folder)
