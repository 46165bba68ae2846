"""The data card of a folder of captioned photographs: whose they are, who worded them, and how far
that can be trusted.
"""

from __future__ import annotations

from engine.publish.nature import nature_of
from engine.publish.summary import trust, without_evidence
from engine.publish.tables import plain, quoted, table
from engine.store.plan import CaptionPlan

FRONT = """---
pretty_name: {pretty_name}
license: {quoted_license}
language:
- en
tags:
- medical
- retina
- fundus
"""

CARD = """task_categories:
- image-to-text
size_categories:
- {size_category}
configs:
- config_name: default
  data_files: parts/*.parquet
---

# {committed:,} {title}
{standing}
**These photographs are their owner's and may show patients.** They are stored as they were decoded,
upright, in {image_format} without loss; what their cameras wrote beside the pixels (EXIF: names,
dates, places, devices) is not stored. An image that said it was synthetic still does.

Before you hand the folder on, look at what is the owner's own: file names (`image.path`,
`images-*.parquet`), `patient_id`, the folder of the photographs in `plan.json` and names of
machines in `attempts/`.

**The captions are a machine's ({captioner}), not a doctor's. Not for diagnosis.**{served}

| | |
|---|---|
| photographs | {committed:,} of {planned:,} listed |
| dead letters (photographs that could not be read or worded) | {dead:,} |

## {learned}

{trust}

## {mix_title}

{labels}

{mix}

## Failures

{failures}

## Provenance

{facts}

`images-*.parquet` lists the photographs by path, size and SHA-256. `retinaforge verify` recounts
the rows against that list and hashes every part.

## Licence

{license}: that of the photographs, as their owner stated it (`--license`); "other" where nothing
was stated.

## Reading it

```python
from datasets import load_dataset

rows = load_dataset("parquet", data_files="parts/*.parquet", split="train")
```
"""

SERVED = """ A server
says a model's name and version, not its weights: that all captions are of one model holds as far as
its operator gives a changed model another version."""

TRUST = (
    "What captions state, read against what was known of photographs and phantoms that taught "
    "nothing. What is not in the table is not said, or nobody could check it."
)

EXPORT = """---

# {rows:,} {title}, as {layout}

{standing}

**{lead}** {labels}

Plan fingerprint `{fingerprint}`, licence {license}.
"""


def card_text(plan: CaptionPlan, figures: dict[str, str | int]) -> str:
    """README.md; `figures` are the counts and tables that every card shows."""
    nature = nature_of(plan)
    return (FRONT + CARD).format(
        **_front(plan),
        captioner=plain(plan.captioner),
        served="" if plan.weights_sha256 else SERVED,
        license=plain(plan.license),
        title=nature.title,
        image_format=plain(plan.image_format),
        learned=nature.learned,
        trust=_trust(plan),
        mix_title=nature.mix,
        labels=nature.labels,
        facts=table(("", ""), nature.facts),
        **figures,
    )


def export_text(plan: CaptionPlan, rows: int, layout: str, standing: str) -> str:
    """README.md of an exported folder."""
    nature = nature_of(plan)
    return (FRONT + EXPORT).format(
        **_front(plan),
        license=plain(plan.license),
        rows=rows,
        standing=standing,
        title=nature.title,
        layout=layout,
        lead=plain(nature.lead),
        labels=nature.labels,
        fingerprint=plan.fingerprint,
    )


def _front(plan: CaptionPlan) -> dict[str, str]:
    name = f"Captioned retinal photographs ({plan.captioner})"
    return {"pretty_name": quoted(name), "quoted_license": quoted(plan.license)}


def _trust(plan: CaptionPlan) -> str:
    lines = trust(plan)
    if not lines:
        return without_evidence(plan)
    head = ("statement", "read on", "eyes", "said of", "right (95 %)", "had it been said of all")
    rows = [
        (
            f"`{e.statement}`",
            e.on,
            f"{e.rows:,}",
            f"{e.said:,}",
            f"{e.right:.2f} ({e.low:.2f} to {e.high:.2f})",
            f"{e.prior:.2f}",
        )
        for e in lines
    ]
    return f"{TRUST}\n\n{table(head, rows)}"
