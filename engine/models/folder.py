"""A finished model folder as it is found on a disk: what its small files say, and every reason not
to load it, told before any weight is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.models.card import CARD, hash_folder
from engine.schema import MAX_CAPTION_TOKENS, UserError

PIPELINE_CLASS = "RetinaForgePipeline"
COMPONENTS = ("transformer", "vae", "text_encoder", "label_encoder")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


class _Shape(BaseModel):
    """What is read of a JSON file; its other fields belong to the libraries."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


_Read = TypeVar("_Read", bound=_Shape)


class _Index(_Shape):
    class_name: str = Field(alias="_class_name")


class _Transformer(_Shape):
    sample_size: int = Field(ge=1)
    patch_size: int = Field(ge=1)


class _Vae(_Shape):
    encoder_block_out_channels: list[int] = Field(min_length=1, max_length=16)


class _LabelEncoder(_Shape):
    sources: tuple[str, ...]


class Sampling(_Shape):
    """How the card wants the model to be called unless the user says otherwise."""

    solver: str = "dpmpp"
    steps: int = Field(default=16, ge=1, le=1000)
    guidance: float = Field(default=3.0, ge=0)
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    shift: float = Field(default=1.0, gt=0)
    context_tokens: int = Field(default=MAX_CAPTION_TOKENS, ge=1, le=MAX_CAPTION_TOKENS)


class _Card(_Shape):
    weights_sha256: str | None = None
    size: int | None = Field(default=None, ge=1)
    sampling: Sampling = Sampling()


@dataclass(frozen=True)
class ModelFolder:
    """A folder that may be loaded. `size` and `patch_px` in pixels; `flops_per_step` of a guided
    pair at that size.
    """

    weights_sha256: str
    size: int
    patch_px: int
    sources: tuple[str, ...]
    sampling: Sampling
    flops_per_step: float


def examine(folder: Path) -> ModelFolder:
    """Read a model folder. Raises UserError, naming file and field, for another architecture, for
    a component without whole safetensors, for broken configs, and for weights that the card does
    not name.
    """
    _refuse_strangers(folder)
    unet = _read(folder / "transformer/config.json", _Transformer)
    vae = _read(folder / "vae/config.json", _Vae)
    labels = _read(folder / "label_encoder/config.json", _LabelEncoder)
    card = _read(folder / CARD, _Card) if (folder / CARD).exists() else _Card()
    for component in COMPONENTS:
        _check_weights(folder, component)
    digest = hash_folder(folder)
    if card.weights_sha256 not in (None, digest):
        raise UserError(
            f"the weights are not those that the model card names: the files have {digest}",
            file=folder / CARD,
            field="weights_sha256",
            expected=f"{card.weights_sha256}, as the card promises",
        )
    stride = 2 ** (len(vae.encoder_block_out_channels) - 1)
    return ModelFolder(
        weights_sha256=digest,
        size=card.size or unet.sample_size * stride,
        patch_px=stride * unet.patch_size,
        sources=labels.sources,
        sampling=card.sampling,
        flops_per_step=_flops(folder, unet),
    )


def _refuse_strangers(folder: Path) -> None:
    """Raise UserError for folders without our pipeline, and for weights that only a pickle
    holds.
    """
    index = folder / "model_index.json"
    if not any(folder.rglob("*.safetensors")):
        _refuse_pickles(folder)
    if not index.is_file():
        raise UserError(
            "not a model folder: it has no model_index.json", file=folder, expected=PIPELINE_CLASS
        )
    found = _read(index, _Index).class_name
    if found != PIPELINE_CLASS:
        raise UserError(
            f"a folder of another architecture: {found}", file=index, expected=PIPELINE_CLASS
        )


def _refuse_pickles(folder: Path) -> None:
    pickles = [path for path in sorted(folder.rglob("*")) if path.suffix in PICKLES]
    if pickles:
        raise UserError(
            "pickled weights can run code and are never loaded",
            file=pickles[0],
            expected="safetensors",
        )


def _check_weights(folder: Path, component: str) -> None:
    """Raise UserError unless the component has safetensors, each of them whole."""
    from safetensors import SafetensorError, safe_open

    files = sorted((folder / component).glob("*.safetensors"))
    if not files:
        _refuse_pickles(folder / component)
        raise UserError(
            "this component holds no weights", file=folder / component, expected="*.safetensors"
        )
    for file in files:
        try:
            # Opening reads the header alone, and compares it with the length of the file.
            with safe_open(file, "numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"cannot be opened: {error}", file=file, expected="a whole safetensors file"
            ) from error


def _read(path: Path, shape: type[_Read]) -> _Read:
    try:
        return shape.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError("this file is missing from the model folder", file=path) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        broken = "not JSON: " if first["type"] == "json_invalid" else ""
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{broken}{first['msg']}", file=path, field=field or None) from error


def _flops(folder: Path, unet: _Transformer) -> float:
    """Two operations per weight and token, for a guided pair, at the native size; stored in
    float16.
    """
    weights = (
        sum(path.stat().st_size for path in (folder / "transformer").glob("*.safetensors")) / 2
    )
    tokens = (unet.sample_size / unet.patch_size) ** 2
    return 2 * 2 * weights * tokens
