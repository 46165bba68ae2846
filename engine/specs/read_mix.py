"""The `--spec` YAML: a mix of annotations written by a user.

    mix:                             # prevalences; a label not named keeps the default mix's
      dr_grade: [0.5, 0.1, 0.2, 0.1, 0.1]      # weights of 0..4, or {0: 1, 4: 1}
      is_amd: 0.2                    # share of ones
    unknown: 0.1                     # share left unknown of every label, or {is_amd: 0.5, ...}
    cooccurrence:                    # a label's first rule that holds replaces its prevalence
      - label: is_dme
        given: {dr_grade: ">=2"}     # a value, a list of values, or "> >= < <= !=" and a value
        prevalence: 0.4              # written as in mix
    strata:                          # cells that repeat exactly, in a cycle; other labels are drawn
      - annotation: {dr_grade: 4, is_dme: 1}
        rows: 2                      # rows of this cell in a cycle, 1 if not given
    source: idrid                    # or weights: {idrid: 3, hrf: 1}

A prevalence or rule of a label removes the default mix's rules of that label.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from engine.labels import label_value, unknown_name
from engine.schema import LABEL_NAMES, LABELS, UserError
from engine.specs.mix import Mix, Rule, Stratum, default_mix, prevalence
from engine.text import read_text

Place = tuple[str | int, ...]
_HIGHEST = {label.name: label.highest for label in LABELS}
_TOP = ("mix", "unknown", "cooccurrence", "strata", "source")


@dataclass(frozen=True)
class Document:
    """A YAML file with the line on which each of its values stands."""

    file: Path
    value: Any
    lines: dict[Place, int]

    def refuse(self, place: Place, problem: str, expected: str) -> NoReturn:
        """Raise UserError for the value at `place`."""
        line = next(
            (self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines), 1
        )
        field = ".".join(str(part) for part in place)
        raise UserError(problem, file=self.file, line=line, field=field or None, expected=expected)

    def mapping(self, place: Place, value: Any, allowed: tuple[str, ...]) -> dict[str, Any]:
        """`value` as a mapping whose keys are all allowed."""
        if not isinstance(value, dict) or not value:
            self.refuse(place, f"{value!r} is no mapping", f"a mapping of {', '.join(allowed)}")
        for name in value:
            if name not in allowed:
                self.refuse((*place, name), unknown_name(str(name), allowed), ", ".join(allowed))
        return value

    def items(self, place: Place, value: Any, what: str) -> list[Any]:
        """`value` as a list that is not empty."""
        if not isinstance(value, list) or not value:
            self.refuse(place, f"{value!r} is no list", f"a list of {what}")
        return value


def read_mix(path: Path) -> Mix:
    """The mix of a YAML file. UserError with file, line, field and what is allowed for every
    mistake."""
    document = _load(path)
    top = document.mapping((), document.value, _TOP)
    base = default_mix()
    weights = _prevalences(document, top["mix"]) if "mix" in top else {}
    rules = _rules(document, top["cooccurrence"]) if "cooccurrence" in top else []
    own = weights.keys() | {rule.label for rule in rules}
    mix = Mix(
        weights={**base.weights, **weights},
        unknown=_unknown(document, top["unknown"]) if "unknown" in top else {},
        rules=(*rules, *(rule for rule in base.rules if rule.label not in own)),
        strata=tuple(_strata(document, top["strata"])) if "strata" in top else (),
        source=_source(document, top["source"]) if "source" in top else {},
    )
    try:
        _ = mix.order
    except ValueError as error:
        document.refuse(
            ("cooccurrence",), str(error), "conditions on labels that do not depend on it"
        )
    return mix


def _prevalences(document: Document, value: Any) -> dict[str, tuple[float, ...]]:
    given = document.mapping(("mix",), value, LABEL_NAMES)
    return {name: _weights(document, ("mix", name), name, share) for name, share in given.items()}


def _weights(document: Document, place: Place, label: str, value: Any) -> tuple[float, ...]:
    """A share of ones, a list of weights, or weights by value."""
    count = _HIGHEST[label] + 1
    if isinstance(value, dict):
        by_value = {_allowed(document, place, label, key): share for key, share in value.items()}
        value = [by_value.get(number, 0) for number in range(count)]
    if isinstance(value, list):
        if len(value) != count:
            document.refuse(
                place, f"{len(value)} weights", f"{count} weights, of the values 0..{count - 1}"
            )
        weights = tuple(_number(document, place, weight, None) for weight in value)
        if not any(weights):
            document.refuse(place, "all weights are 0", "at least one weight above 0")
        return weights
    if count > 2:
        document.refuse(
            place, f"{value!r} is no list", f"{count} weights, of the values 0..{count - 1}"
        )
    return prevalence(_number(document, place, value, 1.0))


def _number(document: Document, place: Place, value: Any, highest: float | None) -> float:
    expected = "a number from 0 to 1" if highest else "a number from 0"
    if isinstance(value, bool) or not isinstance(value, int | float):
        document.refuse(place, f"{value!r} is no number", expected)
    if not 0 <= value <= (highest or 1e9):
        document.refuse(place, f"{value} is out of range", expected)
    return float(value)


def _allowed(document: Document, place: Place, label: str, value: Any) -> int:
    """A value of the label."""
    allowed = f"a whole number from 0 to {_HIGHEST[label]}"
    try:
        number = label_value(label, value)
    except UserError:
        document.refuse(place, f"{value!r} is not a value of {label}", allowed)
    if number is None:
        document.refuse(place, "no value", allowed)
    return number


def _unknown(document: Document, value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        share = _number(document, ("unknown",), value, 1.0)
        return dict.fromkeys(LABEL_NAMES, share)
    given = document.mapping(("unknown",), value, LABEL_NAMES)
    return {name: _number(document, ("unknown", name), share, 1.0) for name, share in given.items()}


def _rules(document: Document, value: Any) -> list[Rule]:
    rules = []
    for at, item in enumerate(document.items(("cooccurrence",), value, "rules")):
        place: Place = ("cooccurrence", at)
        fields = document.mapping(place, item, ("label", "given", "prevalence"))
        for name in ("label", "given", "prevalence"):
            if name not in fields:
                document.refuse(place, f"{name} is missing", "label, given and prevalence")
        label = fields["label"]
        if label not in LABEL_NAMES:
            document.refuse(
                (*place, "label"), unknown_name(str(label), LABEL_NAMES), ", ".join(LABEL_NAMES)
            )
        given = document.mapping((*place, "given"), fields["given"], LABEL_NAMES)
        conditions = {
            name: _condition(document, (*place, "given", name), name, wanted)
            for name, wanted in given.items()
        }
        weights = _weights(document, (*place, "prevalence"), label, fields["prevalence"])
        rules.append(Rule(label=label, given=conditions, weights=weights))
    return rules


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


def _condition(document: Document, place: Place, label: str, value: Any) -> tuple[int, ...]:
    """The values of the label that meet a condition: 2, [2, 3] or ">=2"."""
    compared = (
        re.fullmatch(r"\s*(>=|<=|!=|>|<)\s*([0-9]{1,9})\s*", value)
        if isinstance(value, str)
        else None
    )
    if compared:
        compare, number = _COMPARE[compared[1]], int(compared[2])
        met = tuple(n for n in range(_HIGHEST[label] + 1) if compare(n, number))
        if not met:
            document.refuse(place, f"no value of {label} is {value}", f"0..{_HIGHEST[label]}")
        return met
    values = value if isinstance(value, list) and value else [value]
    return tuple(_allowed(document, place, label, item) for item in values)


def _strata(document: Document, value: Any) -> list[Stratum]:
    strata = []
    for at, item in enumerate(document.items(("strata",), value, "cells")):
        place: Place = ("strata", at)
        fields = document.mapping(place, item, ("annotation", "rows"))
        if "annotation" not in fields:
            document.refuse(place, "annotation is missing", "annotation, and rows if more than 1")
        cell = document.mapping((*place, "annotation"), fields["annotation"], LABEL_NAMES)
        labels = {
            name: _allowed(document, (*place, "annotation", name), name, number)
            for name, number in cell.items()
        }
        rows = fields.get("rows", 1)
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
            document.refuse((*place, "rows"), f"{rows!r} is not a count", "a whole number from 1")
        strata.append(Stratum(annotation=labels, rows=rows))
    return strata


def check_text(text: str, *, file: Path, line: int | None = None, field: str | None = None) -> None:
    """Raise UserError for half a surrogate pair: an escape can name it and no file can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{text[error.start]!r} is no character",
            file=file,
            line=line,
            field=field,
            expected="text that UTF-8 can hold",
        ) from error


def _source(document: Document, value: Any) -> dict[str, float]:
    for name in value if isinstance(value, dict) else [value]:
        if isinstance(name, str):
            check_text(
                name, file=document.file, line=document.lines.get(("source",)), field="source"
            )
    if isinstance(value, str) and value.strip():
        return {value.strip(): 1.0}
    if not isinstance(value, dict) or not value or not all(isinstance(name, str) for name in value):
        document.refuse(("source",), f"{value!r} is no source", "a name, or weights by name")
    weights = {
        name: _number(document, ("source", name), share, None) for name, share in value.items()
    }
    if not any(weights.values()):
        document.refuse(("source",), "all weights are 0", "at least one weight above 0")
    return weights


_BROKEN = (
    yaml.YAMLError,
    RecursionError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)
"""What the YAML library raises for text that is none, and for tagged values such as `!!bool x`."""


def _load(path: Path) -> Document:
    loader = yaml.SafeLoader(read_text(path))
    try:
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        if node is not None:
            _number_lines(node, (), lines, path, set())
        value = loader.construct_document(node) if node is not None else None
    except UserError:
        raise
    except _BROKEN as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or f"a value cannot be read: {error}"
        raise UserError(
            f"broken YAML: {problem}",
            file=path,
            line=mark.line + 1 if mark else None,
            expected="YAML",
        ) from error
    finally:
        loader.dispose()
    return Document(path, value, lines)


def _number_lines(
    node: yaml.Node, place: Place, lines: dict[Place, int], path: Path, seen: set[int]
) -> None:
    """Notes the line of every value. Each node once: an alias may be used a billion times."""
    lines.setdefault(place, node.start_mark.line + 1)
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            _number_lines(item, (*place, at), lines, path, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(
                    "a key that is a list or a mapping",
                    file=path,
                    line=key.start_mark.line + 1,
                    field=".".join(map(str, place)) or None,
                    expected="names as keys",
                )
            at_key = (*place, key.value)
            if at_key in lines:
                raise UserError(
                    "stands twice",
                    file=path,
                    line=key.start_mark.line + 1,
                    field=".".join(map(str, at_key)),
                    expected="each key once",
                )
            lines[at_key] = key.start_mark.line + 1
            _number_lines(item, at_key, lines, path, seen)
