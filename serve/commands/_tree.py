"""How modules become the commands of a command line, in an order of ours."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import typer
from typer.core import TyperGroup

from serve.wording import Command


def tree(modules: Sequence[ModuleType], words: str, **given: Any) -> typer.Typer:
    """The commands of `modules`: of each the function of the module's own name with its EXAMPLE,
    or all of its `app`. Help lists them as they are given."""
    named = {module.__name__.rpartition(".")[2]: module for module in modules}

    class InOrder(TyperGroup):
        """typer would list groups before commands."""

        def list_commands(self, ctx: Any) -> list[str]:
            """The names as help shows them."""
            return [*named]

    app = typer.Typer(cls=InOrder, no_args_is_help=True, help=words, **given)
    for name, module in named.items():
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            example = f"Example: {module.EXAMPLE}"
            app.command(name, cls=Command, epilog=example)(getattr(module, name))
    return app
