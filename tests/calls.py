"""How the tests of models call them: small, on one thread, with the rows of one recipe."""

from __future__ import annotations

from typing import Any

from engine.call import CallSettings
from engine.specs import Spec, recipe_from


def settings(rows_per_call: int = 1, **given: Any) -> CallSettings:
    usual = {
        "solver": "euler",
        "steps": 2,
        "guidance": 2.0,
        "guidance_interval": (0.0, 1.0),
        "shift": 1.0,
        "dtype": "float32",
        "attention": "sdpa",
        "device": "cpu",
        "context_tokens": 64,
        "threads": 1,
    }
    return CallSettings(rows_per_call=rows_per_call, **{**usual, **given})


def specs(count: int, size: int = 64) -> list[Spec]:
    recipe = recipe_from(seed=5, size=size)
    return [recipe.spec(index, "f") for index in range(count)]
