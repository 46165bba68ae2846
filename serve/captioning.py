"""The command `caption` after its flags are read: list the photographs, plan, run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from engine import caption, cpu
from engine.caption import Backend, Manner, Picture, Refused
from engine.data.photographs import Found, differing, find, hashed, labelled
from engine.pipeline import How, carry_out
from engine.schema import UserError
from engine.stages.caption import Captioning
from engine.stages.cluster import check
from engine.stages.encode import LOSSLESS, encode_photograph
from engine.store.commits import Folder
from engine.store.listing import check_listing, read_listing, write_listing
from engine.store.plan import (
    CaptionPlan,
    library_versions,
    read_any_plan,
    refuse_differences,
    with_cpu,
)
from engine.store.verify import gaps
from serve.generating import ended
from serve.planning import check_licence, check_out
from serve.progress import progress, say

LINE_EVERY = 5.0
USUAL_BACKEND = "local"
NAMED = 10
"""How many photographs with names that are none are told one by one."""
REPAIRED = (
    "redrive takes a photograph as it was listed; one that you repair is another: give it another "
    "--out"
)


@dataclass(frozen=True)
class Request:
    """The flags of `caption` as they were given; None was not given."""

    out: Path
    images: str
    labels: Path | None = None
    backend: str | None = None
    image_format: str | None = None
    licence: str | None = None
    allow_plain: bool = False
    ca: str | None = None

    def check(self) -> None:
        """Raise UserError for a value that is wrong whatever the photographs."""
        check_out(self.out)
        if self.image_format not in (None, *LOSSLESS):
            raise UserError(
                f"{self.image_format!r}", field="--format", expected=" or ".join(LOSSLESS)
            )
        if self.licence is not None:
            check_licence(self.licence)


def run(request: Request, manner: Manner, schedule: How, as_json: bool) -> int:
    """Caption; the exit code."""
    check(schedule.address)
    job = make_job(request, manner)
    with progress() as tell:
        return _advised(
            ended(
                request.out,
                lambda: carry_out(request.out, job, job.plan.images, schedule, tell),
                as_json,
            )
        )


def redrive(folder: Path, schedule: How, as_json: bool) -> int:
    """Caption the dead letters of a folder again; the exit code."""
    existing = _existing(folder)
    if existing is None:
        raise UserError("no plan.json here", file=folder, expected="a data set folder")
    check_listing(folder, existing.images_sha256)
    backend = caption.resolve(existing.backend, existing.allow_plain, existing.ca)
    refuse_differences(folder, existing, existing.model_copy(update=_who(backend, existing)))
    job = Captioning(existing, Path(existing.images_location), backend, Manner())
    with progress() as tell:
        return _advised(
            ended(
                folder, lambda: carry_out(folder, job, None, schedule, tell, redrive=True), as_json
            )
        )


def make_job(request: Request, manner: Manner) -> Captioning:
    """The job that the request stands for, checked against the folder's own plan. A new folder gets
    its list of photographs here, once nothing can be wrong any more.
    """
    request.check()
    existing = _existing(request.out)
    backend = _backend(request, existing)
    who = _who(backend, existing)
    found = find(request.images)
    _tell_passed_over(request.images, found)
    if request.labels is not None:
        found, strangers = labelled(found, request.labels)
        if strangers:
            say(f"{strangers:,} lines of {request.labels} name other files")
    if existing is not None:
        plan = _resumed(request, existing, found, who)
    else:
        plan = _planned(request, backend, found, who)
    return Captioning(plan, found.root.absolute(), backend, manner)


def _tell_passed_over(images: str, found: Found) -> None:
    if words := gaps(Folder(Path(images))).words:
        say(f"{images}: {words}")
    if found.others:
        why = "by their names, hidden, or links to folders"
        told = f"; {found.dicom}" if found.dicom else ""
        say(f"{found.others:,} other files there are no images {why}{told}")
    for name in found.nameless[:NAMED]:
        say(f"{name}: passed over: the name is not UTF-8 (expected another name)")
    if more := found.nameless[NAMED:]:
        say(f"{len(more):,} more are passed over, whose names are not UTF-8")


def describe_with(backend: Backend) -> Callable[[Image.Image], str]:
    """From an RGB photograph to its caption; what a backend refuses has none."""
    captioner = caption.load(backend, Manner())

    def describe(image: Image.Image) -> str:
        picture = Picture(image, encode_photograph(image, LOSSLESS[0]))
        (words,) = captioner.caption([picture])
        return "" if isinstance(words, Refused) else words.text

    return describe


def _existing(out: Path) -> CaptionPlan | None:
    plan = read_any_plan(out)
    if plan is not None and plan.kind != "caption":
        raise UserError(
            "these photographs were drawn, not captioned",
            file=out,
            field="--out",
            expected="a new folder, or one of `retinaforge caption`",
        )
    return plan


def _backend(request: Request, existing: CaptionPlan | None) -> Backend:
    """The one that was asked for, or the folder's with all that it was asked for with."""
    if request.backend is None and existing is not None:
        plain = request.allow_plain or existing.allow_plain
        return caption.resolve(existing.backend, plain, request.ca or existing.ca)
    return caption.resolve(request.backend or USUAL_BACKEND, request.allow_plain, request.ca)


def _who(backend: Backend, existing: CaptionPlan | None) -> dict[str, object]:
    """The plan's fields of who words the photographs: on a server, what it says of itself."""
    if backend.address is not None:
        from engine.caption.triton import TritonCaptioner

        client = TritonCaptioner(backend, Manner())
        try:
            versions = client.meet()
        finally:
            client.close()
        return {
            "captioner": f"triton:{backend.address.model}@{versions}",
            "weights_sha256": "",
            "versions": _versions((), existing),
        }
    from engine.caption.local import LIBRARIES, weights_sha256

    folder = backend.folder or caption.SHIPPED
    return {
        "weights_sha256": weights_sha256(folder),
        "captioner": folder.resolve().name,
        "versions": _versions((cpu.NAME, *LIBRARIES), existing),
    }


def _versions(libraries: tuple[str, ...], existing: CaptionPlan | None) -> dict[str, str]:
    found = library_versions(("captioning", *libraries))
    del found["drawing"]
    return with_cpu(found, existing)


def _resumed(
    request: Request, existing: CaptionPlan, found: Found, who: dict[str, object]
) -> CaptionPlan:
    given = {"image_format": request.image_format, "license": request.licence}
    wanted = existing.model_copy(update={**who, **{k: v for k, v in given.items() if v}})
    refuse_differences(request.out, existing, wanted)
    file = check_listing(request.out, existing.images_sha256)
    now = hashed(found, _telling())
    other = differing(read_listing(file), now, labels=request.labels is not None)
    if wanted.license != existing.license:
        other = f"license: {existing.license} → {wanted.license}"
    if other:
        raise UserError(
            f"this folder was planned otherwise: {other}",
            file=request.out,
            expected="the same photographs and labels, or another --out",
        )
    return existing


def _planned(
    request: Request, backend: Backend, found: Found, who: dict[str, object]
) -> CaptionPlan:
    listed = hashed(found, _telling())
    fields = {
        "images": len(listed),
        "images_sha256": write_listing(request.out, listed),
        "images_location": str(found.root.absolute()),
        "backend": backend.text,
        "allow_plain": backend.allow_plain,
        "ca": backend.ca,
        "image_format": request.image_format or LOSSLESS[0],
        "license": request.licence or "other",
    }
    return CaptionPlan.model_validate({**fields, **who}).sealed()


def _advised(code: int) -> int:
    if code == 3:
        say(REPAIRED)
    return code


def _telling() -> Callable[[int, int], None]:
    """Says every few seconds how far the listing is."""
    last = time.monotonic()

    def tell(seen: int, of: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY:
            say(f"{seen:,} of {of:,} photographs listed")
            last = time.monotonic()

    return tell
