"""What a data set folder says of itself: README.md, a data card with Hugging Face front matter, and
croissant.json, from the plan and the counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from engine.pixels.mark import COMPUTED
from engine.publish import captioned
from engine.publish.croissant import describe
from engine.publish.nature import warning_of
from engine.publish.summary import (
    UNPROVEN,
    Mix,
    about_evidence,
    evidence,
    failures,
    mix_of,
    rejects,
    without_evidence,
)
from engine.publish.tables import plain, quoted, table
from engine.store.commits import Folder, put
from engine.store.plan import PHANTOM, AnyPlan, CaptionPlan, Plan
from engine.store.rows import common_columns, shares
from engine.store.seal import LINE, digest
from engine.store.verify import Gaps

MOST_REASONS = 12

FRONT = """---
pretty_name: {pretty_name}
license: {quoted_license}
language:
- en
tags:
- synthetic
- medical
- retina
- fundus
"""

CARD = """task_categories:
- image-classification
- text-to-image
size_categories:
- {size_category}
configs:
- config_name: default
  data_files: parts/*.parquet
---

# {committed:,} synthetic retinal fundus photographs
{standing}
**Every image here is synthetic. None shows a patient.** Each file says so
itself: its XMP metadata carries the digital source type `{source_type}`, the model, the
SHA-256 of its {hashed} and the seed; `retinaforge identify FILE` reads it.

| | |
|---|---|
| images | {committed:,} of {planned:,} planned |
| dead letters (rows that failed and were left out) | {dead:,} |
| size | {pixels} px, {image_format} |

## What it is for, and what not

For developing and testing software, augmenting training sets, and studying what classifiers learn
from synthetic images.

**Not for diagnosis**, not for estimating how common a disease is, not as the only test set of a
medical device. {annotations}

## Labels asked for and found

Shares of the rows planned and of the rows here.

{mix}

## What each label was learned from

{evidence}

## Gates, rejects and failures

{gates}

## Provenance

| | |
|---|---|
| model | {model} |
| {hashed} (sha256) | `{weights}` |
| solver, steps, guidance | {solver}, {steps}, {guidance:g} |
| seed of the run | {seed} |
| plan fingerprint | `{fingerprint}` |
| versions | {versions} |

A row is reproduced by its `seed`, `prompt` and annotations under the settings in `plan.json`.
`retinaforge verify` recounts the rows against the plan and hashes every part.

## Licence

{license}. {taught}

## Reading it

```python
from datasets import load_dataset

rows = load_dataset("parquet", data_files="parts/*.parquet", split="train")
```

`croissant.json` describes the same columns for Croissant readers. `retinaforge export` writes the
layouts of SynFundus-1M, WebDataset and the Hugging Face image folder.
"""

EXPORT = """---

# {rows:,} synthetic retinal fundus photographs, as {layout}

{standing}

**Every image here is synthetic. None shows a patient. Not for diagnosis.** Each image file says so
in its XMP metadata; `retinaforge identify FILE` reads it. {annotations}
`seed` is a whole number of 64 bits, more than a float holds: JSON files give it as text, and tables
are best read with `seed` as text.

Model {model}, {hashed} `{weights}`, plan fingerprint `{fingerprint}`, licence {license}.
"""


NOT_WHOLE = """
**Not whole: {missing:,} of {planned:,} planned rows were missing when this was written**, and the
run that makes them is under way or was stopped. The same command finishes it and writes this card
anew.
"""
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


def write_card(
    folder: Folder, attempt: int, plan: AnyPlan, planned: int, committed: int, dead: int
) -> None:
    """Write README.md and croissant.json, each in one step and the card last, sealed where no row
    is missing. Raises StaleAttempt if a newer run has the folder.
    """
    parts = shares(folder)
    mix = mix_of(folder, plan, parts)
    missing = planned - committed - dead
    figures: dict[str, str | int] = {
        "size_category": _size_category(committed),
        "committed": committed,
        "planned": planned,
        "dead": dead,
        "standing": NOT_WHOLE.format(missing=missing, planned=planned) if missing else "",
        "mix": mix_table(mix, asked=not isinstance(plan, CaptionPlan)),
    }
    if isinstance(plan, CaptionPlan):
        failed = failures(folder)
        figures["failures"] = _failures(failed) if failed else "None."
        text = captioned.card_text(plan, figures)
    else:
        text = _drawn(folder, plan, figures)
    finished = max((share.commit.finished for share in parts), default=0.0)
    described = describe(plan, committed, finished, common_columns(folder, parts))
    record = json.dumps(described, indent=1) + "\n"
    if not missing:
        text += "\n" + LINE.format(digest=digest(folder, record.encode(), plan.license))
    put(folder, attempt, folder.croissant, record)
    put(folder, attempt, folder.card, text)


def _drawn(folder: Folder, plan: Plan, figures: dict[str, str | int]) -> str:
    settings = plan.settings
    return (FRONT + CARD).format(
        **_front(plan),
        license=plain(plan.license),
        model=plain(plan.model),
        pixels=plan.recipe.size,
        image_format=plain(plan.image_format),
        evidence=_evidence(plan),
        gates=_gates(plan, rejects(folder), failures(folder)),
        weights=plain(plan.weights_sha256),
        solver=plain(settings.solver),
        steps=settings.steps,
        guidance=settings.guidance,
        seed=plan.recipe.seed,
        fingerprint=plan.fingerprint,
        versions=plain(", ".join(f"{name} {each}" for name, each in plan.versions.items())),
        **figures,
    )


def export_card(plan: AnyPlan, rows: int, layout: str, gaps: Gaps) -> str:
    """README.md of an exported folder; `gaps` is what the data set folder lacks."""
    standing = f"{rows:,} of {gaps.planned:,} planned rows."
    if gaps.words:
        standing = f"**{standing} Of the folder that was exported, {gaps.words}.**"
    if isinstance(plan, CaptionPlan):
        return captioned.export_text(plan, rows, layout, standing)
    return (FRONT + EXPORT).format(
        **_front(plan),
        license=plain(plan.license),
        model=plain(plan.model),
        standing=standing,
        rows=rows,
        layout=layout,
        weights=plain(plan.weights_sha256),
        fingerprint=plan.fingerprint,
    )


def _front(plan: Plan) -> dict[str, str]:
    """What both cards say alike."""
    name = f"Synthetic fundus photographs ({plan.model})"
    computed, phantom = plan.source_type == COMPUTED, plan.model_location == PHANTOM
    taught = COMPUTED_BY if computed else LEARNED
    return {
        "pretty_name": quoted(name),
        "quoted_license": quoted(plan.license),
        "source_type": plan.source_type,
        "hashed": "version" if computed else "weights",
        "annotations": DRAWN if phantom else ASKED,
        "taught": PHANTOM_BY if phantom else taught,
    }


def mix_table(mix: Sequence[Mix], asked: bool = True) -> str:
    """The label mix as a Markdown table, with or without what was asked for."""
    lines = []
    for each in mix:
        share = "unknown" if each.asked is None else f"{each.asked:.1%}"
        wanted = (share,) if asked else ()
        found = (f"{each.found:.1%}", f"{each.rows:,}")
        lines.append((f"`{each.label}`", each.words, *wanted, *found))
    return table(("label", "value", *(("asked",) if asked else ()), "found", "rows"), lines)


def _evidence(plan: Plan) -> str:
    lines = evidence(plan)
    if not lines:
        return without_evidence(plan)
    head = (
        *("label", "photographs with it", "photographs without it", "phantoms"),
        *("steering AUC (95 % interval)", "read on"),
    )
    rows = [
        (
            f"`{line.label}`" + (f" ({UNPROVEN})" if line.unproven else ""),
            _number(line.real),
            _number(line.real_without),
            _number(line.phantom),
            line.steering,
            line.read_on or "unknown",
        )
        for line in lines
    ]
    return f"{about_evidence(plan)}\n\n{table(head, rows)}"


def _number(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _gates(plan: Plan, refused: Counter[str], failed: Counter[str]) -> str:
    words = [f"Gates that judged every image: {plain(', '.join(plan.gates)) or 'none'}."]
    if warning := warning_of(plan):
        words.append(f"**{warning}**")
    if refused:
        words.append(
            "Images that they refused were never stored: the row was drawn anew from another seed, "
            "and became a dead letter where its last try was refused too. An image counts once for "
            "every reason against it."
        )
        words.append(table(("reason", "refusals"), _counted(refused)))
    if failed:
        words += ["Dead letters:", _failures(failed)]
    return "\n\n".join(words)


def _failures(failed: Counter[str]) -> str:
    return table(("stage and reason", "rows"), _counted(failed))


def _counted(counts: Counter[str]) -> list[tuple[str, str]]:
    shown = counts.most_common(MOST_REASONS)
    rest = counts.total() - sum(number for _, number in shown)
    lines = [(reason, f"{number:,}") for reason, number in shown]
    return [*lines, ("all other reasons", f"{rest:,}")] if rest else lines


def _size_category(rows: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if rows < limit:
            return name
    return "100K<n<1M" if rows < 1_000_000 else "n>1M"
