"""Presets of the generator of structures.

`geometry-tiny` as it is shipped learned for 700 steps: 12 minutes of a busy core, after nine in
which photographs were outlined. `geometry-debug` takes seconds; it sees eyes as large as they are
when they are made, as fine vessels are lost in smaller ones.
"""

from __future__ import annotations

from dataclasses import replace

from train.preset import Preset
from train.settings import Settings

_TINY = Settings(
    name="geometry-tiny",
    steps=700,
    batch=16,
    lr=5e-4,
    warmup=50,
    betas=(0.0, 0.99),
    clip=0.0,
    ema=0.99,
    sheet_every=200,
    checkpoint_every=250,
    model={
        "widths": (32, 64),
        "reach": 0.2,
        "change": 0.5,
        "critic": (32, 64, 96, 192),
        "slope": 4.0,
        "bounded": False,
        "moves": True,
        "segmenter": "segmenter",
    },
    data={"size": 256, "phantoms": 400},
)
_DEBUG = replace(
    _TINY,
    name="geometry-debug",
    steps=10,
    batch=4,
    ema=0.9,
    checkpoint_every=5,
    sheet_every=0,
    model={**_TINY.model, "widths": (8, 8), "critic": (8, 8), "bounded": True, "segmenter": ""},
    data={"size": 256, "phantoms": 4},
)

GEOMETRY_MAKERS = {each.name: Preset(each, "train.geometry_generator") for each in (_TINY, _DEBUG)}
