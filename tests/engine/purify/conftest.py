"""A table with one row of each kind, and a scorer that knows nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins import clip
from transformers import CLIPConfig, CLIPModel

from engine.labels import as_csv
from engine.phantom.render import draw
from engine.schema import Annotation

GOOD = "A photograph of a retina with an even background. No diabetic retinopathy."
WRONG = "A photograph of a retina with an even background. There is severe NPDR."


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("eyes")
    rows = []

    def add(name: str, picture: np.ndarray | bytes, split: str, caption: str) -> None:
        if isinstance(picture, bytes):
            (folder / name).write_bytes(picture)
        else:
            Image.fromarray(picture).save(folder / name)
        row = {"file": name, "split": split, "patient_id": name, "caption": caption}
        rows.append({**row, "dr_grade": "0", "source": "clinic"})

    eyes = [draw(Annotation(dr_grade=0), seed, 256).image for seed in range(5)]
    y, x = np.mgrid[:200, :260]
    stripes = np.stack([x * 13 % 256, y * 7 % 256, (x + y) % 256], -1).astype(np.uint8)
    add("good.png", eyes[0], "train", GOOD)
    add("wrong.png", eyes[1], "train", WRONG)
    add("plain.png", eyes[2], "train", "")
    add("dark.png", eyes[3] // 14, "train", GOOD)
    add("stripes.png", stripes, "train", GOOD)
    add("broken.png", b"no picture", "train", GOOD)
    add("held.png", eyes[4], "test", WRONG)
    (folder / "labels.csv").write_bytes(as_csv(rows))
    return folder / "labels.csv"


@pytest.fixture(scope="session")
def scorer(tmp_path_factory) -> Path:
    """A folder of a CLIP with random weights."""
    folder, text = tmp_path_factory.mktemp("clip"), clip()
    small = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2}
    small |= {"num_hidden_layers": 1}
    torch.manual_seed(0)
    vision = {**small, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(
        text_config=text.model.config.to_dict(), vision_config=vision, projection_dim=16
    )
    CLIPModel(config).save_pretrained(folder)
    text.tokenizer.save_pretrained(folder)
    return folder
