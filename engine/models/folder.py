"""A finished model folder as it is found on a disk: what its small files say, and every reason not
to load it, told before any weight is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from engine.files import read_regular
from engine.models.cameras import own_cameras
from engine.models.card import CARD, MOST_TEXT, files_of, verified_card
from engine.models.classes import INDEX, ConfigFile, read_components, read_config
from engine.schema import MAX_CAPTION_TOKENS, UserError

PIPELINE_CLASS = "RetinaForgePipeline"
COMPONENTS = ("transformer", "vae", "text_encoder", "label_encoder")
GAN_CLASSES = ("GeometryGan", "Refiner")
_LAYERS = ("layers", "depths")
"""In the names of fields that count layers, each of which has a tensor at least."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


class _Index(ConfigFile):
    class_name: str = Field(alias="_class_name")
    latent_spread: list[Annotated[float, Field(gt=0)]] | None = None
    time_scale: Annotated[float, Field(gt=0)] | None = None
    native_side: Annotated[int, Field(ge=1)] | None = None


class _Config(ConfigFile):
    model_config = ConfigDict(extra="allow")


class _Network(ConfigFile):
    class_name: str = Field(alias="_class_name")


class _Gan(_Network):
    size: int = Field(ge=1)
    sources: tuple[str, ...]


class Sampling(ConfigFile):
    """How the card wants the model to be called unless the user says otherwise."""

    solver: str = "dpmpp"
    steps: int = Field(default=16, ge=1, le=1000)
    guidance: float = Field(default=3.0, ge=0)
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    shift: float = Field(default=1.0, gt=0)
    context_tokens: int = Field(default=MAX_CAPTION_TOKENS, ge=1, le=MAX_CAPTION_TOKENS)
    t0: float = Field(default=0.0, ge=0, lt=1)


class _Evidence(ConfigFile):
    label: str
    real: int = Field(ge=0)
    read_on: str | None = None


class _Card(ConfigFile):
    weights_sha256: str | None = None
    size: int | None = Field(default=None, ge=1)
    sampling: Sampling = Sampling()
    label_evidence: tuple[_Evidence, ...] = ()
    real_examples_per_label: dict[str, int] = Field(default_factory=dict)
    real_positives_per_label: dict[str, int] = Field(default_factory=dict)

    @property
    def phantom_only(self) -> tuple[str, ...]:
        """Of a model that nobody has evaluated, the labels that no photograph taught."""
        if not self.label_evidence:
            # Cards from before positives were counted say only of how many each label is known.
            counted = self.real_positives_per_label or self.real_examples_per_label
            return tuple(label for label, real in counted.items() if not real)
        return tuple(
            each.label
            for each in self.label_evidence
            if not each.real or each.read_on == "phantoms"
        )


@dataclass(frozen=True)
class ModelFolder:
    """A folder that may be loaded. `size` and `patch_px` in pixels; `flops_per_step` of a guided
    pair at that size; `phantom_only` are labels that phantoms alone show to steer, or
    that no photograph taught; `refined` where a `Refiner` has a part in it.
    """

    weights_sha256: str
    size: int
    patch_px: int
    sources: tuple[str, ...]
    sampling: Sampling
    flops_per_step: float
    takes_geometry: bool
    phantom_only: tuple[str, ...]
    refined: bool


def examine(folder: Path) -> ModelFolder:
    """Read a model folder. Raises UserError, naming file and field, for another architecture, for
    a component without whole safetensors, for broken configs, and for weights that the card does
    not name.
    """
    refuse_strangers(folder)
    own_cameras(folder)
    found = read_components(folder)
    denoiser, index = found.denoiser, read_config(folder / INDEX, _Index)
    if index.latent_spread is not None and len(index.latent_spread) != denoiser.in_channels:
        raise UserError(
            f"{len(index.latent_spread)} numbers",
            file=folder / INDEX,
            field="latent_spread",
            expected=f"{denoiser.in_channels}, one for each latent channel",
        )
    for component in found.names:
        if component != "tokenizer":
            check_weights(folder / component)
    card, digest = _card(folder), verified_card(folder).sha256
    patch_px = found.latents.factor * denoiser.patch_size
    size = card.size or denoiser.sample_size * found.latents.factor
    return ModelFolder(
        weights_sha256=digest,
        size=size,
        patch_px=patch_px,
        sources=found.labels.sources,
        sampling=card.sampling,
        flops_per_step=_flops(folder, (size / patch_px) ** 2),
        takes_geometry=found.takes_geometry,
        phantom_only=card.phantom_only,
        refined="refiner" in found.names,
    )


def is_network(folder: Path, *classes: str) -> bool:
    """Whether a folder is one network of a class of these names, rather than a pipeline."""
    config = folder / "config.json"
    if (folder / INDEX).exists() or not config.is_file():
        return False
    told = read_regular(config, MOST_TEXT)
    return any(f'"{name}"'.encode() in told for name in classes)


def examine_network(folder: Path, *classes: str) -> str:
    """The hash of a folder that is one network of one of these classes. Raises UserError as
    `examine` does, which reads a pipeline."""
    files_of(folder)
    found = class_of(folder)
    if found not in classes:
        raise UserError(
            f"a folder of another architecture: {found}",
            file=folder / "config.json",
            expected=" or ".join(classes),
        )
    check_weights(folder)
    return verified_card(folder).sha256


def class_of(folder: Path) -> str:
    """The class of the one network in a folder."""
    return read_config(folder / "config.json", _Network).class_name


def examine_gan(folder: Path) -> ModelFolder:
    """Read the folder of a generator, as `examine` does that of a pipeline."""
    digest = examine_network(folder, *GAN_CLASSES)
    own_cameras(folder)
    config, card = read_config(folder / "config.json", _Gan), _card(folder)
    return ModelFolder(
        weights_sha256=digest,
        size=card.size or config.size,
        patch_px=32,
        sources=config.sources,
        sampling=Sampling(solver="none", steps=1, guidance=0.0),
        # A convolution's weights each work on about a quarter of the pixels, as the net narrows.
        flops_per_step=_weights(folder) * config.size**2 / 4,
        takes_geometry=True,
        phantom_only=card.phantom_only,
        refined=class_of(folder) == "Refiner",
    )


def phantom_only(folder: Path) -> tuple[str, ...]:
    """The labels that phantoms alone show to steer, as the card of a folder says."""
    return _card(folder).phantom_only


def _card(folder: Path) -> _Card:
    """What the card says of sampling and evidence."""
    return read_config(folder / CARD, _Card) if (folder / CARD).exists() else _Card()


def refuse_strangers(folder: Path) -> None:
    """Raise UserError for folders without our pipeline, and for weights that only a pickle
    holds.
    """
    index = folder / INDEX
    if not any(file.suffix == ".safetensors" for file in files_of(folder)):
        _refuse_pickles(folder)
    if not index.is_file():
        raise UserError(
            "not a model folder: it has no model_index.json", file=folder, expected=PIPELINE_CLASS
        )
    found = read_config(index, _Index).class_name
    if found != PIPELINE_CLASS:
        raise UserError(
            f"a folder of another architecture: {found}", file=index, expected=PIPELINE_CLASS
        )


def _refuse_pickles(folder: Path) -> None:
    pickles = [path for path in files_of(folder) if path.suffix in PICKLES]
    if pickles:
        raise UserError(
            "pickled weights can run code and are never loaded",
            file=pickles[0],
            expected="safetensors",
        )


def check_weights(component: Path) -> None:
    """Raise UserError unless the component's folder has safetensors, each of them whole, and a
    configuration of their size.
    """
    from safetensors import SafetensorError, safe_open

    files = sorted(component.glob("*.safetensors"))
    if not files:
        _refuse_pickles(component)
        raise UserError("this component holds no weights", file=component, expected="*.safetensors")
    tensors = 0
    for file in files:
        try:
            # Opening reads the header alone, and compares it with the length of the file.
            with safe_open(file, "numpy") as opened:
                tensors += len(opened.keys())
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"cannot be opened: {error}", file=file, expected="a whole safetensors file"
            ) from error
    _check_sizes(component / "config.json", tensors, int(_weights(component)))


def _check_sizes(path: Path, tensors: int, weights: int) -> None:
    """Raise UserError for a configuration that asks for more layers than there are tensors, or for
    a side longer than all weights: what it describes would be built before anybody compares.
    """
    for field, value in (read_config(path, _Config).model_extra or {}).items():
        numbers = [*_numbers(field, value)]
        for name, number in numbers:
            most = tensors if any(word in name for word in _LAYERS) else weights
            if len(numbers) > tensors or abs(number) > most:
                raise UserError(
                    "more than the weights beside it hold",
                    file=path,
                    field=name,
                    expected=f"at most {most:,}",
                )


def _numbers(field: str, value: Any) -> Iterator[tuple[str, int]]:
    """Whole numbers in a value of a configuration, by the whole name of their field."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(f"{field}.{name}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(field, inner)
    elif isinstance(value, int):
        yield field, value


def _flops(folder: Path, tokens: float) -> float:
    """Two operations per weight and token, for a guided pair."""
    return 2 * 2 * _weights(folder / "transformer") * tokens


def _weights(component: Path) -> float:
    """How many there are, stored in float16."""
    return sum(path.stat().st_size for path in component.glob("*.safetensors")) / 2
