"""Presets of few-step students. `student-debug` takes seconds."""

from __future__ import annotations

from dataclasses import replace

from train.preset import Preset
from train.settings import Settings

_CACHE = "~/.cache/retinaforge/couples"
_TINY = Settings(
    name="student-tiny",
    steps=1500,
    batch=8,
    lr=1.5e-3,
    warmup=10,
    ema=0.98,
    sheet_every=500,
    checkpoint_every=100,
    model={"base": "tiny", "layers": (0, 2, 3, 5, 6, 7), "rank": 32},
    data={"sizes": (512, 512, 256), "couples": 1512, "steps": 15, "cache": _CACHE},
)
_DEBUG = replace(
    _TINY,
    name="student-debug",
    steps=10,
    batch=4,
    ema=0.9,
    checkpoint_every=5,
    sheet_every=0,
    model={"base": "debug", "layers": (0,), "rank": 4},
    data={"sizes": (64, 32), "couples": 32, "steps": 4, "cache": _CACHE},
)

STUDENTS = {each.name: Preset(each, "train.student") for each in (_TINY, _DEBUG)}
