"""The work of captioning: from an ask, who answers to it, and the photographs that are found to a
sealed plan; an existing plan decides all that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from engine.caption import Backend, Manner, Refused, StoredPhotograph
from engine.caption.backends import resolve
from engine.data.photographs import Found, differing, find, hashed, labelled
from engine.jobs.asks import check_licence, check_out
from engine.pixels.encode import LOSSLESS, encode_photograph
from engine.schema import UserError
from engine.stages.caption import CaptionActor
from engine.stages.limits import PartLimits
from engine.store.commits import PLAN
from engine.store.listing import check_listing, write_listing
from engine.store.plan import CaptionPlan, read_any_plan, refuse_differences
from engine.store.versions import library_versions, with_cpu

USUAL_BACKEND = "local"
LICENCE = "other"


@dataclass(frozen=True)
class CaptionAsk:
    """All that may be asked of captions; None leaves it to what exists, or to what is usual."""

    images: str
    labels: Path | None = None
    backend: str | None = None
    image_format: str | None = None
    licence: str | None = None
    allow_plain: bool = False
    ca: str | None = None

    def check(self) -> None:
        """Raise UserError for a value that is wrong whatever the photographs."""
        if self.image_format not in (None, *LOSSLESS):
            raise UserError(
                f"{self.image_format!r}", asked="image_format", expected=" or ".join(LOSSLESS)
            )
        if self.licence is not None:
            check_licence(self.licence)


@dataclass(frozen=True)
class Captioning:
    """Photographs below `images` put into words by a backend; a `Work`."""

    plan: CaptionPlan
    images: Path
    backend: Backend
    manner: Manner
    actor: type = CaptionActor
    on_gpu: bool = False
    threads: int = 1
    row_seconds: float = 0.5
    row_bytes: float = 8e5
    """Of a photograph of half a million pixels."""

    @property
    def rows_per_call(self) -> int:
        return self.backend.calls(self.manner)

    def arguments(
        self, root: Path, attempt: int, batch: int | None, limits: PartLimits
    ) -> tuple[Any, ...]:
        return str(root), attempt, str(self.images), self.backend, self.manner, batch, limits


class Listener(Protocol):
    """Who is told of what planning finds: nothing of it stops the work."""

    def found(self, images: str, found: Found) -> None:
        """The photographs, and what is passed over beside them."""

    def strangers(self, table: Path, lines: int) -> None:
        """So many lines of the table of labels name other files."""

    def listed(self, seen: int, of: int) -> None:
        """So many photographs have been read and hashed."""


def plan_into(out: Path, ask: CaptionAsk, manner: Manner, listener: Listener) -> Captioning:
    """The captioning that the ask stands for, checked against the folder's own plan. A new folder
    gets its list of photographs here, once nothing can be wrong any more. Raises UserError.
    """
    check_out(out)
    ask.check()
    existing = _plan_in(out)
    backend = _backend(ask, existing)
    who = who_words(backend, existing)
    found = find(ask.images)
    listener.found(ask.images, found)
    if ask.labels is not None:
        found, strangers = labelled(found, ask.labels)
        listener.strangers(ask.labels, strangers)
    if existing is None:
        listed = hashed(found, listener.listed)
        plan = plan_captioning(ask, who, found.root, len(listed), write_listing(out, listed))
    else:
        plan = existing
        _refuse_others(ask, existing, who, out / PLAN)
        listing = check_listing(out, existing.images_sha256)
        if ask.licence not in (None, existing.license):
            raise _otherwise(out, f"license: {existing.license} → {ask.licence}")
        now = hashed(found, listener.listed)
        if other := differing(listing.read(), now, labels=ask.labels is not None):
            raise _otherwise(out, other)
    return Captioning(plan, found.root.absolute(), backend, manner)


def plan_again(out: Path, existing: CaptionPlan, address: str | None) -> Captioning:
    """The captioning that the folder's own plan stands for, where it was planned. Raises UserError
    where another captioner than the plan's would word.
    """
    check_listing(out, existing.images_sha256)
    backend = resolve(existing.backend, existing.allow_plain, existing.ca)
    ask = CaptionAsk(existing.images_location)
    _refuse_others(ask, existing, who_words(backend, existing), out / PLAN)
    return Captioning(existing, Path(existing.images_location), backend, Manner())


def plan_captioning(
    ask: CaptionAsk, who: dict[str, Any], root: Path, images: int, images_sha256: str
) -> CaptionPlan:
    """The sealed plan of so many photographs below `root`, whose list has this hash, in the words
    of whoever `who_words` found.
    """
    return CaptionPlan(
        **who,
        images=images,
        images_sha256=images_sha256,
        images_location=str(root.absolute()),
        image_format=ask.image_format or LOSSLESS[0],
        license=ask.licence or LICENCE,
    ).sealed()


def who_words(backend: Backend, existing: CaptionPlan | None = None) -> dict[str, Any]:
    """The plan's fields of who words the photographs: on a server, what it says of itself. Raises
    UserError.
    """
    versions = library_versions(("captioning", *backend.libraries))
    del versions["drawing"]
    return {
        "backend": backend.text,
        "allow_plain": backend.allow_plain,
        "ca": backend.ca,
        "weights_sha256": backend.weights_sha256(),
        "captioner": backend.captioner(),
        "versions": with_cpu(versions, existing.versions if existing else None),
    }


def describe_with(backend: Backend) -> Callable[[Image.Image], str]:
    """From an RGB photograph to its caption; what a backend refuses has none."""
    captioner = backend.load(Manner())

    def describe(image: Image.Image) -> str:
        picture = StoredPhotograph(image, encode_photograph(image, LOSSLESS[0]))
        (words,) = captioner.caption([picture])
        return "" if isinstance(words, Refused) else words.text

    return describe


def _plan_in(out: Path) -> CaptionPlan | None:
    plan = read_any_plan(out)
    if plan is not None and plan.kind != "caption":
        raise UserError(
            "these photographs were drawn, not captioned",
            file=out,
            asked="out",
            expected="a new folder, or one of `retinaforge caption`",
        )
    return plan


def _backend(ask: CaptionAsk, existing: CaptionPlan | None) -> Backend:
    """The one that was asked for, or the folder's with all that it was asked for with."""
    if ask.backend is None and existing is not None:
        plain = ask.allow_plain or existing.allow_plain
        return resolve(existing.backend, plain, ask.ca or existing.ca)
    return resolve(ask.backend or USUAL_BACKEND, ask.allow_plain, ask.ca)


def _refuse_others(ask: CaptionAsk, existing: CaptionPlan, who: dict[str, Any], file: Path) -> None:
    """Raise UserError for a captioner or a format that is not the existing plan's, in `file`."""
    stored = ask.image_format or existing.image_format
    wanted = existing.model_copy(update={**who, "image_format": stored})
    refuse_differences(existing, wanted, file)


def _otherwise(out: Path, other: str) -> UserError:
    return UserError(
        f"this folder was planned otherwise: {other}",
        file=out,
        expected="the same photographs and labels, or another ⟨out⟩",
    )
