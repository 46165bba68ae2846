"""A whole pipeline of one or two layers with untrained weights, and model folders
of such, as the tests of models share them."""

from __future__ import annotations

import random
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.transforms import to_tensor
from engine.diffusion.pipeline import RetinaForgePipeline
from engine.models import principal_components, text_encoder, transformer
from engine.models.card import read_card, write_card
from engine.models.conditioning import LabelEncoder
from engine.models.gan import GeometryGan
from engine.models.geometry import GeometryEncoder
from engine.models.refiner import Refiner
from engine.models.student import write_student


def photograph(seed: int, size: int = 256) -> Image.Image:
    """A disc of colour on black with some blobs: enough of a fundus for shapes and seeds."""
    generator = torch.Generator().manual_seed(seed)
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    image = torch.zeros(3, size, size)
    image[0], image[1], image[2] = 0.6, 0.3, 0.1
    for _ in range(12):
        cx, cy, r = (torch.rand(3, generator=generator) - 0.5).tolist()
        blob = torch.exp(-((x - 1.6 * cx) ** 2 + (y - 1.6 * cy) ** 2) / (0.01 + r * r))
        image += 0.2 * blob * (torch.rand(3, 1, 1, generator=generator) - 0.5)
    image *= (x**2 + y**2 < 0.95).float()
    return Image.fromarray((image.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy())


@pytest.fixture(scope="session")
def photographs() -> list[Image.Image]:
    return [photograph(seed) for seed in range(12)]


@pytest.fixture(scope="session")
def tokenizer():
    text = pytest.importorskip("train.text")
    rng = random.Random(0)
    corpus = [text.caption(text.random_annotation(rng), rng) for _ in range(100)]
    return text.learn_tokens(corpus, 400)


@pytest.fixture(scope="session")
def pipeline(photographs, tokenizer) -> RetinaForgePipeline:
    torch.manual_seed(0)
    vae = principal_components.build("debug")
    principal_components.start_from_components(
        vae, torch.stack([to_tensor(p) for p in photographs])
    )
    denoiser = transformer.build("debug")
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    text = text_encoder.build("debug", len(tokenizer)).eval()
    labels = LabelEncoder(width=64)
    for table in labels.tables:
        torch.nn.init.normal_(table.weight)
    geometry = GeometryEncoder(denoiser.config.in_channels, 2, denoiser.config.hidden_size)
    for parameter in geometry.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return RetinaForgePipeline(denoiser, vae, text, tokenizer, labels, geometry)


@pytest.fixture(scope="session")
def debug_folder(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "debug"
    pipeline.save_pretrained(folder)
    write_card(folder, {"name": "debug", "size": 64})
    return folder


@pytest.fixture
def folder(debug_folder, tmp_path):
    return shutil.copytree(debug_folder, tmp_path / "debug")


@pytest.fixture
def student_folder(folder, tmp_path):
    """A student of the second of the teacher's two layers, on phantoms from time 0.5."""
    told = {"teacher": "debug", "teacher_sha256": read_card(folder)["weights_sha256"]}
    told |= {"layers": [1], "evaluations": [1, 2, 4], "t0": 0.5}
    torch.manual_seed(1)
    student, adapters = tmp_path / "student", {}
    student.mkdir()
    for matrix in ("layers.0.attn1.to_q", "layers.0.attn2.to_out.0"):
        adapters |= {f"{matrix}.down": torch.randn(4, 64), f"{matrix}.up": torch.randn(64, 4)}
    write_student(student, told, adapters)
    write_card(student, {"name": "student", "size": 64})
    return student


@pytest.fixture
def gan_folder(tmp_path):
    torch.manual_seed(0)
    colours = ((-0.2, -0.6, -0.8, *np.eye(3).ravel() * 0.1),)
    gan = GeometryGan((8, 8, 8), 4, 64, ("hrf",), colours)
    gan.half().save_pretrained(tmp_path / "gan")
    write_card(tmp_path / "gan", {"name": "gan"})
    return tmp_path / "gan"


@pytest.fixture
def refiner_folder(tmp_path):
    torch.manual_seed(0)
    refiner = Refiner((8, 8, 8), 4, 64, 0.4, ("hrf",))
    torch.nn.init.normal_(refiner.last.weight)
    refiner.half().save_pretrained(tmp_path / "refiner")
    write_card(tmp_path / "refiner", {"name": "refiner"})
    return tmp_path / "refiner"
