"""The family of two towers, pictures and words: a folder of `TwoTowers` with its tokenizer. It is a
scorer like a CLIP."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from engine import shipped
from engine.registry.family import reading
from engine.registry.scorer import ScorerRef

if TYPE_CHECKING:
    from engine.models.two_towers import FrozenTowers


class TowersRef(ScorerRef):
    """Towers that learned captions (`train.visionclip`)."""

    FAMILY: ClassVar[str] = "towers"
    CLASS: ClassVar[str] = "TwoTowers"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "transformers", "diffusers")

    def load(self) -> FrozenTowers:  # type: ignore[override]
        """See `ModelRef`."""
        from transformers import PreTrainedTokenizerFast

        from engine.models.two_towers import FrozenTowers, TwoTowers

        folder = shipped.folder_of(self.location)
        with reading(folder, "towers"):
            network = TwoTowers.from_pretrained(folder, use_safetensors=True, local_files_only=True)
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
            return FrozenTowers(network.float(), tokenizer)
