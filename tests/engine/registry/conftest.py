"""Model folders of one or two layers with untrained weights."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from engine.models.card import write_card
from engine.models.gan import GeometryGan


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
def gan_folder(tmp_path):
    torch.manual_seed(0)
    colours = ((-0.2, -0.6, -0.8, *np.eye(3).ravel() * 0.1),)
    gan = GeometryGan((8, 8, 8), 4, 64, ("hrf",), colours)
    gan.half().save_pretrained(tmp_path / "gan")
    write_card(tmp_path / "gan", {"name": "gan"})
    return tmp_path / "gan"
