"""Calibration of the privacy gate: what is kept of a model's training photographs, and how near is
too near, set by real photographs of eyes that the model never saw.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from engine import registry
from engine.data import splits
from engine.data.example import Example, UnreadableImage, decode
from engine.data.identity import eyes, recognised
from engine.data.planted import copy_of
from engine.data.registered import thumbnail
from engine.data.sources import read_examples
from engine.features import Observer, Seen
from engine.gates.privacy import Privacy, Reference
from engine.gates.taught import SAME_PHOTOGRAPH, Key, ids_of, lacking, losing
from engine.models.card import PRIVACY, read_card, write_card
from engine.registry.gate import GateRef
from engine.registry.sampler import SamplerRef
from engine.schema import UserError
from engine.shipped import GATE

FALSE_ALARM = 0.01
"""Share of real photographs of other eyes that the gate may call copies."""
ENOUGH = 20
"""With fewer held-out eyes, training eyes are held out one by one."""
SAME_EYE = 0.45
"""Registered correlation from which two photographs show one eye: of 79,000 real pairs
seven exceed 0.56, all of one eye each, and no other 0.40. A held-out eye that in truth taught the
model says nothing of strangers."""
STRANGERS = 0.42
"""The limit of correlation is never below this: a few dozen eyes place a tail of one in two hundred
too low."""
PLANTED = 40
"""Training photographs that are disguised to count how many copies are found."""


@dataclass(frozen=True)
class Taught:
    """A photograph: its name, the number of its eye, its source, the keyed id, and how the gate
    network sees it."""

    name: str
    eye: int
    source: str
    id: str
    seen: Seen


class Doubts:
    """What speaks against the data: the first is an error, or each is told and kept, by force."""

    def __init__(self, force: bool, say: Callable[[str], None]) -> None:
        self.forced: list[str] = []
        self._force = force
        self._say = say

    def raise_or_tell(self, doubt: str | None, expected: str, file: Path | None = None) -> None:
        """UserError for a doubt unless it is forced; None is no doubt."""
        if doubt is None or doubt in self.forced:
            return
        if not self._force:
            wanted = f"{expected}, or ⟨force⟩"
            asked = None if file else "data"
            raise UserError(doubt, file=file, asked=asked, expected=wanted)
        self._say(f"forced, though: {doubt}")
        self.forced.append(doubt)


def calibrate(
    folder: Path,
    data: list[str],
    held_out: list[str] | None = None,
    reference: Path | None = None,
    thumbnails: bool = False,
    force: bool = False,
    say: Callable[[str], None] = lambda line: None,
    base: Path | None = None,
) -> dict[str, Any]:
    """Calibrate a model folder's privacy gate; gives what is also written into its card.

    data: what `train` was given; the photographs of its train split are what the model may not
    repeat. held_out: the same for eyes that the model never saw; without it the test split of
    `data`. reference: a file with small high-passed pictures of the training set too, for gates in
    the house. thumbnails: keep these in the model folder itself, for photographs that anyone may
    see. base: the folder of the model whose weights this one went on from; what its gate knows is
    known to this one too. UserError, and nothing written, for a folder that is no model, for data
    that holds no photograph or lacks what taught the model, and where the gate that lies there
    knows more; the last two unless `force`.
    """
    _check_places(folder, reference)
    weights = registry.examine(SamplerRef, folder).weights_sha256
    gate = registry.find(GateRef, GATE)
    card, key, doubts = read_card(folder), Key.of(folder), Doubts(force, say)
    teaching, apart = _sides(data, held_out, card, key)
    trained = "all that it was trained on"
    # Before the photographs are looked at, which takes minutes, and again for those left.
    doubts.raise_or_tell(lacking(card, key, ids_of(teaching, key)), trained)
    observer = Observer(gate.load())
    taught = _look(teaching, observer, key, say)
    unseen = _look(apart, observer, key, say)
    if not taught:
        raise UserError("no readable training photograph", asked="data")
    doubts.raise_or_tell(lacking(card, key, [(t.id, t.source) for t in taught]), trained)
    pixels = replace(_reference(taught, gate.weights_sha256), model=weights)
    strangers = _strangers(pixels, unseen, say)
    both = _with_base(pixels, Reference.read(base / PRIVACY)) if base else pixels
    whole = _limited(both, taught, strangers)
    bare = _limited(replace(whole, thumbnails=None), taught, strangers)
    kept = whole if thumbnails else bare
    files = {folder / PRIVACY: kept, **({reference: whole} if reference else {})}
    for file, made in files.items():
        if file.is_file():
            doubts.raise_or_tell(
                losing(Reference.read(file), made), "the same data and flags", file
            )
    facts = _facts(kept, bare, whole, taught, strangers, observer)
    facts["held_out_repeats"] = len(unseen) - len(strangers)
    facts["of_base"] = len(both.ids) - len(taught)
    if doubts.forced:
        facts["forced"] = doubts.forced
    _write(folder, files, {**card, "privacy": facts}, key)
    return facts


def _check_places(folder: Path, reference: Path | None) -> None:
    """Raise UserError for places that cannot be written, and for a file that lies there and is no
    reference, before any work."""
    if not folder.is_dir():
        raise UserError("no such model folder", file=folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError("this folder may not be written", file=folder)
    if (folder / PRIVACY).is_file():
        Reference.read(folder / PRIVACY)
    if reference is None:
        return
    place = reference.absolute().parent
    if reference.is_dir() or not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise UserError(
            "cannot be written", file=reference, asked="reference", expected="a file's path"
        )
    if reference.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            "the reference stays in the house, a model folder is passed on",
            file=reference,
            asked="reference",
            expected="a place outside of the model folder",
        )
    if reference.is_file():
        Reference.read(reference)


def _sides(
    data: list[str], held_out: list[str] | None, card: dict[str, Any], key: Key
) -> tuple[list[Example], list[Example]]:
    """The photographs that taught, and one of each other eye. What is drawn is nobody's eye."""
    photographs = splits.drawn_apart(read_examples(data))[1]
    teaching = splits.teaching(photographs)
    may = set(teaching)
    teaching += _taught_before([e for e in photographs if e not in may], card, key)
    if not teaching:
        raise UserError("no training photograph", asked="data")
    if held_out:
        others = splits.drawn_apart(read_examples(held_out))[1]
        if not others:
            raise UserError("no photographs", asked="held_out", expected="a CSV or a folder")
    else:
        others = splits.held_out(photographs)
    both = recognised([*teaching, *others])
    groups = splits.one_per_eye(both)
    taught = set(both[: len(teaching)])
    return teaching, [group[0] for group in groups if not taught.intersection(group)]


def _taught_before(others: Iterable[Example], card: dict[str, Any], key: Key) -> list[Example]:
    """Those that the card knows to have taught, though they would not today: their eyes were found
    in a test split since. Without the training's key nobody can tell."""
    hashes = set(card.get("image_hashes", ())) if key.of_training else set()
    if not hashes:
        return []
    return [each for each in others if any(id_ in hashes for id_, _ in ids_of([each], key))]


def _write(folder: Path, files: dict[Path, Reference], card: dict[str, Any], key: Key) -> None:
    """The gate's files, the card, and at last the key."""
    try:
        for file, made in files.items():
            made.write(file)
        write_card(folder, card)
        key.keep(folder)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot be written: {error}", file=folder) from error


def _look(
    examples: Sequence[Example], observer: Observer, key: Key, say: Callable[[str], None]
) -> list[Taught]:
    """The readable ones of these photographs."""
    found = []
    for number, (eye, example) in enumerate(zip(eyes(examples), examples), 1):
        try:
            content = example.read_bytes()
            image = np.asarray(decode(content, str(example.path)))
        except UnreadableImage as error:
            say(f"left out: {error}")
            continue
        source, seen = example.annotation.source or "unknown", observer.look(image)
        found.append(Taught(example.place, eye, source, key.id_of(content), seen))
        if number % 100 == 0 or number == len(examples):
            say(f"{number:,} of {len(examples):,} photographs seen")
    return found


def _strangers(
    reference: Reference, unseen: Sequence[Taught], say: Callable[[str], None]
) -> list[Seen]:
    """The held-out eyes less those that pixels show to be training eyes after all."""
    gate, strangers = Privacy(reference), []
    for photograph in unseen:
        if gate.nearest(photograph.seen).distance > 1.0 - SAME_EYE:
            strangers.append(photograph.seen)
        else:
            say(f"held out, but a training eye by its vessels: {photograph.name}")
    return strangers


def _reference(taught: Sequence[Taught], network: str) -> Reference:
    return Reference(
        features=np.stack([t.seen.features for t in taught]).astype(np.float16),
        ids=tuple(t.id for t in taught),
        thumbnails=np.stack([thumbnail(t.seen.square) for t in taught]),
        network=network,
    )


def _with_base(made: Reference, base: Reference) -> Reference:
    """The reference with what another one knows beyond it: a photograph that is in both would be
    its own stranger."""
    ours, theirs = made.features.astype(np.float32), base.features.astype(np.float32)
    return made.beside(base.without((theirs @ ours.T).max(1) >= SAME_PHOTOGRAPH))


def _limited(reference: Reference, taught: Sequence[Taught], unseen: Sequence[Seen]) -> Reference:
    """The reference with its limit: real photographs of other eyes pass, but for `FALSE_ALARM`."""
    if len(unseen) >= ENOUGH:
        gate = Privacy(reference)
        nearest = [gate.nearest(seen) for seen in unseen]
    else:
        nearest = []
        for eye in sorted({t.eye for t in taught}):
            own = np.arange(len(reference.ids)) < 0
            own[: len(taught)] = [t.eye == eye for t in taught]
            if own.all():
                raise UserError("photographs of one eye only", asked="data", expected="two eyes")
            gate = Privacy(reference.without(own))
            nearest += [gate.nearest(t.seen) for t in taught if t.eye == eye]
    limit = float(np.quantile([n.distance for n in nearest], FALSE_ALARM))
    if reference.thumbnails is not None:
        limit = min(limit, 1.0 - STRANGERS)
    return replace(reference, nearest=limit)


def _facts(
    kept: Reference,
    bare: Reference,
    whole: Reference,
    taught: Sequence[Taught],
    unseen: Sequence[Seen],
    observer: Observer,
) -> dict[str, Any]:
    """What the card says of the gate: how it was set, and what it found."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(taught))[:PLANTED]
    copies = [observer.look(copy_of(taught[i].seen.square, rng)) for i in chosen]
    return {
        "photographs": len(taught),
        "eyes": len({t.eye for t in taught}),
        "held_out_eyes": len(unseen),
        "set_by": "held-out eyes" if len(unseen) >= ENOUGH else "training eyes held out one by one",
        "false_alarm_aimed": FALSE_ALARM,
        "nearest": round(kept.nearest, 5),
        "thumbnails": kept.thumbnails is not None,
        "planted_copies": len(copies),
        "found_by_features": _share_found(bare, copies),
        "found_with_pixels": _share_found(whole, copies),
    }


def _share_found(reference: Reference, copies: Sequence[Seen]) -> float:
    gate = Privacy(reference)
    return round(float(np.mean([gate.is_copy(gate.nearest(seen)) for seen in copies])), 4)
