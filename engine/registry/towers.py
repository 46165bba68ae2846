"""The family of two towers, pictures and words: a folder of `TwoTowers` with its tokenizer. It is a
scorer like a CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from engine import shipped
from engine.registry.family import reading
from engine.registry.scorer import ScorerRef
from engine.schema import UserError

if TYPE_CHECKING:
    from engine.models.two_towers import FrozenTowers


class TowersRef(ScorerRef):
    """Towers that learned captions (`train.visionclip`)."""

    FAMILY: ClassVar[str] = "towers"
    CLASS: ClassVar[str] = "TwoTowers"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "transformers", "diffusers")

    @classmethod
    def missing(cls, place: str | Path, names: Sequence[str]) -> UserError:
        """See `ModelRef`."""
        return UserError(
            "no towers here", file=place, asked="model", expected=", ".join([*names, "a folder"])
        )

    def load(self) -> FrozenTowers:  # type: ignore[override]
        """See `ModelRef`."""
        from transformers import PreTrainedTokenizerFast

        from engine.models.two_towers import FrozenTowers, TwoTowers

        folder = shipped.folder_of(self.location)
        with reading(folder, "towers"):
            network = TwoTowers.from_pretrained(folder, use_safetensors=True, local_files_only=True)
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
            return FrozenTowers(network.float(), tokenizer)
