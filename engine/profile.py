"""The profile of a machine: how a model is called fastest there, as `retinaforge tune` measured it,
in a file that is read as strictly as what a user writes.

It holds for the machine, the versions and the weights that it names, and for nothing else.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine import cpu, device
from engine.files import NotAFile, TooLarge, read_regular, write_whole
from engine.schema import UserError

NONE = "none"
"""The word for no profile at all."""
VARIABLE = "RETINAFORGE_PROFILE"
MOST_BYTES = 1 << 20
GIB = 1 << 30

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=4096)]
Speed = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Machine(BaseModel):
    """What speed hangs on: processor, what this process may use of it, memory, GPUs."""

    model_config = _STRICT

    processor: Name
    cores: int = Field(ge=1)
    memory_gib: int = Field(ge=0)
    gpus: tuple[Name, ...] = ()
    gpu_memory_gib: int = Field(default=0, ge=0)

    def __str__(self) -> str:
        cards = (
            f", {len(self.gpus)} x {self.gpus[0]} {self.gpu_memory_gib} GiB" if self.gpus else ""
        )
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{self.processor}, {cores}, {self.memory_gib} GiB{cards}"


class ProfiledLevel(BaseModel):
    """A level of the model's by name, and the hash of the evidence that admitted it."""

    model_config = _STRICT

    name: Name
    sha256: Digest


class CallChanges(BaseModel):
    """Fields of `CallSettings` that are another than the model's usual, and change nothing in a
    picture but how its numbers are rounded."""

    model_config = _STRICT

    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    attention: Name | None = None
    rows_per_call: int | None = Field(default=None, ge=1, le=256)
    threads: int | None = Field(default=None, ge=1, le=1024)

    def given(self) -> dict[str, Any]:
        """Those that are changed."""
        return self.model_dump(exclude_none=True)


class ProfileEntry(BaseModel):
    """The fastest way that was found to draw with a model at a size on a device, and its speed
    beside the default's. Without `workers` and `batch` their numbers are left to the machine."""

    model_config = _STRICT

    model: Name
    weights_sha256: Digest
    size: int = Field(ge=1)
    device: Literal["cpu", "cuda"]
    level: ProfiledLevel | None = None
    call: CallChanges = CallChanges()
    workers: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=1)
    images_per_s: Speed
    default_images_per_s: Speed

    @model_validator(mode="after")
    def _offered(self) -> Self:
        dtypes = device.DTYPES[self.device]
        if self.call.dtype not in (None, *dtypes):
            problem = f"call.dtype {self.call.dtype!r} is not offered on {self.device}"
            raise ValueError(f"{problem} (expected {' or '.join(dtypes)})")
        return self

    @property
    def place(self) -> tuple[str, str, int, str]:
        """What it is an entry for; a profile has one of each."""
        return self.model, self.weights_sha256, self.size, self.device


class Profile(BaseModel):
    """What was found on a machine, with the versions of what it was found with."""

    model_config = _STRICT

    format: Literal[1] = 1
    machine: Machine
    versions: dict[str, str]
    entries: tuple[ProfileEntry, ...]

    def with_entry(self, entry: ProfileEntry) -> Self:
        """The profile with this entry in the place of an older one for the same."""
        others = tuple(each for each in self.entries if each.place != entry.place)
        return self.model_copy(update={"entries": (*others, entry)})

    def of(self, model: str, size: int, where: str) -> ProfileEntry | None:
        """The entry for a model by its name, a size and a device; the newest where its weights were
        exchanged."""
        fit = [e for e in self.entries if (e.model, e.size, e.device) == (model, size, where)]
        return fit[-1] if fit else None


@dataclass(frozen=True)
class ProfileAsk:
    """A profile that is to be read. `named`: by a flag, so that a plan that exists is held against
    it."""

    file: Path
    named: bool


def usual_file() -> Path:
    """Where the profile of this machine lies unless the user says otherwise."""
    home = os.environ.get("XDG_CONFIG_HOME") or ""
    # A relative path there is to be ignored, by that convention's own words.
    folder = Path(home) if os.path.isabs(home) else Path("~/.config").expanduser()
    return folder / "retinaforge" / "profile.json"


def wanted(flag: str | None, elsewhere: bool) -> ProfileAsk | None:
    """The profile that a flag (a file, or `none`), the environment or the usual place names.

    Where rows are drawn `elsewhere` only the flag counts: the others are of this machine. Raises
    UserError where a file that is named is not there.
    """
    if flag is not None:
        return None if flag == NONE else ProfileAsk(_there(flag, None), named=True)
    if elsewhere:
        return None
    if text := os.environ.get(VARIABLE):
        return None if text == NONE else ProfileAsk(_there(text, VARIABLE), named=False)
    file = usual_file()
    return ProfileAsk(file, named=False) if file.exists() else None


def read_profile(file: Path) -> Profile:
    """The profile of a file. Raises UserError that names the file and the field."""
    expected = "a file that `retinaforge tune` wrote"
    try:
        return Profile.model_validate_json(read_regular(file, MOST_BYTES))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or None
        raise UserError(
            f"not a profile: {first['msg']}", file=file, field=field, expected=expected
        ) from error
    except (NotAFile, TooLarge) as error:
        raise UserError(f"not a profile: {error.strerror}", file=file, expected=expected) from error


def write_profile(file: Path, profile: Profile) -> None:
    """Write the profile, whole or not at all, with the folders that it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = profile.model_dump_json(indent=1, exclude_none=True)
    write_whole(file, f"{text}\n".encode())


def this_machine() -> Machine:
    """The machine of this process, by what it may use of it."""
    import psutil

    cards = _cards()
    return Machine(
        processor=_processor(),
        cores=device.cpu_count(),
        memory_gib=round(psutil.virtual_memory().total / GIB),
        gpus=tuple(name for name, _ in cards),
        gpu_memory_gib=round(min((memory for _, memory in cards), default=0) / GIB),
    )


def _there(text: str, variable: str | None) -> Path:
    file = Path(text).expanduser()
    if not text.strip() or not file.exists():
        raise UserError(
            f"no such file: {text!r}",
            field=variable,
            asked=None if variable else "profile",
            expected=f"a file that `retinaforge tune` wrote, or {NONE}",
        )
    return file


def _processor() -> str:
    """Its maker's name for it, else the architecture."""
    try:
        lines = cpu.CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, named), platform.machine())


def _cards() -> list[tuple[str, int]]:
    """Names and bytes of the GPUs that torch may use; none where there is no torch."""
    try:
        import torch
    except ImportError:
        return []
    if not torch.cuda.is_available():
        return []
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [(str(each.name), int(each.total_memory)) for each in found]
