"""Where plain text names a disease, and what it says of it there: the terms of each clause, with
denial, doubt and the grade of a retinopathy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.prose.terms import Kind, Term, holds, terms

ABSENT, PRESENT, DOUBT = "absent", "present", "doubt"
REFERABLE = 2
"""The grade of retinopathy from which an eye is referred to a doctor."""


@dataclass
class Mention:
    """One term in one clause: its place and status, and the grade of a diabetic retinopathy."""

    term: Term
    start: int
    end: int
    status: str = PRESENT
    grade: int | None = None
    form: bool = False
    referable: bool = False


def judged(words: str) -> list[Mention]:
    """All mentions in plain text, with what is said of each."""
    mentions: list[Mention] = []
    for clause in _CLAUSES.split(words):
        found = _mentions(clause)
        if found and not _OTHER_EYE.search(clause):
            _judge(clause, found)
            _mark_edema_of_diabetes(found)
            mentions += found
    return mentions


def _mentions(clause: str) -> list[Mention]:
    pattern, groups = terms()
    found = []
    for match in pattern.finditer(clause):
        term = groups[match.lastgroup or ""]
        if term.kind is Kind.NOTHING:
            continue
        mention = Mention(term, match.start(), match.end())
        if term.kind is Kind.RETINOPATHY:
            _grade(clause, mention)
        if _PURPOSE.match(clause, mention.end):
            mention.status = DOUBT
        found.append(mention)
    return found


def _judge(clause: str, mentions: list[Mention]) -> None:
    """Walks the clause from left to right with the denial or doubt that is in force."""
    if not (_NO.search(clause) or holds(clause, _CUE_HINTS)):
        return
    events: list[tuple[int, Mention | re.Match[str]]] = [(m.start, m) for m in mentions]
    events += [(cue.start(), cue) for cue in _CUES.finditer(clause)]
    events.sort(key=lambda event: event[0])
    state, since = PRESENT, 0
    passed: list[Mention] = []
    for at, event in events:
        if isinstance(event, Mention):
            if event.status != DOUBT:
                event.status = state
            passed.append(event)
            continue
        cue = event.lastgroup
        if cue in ("denied_after", "doubted_after"):
            status = ABSENT if cue == "denied_after" else DOUBT
            reached = _reach(clause, passed, at)
            for mention in reached:
                mention.status = status
            state = PRESENT if reached else status
        elif cue == "comma":
            hearsay = state == DOUBT and not any(mention.start > since for mention in passed)
            state = PRESENT if hearsay else state
        else:
            state = {"denied": ABSENT, "doubted": DOUBT}.get(cue or "", PRESENT)
            since = at


def _reach(clause: str, passed: list[Mention], at: int) -> list[Mention]:
    """The list of mentions that a cue standing after them speaks of."""
    reached: list[Mention] = []
    end = at
    for mention in reversed(passed):
        gap = clause[mention.end : end]
        near = _NEAR if not reached else _LIST
        if not near.fullmatch(gap):
            break
        reached.append(mention)
        end = mention.start
    return reached


def _mark_edema_of_diabetes(mentions: list[Mention]) -> None:
    """Macular edema beside a retinopathy of diabetes in one clause, with no occluded vein there, is
    diabetic."""
    present = [mention for mention in mentions if mention.status == PRESENT]
    kinds = {mention.term.kind for mention in present}
    if Kind.RETINOPATHY not in kinds or any("is_rvo" in m.term.labels for m in present):
        return
    for mention in present:
        if mention.term.labels == ("is_dme",) and mention.term.kind is Kind.WHOLE:
            mention.term = Term(mention.term.pattern, ("is_dme",), Kind.EXACT)


def value_of(mention: Mention) -> int | None:
    if mention.status == DOUBT:
        return None
    if mention.term.kind is Kind.RETINOPATHY:
        if mention.status == ABSENT:
            return None if mention.form else 0
        return mention.grade
    if mention.status == PRESENT:
        return 1
    return 0 if mention.term.kind is Kind.EXACT else None


def _grade(clause: str, mention: Mention) -> None:
    """Sets grade and form of a diabetic retinopathy from the words before and after it."""
    before = _BEFORE.search(clause[max(0, mention.start - 70) : mention.start])
    after = _AFTER.match(clause, mention.end)
    form = (before.group("form") if before else None) or _own_form(clause, mention)
    told = (
        [_number(before.group(name)) for name in ("low", "high", "number") if before[name]]
        if before
        else []
    )
    if after:
        told.append(_number(after.group("number") or after.group("word")))
        mention.end = after.end()
    if before and before.group():
        mention.start -= len(before.group())
    mention.form = bool(form or told)
    opened = _OPEN.match(clause, mention.end)
    mention.referable = form == "referable" or (bool(opened) and told == [REFERABLE])
    if opened:
        # "Moderate or worse" is no grade, and denying it denies no milder one.
        mention.end, told = opened.end(), []
    if form == "proliferative":
        mention.grade = 4
    elif len(set(told)) == 1 and (form != "preproliferative" or told == [3]):
        mention.grade = told[0]
    if mention.grade == 0:
        mention.form = False


def _own_form(clause: str, mention: Mention) -> str | None:
    word = clause[mention.start : mention.end].split()[0]
    return word if word.endswith("proliferative") else None


def _number(word: str) -> int:
    return _NUMBERS[word.split()[-1]]


_NUMBERS = {
    "0": 0,
    "none": 0,
    "absent": 0,
    "1": 1,
    "i": 1,
    "mild": 1,
    "minimal": 1,
    "2": 2,
    "ii": 2,
    "moderate": 2,
    "3": 3,
    "iii": 3,
    "severe": 3,
    "4": 4,
    "iv": 4,
    "proliferative": 4,
}
_DEGREE = r"(?:very severe|minimal|mild|moderate|severe)"
_LEVEL = r"[0-4]|iv|i{1,3}"
_BEFORE = re.compile(
    rf"(?:\b(?P<low>{_DEGREE})(?:,? ?(?:to|or|and) (?P<high>{_DEGREE}))?[ ,]+"
    rf"|\b(?:grade|stage|level)[ :]+(?P<number>{_LEVEL})[ ,]+)?"
    r"(?:\b(?:active|early|high risk|treated|stable|quiescent|bilateral|advanced|stage|degree"
    r"|grade|of) )*(?:\b(?P<form>(?:non|pre)?proliferative|background|referable) )?$"
)
_SCALE = r"(?:grade|stage|level|score|severity|scale)"
_AFTER = re.compile(
    r"[ ,:]*(?:(?:icdr|international|severity|scale|score|is|was|graded?|classified|as|at|of|the"
    r"|level|stage)[ :=]+)*?"
    rf"(?:(?:{_SCALE}[ :=]+|(?<=grade)[ :=]+|(?<=: ))(?:is |of )?(?P<number>{_LEVEL})\b"
    r"|(?P<word>none|absent|mild|moderate|(?:very )?severe|proliferative)"
    r"(?= ?(?:$|[,.:]|degree|severity|stage|level|form|type|nonproliferative|and |with)))"
)
_OPEN = re.compile(
    r"(?: (?:degree|severity|stage|level|form))? or (?:worse|more severe|more|higher)\b"
)
_CLAUSES = re.compile(
    r"[.;!](?= |$)|\n|\b(?:but|however|although|though|whereas|except(?: for)?|apart from"
    r"|aside from|other than|with the exception of|nevertheless)\b"
)
_OTHER_EYE = re.compile(r"\b(?:fellow|other|contralateral|opposite) eye\b")
_PURPOSE = re.compile(
    r" (?:screening|clinic|service|program\w*|suspects?|drops|medication|surgery|treatment"
    r"|evaluation|assessment|check|risk|follow up|work ?up|study|referral|trial|suspicion)\b"
)
_SEEN = (
    r"(?:seen|present|noted|identified|detected|evident|visible|apparent|observed|found"
    r"|demonstrated|visualized)"
)
_IS = r"(?:is|are|was|were|has been|have been|can be|could be)"
_NEW = (
    r"(?:mild|moderate|severe|early|advanced|dense|marked|few|scattered|numerous|extensive|several"
    r"|multiple|small|large|a|an|the|there|evidence of|signs of|features of|consistent|compatible"
    r"|in keeping|suggest\w*|indicat\w+|typical|characteristic|represent\w*|as seen|grade|stage"
    r"|active|proliferative|nonproliferative|likely|definite)\b"
)
"""Words that begin a new statement after a comma or "and"."""

_DOUBTED_AFTER = (
    r"(?:(?:can ?not|can't|could not) be|(?:is|are|was)? ?not|never) (?:completely |fully )?"
    r"(?:ruled out|excluded|confirmed)|(?:is|are|was|were|remains?) (?:suspected|possible"
    r"|questionable|unlikely|equivocal|uncertain)|questionable|suspected$"
    r"|to be (?:ruled out|excluded)"
)
_DENIED_AFTER = (
    rf"(?:{_IS} )?(?:all |both |now )*(?:not (?:been )?{_SEEN}|absent|(?<!can )(?:ruled out"
    r"|excluded)|negative(?! for)|cannot be seen)"
    r"|(?<=: )(?:no|none|nil|negative|absent|0)(?=[ ,]*$|,)"
    rf"|(?:{_IS} )?not$"
)
_NEUTRAL = (
    r"no (?:further |interval |significant )?(?:change|progression|worsening|increase)s?"
    r"(?: in| of)?|not only|no doubt"
)
_DOUBTED = (
    r"possibl[ey]|may|might|could|suspected|suspicio(?:n|us)|suspect|query|rule out|r o|to exclude"
    r"|exclude|can ?not (?:rule out|exclude)|concern\w* for|question of|versus|vs"
    r"|risk (?:of|for|factors)|(?:family |past |medical )*history|screen(?:ed|ing)?(?: for)?"
    r"|referred|borderline|whether|evaluate|assess for|monitor\w*|previous(?:ly)?|resolved"
    r"|differential|equivocal|prevent\w*|before|sent for"
)
_DENIED = (
    r"no(?! ?[,:]|$)|not(?! only)|without|absence of|free (?:of|from)|negative for|neither|nor"
    r"|lack(?:s|ing)?(?: of)?|never|nothing|none of|rul(?:es|ed|ing) out|exclud(?:es|ing)"
    r"|rather than|doesn't|isn't"
)
_OVER = (
    rf"{_IS} (?:clearly |also )?{_SEEN}|there (?:is|are)|(?<!not )shows?|reveals?|demonstrates?|has"
    r"|which|(?<!consistent )(?<!compatible )(?<!in keeping )(?<!associated )with|due to"
    rf"|secondary to|and(?= {_NEW})"
)
_NO = re.compile(r"no(?:t|r|ne|thing)?\b")
_CUE_HINTS = (
    *("without", "absen", "free ", "negative", "neither", "lack", "never", "rul", "exclud", "nil"),
    *("rather than", "n't", ": 0", "possibl", "may", "might", "could", "suspect", "suspic"),
    *("query", "r o", "cannot", "concern", "question", "versus", "vs", "risk", "history"),
    *("screen", "referred", "borderline", "whether", "evaluate", "assess", "monitor", "previous"),
    *("resolved", "differential", "equivocal", "prevent", "before", "sent for", "unlikely"),
    *("uncertain",),
)
"""Without any of these a clause neither denies nor doubts: looking for plain words is quick."""
_CUES = re.compile(
    rf"\b(?:(?P<doubted_after>{_DOUBTED_AFTER})|(?P<denied_after>{_DENIED_AFTER})"
    rf"|(?P<neutral>{_NEUTRAL})|(?P<doubted>{_DOUBTED})|(?P<denied>{_DENIED})|(?P<over>{_OVER}))\b"
    rf"|(?P<over_comma>,(?= (?:and )?(?:{_NEW}|\w+ (?:is|are|shows?|has)\b)))|(?P<comma>,)"
)
_NEAR = re.compile(
    r"[ ,:]*(?:(?:in|at|of|on|the|this|that|left|right|eye|here|changes?|signs?|both|all|either)"
    r" ?){0,6}"
)
_LIST = re.compile(r"[ ,]*(?:(?:and|or|nor|an?|the|any|both) ?){0,3}")
