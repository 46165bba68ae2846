"""How well words fit a picture, by a CLIP of somebody's: both as points of one sphere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from engine.data.transforms import crop_to_field

_PREPARED = "preprocessor_config.json"


class Scorer:
    """A `CLIPModel` in a folder, on the CPU. A caption that is longer than it reads is cut."""

    def __init__(self, folder: Path) -> None:
        model = CLIPModel.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        self._model = model.float().eval()
        self._tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        self._side = int(model.config.vision_config.image_size)
        if (folder / _PREPARED).is_file():
            self._prepare = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
        else:
            side = {"height": self._side, "width": self._side}
            self._prepare = CLIPImageProcessorPil(size=side, crop_size=side)

    @torch.inference_mode()
    def words(self, captions: Sequence[str]) -> torch.Tensor:
        """Captions as points (N, D) of length 1."""
        most = self._model.config.text_config.max_position_embeddings
        asked = self._tokenizer(
            list(captions), truncation=True, max_length=most, padding=True, return_tensors="pt"
        )
        return normalize(self._model.get_text_features(**asked).pooler_output, dim=-1)

    @torch.inference_mode()
    def picture(self, image: Image.Image) -> torch.Tensor:
        """The field of an RGB photograph as a point (D,) of length 1."""
        square = crop_to_field(image, self._side)
        pixels = self._prepare(images=square, return_tensors="pt")["pixel_values"]
        return normalize(self._model.get_image_features(pixel_values=pixels).pooler_output)[0]
