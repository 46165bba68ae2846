"""What is told of a folder of drawn photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.models.card import card_naming
from engine.pixels.mark import COMPUTED, TRAINED
from engine.publish import evidence
from engine.publish.portrait import Guard, Portrait, Proof, shared_facts
from engine.shipped import PHANTOM, folder_of
from engine.store.plan import Plan

UNGUARDED = (
    "NO PRIVACY GATE: nothing compares these images with the photographs that the model learned "
    "from. One of them may be a near copy of a patient's."
)
MENDED = "`retinaforge calibrate` sets the gate of a model; draw anew behind it."
ASKED = """Annotations are what the model was *asked* to show; that an image shows it is not
guaranteed. An empty annotation means unknown, never healthy."""
DRAWN = """Annotations, masks and captions are what a program *drew*; that real eyes
look like it is not claimed. An empty annotation means unknown, never healthy."""
LEARNED = """The photographs that the model learned from, their authors and licences are named in
the model's own card and attribution, and are not part of this data set."""
COMPUTED_BY = "A program drew the images: no model learned from photographs."
PHANTOM_BY = f"""{COMPUTED_BY} Colours, light
and framing of its cameras follow figures that were measured of photographs, which are not part of
this data set."""
NOTHING_LEARNED = (
    "Nothing was learned: a program draws phantoms from their labels, so labels and masks "
    "are true of the drawing. That real eyes look like it is not claimed."
)
NO_CARD = (
    "Unknown: the model's card says nothing of it. Take every label as unproven until a "
    "classifier trained on real photographs has read these images."
)
ON_PHANTOMS = (
    " Each image here was drawn on the vessels, disc, cup and lesions of a phantom of its "
    "own labels, so a label may show by the phantom's structure alone, whatever taught the "
    "model."
)
ANATOMY = {
    "gan": "Disc, fovea and vessels are a generator's, {name}; lesions and cup follow the labels.",
    "real": "DISC, FOVEA AND VESSELS ARE THOSE OF PHOTOGRAPHS, named in {name}: whoever has one "
    "may know its eye again. Lesions and cup follow the labels.",
}
COLUMNS = {
    "image": "the synthetic photograph",
    "caption": "the words that go with the image",
    "source": "the camera or data set whose look was asked for",
    "attempts": "how often the row was drawn",
}


def describe(plan: Plan) -> Portrait:
    """See `engine.publish.describe`."""
    phantom = plan.model_location == PHANTOM
    return Portrait(
        name=f"Synthetic fundus photographs ({plan.model})",
        title="synthetic fundus photographs",
        lead=f"Every image is synthetic, drawn by {plan.model}. None shows a patient. "
        "Not for diagnosis.",
        picture="Synthetic fundus photograph",
        mix="Labels asked for and found",
        labels=f"Labels are what {'a program drew' if phantom else 'the model was asked to show'}.",
        learned="What each label was learned from",
        footer="Synthetic photographs, not a medical device. Every file carries a mark; "
        "retinaforge identify FILE reads it.",
        facts=_facts(plan),
        proof=_proof(plan),
        record=_record(plan),
        columns=COLUMNS,
        templates="drawn",
        words=_words(plan),
        warning=_warning(plan),
        kept="No image was refused." if plan.gates else "No gate was on: every image was kept.",
        drawn=plan,
        guard=_guard(plan),
    )


def _facts(plan: Plan) -> tuple[tuple[str, str], ...]:
    settings = plan.settings
    return (
        ("model", plan.model),
        (f"{_hashed(plan)} (sha256)", plan.weights_sha256),
        ("solver, steps, guidance", f"{settings.solver}, {settings.steps}, {settings.guidance:g}"),
        ("seed of the run", str(plan.recipe.seed)),
        ("size and format", f"{plan.recipe.size} px, {plan.image_format}"),
        ("gates", ", ".join(plan.gates) or "none"),
        *([("geometry", anatomy)] if (anatomy := _anatomy(plan)) else []),
        *([("decoder", Path(light.location).name)] if (light := settings.decoder) else []),
        *([("level", level)] if (level := _level(plan)) else []),
        *shared_facts(plan),
    )


def _anatomy(plan: Plan) -> str | None:
    asked = plan.settings.structures
    return ANATOMY[asked.kind].format(name=Path(asked.location).name) if asked else None


def _level(plan: Plan) -> str | None:
    """The evidence that admitted how the model was called."""
    level = plan.level
    if level is None:
        return None
    return f"{level.name} of {Path(level.model).name}, by evidence {level.sha256[:12]}"


def _hashed(plan: Plan) -> str:
    return "version" if plan.source_type == COMPUTED else "weights"


def _words(plan: Plan) -> dict[str, str]:
    phantom = plan.model_location == PHANTOM
    taught = COMPUTED_BY if plan.source_type == COMPUTED else LEARNED
    return {
        "hashed": _hashed(plan),
        "annotations": DRAWN if phantom else ASKED,
        "taught": PHANTOM_BY if phantom else taught,
    }


def _warning(plan: Plan) -> str | None:
    """What is said loudly of a folder, with the command that mends it."""
    guarded = plan.source_type != TRAINED or "privacy" in plan.gates
    return None if guarded else f"{UNGUARDED} {MENDED}"


def _proof(plan: Plan) -> Proof:
    folder = folder_of(plan.model_location)
    return evidence.proof_of(
        card_naming(folder, plan.weights_sha256),
        more=ON_PHANTOMS if plan.settings.geometry else "",
        without=NOTHING_LEARNED if plan.model_location == PHANTOM else NO_CARD,
    )


def _record(plan: Plan) -> dict[str, Any]:
    return {
        "name": f"synthetic-fundus-{plan.fingerprint[:12]}",
        "description": "synthetic retinal fundus photographs with captions and labels, drawn by "
        f"{plan.model}. None shows a patient. Not for diagnosis.",
        "citeAs": f"Synthetic fundus photographs, RetinaForge, plan {plan.fingerprint}",
        "keywords": ["synthetic", "retina", "fundus photography", "ophthalmology"],
        "rai:dataLimitations": "Labels are what the model was asked to show, not a reading.",
        "rai:dataUseCases": "Software tests and training sets; not for diagnosis.",
    }


def _guard(plan: Plan) -> Guard | None:
    if "privacy" not in plan.gates:
        return None
    reference = Path(plan.gates_reference) if plan.gates_reference else None
    return Guard(plan.gates, folder_of(plan.model_location), reference, plan.gates_sha256)
