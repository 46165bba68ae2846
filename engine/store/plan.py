"""plan.json: everything that decides the rows of a data set, written once, and the fingerprint of
all that. `Plan` is that of drawn photographs, `CaptionPlan` that of captioned ones.

The count of rows is not in it (it lies in the attempts and may only grow), nor anything that only
schedules (batch, workers, address). Where the model's folder lies and the data's licence are in it,
but not in the fingerprint (the hash of the weights is).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeGuard

from pydantic import ValidationError

from engine import shipped
from engine.call import CallSettings, LevelTaken
from engine.files import NotAFile
from engine.pixels.mark import COMPUTED, TRAINED
from engine.schema import UserError
from engine.seeds import row_seed
from engine.specs import Recipe
from engine.specs.rows import SCHEMA
from engine.store import beside
from engine.store.beside import ROWS, Beside
from engine.store.commits import PLAN, Folder
from engine.store.differences import differences
from engine.store.forms import PICTURES
from engine.store.latent_plan import LatentPlan
from engine.store.place import Place, base, create, read
from engine.store.sealed import Sealed, canonical_json

SINCE: dict[str, Any] = {"gates": (), "gates_sha256": ""}
"""Fields that came later, with what they are where they change nothing: then they are left out of
the fingerprint, so that folders from before them stay open."""
DIFFERENCES_SHOWN = 8
DIGEST = "plan_sha256"
"""In plan.json, where the rows lie beside it."""
_NO_ROWS = '"rows":[]'


class Plan(Sealed):
    """The immutable plan of drawn photographs. `gates` judge every image, in this order;
    `gates_sha256` is the hash of all that decides their verdicts. `gates_reference` says where
    the file lies that the privacy gate reads in place of the model's own.
    """

    kind: ClassVar[Literal["draw"]] = "draw"
    LOOSE = Sealed.LOOSE | {"license", "model_location", "gates_reference", "level"}
    FORM = PICTURES

    image_format: str
    recipe: Recipe
    model: str
    model_location: str
    weights_sha256: str
    settings: CallSettings
    gates: tuple[str, ...] = ()
    gates_sha256: str = ""
    gates_reference: str | None = None
    level: LevelTaken | None = None
    license: str = "cc-by-4.0"

    @property
    def source_type(self) -> str:
        """What kind of synthetic media the images are: `TRAINED` or `COMPUTED`."""
        return COMPUTED if shipped.is_program(self.model_location) else TRAINED

    def common(self) -> dict[str, Any]:
        """See `Sealed`."""
        return {
            **super().common(),
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "solver": self.settings.solver,
            "steps": self.settings.steps,
            "guidance": self.settings.guidance,
        }

    def columns(self, indices: Sequence[int], attempts: Sequence[int]) -> dict[str, list[Any]]:
        """See `Sealed`."""
        sizes = [self.recipe.size] * len(indices)
        tries = zip(indices, attempts, strict=True)
        return {
            **super().columns(indices, attempts),
            "width": sizes,
            "height": sizes,
            "seed": [row_seed(self.recipe.seed, index, tried - 1) for index, tried in tries],
        }

    def identity(self) -> dict[str, Any]:
        """See `Sealed`; what came later and changes nothing is left out."""
        whole = self._without_rows(*self.LOOSE)
        whole["recipe"]["rows"] = self.recipe.rows
        whole["settings"] = self.settings.identity()
        return {
            name: value
            for name, value in whole.items()
            if name not in SINCE or getattr(self, name) != SINCE[name]
        }

    def canonical(self) -> Iterator[str]:
        """See `Sealed`. The rows stand where they would stand as a list."""
        whole = self.identity()
        whole["recipe"]["rows"] = []
        before, after = canonical_json(whole).split(_NO_ROWS)
        yield before + _NO_ROWS[:-1]
        yield from self.recipe.rows.canonical()
        yield _NO_ROWS[-1] + after

    def lay_down(self, place: Place) -> dict[str, Any]:
        """See `Sealed`. A user's rows are a table, which plan.json names; a digest of all that it
        says of pixels spares its readers to hash a million rows.
        """
        if not len(self.recipe.rows):
            return super().lay_down(place)
        table = beside.write_table(place, ROWS, SCHEMA, self.recipe.rows.table.batches())
        said = self._without_rows()
        said["recipe"]["rows"] = {"rows": len(self.recipe.rows), "sha256": table.sha256}
        return {**said, DIGEST: _digest(said)}

    def check(self) -> None:
        """See `Sealed`."""
        self.recipe.rows.table.check()

    def clear_others(self, place: Place) -> None:
        """See `Sealed`."""
        beside.clear_tables(place, ROWS, keep=self.recipe.rows.table.name)

    def _without_rows(self, *also: str) -> dict[str, Any]:
        return self.model_dump(
            mode="json", exclude={**dict.fromkeys(also, True), "recipe": {"rows"}}
        )


class CaptionPlan(Sealed):
    """The immutable plan of captioned photographs: which files (`images` of them, in the listing
    beside the plan whose hash is `images_sha256`), and who words them.

    `captioner` and `weights_sha256` name what decides the words; a server keeps its weights to
    itself. `backend` and `images_location` say where both were found.
    """

    LOOSE = Sealed.LOOSE | {"license", "images_location", "backend", "allow_plain", "ca"}
    FORM = PICTURES

    kind: Literal["caption"] = "caption"
    image_format: str
    images: int
    images_sha256: str
    images_location: str
    backend: str
    allow_plain: bool = False
    ca: str | None = None
    captioner: str
    weights_sha256: str
    license: str = "other"

    def common(self) -> dict[str, Any]:
        """See `Sealed`."""
        return {**super().common(), "caption_source": self.captioner}


AnyPlan = Plan | CaptionPlan
"""Of pictures, which others are to see."""
KeptPlan = AnyPlan | LatentPlan
"""Of whatever is kept in parts."""
_KINDS: dict[str, type[KeptPlan]] = {"caption": CaptionPlan, "latents": LatentPlan}


def read_plan(root: Path) -> Plan | None:
    """The plan of a folder of drawn photographs, None where there is nothing yet.

    Raises UserError if the folder holds other things, or a plan that was changed by hand.
    """
    plan = read_any_plan(root)
    if plan is not None and plan.kind != "draw":
        raise UserError(
            "these photographs were captioned, not drawn",
            file=root,
            expected="a folder of `retinaforge generate`",
        )
    return plan


def read_any_plan(root: Path) -> AnyPlan | None:
    """The plan of an existing folder of either kind of pictures; see `read_plan`."""
    return of_pictures(plan_of(Folder(root)), root)


def of_pictures(plan: KeptPlan | None, root: Path) -> AnyPlan | None:
    """The plan of a folder, where it is one of pictures. Raises UserError where it is another."""
    if plan is None or is_of_pictures(plan):
        return plan
    raise UserError(
        "holds latents of photographs, which only training reads",
        file=root,
        expected="a data set folder",
    )


def is_of_pictures(plan: KeptPlan | None) -> TypeGuard[AnyPlan]:
    """Whether there is a plan, of what others are to see."""
    return isinstance(plan, Plan | CaptionPlan)


def plan_of(folder: Folder, trusting: bool = False) -> KeptPlan | None:
    """The plan of whatever a folder holds; see `read_plan`. `trusting`: a table beside the plan was
    checked by whoever hands out the work.
    """
    place, file = folder.place, folder.root / PLAN
    if place.holds("") and not place.is_folder():
        raise UserError("this is a file", file=folder.root, expected="a folder")
    if not place.holds(PLAN):
        if not all(map(_before_a_plan, place.names())):
            raise UserError(
                "this folder is not empty and holds no plan.json",
                file=folder.root,
                expected="a new or empty folder, or a data set folder of RetinaForge",
            )
        return None
    plan, digest = _parse(folder)
    if not trusting:
        plan.check()
    if not (digest or plan.sealed().fingerprint == plan.fingerprint):
        raise UserError("the plan was changed after it was written; restore it", file=file)
    return plan


def _before_a_plan(name: str) -> bool:
    """Whether a run that died before it wrote its plan may have left this."""
    return name.endswith(".tmp") or bool(beside.NAME.match(base(name)))


def _parse(folder: Folder) -> tuple[KeptPlan, bool]:
    """The plan, and whether its digest says that it stands as it was written."""
    file = folder.root / PLAN
    try:
        text = read(folder.place, PLAN)
    except NotAFile as error:
        raise UserError(
            f"not a plan: {error.strerror}", file=file, expected="the file that a run wrote"
        ) from error
    try:
        said = json.loads(text)
        if not isinstance(said, dict):
            raise ValueError(f"a {type(said).__name__}")
        digest = said.pop(DIGEST, None)
        kind = _KINDS.get(str(said.get("kind")), Plan)
        plan = kind.model_validate(said, context=partial(_rows_in, folder.place))
        return plan, digest is not None and digest == _digest(said)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or None
        raise UserError(f"not a plan: {first['msg']}", file=file, field=field) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"not a plan: {error}", file=file) from error


def _rows_in(place: Place, named: dict[str, Any]) -> tuple[Beside, int]:
    """The table that a plan names, and how many rows of it. Raises ValueError."""
    match named:
        case {"rows": int(rows), "sha256": str(sha256)} if len(named) == 2 and len(sha256) == 64:
            return Beside(place, ROWS, sha256), rows
    raise ValueError("neither a list of rows nor the name of a table")


def _digest(said: dict[str, Any]) -> str:
    """Of all that plan.json says of rows, and the fingerprint; what is loose may be changed."""
    bound = {name: each for name, each in said.items() if name not in Plan.LOOSE}
    bound["fingerprint"] = said.get("fingerprint")
    return hashlib.sha256(canonical_json(bound).encode()).hexdigest()


def write_plan(root: Path, plan: KeptPlan) -> None:
    """Create the folder and its plan, with what lies beside it, if there is none yet. Raises
    UserError where there is another plan, also one that another run has just created.
    """
    folder = Folder(root)
    if not folder.place.holds(PLAN):
        folder.place.make()
        said = plan.lay_down(folder.place)
        text = json.dumps(said, indent=1, ensure_ascii=False) + "\n"
        # Of two runs that create the folder at once, the second must not replace the first's.
        create(folder.place, PLAN, text.encode())
    existing = plan_of(folder)
    if existing is not None:
        refuse_differences(existing, plan, root / PLAN)
        existing.clear_others(folder.place)


def refuse_differences(existing: Sealed, wanted: Sealed, file: Path | None = None) -> None:
    """Raise UserError that names the fields in which a wanted plan differs from the one that
    exists, in `file`.
    """
    found = list(differences(existing.identity(), wanted.identity()))
    if not found:
        return
    shown = "; ".join(found[:DIFFERENCES_SHOWN])
    more = f"; and {len(found) - DIFFERENCES_SHOWN} more" if len(found) > DIFFERENCES_SHOWN else ""
    raise UserError(
        f"this folder's plan differs: {shown}{more}",
        file=file,
        expected="the same settings, or another ⟨out⟩",
    )
