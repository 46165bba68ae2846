"""Settings of a training run as a user writes them: PATH=VALUE."""

from __future__ import annotations

from engine.schema import UserError
from serve.declared import looker_place, model_folder
from train.settings import BROUGHT, CACHES, MODELS


def assigned(texts: list[str] | None, asked: str = "settings") -> dict[str, str]:
    """The values by path. Raises UserError, naming the flag that was `asked`."""
    return dict(_assignment(text, asked) for text in texts or [])


def model_set(assignment: str) -> str | None:
    """The folder of a model that an assignment names."""
    name, _, value = assignment.partition("=")
    if name in BROUGHT:
        return looker_place(value)
    return model_folder(value) if name in MODELS else None


def cache_set(assignment: str) -> str | None:
    """The folder of latents that an assignment names."""
    name, _, value = assignment.partition("=")
    return value if name in CACHES else None


def _assignment(text: str, asked: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UserError(f"{text!r}", asked=asked, expected="PATH=VALUE, for example steps=2000")
    return name, value
