"""What a command declares for `submit`: which parameters name what it reads and what it writes, and
whether a cluster may run it. Each declaration stands in its parameter's `Annotated[...]`, where
typer passes it over; the command's own is `AS_JOB` of its module.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints


@dataclass(frozen=True)
class Reads:
    """A parameter names files, or a model's folder, that the command reads. `of` gives the path
    that a value names, or None. `sent`: what lies beside the command travels with the job.
    """

    of: Callable[[str], str | None] = str
    sent: bool = True


@dataclass(frozen=True)
class Writes:
    """A parameter names what the command writes. `always`: without it the command would write to a
    place of its own. `into`: a switch, by which what that other parameter names is written.
    """

    of: Callable[[str], str | None] = str
    always: bool = False
    into: str | None = None


@dataclass(frozen=True)
class AsJob:
    """How a command is run on a cluster. `check` finds the mistakes that can be found without one,
    and gives the job's name where that is not its words; `never` is why it is not run there.
    """

    check: Callable[[Mapping[str, Any]], str | None] = lambda params: None
    never: str | None = None


Declarations = dict[str, tuple[Reads | Writes, ...]]


def parameters(command: Any) -> Declarations:
    """What the parameters of a command declare, by name."""
    hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    return {
        name: tuple(each for each in hint.__metadata__ if isinstance(each, Reads | Writes))
        for name, hint in hints.items()
        if hasattr(hint, "__metadata__")
    }


def as_job(command: Any) -> AsJob:
    """What the command's module declares of it."""
    return sys.modules[inspect.unwrap(command.callback).__module__].AS_JOB


def model_folder(text: str) -> str | None:
    """The folder that a model's name or folder means, if it is one: a word that nothing here is
    called is a name."""
    return text if "/" in text or Path(text).exists() else None


def profile_file(text: str) -> str | None:
    """The file that `--profile` names; `none` is none."""
    return None if text == "none" else text


def photographs(text: str) -> str | None:
    """The table or folder that `--data` names; phantoms lie nowhere."""
    return None if text.partition(":")[0] == "phantom" else text


def captioner_folder(text: str) -> str | None:
    """The folder of local:DIR."""
    name, _, folder = text.partition(":")
    return folder if name == "local" and folder else None


def structures_place(text: str) -> str | None:
    """The folder of gan:DIR, the table of real:CSV."""
    form, _, place = text.partition(":")
    return place if form in ("gan", "real") and place else None


def decoder_folder(text: str) -> str | None:
    """The folder of a decoder; whole and light are none, whatever lies beside the command."""
    return None if text in ("whole", "light") else model_folder(text)


def looker_place(text: str) -> str | None:
    """The file of inception:PATH, the folder of hf:DIR."""
    form, _, place = text.partition(":")
    return place if form in ("inception", "hf") and place else None
