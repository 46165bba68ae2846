"""Models by name: what stands behind `--model`, and the door through which every image is drawn.

`resolve` only reads small files, so that mistakes are told before anything starts; `load` brings
the weights into memory. Every kind of model has a module here.
"""

from __future__ import annotations

from pathlib import Path

from engine import device, shipped
from engine.call import CallSettings
from engine.models.classes import INDEX
from engine.models.folder import is_gan
from engine.registry import diffusion, gan, null, phantom
from engine.registry.diffusion import SOLVERS, PipelineSampler
from engine.registry.gan import GanSampler
from engine.registry.null import NullSampler
from engine.registry.phantom import PhantomSampler
from engine.registry.refs import CUDA_ROWS_PER_CALL, Drawn, ModelRef, Sampler
from engine.schema import UserError
from engine.shipped import DEFAULT, WEIGHTS

__all__ = [
    "CUDA_ROWS_PER_CALL",
    "SOLVERS",
    "Drawn",
    "GanSampler",
    "ModelRef",
    "NullSampler",
    "PhantomSampler",
    "PipelineSampler",
    "Sampler",
    "embedded",
    "folder_of",
    "load",
    "names",
    "resolve",
]


def embedded() -> list[str]:
    """The models that lie in this checkout, the default first."""
    found = sorted(folder.name for folder in WEIGHTS.glob("*/") if _is_model(folder))
    return sorted(found, key=lambda name: name != DEFAULT)


def names() -> list[str]:
    """The names that `--model` knows, the default first."""
    return [*embedded(), phantom.NAME, "null[:MS]"]


def resolve(name: str) -> ModelRef:
    """The model of this name or folder. Raises UserError with the reason if it is not one that may
    be loaded.
    """
    if name == "null" or name.startswith("null:"):
        return null.resolve(name)
    if name == phantom.NAME:
        return phantom.resolve()
    try:
        found = _find(name)
        examine = gan.resolve if found and is_gan(found[1]) else diffusion.resolve
    except (OSError, RuntimeError) as error:
        # A name longer than the disk allows, or the home of a user who does not exist.
        raise UserError(f"{name[:80]!r}: {error}", field="--model") from error
    if found is not None:
        return examine(*found)
    raise UserError(
        f"no model of that name, and no such folder: {name!r}",
        field="--model",
        expected=", ".join([*names(), "or a model folder"]),
    )


def _find(name: str) -> tuple[str, Path, str] | None:
    """Name, folder and location of the model, or None if there is no such folder."""
    shipped = WEIGHTS / name
    if "/" not in name and _is_model(shipped):
        return name, shipped, name
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return None
    # A training run keeps its finished model one folder down.
    called = folder.resolve().name
    inner = folder / "model"
    folder = (inner if _is_model(inner) else folder).resolve()
    return called, folder, str(folder)


def _is_model(folder: Path) -> bool:
    return (folder / INDEX).is_file() or is_gan(folder)


def load(ref: ModelRef, settings: CallSettings) -> Sampler:
    """Bring a model into this process. Raises UserError for a folder that its library does not
    take, and whatever the device raises that has no room for it or is lost.
    """
    if ref.kind == "null":
        return NullSampler(ref.milliseconds)
    if ref.kind == "phantom":
        return PhantomSampler()
    kind = GanSampler if ref.kind == "gan" else PipelineSampler
    try:
        return kind(folder_of(ref), settings)
    except Exception as error:
        if device.is_broken(error) or device.is_out_of_memory(error):
            raise
        # Four libraries read the folder, and each stumbles in its own way.
        problem = f"cannot be loaded: {type(error).__name__}: {str(error)[:300]}"
        raise UserError(problem, file=folder_of(ref), expected="a model folder") from error


def folder_of(ref: ModelRef) -> Path:
    """The folder that holds a model's weights."""
    return shipped.folder_of(ref.location)
