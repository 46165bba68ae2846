"""What turns latents into pictures: what was asked for in words, found and hashed; and the decoder
itself, loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine import shipped
from engine.call import LightDecoder
from engine.models.classes import load_component
from engine.registry.family import reading, whereabouts
from engine.registry.latent_decoder import LatentDecoderRef
from engine.registry.sampler import SamplerRef
from engine.schema import UserError

if TYPE_CHECKING:
    from engine.models.latent_decoder import LatentDecoder

WHOLE, LIGHT = "whole", "light"
AUTOENCODER = "vae"
_FORMS = "whole, light or the folder of a decoder"


def wanted(text: str, ref: SamplerRef) -> LightDecoder | None:
    """What `text` means for a model: whole (None), light, or a folder. Raises UserError for a
    folder without a decoder, and for one that reads other latents than the model's."""
    if text == WHOLE:
        return None
    if not ref.decodes or ref.home is None:
        raise UserError(f"{text!r}: {ref.name} decodes no latents", asked="decoder", expected=WHOLE)
    key = _latents_of(ref.home)
    found = _shipped(key, ref) if text == LIGHT else _decoder(text)
    _refuse_other(found, key, ref.name)
    return LightDecoder(location=found.location, sha256=found.weights_sha256)


def decoder_of(asked: LightDecoder, model: Path) -> LatentDecoder:
    """The decoder of a plan for the model in a folder. Raises UserError where it is not there, is
    another than when the plan was made, or reads other latents."""
    ref = _decoder(asked.location)
    if ref.weights_sha256 != asked.sha256:
        raise UserError(
            f"is not what the plan was made with: {ref.weights_sha256[:12]} "
            f"(plan: {asked.sha256[:12]})",
            file=asked.location,
            asked="decoder",
            expected="the same files",
        )
    _refuse_other(ref, _latents_of(model), model.name)
    return ref.load()


def _refuse_other(ref: LatentDecoderRef, key: str, model: str) -> None:
    if ref.autoencoder != key:
        raise UserError(
            f"{ref.name} reads the latents of another autoencoder than {model} draws",
            file=ref.folder,
            asked="decoder",
            expected="a decoder that was taught by this model's autoencoder",
        )


def _latents_of(model: Path) -> str:
    """The key of the autoencoder in a model folder."""
    from engine.models.autoencoder import autoencoder_of
    from engine.models.latent_decoder import key_of

    folder = model / AUTOENCODER
    with reading(folder, "an autoencoder"):
        return key_of(autoencoder_of(load_component(folder)))


def _shipped(key: str, ref: SamplerRef) -> LatentDecoderRef:
    """The decoder of this checkout for such latents."""
    for each in _here():
        if each.autoencoder == key:
            return each
    raise UserError(
        f"no light decoder here reads the latents that {ref.name} draws",
        asked="decoder",
        expected=f"{WHOLE}, or the folder of a decoder",
    )


def _here() -> Iterator[LatentDecoderRef]:
    for name in shipped.names():
        if LatentDecoderRef.holds(shipped.WEIGHTS / name):
            yield _decoder(name)


def _decoder(place: str) -> LatentDecoderRef:
    for each in whereabouts(place):
        if LatentDecoderRef.holds(each.folder):
            return LatentDecoderRef.examine(each)
    raise UserError(
        f"no {LatentDecoderRef.FAMILY} of that name, and none in such a folder: {place!r}",
        asked="decoder",
        expected=_FORMS,
    )
