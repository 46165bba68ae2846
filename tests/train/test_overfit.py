"""A denoiser that learns eight photographs by heart draws each from noise by its own caption."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from discs import settings

from engine.data.outlines import read_square
from engine.diffusion.loss import logit_normal_times
from engine.diffusion.pipeline import SampleSettings
from engine.prose.template import caption
from train import diffusion
from train.loop import ema_decay, learning_rate
from train.stepper import OneProcess

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SIZE, STEPS, TIMES = 64, 600, 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not DATA.exists(), reason="no photographs in ../shared/data"),
]


def table(folder):
    """Eight photographs of several cameras, told apart by their labels."""
    with (DATA / "labels.csv").open() as file:
        files = [row["file"] for row in csv.DictReader(file) if row["split"] == "train"]
    with (folder / "labels.csv").open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(["file", "split", "source", "patient_id", "dr_grade", "is_dme"])
        for i, name in enumerate(files[:: len(files) // 8][:8]):
            write([DATA / name, "train", "clinic", f"eye{i}", i % 4, i // 4])
    return folder / "labels.csv"


def as_taught(encoded):
    """The photograph as its latents lie: mirrored or not."""
    square, _ = read_square(encoded.example, SIZE)
    return square[:, ::-1] if encoded.variant(0).mirrored else square


def decibels(one, other):
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return 10 * np.log10(255**2 / error)


def test_eight_photographs_come_back_from_noise_by_their_captions(tmp_path):
    how = {"data__size": SIZE, "data__variants": 1, "batch": 8 * TIMES, "lr": 3e-3}
    chosen = settings("diffusion-debug", tmp_path, steps=STEPS, warmup=50, ema=0.99, **how)
    recipe = diffusion.build(chosen, [str(table(tmp_path))])
    annotations = [each.example.annotation for each in recipe._train]
    captions = [caption(annotation, random.Random(0)) for annotation in annotations]
    assert len(set(captions)) == 8
    latents, outlines = (
        torch.stack([getattr(each.variant(0), part) for each in recipe._train])
        for part in ("latent", "geometry")
    )
    told = recipe._conditioner.prepare(
        captions, annotations, geometry=outlines, given=torch.zeros(8, dtype=torch.bool)
    )
    told = {name: each.repeat(TIMES, *[1] * (each.ndim - 1)) for name, each in vars(told).items()}
    latents = latents.repeat(TIMES, 1, 1, 1)
    stepper = OneProcess(recipe.module, chosen, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        times = logit_normal_times(torch.randn(len(latents), generator=generator))
        noise = torch.randn(latents.shape, generator=generator)
        batch = {"latents": latents, "noise": noise, "times": times, **told}
        stepper.step(batch, learning_rate(chosen, step))
        stepper.average(ema_decay(chosen, step))
    stepper.show()
    # Text and labels alone, no guidance, seeds that no step has seen.
    drawing = SampleSettings(size=SIZE, guidance=1.0)
    drawn = recipe.pipeline().sample(captions, annotations, range(100, 108), drawing)
    photographs = [as_taught(each) for each in recipe._train]
    own = [decibels(one, photograph) for one, photograph in zip(drawn, photographs)]
    swapped = [decibels(one, photographs[i - 1]) for i, one in enumerate(drawn)]
    print("own photograph", np.round(own, 1), "another's", np.round(swapped, 1))
    assert min(own) > 22
    assert min(np.array(own) - swapped) > 0
