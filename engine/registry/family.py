"""What a family of models is: how one of its models is found, examined, loaded and described.

A family is a class whose instances are models that were found. Another one is a module with such a
class, and its line in `engine.registry.FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from engine import device, shipped
from engine.models.card import verified_card
from engine.schema import UserError


@dataclass(frozen=True)
class Whereabouts:
    """Where a model may lie: what it is called there, its `folder`, and the `location` by which
    plans name that: a name of this checkout, or a path."""

    name: str
    location: str
    folder: Path


@dataclass(frozen=True)
class Description:
    """What a model says of itself: all that its `card` says, the libraries whose versions may
    change what it does, the data that taught it, and its licence. Empty where nothing is said."""

    name: str
    card: Mapping[str, Any]
    libraries: tuple[str, ...]
    learned_from: Mapping[str, Any]
    licence: str


@dataclass(frozen=True, kw_only=True)
class ModelRef:
    """A model that was found and examined, and not loaded: nothing speaks against it as far as
    small files and hashes tell. `weights_sha256` is the hash of all that decides what it does.
    """

    FAMILY: ClassVar[str]
    """What the family is called."""
    ASKED: ClassVar[str] = "model"
    """Under which name it is asked for."""
    NAMES: ClassVar[tuple[str, ...]] = ()
    """The names of a family that needs no folder."""
    learned: ClassVar[bool] = True
    """Whether its models have weights, and so a device, a precision and a card."""
    libraries: ClassVar[tuple[str, ...]] = ()

    name: str
    location: str
    weights_sha256: str

    @classmethod
    def called(cls, name: str) -> Self | None:
        """The model of this name, of a family that needs no folder. Raises UserError."""
        return None

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """Whether a folder is one of this family's, by the presence of small files. Raises
        OSError."""
        return False

    @classmethod
    def examine(cls, place: Whereabouts) -> Self:
        """The model in a folder of this family. Raises UserError with every reason not to load
        it, before any weight is read."""
        raise NotImplementedError

    @classmethod
    def missing(cls, place: str | Path, names: Sequence[str]) -> UserError:
        """What to say where no family of this kind has a model in that place; `names` are those
        that there are."""
        return UserError(
            f"no {cls.FAMILY} of that name, and none in such a folder: {str(place)!r}",
            expected=", ".join([*names, "or a folder of one"]),
        )

    def load(self, *how: Any, **named: Any) -> Any:
        """Bring the model into this process. Raises UserError for a folder that its library does
        not take, and whatever the device raises that has no room for it or is lost."""
        raise NotImplementedError

    def describe(self) -> Description:
        """What the model says of itself."""
        folder = self.folder
        card = verified_card(folder).facts if folder else {}
        learned_from, licence = card.get("data", {}), str(card.get("licence", ""))
        return Description(self.name, card, self.libraries, learned_from, licence)

    @property
    def folder(self) -> Path | None:
        """Where its files lie; None of what needs none."""
        return shipped.folder_of(self.location) if self.learned else None


def whereabouts(wanted: str | Path) -> Iterator[Whereabouts]:
    """Where a model may lie that is called so: as a name of this checkout first, unless it is
    given as a path. A training run keeps its finished model one folder down. No name is no place,
    and not the folder that one stands in."""
    if not str(wanted).strip():
        return
    if isinstance(wanted, str) and wanted in shipped.names():
        yield Whereabouts(wanted, wanted, shipped.WEIGHTS / wanted)
    folder = Path(wanted).expanduser()
    for each in (folder / "model", folder):
        if each.is_dir():
            yield Whereabouts(folder.resolve().name, str(each.resolve()), each.resolve())


@contextmanager
def reading(folder: Path, expected: str) -> Iterator[None]:
    """Tell what a folder's libraries stumble over, each in its own way, as its reader's mistake."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if device.is_broken(error) or device.is_out_of_memory(error):
            raise
        problem = f"cannot be loaded: {type(error).__name__}: {str(error)[:300]}"
        raise UserError(problem, file=folder, expected=expected) from error
