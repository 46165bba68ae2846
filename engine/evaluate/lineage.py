"""What taught the model that drew a set or is tested, and what taught the models that this one came
from: no photograph of the test split may be among it.

A card names its parents by the hash of their weights. A parent is at hand if it lies in this
checkout, or beside the model's folder or run; of others only the name is known. Photographs are
recognised as `engine.models.naming` tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from engine import shipped
from engine.call import LightDecoder, Structures
from engine.data.example import Example, UnreadableImage
from engine.data.identity import content_sha256
from engine.data.known_eyes import file_key, name_of
from engine.data.likeness import bits_of, likeness
from engine.data.outlines import read_square
from engine.data.sources import read_examples
from engine.evaluate.sets import Sets, Tell
from engine.models.card import CARD, card_naming, read_card
from engine.models.naming import NamedPhotographs
from engine.registry.family import ModelRef
from engine.schema import UserError
from engine.store.commits import PLAN
from engine.store.plan import read_any_plan

_SIDE = 256
"""Pixels at which a photograph is looked at to recognise it."""
_OFTEN = 500


@dataclass(frozen=True)
class Ancestor:
    """A model of the tree: its `path` of names from the model that drew, and what its card says,
    empty where it is not at hand."""

    path: tuple[str, ...]
    weights_sha256: str | None
    folder: Path | None
    card: dict[str, Any]

    @cached_property
    def named(self) -> NamedPhotographs:
        """The photographs that it says it was taught."""
        return NamedPhotographs.of(self.folder, self.card)

    @property
    def photographs(self) -> int | None:
        """How many taught it; None where nobody says."""
        said = self.card.get("data", {}).get("photographs", self.card.get("photographs"))
        if said is None and self.card.get("image_hashes"):
            return len(self.card["image_hashes"])
        return 0 if self.folder is None and shipped.is_program(self.path[-1]) else said

    @property
    def parents(self) -> list[dict[str, Any]]:
        """What the card says of each: models that it began with, and those that drew for it."""
        drawn_by = self.card.get("data", {}).get("drawn_by") or ()
        named = [*(self.card.get("parents") or ()), *({"name": each} for each in drawn_by)]
        return [each for each in named if isinstance(each, dict)]

    @property
    def confessed(self) -> frozenset[str]:
        """Test photographs, by name, of which the card says that it was taught their eyes."""
        taught = self.card.get("test_eyes", {}).get("taught", {})
        return frozenset(map(file_key, taught.values()))


def ancestors(set_source: str, makers: Sequence[str] = ()) -> list[Ancestor]:
    """The tree of the model that a data set folder's plan names, the model first; of another set
    those of its `makers`."""
    return _grown(_roots(set_source, makers))


def _grown(roots: Iterable[Ancestor]) -> list[Ancestor]:
    waiting, found = [*roots], []
    met: set[str | None] = set()
    while waiting:
        each = waiting.pop(0)
        if each.weights_sha256 in met:
            continue
        met |= {each.weights_sha256} - {None}
        found.append(each)
        beside = _at_hand(each.folder) if each.parents else {}
        waiting += [_parent(each.path, told, beside) for told in each.parents]
    return found


def tree_of(sets: Sets) -> list[Ancestor]:
    """The tree of whatever drew a set."""
    return ancestors(sets.set_source, sorted({each.maker for each in sets.judged if each.maker}))


def taught_by_eyes(sets: Sets) -> list[str]:
    """The models from which the set came that somebody's eyes taught, or of which nobody knows; so
    is a set of which nobody says what drew it."""
    tree = tree_of(sets)
    told = [each.path[-1] for each in tree if each.photographs != 0]
    return told if tree else ["a model"]


def most_behind(sets: Sets) -> int | None:
    """How many photographs taught the one of the set's models that most taught; None where nobody
    says."""
    told = [each.photographs for each in tree_of(sets)]
    known = [each for each in told if each is not None]
    return max(known) if known and len(known) == len(told) else None


def checked(sets: Sets) -> tuple[Sets, list[dict[str, Any]]]:
    """The sets, and the tree as JSON has it. Test photographs that a card itself confesses to are
    left out; UserError for another one that an ancestor was taught."""
    tree = tree_of(sets)
    sets.tell("lineage: " + (", ".join(each.path[-1] for each in tree) or "nobody says what drew"))
    confessed, seen = _met(sets.held_out, tree, "from which the set's came", sets.tell)
    tested, external = (
        [each for each in side if each.place not in confessed]
        for side in (sets.tested, sets.external)
    )
    return replace(sets, tested=tested, external=external), [
        _told(a, seen.get(k, 0)) for k, a in enumerate(tree)
    ]


def unseen(ref: ModelRef, tested: Sequence[Example], tell: Tell) -> list[Example]:
    """Photographs with which a model may be tested: without those of which a card of its tree
    confesses that their eyes taught. UserError for another one that it or an ancestor was
    taught."""
    card = read_card(ref.folder) if ref.folder else {}
    root = Ancestor((ref.name,), ref.weights_sha256, ref.folder, card)
    confessed, _ = _met(tested, _grown([root]), "that is tested, or one before it", tell)
    return [each for each in tested if each.place not in confessed]


def _met(
    tested: Sequence[Example], tree: Sequence[Ancestor], which: str, tell: Tell
) -> tuple[set[Any], dict[int, int]]:
    """Where photographs lie that a card confesses to, and how many each model was taught; UserError
    for one that nobody confesses to."""
    seen: dict[int, int] = {}
    confessed = set()
    for example, who in _seen(tested, tree, tell):
        if name_of(example) not in tree[who].confessed:
            raise UserError(
                f"this photograph of the test split taught a model {which}: "
                + " from ".join(tree[who].path),
                file=example.place,
                expected="photographs that none of them has seen",
            )
        seen[who] = seen.get(who, 0) + 1
        confessed.add(example.place)
    if confessed:
        tell(f"tested: {len(confessed)} left out, as a card says that their eyes taught")
    return confessed, seen


def _told(ancestor: Ancestor, seen: int) -> dict[str, Any]:
    named = ancestor.named.count
    return {
        "name": ancestor.path[-1],
        "weights_sha256": ancestor.weights_sha256,
        "photographs": ancestor.photographs,
        "named": named,
        "parents": [_name(each) for each in ancestor.parents],
        "seen_in_test": seen if named or ancestor.photographs == 0 else None,
    }


def _seen(
    tested: Sequence[Example], tree: Sequence[Ancestor], tell: Tell
) -> Iterator[tuple[Example, int]]:
    """Every photograph of the test split with each model that was taught it."""
    telling = [number for number, each in enumerate(tree) if each.named.count]
    if not telling:
        return
    tell(f"lineage: looking for {len(tested):,} test photographs")
    for count, example in enumerate(tested, 1):
        try:
            square, _ = read_square(replace(example, masks=()), _SIDE)
            content, bits = content_sha256(example), bits_of([likeness(square)])[0]
        except UnreadableImage:
            continue  # No measure reads it either, and each says so.
        yield from ((example, n) for n in telling if tree[n].named.has(content, bits))
        if not count % _OFTEN:
            tell(f"lineage: {count:,} of {len(tested):,} test photographs looked for")


def _roots(set_source: str, makers: Sequence[str]) -> Iterator[Ancestor]:
    root = Path(set_source)
    plan = read_any_plan(root) if root.is_dir() and (root / PLAN).is_file() else None
    if plan is not None and plan.kind == "draw":
        program = shipped.is_program(plan.model_location)
        folder = None if program else shipped.folder_of(plan.model_location)
        card = card_naming(folder, plan.weights_sha256) if folder else {}
        yield Ancestor((plan.model,), plan.weights_sha256, folder if card else None, card)
        if plan.settings.structures is not None:
            yield _anatomist(plan.settings.structures)
        if plan.settings.decoder is not None:
            yield _decoder(plan.settings.decoder)
        return
    yield from (_called((), maker) for maker in makers)


def _called(path: tuple[str, ...], maker: str) -> Ancestor:
    """A model of which the name alone is known."""
    folder = shipped.folder_of(maker) if maker in shipped.names() else None
    card = read_card(folder) if folder else {}
    return Ancestor((*path, maker), card.get("weights_sha256"), folder, card)


def _anatomist(asked: Structures) -> Ancestor:
    """Whoever gave rows their anatomy: a generator, or the photographs of a table, which are as
    good as taught."""
    place = shipped.folder_of(asked.location)
    if asked.kind == "gan":
        card = card_naming(place, asked.sha256)
        # A run keeps its finished model one folder down.
        called = place.parent.name if place.name == "model" else place.name
        return Ancestor((called,), asked.sha256, place if card else None, card)
    looks = [found for each in _table(place) if (found := _look(each))]
    card = {"photographs": len(looks), "likenesses": looks} if looks else {}
    return Ancestor((f"real:{place.name}",), asked.sha256, None, card)


def _decoder(asked: LightDecoder) -> Ancestor:
    """What made pictures of the model's latents, in place of its own decoder."""
    place = shipped.folder_of(asked.location)
    card = card_naming(place, asked.sha256)
    return Ancestor((place.name,), asked.sha256, place if card else None, card)


def _table(file: Path) -> list[Example]:
    return read_examples([str(file)]) if file.exists() else []


def _look(example: Example) -> str | None:
    try:
        return likeness(read_square(replace(example, masks=()), _SIDE)[0])
    except UnreadableImage:
        return None


def _parent(path: tuple[str, ...], told: dict[str, Any], beside: dict[str, Path]) -> Ancestor:
    if {*told} == {"name"}:
        return _called(path, _name(told))
    sha256 = told.get("weights_sha256")
    folder = beside.get(sha256) if isinstance(sha256, str) else None
    return Ancestor((*path, _name(told)), sha256, folder, read_card(folder) if folder else {})


def _name(told: dict[str, Any]) -> str:
    return str(told.get("name") or told.get("preset") or told.get("weights_sha256"))


def _at_hand(folder: Path | None) -> dict[str, Path]:
    """Folders by the hash of the weights that their cards name."""
    cards = list(shipped.WEIGHTS.glob(f"*/{CARD}"))
    for place in (folder.parent, folder.parent.parent) if folder else ():
        cards += [*place.glob(f"*/{CARD}"), *place.glob(f"*/model/{CARD}")]
    found: dict[str, Path] = {}
    for file in cards:
        # What lies beside it by chance and is broken is nobody's parent.
        with suppress(UserError, OSError):
            found.setdefault(read_card(file.parent).get("weights_sha256", ""), file.parent)
    return found
