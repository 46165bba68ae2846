"""The family of decoders: a folder of `LatentDecoder`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from engine.models.classes import ConfigFile, read_config
from engine.registry.family import Whereabouts
from engine.registry.network import NetworkRef

if TYPE_CHECKING:
    from engine.models.latent_decoder import LatentDecoder


class _Read(ConfigFile):
    autoencoder: str


@dataclass(frozen=True, kw_only=True)
class LatentDecoderRef(NetworkRef):
    """A decoder of latents; `autoencoder` says of which (`engine.models.latent_decoder.key_of`)."""

    FAMILY: ClassVar[str] = "decoder of latents"
    ASKED: ClassVar[str] = "decoder"
    CLASS: ClassVar[str] = "LatentDecoder"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "diffusers")

    autoencoder: str = ""

    @classmethod
    def examine(cls, place: Whereabouts) -> Self:
        """See `ModelRef`."""
        found = super().examine(place)
        read = read_config(place.folder / "config.json", _Read)
        return cls(**{**vars(found), "autoencoder": read.autoencoder})

    def load(self) -> LatentDecoder:
        """See `ModelRef`."""
        from engine.models.latent_decoder import LatentDecoder

        network: LatentDecoder = self._loaded(LatentDecoder)
        return network
