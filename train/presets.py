"""The presets by name: what `retinaforge train` can train."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from engine.schema import UserError
from train.settings import Settings

if TYPE_CHECKING:
    from train.recipe import Recipe


@dataclass(frozen=True)
class Preset:
    """A named run: its settings, and the module whose `plan(settings, data)` makes its recipe and
    whose `build(settings, data)` prepares it too.

    The module is imported when a recipe is made: naming presets must not wait for torch.
    """

    settings: Settings
    recipe: str

    def plan(self, settings: Settings, data: list[str]) -> Recipe:
        """The recipe of these settings on `data`, before any photograph is read."""
        return import_module(self.recipe).plan(settings, data)

    def build(self, settings: Settings, data: list[str]) -> Recipe:
        """The recipe of these settings on `data`."""
        return import_module(self.recipe).build(settings, data)


_DENOISER = {
    "base": "tiny",
    "segmenter": "segmenter",
    "refiner": "",
    "checkpointing": False,
    "lora": 0,
}
_LARGE = Settings(
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
)
"""Of denoisers for GPUs; none of them was trained to its end yet."""

_REFINER = Settings(
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
)

PRESETS: dict[str, Preset] = {
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
    "diffusion-base": Preset(_LARGE, "train.diffusion"),
    "diffusion-large": Preset(
        replace(
            _LARGE,
            name="diffusion-large",
            steps=200000,
            lr=1e-4,
            warmup=5000,
            zero=2,
            model={**_LARGE.model, "preset": "large"},
        ),
        "train.diffusion",
    ),
    # Rate, decay and norm are those with which RetinaLogos went on from Lumina-Next.
    "diffusion-retinalogos-2b": Preset(
        replace(
            _LARGE,
            name="diffusion-retinalogos-2b",
            batch=64,
            micro=8,
            lr=1e-6,
            weight_decay=1e-5,
            clip=0.5,
            zero=3,
            model={**_LARGE.model, "preset": "retinalogos-2b", "base": ""},
        ),
        "train.diffusion",
    ),
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
    "photo-gan-tiny": Preset(
        Settings(
            name="photo-gan-tiny",
            steps=8000,
            batch=2,
            lr=3e-4,
            betas=(0.5, 0.99),
            ema=0.995,
            sheet_every=500,
            model={"widths": (32, 48, 80, 80), "fine": 16, "critic": 24, "segmenter": "segmenter"},
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
            model={"widths": (8, 8), "fine": 4, "critic": 8, "segmenter": ""},
            data={"size": 64},
        ),
        "train.gan",
    ),
    "refiner-tiny": Preset(_REFINER, "train.refiner"),
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
    "refiner-adapt": Preset(
        replace(
            _REFINER,
            name="refiner-adapt",
            steps=400,
            lr=3e-4,
            ema=0.98,
            checkpoint_every=50,
            data={**_REFINER.data, "source": "clinic"},
        ),
        "train.refiner",
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
