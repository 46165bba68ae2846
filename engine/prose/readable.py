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


def _regions(phrase: str) -> list[str]:
    found = [label for label, pattern in _REGIONS.items() if pattern.search(phrase)]
    return found or ["is_retinal_region_readable"]


_SIDE = re.compile(
    r"\b(?P<a>left|right) (?:human )?(?:eye|fundus|retinas?\b|retinal|color|photo|ocular)"
    r"|\b(?:laterality|eye|side)(?: side)? ?[:=] ?(?P<b>left|right|l\b|r\b)"
)
_ASIDE = re.compile(r"\b(?:fellow|other|contralateral|opposite) (?:left |right )?eye\b[^.;]*")

_NORMAL_HINT = re.compile("normal|health|unremark|patholog|disease")
_READ_HINT = re.compile(
    "readab|assess|gradab|gradeab|visib|visual|view|quality|legib|interpret|evaluat|be read|judg"
    "|graded|seen|obscured"
    "|hidden|examin|too |made out"
)
_PARTS = re.compile(r"[.;!](?= |$)|\n")
_END = (
    r"(?! (?:in|caliber|color|size|contour|course|reflex|except|apart|but|for|outside|elsewhere"
    r"|optic|cup|rim|margin))"
)
_LOOKS = r"(?:(?:is|are|appears?|looks?|seems?) )?(?:to be )?(?:entirely |completely |otherwise )?"
_GOOD_WORD = r"(?:normal|healthy|unremarkable|within normal limits)"
_NORMAL_EYE = re.compile(
    rf"\b(?<!otherwise )(?<!not )(?<!near ){_GOOD_WORD} (?:\w+ )?(?:left |right |human |adult )?"
    r"(?:fundus|eye)\b(?! (?:color|background|reflex|hue|for))"
    rf"|\b(?:fundus|eye|examination) (?:is|appears?|looks?) (?:entirely |completely"
    rf" )?{_GOOD_WORD}{_END}"
    r"|\b(?:all )?(?:findings|structures) (?:are )?within normal limits"
    r"|\bno (?:abnormalit(?:y|ies)|abnormal findings|pathology|pathological (?:findings|changes)"
    r"|disease)"
    r"(?= ?(?:$|[.,;]|(?:is|are|was|were|can|could|seen|detected|identified|found|noted|visible"
    r"|present)\b))"
)
_NORMAL_RETINA = re.compile(
    rf"\b(?<!otherwise )(?<!not ){_GOOD_WORD}(?: looking| appearing)? retina\b(?! (?:vessel|color))"
    rf"|\bretina (?:is|appears?|looks?) (?:entirely |completely )?{_GOOD_WORD}{_END}"
    r"|\bno retinal (?:abnormalit(?:y|ies)|pathology|disease)\b"
)
_NORMAL_MACULA = re.compile(
    rf"\b(?<!otherwise )(?<!not ){_GOOD_WORD}(?: looking| appearing)? macula\b"
    rf"|\bmacula(?:r region|r area)? (?:is|appears?|looks?) (?:flat and |entirely |completely"
    rf" )?{_GOOD_WORD}{_END}"
)
_NORMAL_DISC = re.compile(
    rf"\b(?<!otherwise )(?<!not ){_GOOD_WORD}(?: looking| appearing)? (?:optic (?:disc|nerve)"
    rf"|disc)\b"
    rf"|\b(?:optic disc|optic nerve(?: head)?|disc) (?:is|appears?|looks?) (?:entirely "
    rf"|completely )?{_GOOD_WORD}{_END}"
)

_PHOTO = r"(?:photo\w*|image|picture|scan)"
_NOT_FUNDUS = re.compile(
    rf"\b(?:not|non) (?:a |an )?(?:retinal |color )*fundus(?: {_PHOTO})?\b|\bno fundus (?:is"
    rf" )?(?:visible|seen|shown)"
    r"|\bdoes not (?:show|depict|contain) (?:a |the |any )?(?:fundus|retina)\b"
    r"|\bnot (?:a )?(?:photo\w*|image|picture) of (?:a |the )?(?:fundus|retina)\b"
)
_FUNDUS = re.compile(
    rf"\bfundus {_PHOTO}|\bfundus (?:of|from) (?:a|an|the)\b|\b(?:left|right|eye|color) fundus\b"
    rf"|\b{_PHOTO} of (?:a |an |the )?(?:\w+ )?fundus\b|\bshows? (?:a|the) fundus\b"
)

_REGION = (
    r"(?:macula(?:r (?:region|area|details?))?|fovea|optic (?:disc|nerve head|nerve)|disc"
    r"|retinal (?:region|field|details?)|retina|posterior pole|fundus(?: details?)?|image"
    r"|photograph|picture|periphery)"
)
_VIEWED = rf"{_REGION}(?:(?:,? (?:and|or|nor) (?:the )?|, (?:the )?|/){_REGION})*"
# "An anomaly of the optic nerve is not seen" speaks of the anomaly, not of the nerve.
_LISTED = (
    r"(?<!in the )(?<!at the )(?<!near the )(?<!on the )"
    rf"(?:(?<=details of the )|(?<=region of the )|(?<=view of the )|(?<!of the )){_VIEWED}"
)
_ADVERB = (
    r"(?:all |both |each |either |also |adequately |reliably |properly |fully |clearly |well "
    r"|easily |only |not )*"
)
_READ = r"(?:assess|evaluat|read|grad|judg|interpret|visualiz|examin)(?:ed|d)?"
_BAD = re.compile(
    rf"\b{_LISTED} (?:can ?not|can't|could not|can no longer) be {_ADVERB}(?:{_READ}|seen|made"
    rf" out)\b"
    rf"|\b{_LISTED} (?:is|are|was|were|remains?) (?:all |both |completely |largely |partly"
    rf" )*(?:not (?:\w+ )?(?:readable|"
    r"assessable|gradable|gradeable|visible|visualized|seen|interpretable|evaluable|legible)"
    r"|unreadable|ungradable"
    r"|ungradeable|unassessable|uninterpretable|obscured|illegible|poorly (?:seen|visualized"
    r"|visible)|out of view|"
    r"not in view|hidden|too (?:dark|blurred|blurry|hazy|bright)|of (?:poor|insufficient) quality)"
    rf"|\bneither (?:the )?{_LISTED} (?:can be|is|are) (?:{_READ}|readable|assessable|visible|seen)"
    rf"|\b(?:no|poor|limited|inadequate) view of (?:the )?{_VIEWED}"
    rf"|\b(?:unreadable|ungradable|ungradeable|unassessable|obscured|non ?readable|not gradable)"
    rf" (?:\w+ )?{_LISTED}"
    r"|\b(?:image )?quality (?:is )?(?:too poor|insufficient|inadequate|poor)(?: (?:for|to))?"
    r"|\b(?:poor|insufficient|inadequate|low) (?:image )?quality|\bungrad(?:e)?able\b"
)
_GOOD = re.compile(
    rf"(?<!neither )(?<!neither the )\b{_LISTED} can (?:all |both |clearly |easily |well |be"
    rf" )*(?:be )?{_ADVERB}{_READ}\b"
    rf"|(?<!neither the )\b{_LISTED} (?:is|are) (?:all |both )*(?:readable|assessable|gradable"
    rf"|gradeable|interpretable|legible"
    r"|evaluable|(?:well|clearly|fully|sharply|easily) (?:seen|visible|visualized|focused"
    r"|readable|assessable))"
    rf"|\b(?:clear|good|full|unobstructed) view of (?:the )?{_VIEWED}"
    rf"|\b(?<!not )(?:readable|gradable|gradeable|assessable|clearly visible|well visualized)"
    rf" {_LISTED}"
    r"|\b(?:image )?quality (?:is )?(?:good|adequate|excellent|sufficient|high)\b"
    r"|\b(?:good|adequate|excellent|high|sufficient) (?:image )?quality\b"
)
_REGIONS = {
    "is_macular_readable": re.compile(r"macula|fovea"),
    "is_optic_disc_readable": re.compile(r"disc|optic nerve"),
    "is_retinal_region_readable": re.compile(
        r"retina\b|retinal|posterior pole|fundus|image|photograph|picture|periphery|quality"
    ),
}
