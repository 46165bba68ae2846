"""The work of drawing: from an ask and the plan that exists, which decides all that it names, to a
sealed plan. Nothing is written, and no folder is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine import cpu, device, gates, registry, shipped
from engine.call import CallSettings
from engine.jobs.asks import DrawAsk, check_count, check_licence, check_out, check_within
from engine.jobs.gating import gates_of, reference_of
from engine.jobs.tuned import Basis, advised, continued, profile_of
from engine.registry import SamplerRef, decoders, structures
from engine.schema import UserError
from engine.specs import Recipe, recipe_from
from engine.specs.read import Tell, line_of_source
from engine.stages.cluster import address_of, cluster, has_gpu
from engine.stages.draw import DrawActor
from engine.stages.limits import PartLimits
from engine.stages.retry import GATE_LIBRARIES
from engine.store.commits import PLAN
from engine.store.plan import Plan, read_plan, refuse_differences
from engine.store.versions import library_versions, with_cpu

FORMAT = "webp"
LICENCE = "cc-by-4.0"
BYTES_PER_PIXEL = 1.5


@dataclass(frozen=True)
class Drawing:
    """Rows drawn by a model; a `Work`."""

    plan: Plan
    ref: SamplerRef
    told: tuple[str, ...] = ()
    """What whoever asked should know of the profile, and of the rows that were brought."""
    workers: int | None = None
    batch: int | None = None
    """How a profile would have it scheduled."""
    actor: type = DrawActor

    @property
    def on_gpu(self) -> bool:
        return self.plan.settings.device == "cuda"

    @property
    def threads(self) -> int:
        return self.plan.settings.threads

    @property
    def rows_per_call(self) -> int:
        return self.plan.settings.rows_per_call

    @property
    def row_seconds(self) -> float:
        return self.ref.expected_seconds(self.plan.settings, self.plan.recipe.size)

    @property
    def row_bytes(self) -> float:
        return self.plan.recipe.size**2 * BYTES_PER_PIXEL

    def arguments(
        self, root: Path, attempt: int, batch: int | None, limits: PartLimits
    ) -> tuple[Any, ...]:
        return str(root), attempt, batch, limits


def plan_drawing(ask: DrawAsk, existing: Plan | None = None, file: Path | None = None) -> Drawing:
    """The drawing that the ask stands for, with a sealed plan: that of `file` where one exists.

    Raises UserError for any mistake in values, files or model, and for what the existing plan
    refuses.
    """
    ask.check()
    return plan_from(_basis(ask, existing, file), ask, existing, file)


def plan_from(
    basis: Basis, ask: DrawAsk, existing: Plan | None = None, file: Path | None = None
) -> Drawing:
    """The same for this model and this call, where the ask says nothing else."""
    ref, told = basis.ref, [*basis.told]
    recipe = _recipe(ask, existing, ref, told.append)
    recipe.check_wording()
    ref.check_sources(recipe.sources(), ask.table)
    settings = _settings(ask, basis.settings, ref)
    reference = reference_of(ask, existing, file)
    names = gates_of(ask, existing, ref, reference)
    _check_privacy(settings, names)
    libraries = (*ref.pixel_libraries(settings), *(GATE_LIBRARIES if names else ()))
    plan = Plan(
        recipe=recipe,
        model=ref.name,
        model_location=ref.location,
        weights_sha256=ref.weights_sha256,
        settings=settings,
        image_format=ask.image_format or (existing.image_format if existing else FORMAT),
        gates=names,
        gates_sha256=gates.digest(names, ref.folder, reference),
        gates_reference=str(reference) if reference else None,
        level=basis.level,
        versions=_versions(ask, existing, file, ref.name, libraries),
        license=_licence(ask, existing, file),
    )
    if existing is None:
        plan = plan.sealed()
    else:
        refuse_differences(existing, plan, file)
        plan = plan.model_copy(update={"fingerprint": existing.fingerprint})
    return Drawing(plan, ref, tuple(told), basis.workers, basis.batch)


def plan_into(out: Path, ask: DrawAsk, count: int | None) -> Drawing:
    """The drawing that brings a folder to `count` rows; its own plan decides, where it has one.
    Raises UserError as `plan_drawing` does, and for what the folder refuses.
    """
    check_out(out)
    existing = read_plan(out)
    check_count(out, count)
    return plan_drawing(ask, existing, out / PLAN)


def plan_again(out: Path, existing: Plan, address: str | None) -> Drawing:
    """The drawing that a folder's own plan stands for. Raises UserError where the rows here would
    be others.
    """
    check_out(out)
    return plan_drawing(DrawAsk(address=address), existing, out / PLAN)


def usual_settings(ask: DrawAsk, ref: SamplerRef) -> CallSettings:
    """How the model is called where nothing else is asked for."""
    where = _device(ask, ref)
    usual = ref.usual_call(where, device.choose_dtype(ask.dtype, where))
    # Without geometry only words and labels are to speak, and not the phantom's photograph.
    return usual.model_copy(update={"t0": 0.0}) if ask.geometry == structures.NONE else usual


def _basis(ask: DrawAsk, existing: Plan | None, file: Path | None) -> Basis:
    """What the plan is made from where no flag says otherwise: a profile and the model's defaults,
    or the plan that exists."""
    if existing is None:
        ref = registry.find(SamplerRef, ask.model or shipped.DEFAULT)
        return _advised(ask, ref, ask.size or ref.size)
    own = Basis(_continued(ask, existing), existing.settings, existing.level)
    if profile_of(ask) is None:
        return own
    usually = existing.level.model if existing.level else existing.model_location
    ref, size = registry.find(SamplerRef, ask.model or usually), ask.size or existing.recipe.size
    there = replace(ask, device=ask.device or existing.settings.device)
    tuned = _advised(there, ref, size)
    return continued(
        own, ask, tuned, lambda new: _settings(ask, new.settings, new.ref), file or Path(PLAN)
    )


def _advised(ask: DrawAsk, ref: SamplerRef, size: int) -> Basis:
    return advised(Basis(ref, usual_settings(ask, ref)), ask, size)


def _continued(ask: DrawAsk, existing: Plan) -> SamplerRef:
    """Who is called by a plan that exists. A level's student answers to its teacher's name too."""
    own, level = existing.model_location, existing.level
    if ask.model is None:
        return registry.find(SamplerRef, own)
    ref = registry.find(SamplerRef, ask.model)
    is_teacher = level is not None and ref.weights_sha256 == level.weights_sha256
    return registry.find(SamplerRef, own) if is_teacher else ref


def _recipe(ask: DrawAsk, existing: Plan | None, ref: SamplerRef, tell: Tell) -> Recipe:
    recipe = _as_read(ask, existing, ref, tell)
    if ask.source is None:
        return recipe
    ref.check_source(ask.source)
    file = ask.table
    if file is not None and (others := sorted(recipe.sources() - {ask.source})):
        raise UserError(
            f"names the source {others[0]!r}, and ⟨source⟩ {ask.source!r}",
            file=file,
            line=line_of_source(file, others[0]),
            field="source",
            expected="one of them",
        )
    return recipe.of_source(ask.source)


def _as_read(ask: DrawAsk, existing: Plan | None, ref: SamplerRef, tell: Tell) -> Recipe:
    size = ask.size or (existing.recipe.size if existing else ref.size)
    ref.check_size(size)
    usual = existing.recipe.seed if existing else 0
    seed = usual if ask.seed is None else ask.seed
    if existing is not None and ask.table is None:
        return existing.recipe.model_copy(update={"size": size, "seed": seed})
    return recipe_from(
        seed=seed,
        size=size,
        spec_file=ask.spec,
        prompts=ask.prompts,
        labels=ask.labels,
        tell=tell,
    )


def _settings(ask: DrawAsk, base: CallSettings, ref: SamplerRef) -> CallSettings:
    given = {
        "steps": ask.steps,
        "solver": ask.solver,
        "guidance": ask.guidance,
        "dtype": ask.dtype,
        "device": ask.device,
        "rows_per_call": ask.rows_per_call,
        "threads": ask.threads,
        "t0": ask.t0,
    }
    changed: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if ask.geometry is not None:
        changed.update(vars(structures.wanted(ask.geometry)))
    if ask.decoder is not None:
        changed["decoder"] = decoders.wanted(ask.decoder, ref)
    settings = base.model_copy(update=changed)
    ref.check_solver(settings.solver, settings.steps, settings.guidance)
    ref.check_start(settings.geometry, settings.t0)
    if ref.learned:
        check_within("steps", settings.steps, 1)
        device.choose_dtype(settings.dtype, settings.device)
    return settings


def _check_privacy(settings: CallSettings, gates_: tuple[str, ...]) -> None:
    """What is drawn on a photograph's own vessels is held against photographs."""
    asked = settings.structures
    if asked is not None and asked.kind == structures.REAL and "privacy" not in gates_:
        raise UserError(
            "structures of photographs are drawn under the privacy gate alone",
            asked="gates",
            expected="privacy among them, and a model or a ⟨reference⟩ that has one",
        )


def _device(ask: DrawAsk, ref: SamplerRef) -> str:
    """CUDA where the machines that will draw have it: this one, or the cluster's."""
    if not ref.learned:
        return "cpu"
    if ask.elsewhere and ask.device is None:
        raise UserError(
            "the plan must not hang on which nodes are up when the job starts",
            asked="device",
            expected="cuda or cpu, for a model that has learned",
        )
    address = address_of(ask.address)
    if ask.device in device.DEVICES and (ask.elsewhere or address or ask.device == "cpu"):
        return ask.device
    if ask.device is None and address:
        with cluster(address, None):
            return "cuda" if has_gpu() else "cpu"
    return device.choose_device(ask.device)


def _versions(
    ask: DrawAsk,
    existing: Plan | None,
    file: Path | None,
    model: str,
    libraries: tuple[str, ...],
) -> dict[str, str]:
    """Of the libraries that decide pixels, and the processor's instructions."""
    if existing is not None and ask.elsewhere:
        return existing.versions
    found = with_cpu(library_versions(libraries), existing.versions if existing else None, ask.cpu)
    if cpu.NAME not in found:
        if ask.cpu is not None:
            raise UserError(f"{model} computes nothing", asked="cpu", expected="no such flag")
    elif not (ask.elsewhere or address_of(ask.address)):
        # The nodes of a cluster speak for themselves.
        cpu.check(found[cpu.NAME], file if ask.cpu is None and existing is not None else None)
    return found


def _licence(ask: DrawAsk, existing: Plan | None, file: Path | None) -> str:
    """It decides no pixel and so is no part of the fingerprint, but a folder has one for all."""
    usual = existing.license if existing else LICENCE
    wanted = usual if ask.licence is None else ask.licence.lower()
    check_licence(wanted)
    if existing is not None and wanted != existing.license:
        raise UserError(
            f"this folder's plan differs: license: {existing.license} → {wanted}",
            file=file,
            expected="the same license, or another ⟨out⟩",
        )
    return wanted
