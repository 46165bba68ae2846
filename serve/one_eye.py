"""One eye under changed labels: what asking for a higher grade of retinopathy does, seed kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from engine import registry
from engine.prose.template import caption
from engine.schema import DISEASES, READABILITY, Annotation
from engine.seeds import row_random
from engine.specs import Spec
from engine.store.plan import Plan
from engine.store.report import add_picture

GRADES = range(5)


def draw_grades(plan: Plan) -> np.ndarray:
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
    return np.concatenate(_draw(plan, specs), 1)


def _draw(plan: Plan, specs: list[Spec]) -> list[np.ndarray]:
    sampler = registry.load(registry.resolve(plan.model_location), plan.settings)
    return [drawn.image for drawn in sampler.draw(specs)]


def put_into_report(root: Path, plan: Plan) -> None:
    """Draw the eye and keep it for the folder's report page."""
    with tempfile.TemporaryDirectory() as scratch:
        picture = Path(scratch) / "grades.jpg"
        Image.fromarray(draw_grades(plan)).save(picture, quality=92, subsampling=0)
        add_picture(root, picture)
