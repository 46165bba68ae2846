"""From the flags of `generate` to a plan: an existing folder's plan decides, and explicit flags
must agree with it.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import cpu, device, gates, registry
from engine.registry import ModelRef
from engine.schema import UserError
from engine.specs import Recipe, recipe_from
from engine.specs.read import line_of_source
from engine.stages.retry import GATE_LIBRARIES
from engine.store.commits import Folder, planned_rows
from engine.store.plan import (
    Plan,
    Settings,
    library_versions,
    read_plan,
    refuse_differences,
    with_cpu,
)
from serve.gating import gates_of, reference_of, weights_of

FORMATS = ("webp", "png", "jpeg")
LICENCE = "cc-by-4.0"
LICENCE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")
MOST_STEPS = 1000
MOST_PIXELS = 4096
MOST_ROWS = 2**63 - 1
"""An index is an int64 in every file."""


@dataclass(frozen=True)
class Request:
    """The flags of `generate` that decide pixels, as they were given; None was not given."""

    out: Path
    count: int | None = None
    prompts: Path | None = None
    labels: Path | None = None
    spec: Path | None = None
    model: str | None = None
    size: int | None = None
    source: str | None = None
    steps: int | None = None
    solver: str | None = None
    guidance: float | None = None
    seed: int | None = None
    dtype: str | None = None
    device: str | None = None
    image_format: str | None = None
    geometry: bool | None = None
    t0: float | None = None
    gates: str | None = None
    reference: Path | None = None
    licence: str | None = None
    cpu: str | None = None
    address: str | None = None
    elsewhere: bool = False
    """Other machines will draw: an existing folder's libraries are theirs, not this one's."""

    def check(self) -> None:
        """Raise UserError for a value that is wrong whatever the model."""
        check_out(self.out)
        within("--count", self.count, 1, MOST_ROWS)
        within("--size", self.size, 1, MOST_PIXELS)
        within("--seed", self.seed, 0)
        if self.steps is not None and not 0 <= self.steps <= MOST_STEPS:
            raise UserError(f"{self.steps}", field="--steps", expected=f"1 to {MOST_STEPS}")
        if self.guidance is not None and not (math.isfinite(self.guidance) and self.guidance >= 0):
            raise UserError(f"{self.guidance}", field="--guidance", expected="0 or more")
        if self.image_format is not None and self.image_format not in FORMATS:
            raise UserError(
                f"unknown format {self.image_format!r}",
                field="--format",
                expected=" or ".join(FORMATS),
            )


def make_plan(request: Request) -> tuple[Plan, ModelRef]:
    """The sealed plan that the request stands for, checked against the folder's own; nothing is
    written.

    Raises UserError for any mistake in flags, files, model or folder.
    """
    request.check()
    existing = read_plan(request.out)
    ref = _model(request, existing)
    if existing is not None:
        _refuse_fewer(request)
    recipe = _recipe(request, existing, ref)
    recipe.check_wording()
    ref.check_sources(recipe.sources(), _table(request))
    settings = _settings(request, existing, ref)
    reference = reference_of(request, existing)
    names = gates_of(request, existing, ref, reference)
    plan = Plan(
        recipe=recipe,
        model=ref.name,
        model_location=ref.location,
        weights_sha256=ref.weights_sha256,
        settings=settings,
        image_format=request.image_format or (existing.image_format if existing else FORMATS[0]),
        gates=names,
        gates_sha256=gates.digest(names, weights_of(ref), reference),
        gates_reference=str(reference) if reference else None,
        versions=_versions(request, existing, ref, settings, names),
        license=_licence(request, existing),
    ).sealed()
    if existing is not None:
        refuse_differences(request.out, existing, plan)
    return plan, ref


def _versions(
    request: Request,
    existing: Plan | None,
    ref: ModelRef,
    settings: Settings,
    names: tuple[str, ...],
) -> dict[str, str]:
    """Of the libraries that decide pixels, and the processor's instructions."""
    if existing is not None and request.elsewhere:
        return existing.versions
    libraries = (*ref.pixel_libraries(settings), *(GATE_LIBRARIES if names else ()))
    found = with_cpu(library_versions(libraries), existing, request.cpu)
    if cpu.NAME not in found:
        if request.cpu is not None:
            raise UserError(f"{ref.name} computes nothing", field="--cpu", expected="no such flag")
    elif not (request.elsewhere or request.address or os.environ.get("RAY_ADDRESS")):
        # The nodes of a cluster speak for themselves.
        planned = request.cpu is None and existing is not None
        cpu.check(found[cpu.NAME], Folder(request.out).plan if planned else None)
    return found


def within(field: str, value: int | None, least: int, most: int | None = None) -> None:
    """Raise UserError for a flag's number outside least..most; None was not given."""
    if value is not None and (value < least or (most is not None and value > most)):
        allowed = f"{least} or more" if most is None else f"{least} to {most}"
        raise UserError(f"{value}", field=field, expected=allowed)


def check_out(out: Path) -> None:
    """Raise UserError for a folder that cannot be made or written into."""
    try:
        nearest = out.absolute()
        while not nearest.exists():
            nearest = nearest.parent
        if not nearest.is_dir():
            problem = f"{nearest} is a file"
        elif not os.access(nearest, os.W_OK | os.X_OK):
            problem = f"{nearest} may not be written"
        else:
            return
    except OSError as error:
        problem = error.strerror or str(error)
    raise UserError(problem, field="--out", expected="a folder, or a place where one can be made")


def _refuse_fewer(request: Request) -> None:
    planned = planned_rows(Folder(request.out))
    if request.count is not None and request.count < planned:
        raise UserError(
            f"{request.count} is fewer than the rows planned already; a folder only grows",
            file=request.out,
            field="--count",
            expected=f"{planned} or more",
        )


def _licence(request: Request, existing: Plan | None) -> str:
    """It decides no pixel and so is no part of the fingerprint, but a folder has one for all."""
    usual = existing.license if existing else LICENCE
    wanted = usual if request.licence is None else request.licence.lower()
    check_licence(wanted)
    if existing is not None and wanted != existing.license:
        raise UserError(
            f"this folder's plan differs: license: {existing.license} → {wanted}",
            file=Folder(request.out).plan,
            expected="the same license, or another --out",
        )
    return wanted


def check_licence(name: str) -> None:
    """Raise UserError for what is no name of a licence."""
    if not LICENCE_NAME.fullmatch(name):
        raise UserError(f"{name!r}", field="--license", expected="a name such as cc-by-4.0")


def _model(request: Request, existing: Plan | None) -> ModelRef:
    if request.model is not None:
        return registry.resolve(request.model)
    return registry.resolve(existing.model_location if existing else registry.DEFAULT_MODEL)


def _table(request: Request) -> Path | None:
    """The file that decides the rows."""
    return request.spec or request.prompts or request.labels


def _recipe(request: Request, existing: Plan | None, ref: ModelRef) -> Recipe:
    recipe = _as_read(request, existing, ref)
    if request.source is None:
        return recipe
    ref.check_source(request.source)
    file = _table(request)
    if file is not None and (others := sorted(recipe.sources() - {request.source})):
        raise UserError(
            f"names the source {others[0]!r}, and --source {request.source!r}",
            file=file,
            line=line_of_source(file, others[0]),
            field="source",
            expected="one of them",
        )
    return recipe.of_source(request.source)


def _as_read(request: Request, existing: Plan | None, ref: ModelRef) -> Recipe:
    files = (request.spec, request.prompts, request.labels)
    size = request.size or (existing.recipe.size if existing else ref.size)
    ref.check_size(size)
    if existing is not None and not any(files):
        given: dict[str, Any] = {"size": size}
        if request.seed is not None:
            given["seed"] = request.seed
        return existing.recipe.model_copy(update=given)
    usual = existing.recipe.seed if existing else 0
    seed = usual if request.seed is None else request.seed
    return recipe_from(
        seed=seed,
        size=size,
        spec_file=request.spec,
        prompts=request.prompts,
        labels=request.labels,
    )


def _settings(request: Request, existing: Plan | None, ref: ModelRef) -> Settings:
    base = existing.settings if existing else usual_settings(request, ref)
    given = {
        "steps": request.steps,
        "solver": request.solver,
        "guidance": request.guidance,
        "dtype": request.dtype,
        "device": request.device,
        "geometry": request.geometry,
        "t0": request.t0,
    }
    settings = base.model_copy(update={k: v for k, v in given.items() if v is not None})
    ref.check_solver(settings.solver, settings.steps, settings.guidance)
    ref.check_start(settings.geometry, settings.t0)
    if ref.learned:
        within("--steps", settings.steps, 1)
        device.choose_dtype(settings.dtype, settings.device)
    return settings


def usual_settings(request: Request, ref: ModelRef) -> Settings:
    """How the model is called where the flags do not say otherwise."""
    where = _device(request, ref)
    return Settings(
        solver=ref.solver,
        steps=ref.steps,
        guidance=ref.guidance,
        guidance_interval=ref.guidance_interval,
        shift=ref.shift,
        dtype=device.choose_dtype(request.dtype, where),
        attention="sdpa" if ref.learned else "none",
        device=where,
        rows_per_call=registry.CUDA_ROWS_PER_CALL if where == "cuda" else 1,
        context_tokens=ref.context_tokens,
        threads=device.THREADS,
        geometry=ref.takes_geometry,
        # Without geometry only words and labels are to speak, and not the phantom's photograph.
        t0=0.0 if request.geometry is False else ref.t0,
    )


def _device(request: Request, ref: ModelRef) -> str:
    """CUDA where the machines that will draw have it: this one, or the cluster's."""
    if not ref.learned:
        return "cpu"
    address = request.address or os.environ.get("RAY_ADDRESS")
    if request.device in device.DEVICES and (address or request.device == "cpu"):
        return request.device
    if request.device is None and address:
        from engine.stages.cluster import cluster, has_gpu

        with cluster(address, None):
            return "cuda" if has_gpu() else "cpu"
    return device.choose_device(request.device)
