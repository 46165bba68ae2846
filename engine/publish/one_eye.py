"""One eye under changed labels: what asking for a higher grade of retinopathy does, seed kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine import registry
from engine.pixels.encode import Origin, encode
from engine.prose.template import caption
from engine.registry import SamplerRef
from engine.schema import DISEASES, READABILITY, Annotation, UserError
from engine.seeds import row_random
from engine.specs import Spec
from engine.store.plan import Plan

GRADES = range(5)


def draw_grades(plan: Plan, ref: SamplerRef) -> np.ndarray:
    """Five photographs side by side (S, 5 S, 3) uint8: the eye of row 0 without other diseases, in
    its source, under each grade of retinopathy, as the plan's model draws it."""
    row = plan.recipe.spec(0, plan.fingerprint)
    healthy = Annotation.model_validate(
        {
            **{label.name: int(label in READABILITY) for label in (*DISEASES, *READABILITY)},
            "eye_side": row.annotation.eye_side,
            "source": row.annotation.source,
        }
    )
    specs = []
    for grade in GRADES:
        annotation = healthy.model_copy(update={"dr_grade": grade})
        words = caption(annotation, row_random(plan.recipe.seed, 0, "one eye"))
        specs.append(row.model_copy(update={"annotation": annotation, "prompt": words}))
    return np.concatenate(_draw(plan, ref, specs), 1)


def _draw(plan: Plan, ref: SamplerRef, specs: list[Spec]) -> list[np.ndarray]:
    return [drawn.image for drawn in ref.load(plan.settings).draw(specs)]


def draw_for_report(plan: Plan) -> bytes | None:
    """The eye as a JPEG, marked as synthetic; the null model draws none. Raises UserError where the
    model is not here or has other weights than the plan's.
    """
    ref = registry.find(SamplerRef, plan.model_location)
    if not ref.draws_eyes:
        return None
    if ref.weights_sha256 != plan.weights_sha256:
        raise UserError(
            f"{ref.name} has other weights now than those that drew this folder",
            file=Path(plan.model_location),
            expected="the weights that plan.json names",
        )
    seed = plan.recipe.spec(0, plan.fingerprint).seed
    origin = Origin(plan.model, plan.weights_sha256, seed, plan.source_type)
    return encode(draw_grades(plan, ref), "jpeg", origin)
