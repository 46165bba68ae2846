"""README.md of a data set folder: a data card with Hugging Face front matter, from the plan and the
counts.
"""

from __future__ import annotations

import os

from engine.store.commits import Folder, temporary, write_durably
from engine.store.plan import Plan

CARD = """---
pretty_name: Synthetic fundus photographs ({model})
tags:
- synthetic
- medical
- retina
- fundus
task_categories:
- image-classification
- text-to-image
size_categories:
- {size_category}
configs:
- config_name: default
  data_files: parts/*.parquet
---

# {committed:,} synthetic retinal fundus photographs

**Every image here was made by a generative model. None shows a patient.** Each file says so
itself: its XMP metadata carries the digital source type `trainedAlgorithmicMedia`, the model and
the seed.

| | |
|---|---|
| images | {committed:,} of {planned:,} planned |
| dead letters (rows that failed and were left out) | {dead:,} |
| model | {model} |
| weights (sha256) | `{weights}` |
| size | {pixels} px, {image_format} |
| solver, steps, guidance | {solver}, {steps}, {guidance:g} |
| plan fingerprint | `{fingerprint}` |

## What it is for

Developing and testing software, augmenting training sets, and studying what classifiers learn from
synthetic images.

## What it is not for

Not for diagnosis, not for estimating how common a disease is, not as the only test set of a medical
device. Annotations are what the model was *asked* to show; that an image shows it is not
guaranteed. An empty annotation means unknown, never healthy.

## Reading it

```python
from datasets import load_dataset

rows = load_dataset("parquet", data_files="parts/*.parquet", split="train")
```

`retinaforge verify` recounts the rows against the plan and hashes every part. A row is reproduced
by its `seed`, `prompt` and annotations under the settings in `plan.json`.
"""


def write_card(
    folder: Folder, attempt: int, plan: Plan, planned: int, committed: int, dead: int
) -> None:
    """Write README.md in one step; only the holder of the latest attempt may."""
    text = CARD.format(
        model=plan.model,
        size_category=_size_category(committed),
        committed=committed,
        planned=planned,
        dead=dead,
        weights=plan.weights_sha256,
        pixels=plan.recipe.size,
        image_format=plan.image_format,
        solver=plan.settings.solver,
        steps=plan.settings.steps,
        guidance=plan.settings.guidance,
        fingerprint=plan.fingerprint,
    )
    final = folder.card
    written = temporary(final, attempt)
    write_durably(written, text.encode())
    os.replace(written, final)


def _size_category(rows: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if rows < limit:
            return name
    return "100K<n<1M" if rows < 1_000_000 else "n>1M"
