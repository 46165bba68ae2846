"""The presets of networks that look at photographs: gate, segmenter, captioner, towers and
classifiers. `train.presets` has them among all."""

from __future__ import annotations

from train.preset import Preset
from train.settings import Settings

_CLASSIFIER = Preset(
    Settings(
        name="classifier-tiny",
        steps=400,
        batch=16,
        lr=2e-3,
        warmup=40,
        weight_decay=0.05,
        # Averaged weights do not fit the moments of batches that the last ones met.
        ema=0.0,
        model={"network": "narrow"},
        data={"size": 192, "tasks": ("abnormal",)},
    ),
    "train.classifier",
)
"""Whether an eye is abnormal: six minutes on one core of a busy CPU (18 images/s at 192 px)."""

READERS: dict[str, Preset] = {
    "gate-tiny": Preset(
        Settings(
            name="gate-tiny",
            steps=450,
            batch=40,
            lr=2e-3,
            warmup=40,
            weight_decay=0.05,
            ema=0.99,
            checkpoint_every=100,
            model={"preset": "tiny", "segmenter": "segmenter"},
            data={"phantoms": 240},
        ),
        "train.gate",
    ),
    "gate-debug": Preset(
        Settings(
            name="gate-debug",
            steps=10,
            batch=4,
            lr=1e-3,
            checkpoint_every=5,
            model={"preset": "debug", "segmenter": ""},
            data={"phantoms": 4},
        ),
        "train.gate",
    ),
    "segmenter-tiny": Preset(
        Settings(
            name="segmenter-tiny",
            steps=4000,
            batch=4,
            lr=1e-3,
            warmup=50,
            ema=0.995,
            sheet_every=500,
            model={"features": (16, 16, 32, 64, 96, 16)},
            data={"size": 256, "phantoms": 0.5},
        ),
        "train.segmenter",
    ),
    "segmenter-debug": Preset(
        Settings(
            name="segmenter-debug",
            steps=10,
            batch=4,
            lr=1e-3,
            checkpoint_every=5,
            model={"features": (8, 8, 8, 8, 8, 8)},
            data={"size": 64, "phantoms": 0.5},
        ),
        "train.segmenter",
    ),
    "captioner-tiny": Preset(
        Settings(
            name="captioner-tiny",
            steps=800,
            batch=64,
            lr=2e-3,
            warmup=60,
            weight_decay=0.1,
            ema=0.99,
            checkpoint_every=200,
            model={"preset": "tiny", "segmenter": "segmenter"},
            data={"enough": 100, "pictures": 520},
        ),
        "train.captioner",
    ),
    "captioner-debug": Preset(
        Settings(
            name="captioner-debug",
            steps=10,
            batch=4,
            lr=1e-3,
            checkpoint_every=5,
            model={"preset": "debug", "segmenter": "segmenter"},
            data={"enough": 2, "pictures": 3},
        ),
        "train.captioner",
    ),
    "visionclip-tiny": Preset(
        Settings(
            name="visionclip-tiny",
            steps=800,
            batch=32,
            lr=1e-3,
            warmup=60,
            weight_decay=0.05,
            ema=0.99,
            checkpoint_every=200,
            model={"preset": "tiny", "image": "", "text": ""},
            data={"size": 128},
        ),
        "train.visionclip",
    ),
    "visionclip-debug": Preset(
        Settings(
            name="visionclip-debug",
            steps=10,
            batch=4,
            lr=1e-3,
            checkpoint_every=5,
            model={"preset": "debug", "image": "", "text": ""},
            data={"size": 32},
        ),
        "train.visionclip",
    ),
    "visionclip-base": Preset(
        Settings(
            name="visionclip-base",
            steps=30000,
            batch=128,
            lr=1e-4,
            warmup=2000,
            weight_decay=1e-5,
            ema=0.999,
            model={"preset": "base", "image": "", "text": ""},
            data={"size": 512},
        ),
        "train.visionclip",
    ),
    "classifier-tiny": _CLASSIFIER,
    "classifier-debug": _CLASSIFIER.like(
        name="classifier-debug",
        steps=10,
        batch=4,
        warmup=0,
        checkpoint_every=5,
        data={"size": 32, "tasks": ("abnormal",)},
    ),
    # Inspired by Image+Fundus, which tells neither rate nor batch nor epochs.
    "classifier-resnet50": _CLASSIFIER.like(
        name="classifier-resnet50",
        steps=20000,
        batch=64,
        lr=3e-4,
        warmup=1000,
        model={"network": "resnet50"},
        data={"size": 512, "tasks": ("abnormal",)},
    ),
}
