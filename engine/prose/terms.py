"""The reader's vocabulary: abbreviations, plain spelling, the terms of each disease and what a
denied term denies.

Patterns are matched against text made plain by `plain`: lower case, American spelling, hyphens and
brackets as spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    """How much of its labels a term is."""

    EXACT = "the label itself: present states 1, denied states 0"
    PART = "one form of it (wet AMD): present states 1, denied states nothing"
    WHOLE = "more than it (macular edema holds DME): denied states 0, present states nothing"
    RETINOPATHY = "diabetic retinopathy, whose grade stands in the words around it"
    NOTHING = "swallows words that would be misread"


@dataclass(frozen=True)
class Term:
    """A pattern of plain text, the labels it speaks of, and how much of them it is."""

    pattern: str
    labels: tuple[str, ...]
    kind: Kind


ABBREVIATIONS: dict[str, str] = {
    "NPDR": "nonproliferative diabetic retinopathy",
    "PPDR": "preproliferative diabetic retinopathy",
    "PDR": "proliferative diabetic retinopathy",
    "DR": "diabetic retinopathy",
    "nAMD": "neovascular age related macular degeneration",
    "wAMD": "wet age related macular degeneration",
    "ARMD": "age related macular degeneration",
    "AMD": "age related macular degeneration",
    "CIDME": "center involving diabetic macular edema",
    "DME": "diabetic macular edema",
    "DMO": "diabetic macular edema",
    "CSME": "clinically significant macular edema",
    "CSMO": "clinically significant macular edema",
    "ERM": "epiretinal membrane",
    "EMM": "epimacular membrane",
    "POAG": "primary open angle glaucoma",
    "OAG": "open angle glaucoma",
    "NTG": "normal tension glaucoma",
    "PACG": "primary angle closure glaucoma",
    "GON": "glaucomatous optic neuropathy",
    "HTR": "hypertensive retinopathy",
    "HtR": "hypertensive retinopathy",
    "BRVO": "branch retinal vein occlusion",
    "CRVO": "central retinal vein occlusion",
    "HRVO": "hemi retinal vein occlusion",
    "RVO": "retinal vein occlusion",
    "MMD": "myopic macular degeneration",
    "NAION": "ischemic optic neuropathy",
    "AION": "ischemic optic neuropathy",
    "CSCR": "central serous chorioretinopathy",
    "CFP": "color fundus photograph",
    "OD": "right eye",
    "OS": "left eye",
    "OU": "both eyes",
    "O.D.": "right eye",
    "O.S.": "left eye",
    "RE": "right eye",
    "LE": "left eye",
    "WNL": "within normal limits",
    "FHx": "family history",
    "Hx": "history",
}
"""Read as written here. `DM` is left out on purpose: a clinician means diabetes mellitus, the
column degenerative myopia."""

ANY_CASE = "NPDR PPDR PDR ARMD AMD DME CSME CSMO ERM POAG BRVO CRVO RVO CFP"
"""Abbreviations that mean nothing else, and so are also read in small letters."""

_E, _P, _W, _N = Kind.EXACT, Kind.PART, Kind.WHOLE, Kind.NOTHING
_DISC = r"optic (?:nerve head|nerve|disc|disk|papilla)"
_STAGE = r"(?:early|mild|moderate|severe|advanced|late|end stage|intermediate|unilateral) "
_AMD_FORM = (
    r"(?:early|intermediate|late|advanced|dry|wet|atrophic|exudative|neovascular|non ?exudative"
    r"|non ?neovascular"
    r"|senile)(?: stage)? "
)
_GLAUCOMA_FORM = (
    r"(?:open angle|angle closure|closed angle|normal tension|low tension|pseudoexfoliati(?:on"
    r"|ve)|neovascular"
    r"|pigmentary|juvenile|secondary|chronic|congenital)"
)
_EDEMA = r"macular (?:edema|swelling|thickening)"

_TABLE: tuple[tuple[str, Kind, tuple[str, ...]], ...] = (
    ("", _N, (r"diabetes(?: mellitus)?", r"ocular hypertension", r"cystoid macular edema")),
    ("", _N, (r"non ?glaucomatous \w+",)),
    ("", _N, (r"(?:juvenile|vitelliform|hereditary|congenital|cystoid) macular degeneration",)),
    ("", _N, (r"(?:hypertensive|diabetic) (?:patient|man|woman|male|female|subject)",)),
    (
        "is_dme",
        _P,
        (
            (
                rf"(?:clinically significant|center involv\w+|central involv\w+|focal|diffuse)"
                rf" (?:diabetic )?{_EDEMA}"
            ),
            rf"{_EDEMA} (?:due to|secondary to|from) diabetes(?: mellitus)?",
        ),
    ),
    ("is_dme", _E, (rf"diabetic {_EDEMA}", r"diabetic maculopathy")),
    ("is_dme", _W, (_EDEMA, r"edema (?:of|at) the macula")),
    (
        "dr_grade",
        Kind.RETINOPATHY,
        (
            r"diabetic (?:retinopathy|retinal disease|eye disease|retinal changes?)",
            r"(?:non|pre)?proliferative retinopathy",
            r"d\.?r\.? grade",
        ),
    ),
    ("dr_grade is_dme", _W, (r"diabetic (?:changes?|lesions?|signs?|damage)",)),
    (
        "dr_grade is_htr",
        _W,
        (r"(?:(?<=no )|(?<=any )|(?<=of )|(?<=apparent )|(?<=without ))retinopathy",),
    ),
    (
        "is_pm",
        _E,
        (
            r"pathological(?:ly)? (?:high |axial )?myopi[ac]",
            r"pathologic (?:high |axial )?myopia",
            r"myopic maculopathy",
            r"myopic macular degeneration",
        ),
    ),
    ("is_pm", _P, (r"myopic (?:choroidal )?neovascularization",)),
    (
        "is_dm",
        _E,
        (
            r"degenerative (?:high )?myopia",
            r"myopic (?:retinal |fundus |chorioretinal )?degeneration",
            r"(?:myopic degenerative|degenerative myopic) (?:changes?|fundus)",
        ),
    ),
    ("", _N, (r"myopic chorioretinal atrophy", r"peripapillary chorioretinal atrophy")),
    ("is_pm is_dm", _W, (r"myopic (?:changes?|features?|fundus)", r"myopia")),
    (
        "is_amd",
        _P,
        (rf"(?:{_AMD_FORM})+(?:age related )?macular degeneration", r"geographic atrophy"),
    ),
    ("is_amd", _P, (r"age related maculopathy",)),
    ("is_amd", _E, (r"age related macular degeneration", r"(?:senile )?macular degeneration")),
    ("is_amd is_dme is_em", _W, (r"macular (?:disease|pathology|abnormalit(?:y|ies)|lesions?)",)),
    (
        "is_amd is_dme",
        _W,
        (r"(?:(?<=no )|(?<=any )|(?<=of )|(?<=or )|(?<=and )|(?<=without ))maculopathy",),
    ),
    (
        "is_em",
        _E,
        (
            r"epi ?(?:retinal|macular) membranes?",
            r"macular pucker(?:ing)?",
            r"cellophane maculopathy",
            r"(?:epiretinal|premacular|preretinal macular) (?:fibrosis|gliosis)",
        ),
    ),
    ("is_gc", _P, (rf"(?:{_STAGE})?(?:primary )?{_GLAUCOMA_FORM} glaucoma", rf"{_STAGE}glaucoma")),
    ("is_gc", _E, (r"glaucomatous(?: optic)?(?: neuropathy| \w+)?", r"glaucoma")),
    (
        "is_htr",
        _E,
        (
            (
                r"hypertensive (?:retinopathy|retinal (?:changes?|disease|vasculopathy)|vascular"
                r" changes?"
                r"|fundus changes?|changes?|vasculopathy)"
            ),
        ),
    ),
    ("is_htr", _P, (r"hypertensive chorio\w+", r"malignant hypertensive retinopathy")),
    (
        "is_rvo",
        _P,
        (
            (
                r"(?:branch|central|hemi(?:spheric|central)?|macular branch|tributary)(?: retinal)?"
                r" (?:vein|venous)"
                r" (?:occlusions?|thrombosis)"
            ),
            r"(?:branch|central) retinal artery and vein occlusion",
        ),
    ),
    ("is_rvo", _E, (r"(?:retinal )?(?:vein|venous) (?:occlusions?|thrombosis)",)),
    ("is_rvo", _W, (r"(?:retinal )?vascular occlusions?",)),
    (
        "is_aon",
        _E,
        (
            rf"(?:anomal(?:y|ies)|abnormalit(?:y|ies)|pathology) of the {_DISC}",
            rf"{_DISC} (?:anomal(?:y|ies)|abnormalit(?:y|ies)|pathology|malformation)",
            rf"(?:anomalous|abnormal|malformed) {_DISC}",
        ),
    ),
    (
        "is_aon",
        _P,
        (
            (
                rf"(?:{_DISC}|optic|disc) (?:atrophy|swelling|edema|drusen|coloboma|pit|hypoplasia"
                rf"|neuritis)"
            ),
            r"(?:ischemic )?optic neuropathy",
            r"papill?o?edema",
            r"papillitis",
            r"(?:swollen|edematous|atrophic|hypoplastic) (?:optic )?(?:disc|nerve)",
            r"drusen of the optic (?:nerve head|nerve|disc)",
            r"morning glory",
        ),
    ),
    (
        "is_crp",
        _E,
        (
            r"(?:choroidal|choroid)(?: and| or)? retinal (?:patholog(?:y|ies)|disease)",
            r"chorio ?retinal (?:patholog(?:y|ies)|disease|lesions?|abnormalit(?:y|ies)|changes?)",
        ),
    ),
    (
        "is_crp",
        _P,
        (
            r"chorio ?retinal (?:scar\w*|atrophy)",
            r"(?:chorioretinitis|retinochoroiditis|choroiditis|choroideremia|chorioretinopathy)",
            (
                r"choroidal (?:nev\w+|melanoma|hemangioma|osteoma|tumou?r|mass|lesion|rupture"
                r"|atrophy"
                r"|patholog\w+)"
            ),
            r"toxoplasm\w+ scars?",
        ),
    ),
)


_FIRST_WORDS = (
    "diabet|ocular|hypert|cystoid|juvenil|vitelli|heredit|congenit|clinical|center|central|focal"
    "|diffuse|macul|edema"
    "|non|pre|prolif|d.?r|retin|patholog|myop|degenerat|early|interm|late|advanc|dry|wet|atroph"
    "|exudat|neovasc|senile"
    "|geograph|age|epi|cellop|end|mild|moder|sever|unilat|primary|open|angle|closed|normal|low"
    "|pseudoex|pigment|second"
    "|chronic|glauc|malign|branch|hemi|tribut|vein|venous|vascul|anomal|abnorm|optic|disc|malform"
    "|ischem|papil|swollen"
    "|edemat|hypopl|drusen|morning|choroid|chorio|toxopl|peripap"
)
"""How the terms begin: a quick look that spares most words the whole vocabulary."""


@lru_cache(maxsize=1)
def terms() -> tuple[re.Pattern[str], dict[str, Term]]:
    """One pattern with a group for each term, first come first served, and the terms."""
    found = [
        Term(pattern, tuple(labels.split()), kind)
        for labels, kind, patterns in _TABLE
        for pattern in patterns
    ]
    groups = {f"t{at}": term for at, term in enumerate(found)}
    union = "|".join(f"(?P<{name}>{term.pattern})" for name, term in groups.items())
    return re.compile(rf"\b(?={_by_letter(_FIRST_WORDS)})(?:{union})\b"), groups


def _by_letter(words: str) -> str:
    """The same alternatives with each first letter looked at once."""
    rests: dict[str, list[str]] = {}
    for word in words.split("|"):
        rests.setdefault(word[0], []).append(word[1:])
    return "|".join(f"{letter}(?:{'|'.join(each)})" for letter, each in rests.items())


def plain(text: str) -> str:
    """The text as the reader wants it: abbreviations written out, lower case, American, hyphens and
    brackets blank."""
    text = _abbreviations().sub(_expanded, text.replace("\u2019", "'"))
    if "?" in text:
        text = _QUESTION.sub(" query ", text).replace("?", " questionable. ")
    text = text.lower()
    if holds(text, _AMERICAN):
        text = _SPELLING.sub(lambda found: _AMERICAN[found.group()], text)
    text = _BLANK.sub(" ", text)
    return _JOINS.sub(_joined, text) if holds(text, _JOINED) else text


def holds(text: str, words: Iterable[str]) -> bool:
    """Whether any of the words stands in the text."""
    for word in words:  # noqa: SIM110 - a generator takes four times as long
        if word in text:
            return True
    return False


def _expanded(found: re.Match[str]) -> str:
    word = found.group()
    return ABBREVIATIONS.get(word) or ABBREVIATIONS[word.upper()]


@lru_cache(maxsize=1)
def _abbreviations() -> re.Pattern[str]:
    exact = "|".join(re.escape(word) for word in ABBREVIATIONS if word not in ("RE", "LE"))
    small = "|".join(ANY_CASE.lower().split())
    # "RE:" opens letters ("regarding"), so the two short ones count only without a colon.
    return re.compile(rf"(?<![\w.])(?:{exact}|{small}|(?:RE|LE)(?!:))(?!\w)")


def _joined(found: re.Match[str]) -> str:
    return found.group().replace(" ", "")


_QUESTION = re.compile(r"\?(?=\w)")
_BLANK = re.compile(r"[-_()\[\]/\u2010-\u2015\u201c\u201d\"*]+|\s{2,}|[^\S ]")
_JOINED = (" proliferative", "supra temporal")
_JOINS = re.compile(r"\b(?:non|pre) proliferative|\bsupra temporal")
_AMERICAN = {
    "oedema": "edema",
    "haem": "hem",
    "colour": "color",
    "centre": "center",
    "central involv": "center involv",
    "ischaem": "ischem",
    "naev": "nev",
    "isualis": "isualiz",
    "ularis": "ulariz",
    "fundi": "fundus",
    "optic disk": "optic disc",
}
_SPELLING = re.compile("|".join(_AMERICAN))
