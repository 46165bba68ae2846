"""What a denoiser is trained on: a folder with an autoencoder and a text encoder, of its own or a
whole pipeline's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from engine import shipped
from engine.models.card import verified_card
from engine.models.folder import check_weights
from engine.registry.family import ModelRef, Whereabouts, reading

if TYPE_CHECKING:
    from engine.models.text_encoder import PretrainedText

AUTOENCODER, TEXT, TOKENIZER = "vae", "text_encoder", "tokenizer"


class BaseRef(ModelRef):
    """Autoencoder, text encoder and tokenizer of a folder, of any class that is known."""

    FAMILY: ClassVar[str] = "base"
    ASKED: ClassVar[str] = "model.base"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "diffusers", "transformers")

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """See `ModelRef`."""
        return all((folder / part).is_dir() for part in (AUTOENCODER, TEXT, TOKENIZER))

    @classmethod
    def examine(cls, place: Whereabouts) -> Self:
        """See `ModelRef`."""
        card = verified_card(place.folder)
        for part in (AUTOENCODER, TEXT):
            check_weights(place.folder / part)
        return cls(name=place.name, location=place.location, weights_sha256=card.sha256)

    def load(self) -> tuple[Any, PretrainedText]:
        """See `ModelRef`: the autoencoder, and the text encoder with its tokenizer."""
        from engine.models.text_encoder import PretrainedText

        tokenizer, text = self._part(TOKENIZER), self._part(TEXT)
        return self._part(AUTOENCODER), PretrainedText(text, tokenizer)

    def _part(self, name: str) -> Any:
        from engine.models.classes import load_component

        folder = shipped.folder_of(self.location) / name
        with reading(folder, "a part of a model folder"):
            return load_component(folder)
