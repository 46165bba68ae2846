"""What each part of the eye looks like: the sentence of disc, vessels, macula, lesions and
background.

A `Subject` decides once, for each disease present, whether it is named, shown by its signs or both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from random import Random

from engine.prose.anatomy import Anatomy, Facts, facts
from engine.prose.frames import (
    BACKGROUND_SENTENCE,
    BACKGROUNDS,
    HEADING,
    INLINE,
    LESIONS_PLURAL,
    LESIONS_SENTENCE,
    NEUTRAL,
    NO_LESIONS,
    NO_MICROANEURYSMS,
    NORMAL,
    SUBJECT,
)
from engine.prose.grammar import choose, phrases, sayable
from engine.prose.phrases import DISEASES
from engine.prose.variants import BACKGROUND, DISC, DR, LESIONS, MACULA, SECTIONS, VESSELS, Variant

NORMAL_NEEDS: dict[str, tuple[str, ...]] = {
    DISC: ("is_gc", "is_aon", "is_pm", "is_dm"),
    VESSELS: ("is_htr", "is_rvo"),
    MACULA: ("is_amd", "is_dme", "is_em", "is_pm"),
    LESIONS: ("dr_grade", "is_rvo", "is_htr", "is_amd", "is_crp", "is_dme"),
}
"""The labels that must be known and negative before a section may be called normal."""

_ALIKE: dict[str, tuple[tuple[str, str], ...]] = {
    DISC: (("is_dm", "is_pm"),),
    BACKGROUND: (("is_dm", "is_pm"),),
    LESIONS: (("is_htr", "is_rvo"),),
}
"""Of two diseases with the same sign in a section the second alone shows it."""

_SINGULAR = re.compile(
    r"(?:an? (?!few|handful|number)|one (?!or)|preretinal haem|boat|subhyaloid|fibrovascular)"
)

RETINA = "is_retinal_region_readable"
UNREADABLE = {DISC: "is_optic_disc_readable", MACULA: "is_macular_readable"}
IN_VIEW = "<macula>"
"""A camera may be pointed past the macula."""


@dataclass(frozen=True)
class Line:
    """A sentence of the caption; one that states no label may be dropped for length."""

    text: str
    optional: bool = False


@dataclass
class Subject:
    """The drawing of one caption: what is known, how each disease is told, and the style.

    `signs` holds the diseases shown by their signs, `names` those that still must be named,
    `inline` those to be named beside their signs; all are dicts or lists, since a set's order is
    not the same in every process.
    """

    known: dict[str, int]
    rng: Random
    anatomy: Anatomy
    style: str = "full"
    signs: dict[str, Variant] = field(default_factory=dict)
    inline: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return self.rng.random() < share

    def say(self, *options: str) -> str:
        """One wording of one of the phrases, with no sign that is known not to be there."""
        return choose(options, self.rng, self.anatomy.signs)

    def may(self, phrase: str) -> bool:
        """Whether the phrase has a wording without such a sign."""
        return sayable(phrase, self.anatomy.signs)

    def ruled_out(self, names: tuple[str, ...]) -> bool:
        """All of these labels are known and negative."""
        return all(self.known.get(name) == 0 for name in names)

    def hidden(self, section: str) -> bool:
        """The section cannot be seen: the retinal region, or this part of it, is unreadable or not
        in the picture."""
        part = UNREADABLE.get(section, RETINA)
        if section == MACULA and not self.may(IN_VIEW):
            return True
        return self.known.get(part) == 0 or self.known.get(RETINA) == 0


def meet(known: dict[str, int], rng: Random, anatomy: Anatomy) -> Subject:
    """The eye with its style drawn, and for each disease that is present its variant and its way of
    being told."""
    style = rng.choices(("brief", "full", "list"), (0.2, 0.62, 0.18))[0]
    eye = Subject(known, rng, anatomy, style)
    for name in ("dr_grade", *DISEASES):
        if known.get(name, 0) > 0:
            _tell(eye, name, DR[known[name]] if name == "dr_grade" else DISEASES[name])
    return eye


def _tell(eye: Subject, name: str, options: tuple[Variant, ...]) -> None:
    options = tuple(options[at] for at in eye.anatomy.forms.get(name, range(len(options))))
    variant = _drawn(eye, options[int(eye.rng.random() * len(options))])
    visible = any(not eye.hidden(section) for section in variant.signs)
    way = eye.rng.random()
    if visible and way > 0.15:
        eye.signs[name] = variant
    if visible and 0.3 < way < 0.55:
        eye.inline[name] = variant.name
    elif not visible or way < 0.15 or way > 0.55:
        eye.names[name] = variant.name


def _drawn(eye: Subject, variant: Variant) -> Variant:
    """The variant with those phrases alone whose signs the eye may have."""
    told = {part: tuple(filter(eye.may, signs)) for part, signs in variant.signs.items()}
    return replace(variant, signs={part: signs for part, signs in told.items() if signs})


def section_lines(eye: Subject) -> list[Line]:
    """The sentences of the sections, in this caption's order; inline names without a place are left
    to be named."""
    measured = facts(eye.anatomy, eye.rng)
    lines: list[Line] = []
    for section in _order(eye):
        if not eye.hidden(section):
            lines += _section(eye, section, measured.get(section, Facts()))
    eye.names |= eye.inline
    eye.inline = {}
    return lines


def _order(eye: Subject) -> list[str]:
    order = list(SECTIONS)
    way = eye.rng.random()
    if way < 0.12:
        order = [LESIONS, *(section for section in order if section != LESIONS)]
    elif way < 0.3:
        eye.rng.shuffle(order)
    if eye.style == "brief":
        told = [section for section in order if _owners(eye, section)]
        return told or order[:1]
    return order


def _owners(eye: Subject, section: str) -> list[str]:
    """The diseases that show signs in the section."""
    owners = [name for name, variant in eye.signs.items() if section in variant.signs]
    for shadowed, by in _ALIKE.get(section, ()):
        if shadowed in owners and by in owners:
            owners.remove(shadowed)
    return owners


def _section(eye: Subject, section: str, measured: Facts) -> list[Line]:
    owners = _owners(eye, section)
    if section == LESIONS and eye.anatomy.lesions is not None:
        details = list(measured.details)
    else:
        details = [eye.say(*_unmeasured(eye, eye.signs[name].signs[section])) for name in owners]
        details += measured.details
    if section == LESIONS:
        text = _lesions(eye, details)
    elif section == BACKGROUND:
        text = _background(eye, details)
    else:
        text = _part(eye, section, details, measured.state)
    if not text:
        return []
    if len(owners) == 1 and owners[0] in eye.inline and len(details) >= 1:
        text += eye.say(INLINE).format(name=eye.say(eye.inline.pop(owners[0])))
        return [Line(text)]
    return [Line(text, optional=True)]


def _unmeasured(eye: Subject, signs: tuple[str, ...]) -> tuple[str, ...]:
    """A ratio that was measured is not told a second time, and otherwise, as a sign."""
    if eye.anatomy.cup_disc_ratio is None:
        return signs
    return tuple(sign for sign in signs if "cup-to-disc" not in sign) or signs


def _part(eye: Subject, section: str, details: list[str], state: str) -> str:
    """Disc, vessels or macula: measured state, signs, or else the normal or a neutral state."""
    verb = "are" if section == VESSELS else "is"
    shows = eye.say("show", "demonstrate") if section == VESSELS else eye.say("shows", "has")
    listed = eye.style == "list"
    subject = eye.say(HEADING[section] if listed else SUBJECT[section])
    if not state and not details:
        state = _state(eye, section)
        if not state:
            return ""
    if state and details:
        glue = ", " if " with " in state else " with "
        return (
            f"{subject} {state}{glue}{phrases(details)}"
            if listed
            else (f"{subject} {verb} {state}{glue}{phrases(details)}")
        )
    if details:
        return (
            f"{subject} {phrases(details)}" if listed else f"{subject} {shows} {phrases(details)}"
        )
    return f"{subject} {state}" if listed else f"{subject} {verb} {state}"


def _state(eye: Subject, section: str) -> str:
    normal = eye.ruled_out(NORMAL_NEEDS[section])
    if section == VESSELS and not 0 <= eye.known.get("dr_grade", -1) <= 2:
        normal = False
    if normal and eye.chance(0.9):
        return eye.say(*NORMAL[section])
    if eye.chance(0.4):
        return eye.say(*NEUTRAL[section])
    return ""


def _lesions(eye: Subject, details: list[str]) -> str:
    if not details:
        measured_none = eye.anatomy.lesions is None or not any(
            lesion.count for lesion in eye.anatomy.lesions
        )
        if eye.ruled_out(NORMAL_NEEDS[LESIONS]) and measured_none and eye.chance(0.75):
            return eye.say(*NO_LESIONS)
        if eye.ruled_out(("dr_grade",)) and measured_none and eye.chance(0.4):
            return eye.say(*NO_MICROANEURYSMS)
        return ""
    if eye.style == "list" and eye.chance(0.8):
        return f"{eye.say(HEADING[LESIONS])} {phrases(details)}"
    frames = LESIONS_SENTENCE if _SINGULAR.match(details[0]) else LESIONS_SENTENCE + LESIONS_PLURAL
    return eye.say(*frames).format(names=phrases(details))


def _background(eye: Subject, details: list[str]) -> str:
    if not details:
        if eye.chance(0.45):
            return ""
        details = [eye.say(*BACKGROUNDS)]
    if eye.style == "list":
        return f"{eye.say(HEADING[BACKGROUND])} {phrases(details)}"
    subject = eye.say(SUBJECT[BACKGROUND])
    return eye.say(BACKGROUND_SENTENCE).format(subject=subject, tone=phrases(details))
