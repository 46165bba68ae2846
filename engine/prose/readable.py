"""The reader's second half: which eye, what can be read of it, and what a word of normality denies.
On plain text."""

from __future__ import annotations

import re

from engine.schema import DISEASES

_ALL = tuple(label.name for label in DISEASES)
_RETINAL = ("dr_grade", "is_amd", "is_crp", "is_dme", "is_em", "is_htr", "is_rvo")
_MACULAR = ("is_amd", "is_dme", "is_em")


def laterality(text: str) -> int | None:
    """0 right, 1 left; None when no side is told, or both are."""
    sides = {
        found.group("a") or found.group("b") for found in _SIDE.finditer(_ASIDE.sub(" ", text))
    }
    if len({side[0] for side in sides if side}) != 1 or "both eyes" in text:
        return None
    return 1 if sides.pop().startswith("l") else 0


def normal_labels(text: str, positive: bool) -> tuple[str, ...]:
    """The labels that words of normality deny: of the whole eye (unless something is `positive`),
    retina, macula, disc."""
    if not _NORMAL_HINT.search(text):
        return ()
    labels: tuple[str, ...] = ()
    if not positive and _NORMAL_EYE.search(text):
        labels += _ALL
    if not positive and _NORMAL_RETINA.search(text):
        labels += _RETINAL
    if _NORMAL_MACULA.search(text):
        labels += _MACULAR
    if _NORMAL_DISC.search(text):
        labels += ("is_aon",)
    return labels


def readability(text: str) -> dict[str, int]:
    """The readability labels that the text states; one called both readable and not is left out."""
    told: dict[str, set[int]] = {}
    if _NOT_FUNDUS.search(text):
        told["is_fundus"] = {0}
    elif _FUNDUS.search(text):
        told["is_fundus"] = {1}
    for part in _PARTS.split(text):
        if _READ_HINT.search(part):
            _read_part(part, told)
    return {label: values.pop() for label, values in told.items() if len(values) == 1}


def _read_part(text: str, told: dict[str, set[int]]) -> None:
    for pattern, value in ((_BAD, 0), (_GOOD, 1)):
        for found in pattern.finditer(text):
            for label in _regions(found.group()):
                told.setdefault(label, set()).add(value)
        # What was read as bad must not be read again: "neither ... nor the disc can be assessed".
        text = pattern.sub(" ", text)


def _regions(phrase: str) -> list[str]:
    found = [label for label, pattern in _REGIONS.items() if pattern.search(phrase)]
    return found or ["is_retinal_region_readable"]


_SIDE = re.compile(
    r"\b(?P<a>left|right) (?:human )?(?:eye|fundus|macula\b|retinas?\b|retinal|color|photo|ocular)"
    r"|\b(?:laterality|eye|side)(?: side)? ?[:=] ?(?P<b>left|right|l\b|r\b)"
)
_ASIDE = re.compile(r"\b(?:fellow|other|contralateral|opposite) (?:left |right )?eye\b[^.;]*")

_NORMAL_HINT = re.compile("normal|health|unremark|patholog|disease")
_READ_HINT = re.compile(
    "readab|assess|gradab|gradeab|visib|visual|view|quality|legib|interpret|evaluat|be read|judg"
    "|grade|seen|obscured|hidden|examin|too |made out"
)
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
