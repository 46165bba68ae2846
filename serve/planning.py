"""From the flags of `generate` to a plan: an existing folder's plan decides, and explicit flags
must agree with it.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import device, registry
from engine.registry import ModelRef
from engine.schema import UserError
from engine.specs import Recipe, recipe_from
from engine.store.commits import Folder, planned_rows
from engine.store.plan import Plan, Settings, library_versions, read_plan, refuse_differences

FORMATS = ("webp", "png", "jpeg")
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
    steps: int | None = None
    solver: str | None = None
    guidance: float | None = None
    seed: int | None = None
    dtype: str | None = None
    device: str | None = None
    image_format: str | None = None
    address: str | None = None

    def check(self) -> None:
        """Raise UserError for a value that is wrong whatever the model."""
        _check_out(self.out)
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
    ref.check_sources(recipe.sources(), request.spec or request.prompts or request.labels)
    settings = _settings(request, existing, ref)
    plan = Plan(
        recipe=recipe,
        model=ref.name,
        model_location=ref.location,
        weights_sha256=ref.weights_sha256,
        settings=settings,
        image_format=request.image_format or (existing.image_format if existing else FORMATS[0]),
        versions=library_versions(ref.libraries),
    ).sealed()
    if existing is not None:
        refuse_differences(request.out, existing, plan)
    return plan, ref


def within(field: str, value: int | None, least: int, most: int | None = None) -> None:
    """Raise UserError for a flag's number outside least..most; None was not given."""
    if value is not None and (value < least or (most is not None and value > most)):
        allowed = f"{least} or more" if most is None else f"{least} to {most}"
        raise UserError(f"{value}", field=field, expected=allowed)


def _check_out(out: Path) -> None:
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


def _model(request: Request, existing: Plan | None) -> ModelRef:
    if request.model is not None:
        return registry.resolve(request.model)
    return registry.resolve(existing.model_location if existing else registry.DEFAULT_MODEL)


def _recipe(request: Request, existing: Plan | None, ref: ModelRef) -> Recipe:
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
    base = existing.settings if existing else _usual_settings(request, ref)
    given = {
        "steps": request.steps,
        "solver": request.solver,
        "guidance": request.guidance,
        "dtype": request.dtype,
        "device": request.device,
    }
    settings = base.model_copy(update={k: v for k, v in given.items() if v is not None})
    ref.check_solver(settings.solver)
    if ref.kind != "null":
        within("--steps", settings.steps, 1)
        device.choose_dtype(settings.dtype, settings.device)
    return settings


def _usual_settings(request: Request, ref: ModelRef) -> Settings:
    where = _device(request, ref)
    return Settings(
        solver=ref.solver,
        steps=ref.steps,
        guidance=ref.guidance,
        guidance_interval=ref.guidance_interval,
        shift=ref.shift,
        dtype=device.choose_dtype(request.dtype, where),
        attention="none" if ref.kind == "null" else "sdpa",
        device=where,
        rows_per_call=registry.CUDA_ROWS_PER_CALL if where == "cuda" else 1,
        context_tokens=ref.context_tokens,
        threads=device.THREADS,
    )


def _device(request: Request, ref: ModelRef) -> str:
    """CUDA where the machines that will draw have it: this one, or the cluster's."""
    if ref.kind == "null":
        return "cpu"
    address = request.address or os.environ.get("RAY_ADDRESS")
    if request.device in device.DEVICES and (address or request.device == "cpu"):
        return request.device
    if request.device is None and address:
        from engine.stages.cluster import cluster, has_gpu

        with cluster(address, None):
            return "cuda" if has_gpu() else "cpu"
    return device.choose_device(request.device)
