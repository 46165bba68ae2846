"""The reader's second half: which eye, what can be read of it, and what a word of normality denies.
On the plain text of one sentence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from engine.prose.terms import holds
from engine.schema import DISEASES

_ALL = tuple(label.name for label in DISEASES)
_RETINAL = ("dr_grade", "is_amd", "is_crp", "is_dme", "is_em", "is_htr", "is_rvo")
_MACULAR = ("is_amd", "is_dme", "is_em")
_DENIED_BY = {"eye": _ALL, "retina": _RETINAL, "macula": _MACULAR, "disc": ("is_aon",)}


def sides(sentence: str) -> frozenset[str]:
    """The sides of which a sentence tells: l, r; both for both eyes."""
    if "both eyes" in sentence:
        return frozenset("lr")
    if not holds(sentence, _SIDE_HINTS):
        return frozenset()
    found = _SIDE.finditer(_ASIDE.sub(" ", sentence))
    return frozenset((each.group("a") or each.group("b"))[0] for each in found)


def normal_places(sentence: str) -> frozenset[str]:
    """What a sentence calls normal: eye, retina, macula, disc."""
    if not holds(sentence, _NORMAL_HINTS):
        return frozenset()
    return frozenset(name for name, pattern in _NORMAL.items() if pattern.search(sentence))


def normal_labels(places: Collection[str], positive: bool) -> Iterator[str]:
    """The labels that words of normality deny: of the whole eye and the retina unless something is
    `positive`, of the macula, of the disc."""
    for place, labels in _DENIED_BY.items():
        if place in places and not (positive and place in ("eye", "retina")):
            yield from labels


def fundus(sentence: str) -> int | None:
    """Whether a sentence says that the image shows a fundus; None where it says nothing of it."""
    if "fundus" not in sentence and "retina" not in sentence:
        return None
    if _NOT_FUNDUS.search(sentence):
        return 0
    return 1 if _FUNDUS.search(sentence) else None


def views(sentence: str) -> Iterator[tuple[str, int]]:
    """What a sentence says can be read, and cannot, as labels and values."""
    for part in _PARTS.split(sentence):
        if holds(part, _READ_HINTS):
            yield from _read_part(part)


def _read_part(text: str) -> Iterator[tuple[str, int]]:
    for pattern, value in ((_BAD, 0), (_GOOD, 1)):
        for found in pattern.finditer(text):
            yield from ((label, value) for label in _regions(found.group()))
        # What was read as bad must not be read again: "neither ... nor the disc can be assessed".
        text = pattern.sub(" ", text) if value == 0 else text


def _regions(phrase: str) -> list[str]:
    found = [label for label, pattern in _REGIONS.items() if pattern.search(phrase)]
    return found or ["is_retinal_region_readable"]


_SIDE_HINTS = ("left", "right", "eye", "side", "laterality")
_SIDE = re.compile(
    r"\b(?P<a>left|right) (?:human )?(?:eye|fundus|macula\b|retinas?\b|retinal|color|photo|ocular)"
    r"|\b(?:laterality|eye|side)(?: side)? ?[:=] ?(?P<b>left|right|l\b|r\b)"
)
_ASIDE = re.compile(r"\b(?:fellow|other|contralateral|opposite) (?:left |right )?eye\b[^.;]*")

_NORMAL_HINTS = ("normal", "health", "unremark", "patholog", "disease")
_READ_HINTS = (
    *("readab", "assess", "gradab", "gradeab", "visib", "visual", "view", "quality", "legib"),
    *("interpret", "evaluat", "be read", "judg", "grade", "seen", "obscured", "hidden", "examin"),
    *("too ", "made out"),
)
"""Without one of these a sentence says nothing of the kind: looking for plain words is quick."""

_PARTS = re.compile(r"[.;!](?= |$)|\n")

_SOUND = r"(?:normal|healthy|unremarkable|within normal limits)"
# "Normal in colour" is no word on the whole, nor is "normal apart from".
_END = (
    r"(?! (?:in|caliber|color|size|contour|course|reflex|except|apart|but|for|outside|elsewhere"
    r"|optic|cup|rim|margin))"
)
_LOOKS = r"(?: (?:is|are|appears?|looks?)| ?:) (?:flat and |entirely |completely |both |all )*"
_IS_SOUND = rf"{_LOOKS}{_SOUND}{_END}"
_A_SOUND = rf"\b(?<!otherwise )(?<!not )(?<!near ){_SOUND}(?: looking| appearing)? "
_WITH = (
    r"(?: and (?:the )?(?:macula|fovea|disc|optic disc|optic nerve|(?:retinal )?vessels|retina))?"
)
_NORMAL_EYE = re.compile(
    rf"{_A_SOUND}(?:left |right |human |adult )?(?:fundus|eye)\b(?! (?:color|background|hue))"
    rf"|\b(?:fundus|eye|examination){_IS_SOUND}"
    r"|\b(?:all )?(?:findings|structures) (?:are )?within normal limits"
    r"|\bno (?:abnormalit(?:y|ies)|abnormal findings|pathology|pathological (?:findings|changes)"
    r"|disease)(?= ?(?:$|[.,;]|(?:is|are|was|were|can|could|seen|detected|identified|found|noted"
    r"|visible|present)\b))"
)
_NORMAL_RETINA = re.compile(
    rf"{_A_SOUND}retina\b(?! (?:vessel|color))|\bretina{_WITH}{_IS_SOUND}"
    r"|\bno retinal (?:abnormalit(?:y|ies)|pathology|disease)\b"
)
_NORMAL_MACULA = re.compile(rf"{_A_SOUND}macula\b|\bmacula(?:r region|r area)?{_WITH}{_IS_SOUND}")
_NORMAL_DISC = re.compile(
    rf"{_A_SOUND}(?:optic (?:disc|nerve)|disc)\b"
    rf"|\b(?:optic disc|optic nerve(?: head)?|disc){_WITH}{_IS_SOUND}"
)
_NORMAL = {
    "eye": _NORMAL_EYE,
    "retina": _NORMAL_RETINA,
    "macula": _NORMAL_MACULA,
    "disc": _NORMAL_DISC,
}

_PHOTO = r"(?:photo\w*|image|picture|scan)"
_NOT_FUNDUS = re.compile(
    rf"\b(?:not|non) (?:a |an )?(?:retinal |color )*fundus(?: {_PHOTO})?\b"
    r"|\bno fundus (?:is )?(?:visible|seen|shown)"
    r"|\bdoes not (?:show|depict|contain) (?:a |the |any )?(?:fundus|retina)\b"
    rf"|\bnot (?:a )?{_PHOTO} of (?:a |the )?(?:fundus|retina)\b"
)
_FUNDUS = re.compile(
    rf"\bfundus {_PHOTO}|\b(?:left|right|eye|color) fundus\b"
    rf"|\b{_PHOTO} of (?:a |an |the )?(?:\w+ )?fundus\b|\bshows? (?:a|the) fundus\b"
)

_REGION = (
    r"(?:macula(?:r (?:region|area|details?))?|fovea|optic (?:disc|nerve head|nerve)|disc"
    r"|retinal (?:region|field|details?)|retina|posterior pole|fundus(?: details?)?"
    r"|image|photograph|picture|periphery)"
)
_VIEWED = rf"{_REGION}(?:(?:,? (?:and|or|nor) (?:the )?|, (?:the )?|/){_REGION})*"
# "An anomaly of the optic nerve is not seen" speaks of the anomaly, not of the nerve.
_LISTED = (
    r"(?<!in the )(?<!at the )(?<!near the )(?<!on the )"
    rf"(?:(?<=details of the )|(?<=region of the )|(?<=view of the )|(?<!of the )){_VIEWED}"
)
_ADVERB = (
    r"(?:all |both |each |either |also |adequately |reliably |properly |fully |clearly |well"
    r" |easily |only )*"
)
_READ = r"(?:assess|evaluat|read|grad|judg|interpret|visualiz|examin)(?:ed|d)?"
_ABLE = r"(?:readable|assessable|grade?able|interpretable|evaluable|legible)"
_UNABLE = r"(?:unreadable|ungrade?able|unassessable|uninterpretable|obscured|illegible)"
_POOR = r"(?:poor|insufficient|inadequate|low)"
_BAD = re.compile(
    rf"\b{_LISTED} (?:can ?not|can't|could not|can no longer) be {_ADVERB}(?:{_READ}|seen)\b"
    rf"|\b{_LISTED} (?:(?:is|are|was|were|remains?) )?(?:all |both |completely |largely |partly )*"
    rf"(?:not (?:\w+ )?(?:{_ABLE}|visible|visualized|seen|in view)|{_UNABLE}|hidden|out of view"
    rf"|poorly (?:seen|visualized|visible)|too (?:dark|blurred|blurry|hazy)|of {_POOR} quality)"
    rf"|\bneither (?:the )?{_LISTED} (?:can be|is|are) (?:{_READ}|{_ABLE}|visible|seen)"
    rf"|\b(?:no|poor|limited|inadequate) view of (?:the )?{_VIEWED}"
    r"|\b(?:prevents?|precludes?|preventing|precluding) (?:\w+ )?(?:assessment|evaluation|view"
    rf"|grading|examination) of (?:the )?{_VIEWED}"
    rf"|\b(?:{_UNABLE}|non ?readable|not gradable) (?:\w+ )?{_LISTED}"
    rf"|\bquality (?:is )?(?:too poor|{_POOR})|\b{_POOR} (?:image )?quality|\bungrade?able\b"
)
_GOOD = re.compile(
    rf"\b{_LISTED} can (?:all |both |clearly |easily |well )*be {_ADVERB}{_READ}\b"
    rf"|\b{_LISTED} (?:(?:is|are) )?(?:all |both )*(?:{_ABLE}|(?:well|clearly|fully|sharply|easily)"
    rf" (?:seen|visible|visualized|focused|{_ABLE}))"
    rf"|\b(?:clear|good|full|unobstructed) view of (?:the )?{_VIEWED}"
    rf"|\b(?<!not )(?:{_ABLE}|clearly visible|well visualized) {_LISTED}"
    r"|\bquality (?:is )?(?:good|adequate|excellent|sufficient|high)\b"
    r"|\b(?:good|adequate|excellent|high|sufficient) (?:image )?quality\b"
)
_REGIONS = {
    "is_macular_readable": re.compile(r"macula|fovea"),
    "is_optic_disc_readable": re.compile(r"disc|optic nerve"),
    "is_retinal_region_readable": re.compile(
        r"retina\b|retinal|posterior pole|fundus|image|photograph|picture|periphery|quality"
    ),
}
