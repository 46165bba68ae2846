"""What the photographs of a folder are, in the words of all that tells of it: drawn by a model, or
taken by cameras and put into words by a captioner.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.pixels.mark import COMPUTED, TRAINED
from engine.store.plan import PHANTOM, AnyPlan, CaptionPlan, Plan

UNGUARDED = (
    "NO PRIVACY GATE: nothing compares these images with the photographs that the model learned "
    "from. One of them may be a near copy of a patient's."
)


@dataclass(frozen=True)
class Nature:
    """Words for cards and pages. `title` follows a number; `picture` names one image; `facts` are
    pairs of name and value.
    """

    synthetic: bool
    title: str
    lead: str
    picture: str
    mix: str
    labels: str
    learned: str
    footer: str
    facts: tuple[tuple[str, str], ...]


def nature_of(plan: AnyPlan) -> Nature:
    """Of a folder, by its plan."""
    return _captioned(plan) if isinstance(plan, CaptionPlan) else _drawn(plan)


def warning_of(plan: AnyPlan) -> str | None:
    """What a card and a page say loudly of a folder, with the command that mends it; None where
    there is nothing to say."""
    if isinstance(plan, CaptionPlan) or plan.source_type != TRAINED or "privacy" in plan.gates:
        return None
    return f"{UNGUARDED} `retinaforge calibrate` sets the gate of a model; draw anew behind it."


def _drawn(plan: Plan) -> Nature:
    settings = plan.settings
    drawn = plan.model_location == PHANTOM
    hashed = "version" if plan.source_type == COMPUTED else "weights"
    return Nature(
        synthetic=True,
        title="synthetic fundus photographs",
        lead=f"Every image is synthetic, drawn by {plan.model}. None shows a patient. "
        "Not for diagnosis.",
        picture="Synthetic fundus photograph",
        mix="Labels asked for and found",
        labels=f"Labels are what {'a program drew' if drawn else 'the model was asked to show'}.",
        learned="What each label was learned from",
        footer="Synthetic photographs, not a medical device. Every file carries a mark; "
        "retinaforge identify FILE reads it.",
        facts=(
            ("model", plan.model),
            (f"{hashed} (sha256)", plan.weights_sha256),
            (
                "solver, steps, guidance",
                f"{settings.solver}, {settings.steps}, {settings.guidance:g}",
            ),
            ("seed of the run", str(plan.recipe.seed)),
            ("size and format", f"{plan.recipe.size} px, {plan.image_format}"),
            ("gates", ", ".join(plan.gates) or "none"),
            *_shared(plan),
        ),
    )


def _captioned(plan: CaptionPlan) -> Nature:
    return Nature(
        synthetic=False,
        title="captioned retinal photographs",
        lead=f"Photographs of their owner, put into words by a machine ({plan.captioner}). "
        "They may show patients. Not for diagnosis.",
        picture="Retinal photograph",
        mix="Labels",
        labels="Labels are those of the owner's table, not what the caption says; "
        "where there is none, it is unknown.",
        learned="How far to trust the captions",
        footer="Photographs as they were given, without what their cameras wrote beside them. "
        "Captions are a machine's, not a doctor's.",
        facts=(
            ("captioner", plan.captioner),
            ("weights (sha256)", plan.weights_sha256 or "kept by the server"),
            ("photographs listed (sha256)", plan.images_sha256),
            ("format", plan.image_format),
            *_shared(plan),
        ),
    )


def _shared(plan: AnyPlan) -> tuple[tuple[str, str], ...]:
    return (
        ("licence", plan.license),
        ("plan fingerprint", plan.fingerprint),
        ("versions", ", ".join(f"{name} {each}" for name, each in plan.versions.items())),
    )
