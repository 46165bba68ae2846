"""The presets by name: what `retinaforge train` can train."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from engine.schema import UserError
from train.preset import Preset
from train.preset_geometry import GEOMETRY_MAKERS
from train.preset_readers import READERS
from train.preset_students import STUDENTS
from train.settings import Settings

_DENOISER = {
    "base": "tiny",
    "segmenter": "segmenter",
    "refiner": "",
    "checkpointing": False,
    "lora": 0,
}
_LESSON = {"pixels": 20.0, "slope": 0.0, "bounded": False, "moves": False}
"""Of the painter."""
_LARGE = Preset(
    Settings(
        name="diffusion-base",
        steps=100000,
        batch=256,
        micro=16,
        lr=2e-4,
        warmup=2000,
        weight_decay=0.01,
        ema=0.9999,
        sheet_every=5000,
        checkpoint_every=1000,
        model={**_DENOISER, "preset": "base", "checkpointing": True},
        data={"size": 512, "variants": 4, "phantoms": 0.3, "cache": "~/.cache/retinaforge/latents"},
    ),
    "train.diffusion",
)
"""Of denoisers for GPUs; none of them was trained to its end yet."""

_REFINER = Preset(
    Settings(
        name="refiner-tiny",
        steps=4000,
        batch=4,
        lr=5e-4,
        warmup=50,
        betas=(0.5, 0.99),
        ema=0.995,
        sheet_every=1000,
        checkpoint_every=250,
        model={
            "widths": (32, 48, 64, 64),
            "fine": 16,
            "critic": 24,
            "reach": 0.4,
            "segmenter": "segmenter-512",
        },
        data={"size": 512, "doubled": 0.4, "crop": 256, "kept": 256, "marked": 0.3},
    ),
    "train.refiner",
)

_DECODER = Settings(
    name="decoder-tiny",
    steps=1500,
    batch=4,
    lr=1e-3,
    warmup=50,
    ema=0.995,
    sheet_every=500,
    checkpoint_every=250,
    model={"base": "tiny", "widths": (80, 64), "inner": (80, 64, 32), "blocks": (1, 2, 2)},
    data={"size": 512, "crop": 256, "halved": 0.4, "pictures": 160, "token_noise": 0.1},
)

PRESETS: dict[str, Preset] = {
    **GEOMETRY_MAKERS,
    **READERS,
    **STUDENTS,
    "text-tiny": Preset(
        Settings(
            name="text-tiny",
            steps=6000,
            batch=64,
            lr=5e-4,
            warmup=200,
            model={"preset": "tiny"},
            data={"vocabulary": 2000, "corpus": 20000},
        ),
        "train.text",
    ),
    "text-debug": Preset(
        Settings(
            name="text-debug",
            steps=10,
            batch=8,
            lr=1e-3,
            checkpoint_every=5,
            model={"preset": "debug"},
            data={"vocabulary": 600, "corpus": 200},
        ),
        "train.text",
    ),
    "autoencoder-tiny": Preset(
        Settings(
            name="autoencoder-tiny",
            steps=20000,
            batch=8,
            lr=3e-4,
            warmup=200,
            sheet_every=1000,
            model={"preset": "tiny"},
            data={"size": 256, "crop": 128, "token_noise": 0.1},
        ),
        "train.autoencoder",
    ),
    "autoencoder-debug": Preset(
        Settings(
            name="autoencoder-debug",
            steps=10,
            batch=4,
            lr=1e-4,
            checkpoint_every=5,
            model={"preset": "debug"},
            data={"size": 64, "crop": 32, "token_noise": 0.1},
        ),
        "train.autoencoder",
    ),
    "decoder-tiny": Preset(_DECODER, "train.decoder"),
    "decoder-debug": Preset(
        replace(
            _DECODER,
            name="decoder-debug",
            steps=10,
            ema=0.9,
            checkpoint_every=5,
            sheet_every=0,
            model={"base": "", "widths": (8, 8), "inner": (8, 8, 8), "blocks": (1, 1, 1)},
            data={"size": 96, "crop": 48, "halved": 0.5, "pictures": 4, "token_noise": 0.1},
        ),
        "train.decoder",
    ),
    "diffusion-tiny": Preset(
        Settings(
            name="diffusion-tiny",
            steps=40000,
            batch=32,
            lr=5e-4,
            warmup=500,
            ema=0.9995,
            sheet_every=2000,
            model={**_DENOISER, "preset": "tiny"},
            data={
                "size": 256,
                "variants": 8,
                "phantoms": 0.3,
                "cache": "~/.cache/retinaforge/latents",
            },
        ),
        "train.diffusion",
    ),
    "diffusion-debug": Preset(
        Settings(
            name="diffusion-debug",
            steps=10,
            batch=4,
            lr=1e-3,
            checkpoint_every=5,
            model={**_DENOISER, "preset": "debug", "base": "", "segmenter": ""},
            data={
                "size": 64,
                "variants": 2,
                "phantoms": 0.3,
                "cache": "~/.cache/retinaforge/latents",
            },
        ),
        "train.diffusion",
    ),
    "diffusion-base": _LARGE,
    "diffusion-large": _LARGE.like(
        name="diffusion-large",
        steps=200000,
        lr=1e-4,
        warmup=5000,
        zero=2,
        model={**_LARGE.settings.model, "preset": "large"},
    ),
    # Rate, decay and norm are those with which RetinaLogos went on from Lumina-Next.
    "diffusion-retinalogos-2b": _LARGE.like(
        name="diffusion-retinalogos-2b",
        batch=64,
        micro=8,
        lr=1e-6,
        weight_decay=1e-5,
        clip=0.5,
        zero=3,
        model={**_LARGE.settings.model, "preset": "retinalogos-2b", "base": ""},
    ),
    "photo-gan-tiny": Preset(
        Settings(
            name="photo-gan-tiny",
            steps=8000,
            batch=2,
            lr=3e-4,
            betas=(0.5, 0.99),
            ema=0.995,
            sheet_every=500,
            model={
                **_LESSON,
                "widths": (32, 48, 80, 80),
                "fine": 16,
                "critic": 24,
                "segmenter": "segmenter",
            },
            data={"size": 256},
        ),
        "train.gan",
    ),
    "photo-gan-debug": Preset(
        Settings(
            name="photo-gan-debug",
            steps=10,
            batch=2,
            lr=3e-4,
            betas=(0.5, 0.99),
            checkpoint_every=5,
            model={**_LESSON, "widths": (8, 8), "fine": 4, "critic": 8, "segmenter": ""},
            data={"size": 64},
        ),
        "train.gan",
    ),
    "refiner-tiny": _REFINER,
    "refiner-debug": Preset(
        Settings(
            name="refiner-debug",
            steps=10,
            batch=2,
            lr=5e-4,
            betas=(0.5, 0.99),
            checkpoint_every=5,
            model={"widths": (8, 8), "fine": 4, "critic": 8, "reach": 0.4, "segmenter": ""},
            data={"size": 64, "doubled": 0.4, "crop": 32, "kept": 8, "marked": 0.3},
        ),
        "train.refiner",
    ),
    "refiner-adapt": _REFINER.like(
        name="refiner-adapt",
        steps=400,
        lr=3e-4,
        ema=0.98,
        checkpoint_every=50,
        data={**_REFINER.settings.data, "source": "clinic"},
    ),
}
"""Every preset by name."""


def find(name: str) -> Preset:
    """The preset called `name`; UserError naming all of them if there is none."""
    if name not in PRESETS:
        close = get_close_matches(name, PRESETS, n=1)
        meant = f", did you mean {close[0]!r}?" if close else ""
        raise UserError(
            f"no preset {name!r}{meant}", expected="one of " + ", ".join(sorted(PRESETS))
        )
    return PRESETS[name]
