"""What is one photograph and what is one patient: decided here, once, for all that must not show
the eye of a test to a model.

A photograph is what its file holds, whatever the file is called: links, other paths to it and equal
bytes under another name are one photograph. A patient is what people mean by an id, however a
program wrote it. Eyes follow from both, in chains: what has a patient in common with a photograph
whose bytes are those of a third shows the third's eye. A photograph that was saved anew, in other
bytes, is not recognised here.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

from scipy.cluster.hierarchy import DisjointSet

from engine.data.example import Example, UnreadableImage
from engine.data.known_eyes import published_eye

MAY_TEACH = (None, "all", "train")
"""The splits that may teach."""

_UNKNOWN = frozenset(
    (
        "",
        "nan",
        "na",
        "n/a",
        "#n/a",
        "#na",
        "<na>",
        "nat",
        "null",
        "none",
        "unknown",
        "-",
        "--",
        "?",
    )
)
_WRAPPING = re.compile(r"""^(?:=(?="))?(?:b(?=['"]))?['"]*(?:\+(?=\d))?|['"]+$""")
"""What sheets and programs write round an id that is text, and the sign of a number."""
_WHOLE = re.compile(r"(\d+)(?:\.0*|,0)")
_SCIENTIFIC = re.compile(r"([1-9]\d*)(?:[.,](\d*))?e\+?(\d{1,3})")
"""As sheets, programs and columns of floats write long numbers."""
_JOINERS = re.compile(r"[-_\u2010-\u2015\u2212]+")


def patient_key(patient_id: str | None) -> str | None:
    """A patient's id as people mean it, to compare by; None where it says that it is unknown.

    12, " 12 ", 12.0, +12, '12, ="12", 1.2e+01, 1.2E1 and full-width digits are one, and so are P-12
    and p_12: case, blanks, signs without width and Unicode form do not matter. 7 and 007 stay two
    (`doubtful_patients`).
    """
    if patient_id is None:
        return None
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", patient_id).casefold())
    seen = (c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))
    text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in seen)
    text = _WRAPPING.sub("", text)
    if text in _UNKNOWN:
        return None
    if whole := _WHOLE.fullmatch(text):
        return whole[1]
    if long := _SCIENTIFIC.fullmatch(text):
        digits, length = long[1] + (long[2] or "").rstrip("0"), len(long[1]) + int(long[3])
        return digits.ljust(length, "0") if len(digits) <= length else text
    return _JOINERS.sub("-", text)


def doubtful_patients(ids: Iterable[str | None]) -> list[tuple[str, str]]:
    """Pairs of ids that count as two patients though one may be meant: 7 and 007, P12 and P-12."""
    written: dict[str, str] = {}
    for id_ in ids:
        if id_ is not None and (key := patient_key(id_)) is not None:
            written.setdefault(key, id_)
    alike: dict[str, str] = {}
    return [
        (written[first], id_)
        for key, id_ in written.items()
        if (first := alike.setdefault(_loosely(key), key)) != key
    ]


def content_sha256(example: Example) -> str:
    """The hash of a photograph's file, which is read. Raises UnreadableImage."""
    return hashlib.sha256(example.identity()).hexdigest()


def recognised(
    examples: Sequence[Example], sha256: Callable[[Example], str] = content_sha256
) -> list[Example]:
    """The examples, those that are one photograph with one `photograph`.

    Files are looked at; asked for their `sha256` are only those that are as large as another. The
    names hold among these examples: examples of two readings are recognised together.
    """
    asking = (_size_of, lambda each: _content_of(each, sha256))
    names = [each.place for each in examples]
    files = _groups(range(len(examples)), [_file_of(each) for each in examples].__getitem__)
    alike = [[group[0] for group in files]]
    for asked in asking:
        parts = (_groups(group, lambda i: asked(examples[i])) for group in alike)  # noqa: B023
        alike = [part for found in parts for part in found if len(part) > 1]
    for same in (*alike, *files):
        for i in same:
            names[i] = names[same[0]]
    return [replace(each, photograph=name) for each, name in zip(examples, names)]


def eyes(examples: Sequence[Example]) -> list[int]:
    """For each example the number of its eye, in order of first appearance: those of one
    photograph, of one patient or of a pair that is known are of one eye, in chains."""
    chains = DisjointSet(range(len(examples)))
    first: dict[tuple[str, str], int] = {}
    for i, example in enumerate(examples):
        for key in _keys(example):
            chains.merge(first.setdefault(key, i), i)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(chains[i], len(numbers)) for i in range(len(examples))]


def contradictions(examples: Sequence[Example]) -> list[tuple[str, Example, Example]]:
    """Photographs that stand there more than once and not alike: the column, and two that differ
    in it. Of a split only whether it may teach matters."""
    first: dict[str, Example] = {}
    found = []
    for each in examples:
        other = first.setdefault(each.photograph or each.place, each)
        known, also = other.annotation.known(), each.annotation.known()
        differing = [name for name, value in known.items() if also.get(name, value) != value]
        if (other.split in MAY_TEACH) != (each.split in MAY_TEACH):
            differing.insert(0, "split")
        found += [(name, other, each) for name in differing[:1]]
    return found


def _keys(example: Example) -> Iterator[tuple[str, str]]:
    yield "photograph", example.photograph or example.place
    for kind, key in (
        ("patient", patient_key(example.patient_id)),
        ("published", published_eye(example)),
    ):
        if key is not None:
            yield kind, key


def _groups(numbers: Iterable[int], asked: Callable[[int], Hashable | None]) -> list[list[int]]:
    """The numbers by their answer; where there is none, each for itself."""
    groups: dict[Hashable, list[int]] = {}
    for i in numbers:
        answer = asked(i)
        groups.setdefault(("alone", i) if answer is None else ("group", answer), []).append(i)
    return list(groups.values())


def _file_of(example: Example) -> Hashable:
    """The file itself, whatever path leads to it, and the row in it."""
    try:
        found = example.path.stat()
    except (OSError, ValueError):
        return example.place
    if found.st_ino:
        return found.st_dev, found.st_ino, example.row
    return str(example.path.resolve()), example.row


def _size_of(example: Example) -> int | None:
    """Bytes of the photograph as it came; None for what was drawn when it was read."""
    if example.size is not None or example.row is not None:
        return example.size
    try:
        return example.path.stat().st_size
    except (OSError, ValueError):
        return None


def _content_of(example: Example, sha256: Callable[[Example], str]) -> str | None:
    """The hash of the photograph's bytes as it came."""
    try:
        return example.content or sha256(example)
    except UnreadableImage:
        return None


def _loosely(key: str) -> str:
    """The key without leading zeros, and without a dash between a letter and a digit."""
    joined = re.sub(r"(?<=[^\W\d])-(?=\d)", "", key)
    return re.sub(r"(?<![\d.])0+(?=\d)", "", joined)
