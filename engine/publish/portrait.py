"""What is told of a folder by its plan and the card of its model: the value that whatever publishes
prints. `describe` makes it; what it tells of rows is counted elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.store.plan import AnyPlan, Plan


@dataclass(frozen=True)
class Tested:
    """One line of a `Proof`: a label or a statement, what is known of it, and `doubt`, a warning of
    a few words."""

    name: str
    cells: tuple[str, ...]
    doubt: str = ""


@dataclass(frozen=True)
class Proof:
    """What a model's card proves: `words` on its table, or on why there is none."""

    words: str
    head: tuple[str, ...] = ()
    lines: tuple[Tested, ...] = ()


@dataclass(frozen=True)
class Guard:
    """The gates of a plan that compares its images with photographs that taught the model, and what
    they judge with: the model's folder or a file in its place, and the hash of all that."""

    gates: tuple[str, ...]
    model: Path
    reference: Path | None
    sha256: str


@dataclass(frozen=True)
class Portrait:
    """Words for cards, pages and records.

    `name` is the data set's, `title` follows a number, `picture` names one image; `facts` are pairs
    of name and value. `mix` heads the table of labels, `learned` that of the `proof`. `drawn` is
    the plan that tells which labels a model was asked for, None where nothing was drawn. `kept` is
    said where no image was refused, None where none could be.
    `record` are Croissant's own fields, whose description follows a number, and `columns` what it
    says that columns hold. `templates` is the folder of the cards, which print `words` too.
    """

    name: str
    title: str
    lead: str
    picture: str
    mix: str
    labels: str
    learned: str
    footer: str
    facts: tuple[tuple[str, str], ...]
    proof: Proof
    record: Mapping[str, Any]
    columns: Mapping[str, str]
    templates: str
    words: Mapping[str, str] = field(default_factory=dict)
    warning: str | None = None
    kept: str | None = None
    drawn: Plan | None = None
    guard: Guard | None = None


def shared_facts(plan: AnyPlan) -> tuple[tuple[str, str], ...]:
    """The facts that every plan has."""
    return (
        ("licence", plan.license),
        ("plan fingerprint", plan.fingerprint),
        ("versions", versions(plan)),
    )


def versions(plan: AnyPlan) -> str:
    """The libraries of a plan on one line."""
    return ", ".join(f"{name} {each}" for name, each in plan.versions.items())
