"""The classes that the components of a model folder may have, what of their configurations must fit
together, and how each is loaded. Whatever else a folder names is never imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from engine.files import read_regular
from engine.models.card import MOST_TEXT
from engine.models.needs import Needs
from engine.schema import UserError

INDEX = "model_index.json"


class ConfigFile(BaseModel):
    """What is read of a JSON file; its other fields belong to the libraries."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


_Read = TypeVar("_Read", bound=ConfigFile)


class Denoiser(ConfigFile):
    """Of the transformer. Pixels of latents and patches, and the width of what it attends to."""

    sample_size: int = Field(ge=1)
    patch_size: int = Field(ge=1)
    in_channels: int = Field(ge=1)
    hidden_size: int = Field(ge=1)
    cross_attention_dim: int = Field(ge=1)


class _Latents(ConfigFile):
    """Of an autoencoder, whose every level but the first halves the picture."""

    levels: list[int] = Field(
        validation_alias=AliasChoices("encoder_block_out_channels", "block_out_channels"),
        min_length=1,
        max_length=16,
    )
    latent_channels: int = Field(ge=1)

    @property
    def factor(self) -> int:
        """Pixels of a place of the latents."""
        return 2 ** (len(self.levels) - 1)


class _Text(ConfigFile):
    width: int = Field(validation_alias=AliasChoices("hidden_size", "d_model"), ge=1)


class _Labels(ConfigFile):
    """Of the label encoder."""

    sources: tuple[str, ...]
    width: int = Field(ge=1)


class _Geometry(ConfigFile):
    channels: int
    patch_size: int
    width: int


class _Refiner(ConfigFile):
    size: int = Field(ge=1)


class _Tokenizer(ConfigFile):
    pass


_TEXT = ("BertModel", "T5EncoderModel", "CLIPTextModel", "GemmaModel", "Gemma2Model")
_TOKENIZERS = (
    *("TokenizersBackend", "PreTrainedTokenizerFast"),
    *("BertTokenizer", "T5Tokenizer", "CLIPTokenizer", "GemmaTokenizer"),
    *("BertTokenizerFast", "T5TokenizerFast", "CLIPTokenizerFast", "GemmaTokenizerFast"),
)
CLASSES: dict[str, tuple[type[ConfigFile], tuple[str, ...]]] = {
    "transformer": (Denoiser, ("diffusers.LuminaNextDiT2DModel",)),
    "vae": (_Latents, ("diffusers.AutoencoderDC", "diffusers.AutoencoderKL")),
    "text_encoder": (_Text, tuple(f"transformers.{name}" for name in _TEXT)),
    "tokenizer": (_Tokenizer, tuple(f"transformers.{name}" for name in _TOKENIZERS)),
    "label_encoder": (_Labels, ("engine.models.conditioning.LabelEncoder",)),
    "geometry_encoder": (_Geometry, ("engine.models.geometry.GeometryEncoder",)),
    "refiner": (_Refiner, ("engine.models.refiner.Refiner",)),
}
"""By component what is read of its configuration, and its classes by the names that model folders
have for them."""
_TOLD_BY = {"tokenizer": "tokenizer_config.json"}
_HOW: dict[str, dict[str, Any]] = {"transformers.BertModel": {"add_pooling_layer": False}}


@dataclass(frozen=True)
class Components:
    """What the configurations of a model folder say."""

    denoiser: Denoiser
    latents: _Latents
    labels: _Labels
    names: tuple[str, ...]
    """Of all that there are."""

    @property
    def takes_geometry(self) -> bool:
        """Whether it can be drawn on an eye's structures."""
        return "geometry_encoder" in self.names


class _Named(ConfigFile):
    """The classes that `model_index.json` names: of a component that it was saved without, a
    pipeline keeps the name and two nulls."""

    transformer: list[str] = Field(min_length=2, max_length=2)
    vae: list[str] = Field(min_length=2, max_length=2)
    text_encoder: list[str] = Field(min_length=2, max_length=2)
    tokenizer: list[str] = Field(min_length=2, max_length=2)
    label_encoder: list[str] = Field(min_length=2, max_length=2)
    geometry_encoder: list[str | None] = []
    refiner: list[str | None] = []


def read_components(folder: Path) -> Components:
    """The components of a model folder. Raises UserError, naming file and field, for a class that
    is not known, a broken configuration, and for components that do not fit together."""
    index = read_config(folder / INDEX, _Named)
    found: dict[str, Any] = {}
    for component, (shape, known) in CLASSES.items():
        words = getattr(index, component)
        if not any(words):
            continue
        if ".".join(map(str, words)) not in known:
            raise _unknown(".".join(map(str, words)), folder / INDEX, component)
        found[component] = read_config(folder / component / _told_by(component), shape)
    # What the hash of the weights covers; older formats of a tokenizer are not.
    if not (folder / "tokenizer/tokenizer.json").is_file():
        raise _missing(folder / "tokenizer/tokenizer.json")
    for component, field, has, needed in _fits(found):
        if has != needed:
            file = folder / component / "config.json"
            problem = f"{has} does not fit the denoiser"
            raise UserError(problem, file=file, field=field, expected=str(needed))
    return Components(found["transformer"], found["vae"], found["label_encoder"], tuple(found))


def _fits(found: dict[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    """Component, field, its number and the number that fits the denoiser."""
    denoiser = found["transformer"]
    yield "vae", "latent_channels", found["vae"].latent_channels, denoiser.in_channels
    yield "text_encoder", "hidden_size", found["text_encoder"].width, denoiser.cross_attention_dim
    yield "label_encoder", "width", found["label_encoder"].width, denoiser.cross_attention_dim
    if geometry := found.get("geometry_encoder"):
        yield "geometry_encoder", "channels", geometry.channels, denoiser.in_channels
        yield "geometry_encoder", "patch_size", geometry.patch_size, denoiser.patch_size
        yield "geometry_encoder", "width", geometry.width, denoiser.hidden_size


def read_needs(base: Path) -> Needs:
    """What a denoiser must be like to learn with the autoencoder and the text encoder of a folder.
    Raises UserError where they are none that are known."""
    for component in ("vae", "text_encoder"):
        _own_class(base / component)
    latents = read_config(base / "vae/config.json", _Latents)
    words = read_config(base / "text_encoder/config.json", _Text)
    return Needs(latents.latent_channels, words.width, latents.factor)


def load_component(folder: Path) -> Any:
    """A component by the class that its own configuration names; its folder is called what the
    component is. Raises UserError for another class, and whatever its library does."""
    named = _own_class(folder)
    library, _, name = named.rpartition(".")
    kind = getattr(importlib.import_module(library), name)
    if folder.name == "tokenizer":
        return kind.from_pretrained(folder, local_files_only=True)
    how = _HOW.get(named, {})
    return kind.from_pretrained(folder, use_safetensors=True, local_files_only=True, **how)


def _own_class(folder: Path) -> str:
    component = folder.name
    file = folder / _told_by(component)
    told = read_config(file, _Told)
    words = told.name or (told.architectures or [""])[0] or told.tokenizer_class
    known = {name.rpartition(".")[2]: name for name in CLASSES[component][1]}
    if words not in known:
        raise _unknown(words, file, component)
    return known[words]


class _Told(ConfigFile):
    name: str = Field(default="", alias="_class_name")
    architectures: list[str] | None = None
    tokenizer_class: str = ""


def read_config(path: Path, shape: type[_Read]) -> _Read:
    """A JSON file of a model folder. Raises UserError where it is none or is not of this shape."""
    try:
        return shape.model_validate_json(read_regular(path, MOST_TEXT))
    except FileNotFoundError as error:
        raise _missing(path) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        broken = "not JSON: " if first["type"] == "json_invalid" else ""
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{broken}{first['msg']}", file=path, field=field or None) from error


def _told_by(component: str) -> str:
    return _TOLD_BY.get(component, "config.json")


def _missing(path: Path) -> UserError:
    return UserError("this file is missing from the model folder", file=path)


def _unknown(words: str, file: Path, component: str) -> UserError:
    return UserError(
        f"a class that is not loaded: {words or 'none'}",
        file=file,
        field=component,
        expected=" or ".join(CLASSES[component][1]),
    )
