"""What a row is in the parts of a folder: its columns, and how they lie there."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from engine.schema import row_schema

DRAWN = ("seed", "model", "weights_sha256", "solver", "steps", "guidance")
"""Columns of how a picture was drawn, which a photograph that was not drawn leaves empty."""


@dataclass(frozen=True)
class RowForm:
    """The columns of a row; `held` are those that are held against the plan, or tell what to hold
    against it; `group` rows are read together.
    """

    schema: pa.Schema
    held: tuple[str, ...]
    group: int


PICTURES = RowForm(
    row_schema(),
    ("id", "index", "attempts", "width", "height", "caption_source", "fingerprint", *DRAWN),
    group=128,
)
LATENTS = RowForm(
    pa.schema(
        [
            ("id", pa.string()),
            ("index", pa.int64()),
            ("attempts", pa.int16()),
            ("key", pa.string()),
            ("image_sha256", pa.string()),
            ("latents", pa.binary()),
            ("shape", pa.list_(pa.int32())),
            ("geometry", pa.binary()),
            ("geometry_shape", pa.list_(pa.int32())),
            ("mirrored", pa.list_(pa.bool_())),
            ("fingerprint", pa.string()),
        ]
    ),
    ("id", "index", "attempts", "fingerprint"),
    # A step of training reads rows from anywhere, and a row may be megabytes.
    group=1,
)
"""A photograph's latents (V, C, h, w) and geometry latents (V, G, h, w), or none, as the bytes of
float16; `mirrored` tells of each of its V augmented copies whether the eye is."""
