"""What a row of the denoiser's training is told, and which of it is hidden."""

from __future__ import annotations

from engine.data.example import Example
from engine.models.conditioner import source_alone
from engine.prose.mirror import mirror
from engine.schema import LABEL_NAMES, Annotation


def as_seen(example: Example, mirrored: bool) -> tuple[Annotation, str]:
    """Annotation and caption of the photograph as it lies in the cache, mirrored or not."""
    annotation, text = example.annotation, example.caption or ""
    if not mirrored:
        return annotation, text
    if annotation.eye_side is not None:
        annotation = annotation.model_copy(update={"eye_side": 1 - annotation.eye_side})
    return annotation, mirror(text)


def hide(annotation: Annotation, text: str, u: list[float]) -> tuple[Annotation, str]:
    """Hide conditions by uniform draws `u` (32), so that any subset conditions a sample later.

    One in ten rows keeps only its source, which is guidance's other half; of the rest some lose the
    caption, some every label, and each label and the source are lost now and then on their own.
    """
    all_but_source = u[0] < 0.1
    no_text = all_but_source or u[1] < 0.25
    no_labels = all_but_source or (not no_text and u[2] < 0.25)
    values = (source_alone(annotation) if no_labels else annotation).model_dump()
    for i, name in enumerate(LABEL_NAMES):
        if u[4 + i] < 0.1:
            values[name] = None
    if u[3] < 0.1:
        values["source"] = None
    return Annotation(**values), "" if no_text else text
