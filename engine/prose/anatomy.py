"""What a renderer measured of the eye it drew, and its wording: each fact is optional, and only
given facts are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from engine.prose.grammar import expand, join
from engine.prose.variants import BACKGROUND, DISC, LESIONS, MACULA, VESSELS

QUADRANTS: tuple[str, ...] = ("superotemporal", "inferotemporal", "superonasal", "inferonasal")


@dataclass(frozen=True)
class LesionCount:
    """How many lesions of one kind were drawn, and where.

    `kind` is a singular noun as a clinician says it ("microaneurysm", "hard exudate"); `quadrants`
    holds names of `QUADRANTS` or "macular".
    """

    kind: str
    count: int
    quadrants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Anatomy:
    """Measured facts. `None` is not measured; an empty `lesions` is measured, and none was found.

    cup_disc_ratio: vertical, 0..1. artery_vein_ratio: calibre, 0..1. haze: 0 clear .. 1 opaque.
    disc_colour, disc_margin, vessel_calibre, vessel_tortuosity, background: adjectives or short
    noun phrases ("pink", "sharp", "narrowed", "tortuous", "an orange-red hue").
    """

    cup_disc_ratio: float | None = None
    disc_colour: str | None = None
    disc_margin: str | None = None
    peripapillary_atrophy: bool | None = None
    artery_vein_ratio: float | None = None
    vessel_calibre: str | None = None
    vessel_tortuosity: str | None = None
    foveal_reflex: bool | None = None
    lesions: tuple[LesionCount, ...] | None = None
    background: str | None = None
    haze: float | None = None
    forms: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Of a disease with several forms, which were drawn: places in its `phrases.DISEASES`."""
    signs: frozenset[str] | None = None
    """Which of the `<sign>`s of the phrases were drawn."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Of a part that cannot be read, by its label: the `<sign>` of `frames.REASON` that was
    drawn."""


@dataclass(frozen=True)
class Facts:
    """The wording of a section's measured facts: a predicate after "is"/"are", and noun phrases
    after "with"."""

    state: str = ""
    details: tuple[str, ...] = ()


def facts(anatomy: Anatomy, rng: Random) -> dict[str, Facts]:
    """The measured facts by section; sections without any are absent."""
    found = {
        DISC: _disc(anatomy, rng),
        VESSELS: _vessels(anatomy, rng),
        MACULA: _macula(anatomy, rng),
        LESIONS: Facts(details=lesion_phrases(anatomy.lesions or (), rng)),
        BACKGROUND: _background(anatomy, rng),
    }
    return {section: fact for section, fact in found.items() if fact.state or fact.details}


def lesion_phrases(lesions: tuple[LesionCount, ...], rng: Random) -> tuple[str, ...]:
    """Each kind with its number and place: "several drusen in the superotemporal quadrant"."""
    return tuple(_lesion(lesion, rng) for lesion in lesions if lesion.count > 0)


def _lesion(lesion: LesionCount, rng: Random) -> str:
    noun = lesion.kind if lesion.count == 1 else _plural(lesion.kind)
    phrase = f"{expand(_amount(lesion.count), rng)} {noun}"
    outer = [name for name in lesion.quadrants if name != "macular"]
    if len(outer) >= len(QUADRANTS):
        everywhere = "[in all four quadrants|in every quadrant|throughout the retina]"
        return f"{phrase} {expand(everywhere, rng)}"
    if outer:
        quadrant = "quadrant" if len(outer) == 1 else "quadrants"
        return f"{phrase} in the {join(outer)} {quadrant}"
    return f"{phrase} {expand('[at|in] the macula', rng)}" if lesion.quadrants else phrase


def _amount(count: int) -> str:
    if count == 1:
        return "[a single|one]"
    if count <= 4:
        return f"[a few|{('two', 'three', 'four')[count - 2]}]"
    if count <= 10:
        return f"[several|about {count}]"
    return "[numerous|multiple|many]" if count <= 30 else "[very many|innumerable|extensive]"


def _plural(noun: str) -> str:
    """Of "patch of atrophy" the plural is "patches of atrophy", of "soft druse" "soft drusen"."""
    head, of, rest = noun.partition(" of ")
    before, space, word = head.rpartition(" ")
    return before + space + _plural_word(word) + of + rest


def _plural_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("y"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


_IRREGULAR = {"druse": "drusen", "naevus": "naevi"}


def _disc(anatomy: Anatomy, rng: Random) -> Facts:
    details = []
    if anatomy.disc_margin:
        details.append(f"{anatomy.disc_margin} margins")
    if anatomy.cup_disc_ratio is not None:
        ratio = f"{anatomy.cup_disc_ratio:.2f}".rstrip("0")
        details.append(expand(f"a [vertical |]cup-to-disc ratio of [about |]{ratio}", rng))
    if anatomy.peripapillary_atrophy:
        details.append(expand("[peripapillary atrophy|a zone of peripapillary atrophy]", rng))
    state = expand(f"{anatomy.disc_colour}[| in colour]", rng) if anatomy.disc_colour else ""
    return Facts(state, tuple(details))


def _vessels(anatomy: Anatomy, rng: Random) -> Facts:
    details = []
    if anatomy.artery_vein_ratio is not None:
        ratio = f"{anatomy.artery_vein_ratio:.2f}"
        details.append(expand(f"an [artery-to-vein|arteriovenous] ratio of [about |]{ratio}", rng))
    state = [f"{anatomy.vessel_calibre} in calibre"] if anatomy.vessel_calibre else []
    state += [anatomy.vessel_tortuosity] if anatomy.vessel_tortuosity else []
    return Facts(" and ".join(state), tuple(details))


def _macula(anatomy: Anatomy, rng: Random) -> Facts:
    if anatomy.foveal_reflex is None:
        return Facts()
    if anatomy.foveal_reflex:
        return Facts(details=(expand("a [bright|visible|distinct] foveal reflex", rng),))
    return Facts(details=(expand("[a blunted|a dull|an absent] foveal reflex", rng),))


def _background(anatomy: Anatomy, rng: Random) -> Facts:
    details = [anatomy.background] if anatomy.background else []
    if anatomy.haze is not None and anatomy.haze > 0.15:
        degree = "slight" if anatomy.haze < 0.4 else "marked"
        details.append(expand(f"[{degree} haze|{degree} blur from the media]", rng))
    return Facts(details=tuple(details))
