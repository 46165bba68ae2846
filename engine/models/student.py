"""A student: some layers of a teacher's denoiser, with what they learned beside the teacher's
weights so that a few evaluations without guidance end where the teacher's many do.

Its folder holds nothing else. All the rest is the teacher's, which it names by the hash of its
folder; so the student's own hash covers the teacher's too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from engine import shipped
from engine.models.card import CARD, read_card
from engine.models.classes import ConfigFile, read_config
from engine.models.folder import ModelFolder, examine, examine_network, phantom_only
from engine.schema import UserError

if TYPE_CHECKING:
    import torch
    from diffusers import LuminaNextDiT2DModel

CLASS = "Student"
CONFIG = "config.json"
ADAPTERS = "adapters.safetensors"
DOWN, UP = ".down", ".up"
"""What an adapter's two matrices are called after the layer that they stand beside."""


class StudentConfig(ConfigFile):
    """What its configuration says: who taught it, the teacher's `layers` that it has, the numbers
    of `evaluations` that it was taught, and `t0`, the time at which its way begins."""

    teacher: str
    teacher_sha256: str
    layers: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    evaluations: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    t0: float = Field(ge=0, lt=1)


@dataclass(frozen=True)
class StudentFolder:
    """A student that may be loaded, and its teacher: the folder, and what was found there."""

    weights_sha256: str
    taught: StudentConfig
    home: Path
    teacher: ModelFolder
    phantom_only: tuple[str, ...]


def examine_student(folder: Path) -> StudentFolder:
    """Read the folder of a student. Raises UserError as `examine` does, and where its teacher is
    not at hand."""
    digest = examine_network(folder, CLASS)
    taught = read_config(folder / CONFIG, StudentConfig)
    home = teacher_of(folder, taught)
    return StudentFolder(digest, taught, home, examine(home), phantom_only(folder))


def teacher_of(folder: Path, taught: StudentConfig) -> Path:
    """The folder of the very model that taught the student: of this checkout, or beside the
    student's folder or run. UserError where there is none."""
    for place in _around(folder):
        with suppress(UserError, OSError):
            if read_card(place).get("weights_sha256") == taught.teacher_sha256:
                return place
    raise UserError(
        f"its teacher {taught.teacher!r} ({taught.teacher_sha256[:12]}) is not here",
        file=folder / CONFIG,
        field="teacher_sha256",
        expected="the teacher's folder beside the student's",
    )


def _around(folder: Path) -> Iterator[Path]:
    for place in (shipped.WEIGHTS, folder.parent, folder.parent.parent):
        for card in sorted([*place.glob(f"*/{CARD}"), *place.glob(f"*/model/{CARD}")]):
            yield card.parent


def shortened(teacher: LuminaNextDiT2DModel, layers: Sequence[int]) -> LuminaNextDiT2DModel:
    """A denoiser of these layers of the teacher's, and all the rest of it. ValueError for a layer
    that it does not have."""
    from diffusers import LuminaNextDiT2DModel

    from engine.models.transformer import use_kernels

    if not set(layers) <= set(range(len(teacher.layers))):
        raise ValueError(f"layers {list(layers)} of {len(teacher.layers)}")
    student = LuminaNextDiT2DModel.from_config({**teacher.config, "num_layers": len(layers)})
    whole = teacher.state_dict()
    kept = {name: value for name, value in whole.items() if not name.startswith("layers.")}
    for new, old in enumerate(layers):
        mine = f"layers.{old}."
        kept |= {
            f"layers.{new}.{name.removeprefix(mine)}": value
            for name, value in whole.items()
            if name.startswith(mine)
        }
    student.load_state_dict(kept)
    return use_kernels(student)


def write_student(
    folder: Path, taught: Mapping[str, Any], adapters: Mapping[str, torch.Tensor]
) -> None:
    """Write configuration and adapters, in float16."""
    import json

    from safetensors.torch import save_file

    config = {"_class_name": CLASS, **StudentConfig.model_validate(taught).model_dump()}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    save_file(
        {name: value.half().contiguous() for name, value in adapters.items()}, folder / ADAPTERS
    )


def read_student(folder: Path) -> tuple[StudentConfig, dict[str, torch.Tensor]]:
    """The configuration and the adapters, in float32. UserError, and what safetensors raises."""
    from safetensors.torch import load_file

    found = load_file(folder / ADAPTERS)
    taught = read_config(folder / CONFIG, StudentConfig)
    return taught, {name: value.float() for name, value in found.items()}


def load_student(folder: Path) -> tuple[Path, LuminaNextDiT2DModel]:
    """The teacher's folder, and the student's denoiser in float32: the teacher's layers and what
    the adapters add to them. KeyError and RuntimeError for adapters of another denoiser."""
    import torch

    from engine.models import transformer

    taught, adapters = read_student(folder)
    home = teacher_of(folder, taught)
    model = shortened(transformer.read(home / "transformer").float(), taught.layers)
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name in (each.removesuffix(DOWN) for each in adapters if each.endswith(DOWN)):
            weights[f"{name}.weight"] += adapters[name + UP] @ adapters[name + DOWN]
    return home, model.eval()
