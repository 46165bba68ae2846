"""What a captioner may say of an eye, and its words: statements to prose, and prose to statements.

A statement says that a label's value lies within a range: a grade exactly, or retinopathy that is
to be referred. What is not stated is not worded, not even as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from random import Random

from engine.prose.frames import EYE, FUNDUS_READABLE, PHOTOGRAPH, READABLE
from engine.prose.grammar import expand, join, sentence
from engine.prose.mentions import REFERABLE
from engine.prose.parse import grades, parse
from engine.prose.phrases import ABSENT, DISEASES
from engine.prose.structure import Structure, quality, structure
from engine.prose.variants import DR
from engine.schema import LABELS


@dataclass(frozen=True, order=True)
class Statement:
    """That `label` has a value of `least` to `most`."""

    label: str
    least: int
    most: int

    def holds(self, value: int) -> bool:
        """Whether it is true of an eye with this value."""
        return self.least <= value <= self.most

    def __str__(self) -> str:
        last = "" if self.most == self.least else f" to {self.most}"
        return f"{self.label} {self.least}{last}"


HIGHEST = {label.name: label.highest for label in LABELS}
GRADE, EDEMA, FUNDUS, RETINA = "dr_grade", "is_dme", "is_fundus", "is_retinal_region_readable"
_RANGES = ((0, REFERABLE - 1), (REFERABLE, HIGHEST[GRADE]), (1, HIGHEST[GRADE]))
SAYABLE: tuple[Statement, ...] = (
    *(Statement(n, value, value) for n, most in HIGHEST.items() for value in range(most + 1)),
    *(Statement(GRADE, *each) for each in _RANGES),
)
"""All that can be said, for each label the most exact first."""


def consistent(said: Collection[Statement], unlike: bool = False) -> frozenset[Statement]:
    """Those that may stand beside each other: of what is no fundus nothing else is said; of a
    retina that cannot be assessed, or a photograph `unlike` all that was learned from, nothing of
    disease; and edema of diabetes beside no retinopathy to be referred is neither.
    """
    said = {each for each in said if not (unlike and each.label in ABSENT)}
    by_label = {each.label: each for each in said}
    fundus, retina = by_label.get(FUNDUS), by_label.get(RETINA)
    if fundus and fundus.most == 0:
        return frozenset([fundus])
    if retina and retina.most == 0:
        return frozenset(each for each in (fundus, retina) if each)
    grade, edema = by_label.get(GRADE), by_label.get(EDEMA)
    if grade and edema and edema.least == 1 and grade.most < REFERABLE:
        return frozenset(said) - {grade, edema}
    return frozenset(said)


def word(said: Collection[Statement], seen: Structure, unlike: bool, rng: Random) -> str:
    """The statements as prose, with what was seen of structure and quality; `unlike` tells of a
    photograph from no camera that the captioner knows.

    Only what is `consistent` is worded, and that a part can be read is not. `rng` alone draws the
    wording.
    """
    kept = consistent(said, unlike)
    values = {each.label: each.least for each in kept if each.least == each.most}
    if values.get(FUNDUS) == 0:
        return sentence(expand(FUNDUS_READABLE[0], rng))
    lines = [_opening(values, rng)]
    unread = [n for n in READABLE if values.get(n) == 0]
    lines += [expand(READABLE[name][0], rng) for name in unread]
    lines += quality(seen, rng)
    if values.get(FUNDUS) == 1 and RETINA not in unread:
        lines += structure(seen, rng)
    if RETINA not in unread:
        lines += _diseases(kept, unlike, rng)
    return " ".join(sentence(each) for each in lines)


def phrase(said: Statement, rng: Random) -> str:
    """One statement of a disease as a sentence of its own; `rng` alone draws the wording."""
    (line,) = _diseases((said,), False, rng)
    return sentence(line)


def read(text: str) -> frozenset[Statement]:
    """The statements of a caption, whoever wrote it."""
    found = {Statement(name, value, value) for name, value in parse(text).items()}
    told = grades(text)
    return frozenset(found | ({Statement(GRADE, *told)} if told else set()))


def calls_unlike(text: str) -> bool:
    """Whether a caption says that no camera like the photograph's taught its captioner."""
    return bool(re.search(r"\bunlike\b.*\blearned from\b", text))


def _opening(values: dict[str, int], rng: Random) -> str:
    side = values.get("eye_side")
    of = "" if side is None else f" of the {expand(EYE[side], rng)}"
    return expand(PHOTOGRAPH[1] if values.get(FUNDUS) == 1 else _UNSURE, rng) + of


def _diseases(said: Collection[Statement], unlike: bool, rng: Random) -> list[str]:
    present = [_present(s, rng) for s in sorted(said) if s.label in ABSENT and s.least > 0]
    absent = [_absent(s, rng) for s in sorted(said) if s.label in ABSENT and s.least == 0]
    lines = [expand(_UNLIKE, rng)] if unlike else []
    if present:
        lines.append(f"{expand(_THERE_IS, rng)} {join(present)}")
    if absent:
        lines.append(f"{expand(_THERE_IS_NO, rng)} {join(absent, 'or')}")
    if not (present or absent or unlike):
        lines.append(expand(_NOTHING_SURE, rng))
    return lines


def _present(said: Statement, rng: Random) -> str:
    if said.label != GRADE:
        return expand(DISEASES[said.label][0].name, rng)
    if said.least == said.most:
        return expand(DR[said.least][0].name, rng)
    return expand(_REFERABLE if said.least == REFERABLE else "diabetic retinopathy", rng)


def _absent(said: Statement, rng: Random) -> str:
    if said.most > 0:
        return expand(_REFERABLE, rng)
    return expand(ABSENT[said.label], rng)


_UNSURE = "[picture|image] of uncertain content"
_REFERABLE = "referable [diabetic retinopathy|diabetic retinopathy|DR]"
_THERE_IS = "[There is|The eye has|The retina shows]"
_THERE_IS_NO = "[There is no|There are no signs of|There is no evidence of|No evidence of]"
_UNLIKE = (
    "[It|The picture] is unlike [the photographs|those] that this captioner learned from,"
    " [so diseases are not judged|and diseases are not judged]"
)
_NOTHING_SURE = (
    "[Diseases could not be judged with enough certainty|What it shows of diseases is left open]"
)
