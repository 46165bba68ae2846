"""What is told of a folder of captioned photographs: whose they are, who worded them, and how far
that can be trusted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.caption.backends import resolve
from engine.models.card import card_naming
from engine.publish import trust
from engine.publish.portrait import Portrait, Proof, shared_facts
from engine.schema import UserError
from engine.store.plan import CaptionPlan

TITLE = "captioned retinal photographs"
LABELS = (
    "Labels are those of the owner's table, not what the caption says; where there is none, it is "
    "unknown."
)
COLUMNS = {
    "image": "the photograph, without what its camera wrote beside it",
    "caption": "a machine's words for the photograph",
    "caption_source": "the machine",
    "source": "the camera or data set",
    "attempts": "how often the captioner was asked",
}


def describe(plan: CaptionPlan) -> Portrait:
    """See `engine.publish.describe`."""
    return Portrait(
        name=f"Captioned retinal photographs ({plan.captioner})",
        title=TITLE,
        lead=_lead(plan),
        picture="Retinal photograph",
        mix="Labels",
        labels=LABELS,
        learned="How far to trust the captions",
        footer="Photographs as they were given, without what their cameras wrote beside them. "
        "Captions are a machine's, not a doctor's.",
        facts=(
            ("captioner", plan.captioner),
            ("weights (sha256)", plan.weights_sha256 or "kept by the server"),
            ("photographs listed (sha256)", plan.images_sha256),
            ("format", plan.image_format),
            *shared_facts(plan),
        ),
        proof=_proof(plan),
        record=_record(plan),
        columns=COLUMNS,
        templates="captioned",
    )


def _lead(plan: CaptionPlan) -> str:
    return (
        f"Photographs of their owner, put into words by a machine ({plan.captioner}). "
        "They may show patients. Not for diagnosis."
    )


def _proof(plan: CaptionPlan) -> Proof:
    folder = _captioner(plan)
    return trust.proof_of(card_naming(folder, plan.weights_sha256) if folder else {})


def _captioner(plan: CaptionPlan) -> Path | None:
    """Where the captioner lies; None of one on a server, and where an owner has blanked the place
    before he handed the folder on: it is no part of the fingerprint."""
    try:
        return resolve(plan.backend).folder
    except UserError:
        return None


def _record(plan: CaptionPlan) -> dict[str, Any]:
    return {
        "name": f"captioned-fundus-{plan.fingerprint[:12]}",
        "description": f"{TITLE}. {_lead(plan)}",
        "citeAs": f"Captioned retinal photographs, RetinaForge, plan {plan.fingerprint}",
        "keywords": ["retina", "fundus photography", "ophthalmology", "captions"],
        "rai:dataLimitations": f"Captions are a machine's and may be wrong. {LABELS}",
        "rai:dataUseCases": "Training sets of words and images; not for diagnosis.",
        "rai:personalSensitiveInformation": "Photographs may show patients.",
    }
