"""A command's mistakes in its user's words: what was asked for is called by its flag."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from typer.core import TyperCommand, TyperOption

from engine.schema import UserError, worded
from train.settings import Settings

SETTINGS = "--set"
"""The flag of a command whose settings have paths of their own."""
SETTABLE = {each.name for each in fields(Settings)}


class Command(TyperCommand):
    """A command whose errors speak of its own flags."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with speaking(self):
            return super().invoke(ctx)


@contextmanager
def speaking(command: Any) -> Iterator[None]:
    """Errors that come from within leave in the words of this command."""
    try:
        yield
    except (UserError, RuntimeError) as error:
        error.args = (in_flags(command, str(error)),)
        raise


def in_flags(command: Any, text: str) -> str:
    """What was asked for as a flag of this command, an argument as its metavar; as that of another
    command where this one takes no such thing."""
    names: dict[str, str] = {}
    for each in command.params:
        option = isinstance(each, TyperOption)
        name = each.name.rstrip("_")
        names[name] = each.opts[0] if option else each.metavar or name.upper()
    settable = SETTABLE if SETTINGS in names.values() else ()

    def word(name: str) -> str:
        setting = name.partition(".")[0] in settable
        return names.get(name) or (f"{SETTINGS} {name}" if setting else flag(name))

    return worded(text, word)


def flag(name: str) -> str:
    """How an option is written."""
    return "--" + name.replace("_", "-")
