"""The segmenter: vessels, disc, cup, fovea and lesions of a photograph, by a small U-Net of MONAI.

It gives photographs the geometry that phantoms are born with, and reads drawn images back.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from PIL import Image
from scipy import ndimage

from engine.data.transforms import to_tensor

SEGMENTS: tuple[str, ...] = (
    "vessel",
    "artery",
    "vein",
    "disc",
    "cup",
    "fovea",
    "dark_lesion",
    "bright_lesion",
)
FIELD_LIGHT = 0.06
"""Share of full light below which a pixel is outside the field."""
_SPECK = 60
"""Pixels at 512 below which a vessel that was found is none."""


class Segmenter(ModelMixin, ConfigMixin):
    """Photographs (B, 3, S, S) in [-1, 1] to logits (B, 8, S, S) in the order of `SEGMENTS`.

    (Ronneberger et al. 2015, arXiv 1505.04597.) S is a multiple of 16.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, features: tuple[int, ...] = (16, 16, 32, 64, 96, 16)) -> None:
        super().__init__()
        # MONAI takes seconds to import; only those who segment wait for it.
        from monai.networks.nets.basic_unet import BasicUNet

        self.unet = BasicUNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=len(SEGMENTS),
            features=tuple(features),
            act=("LeakyReLU", {"negative_slope": 0.1, "inplace": True}),
            norm=("instance", {"affine": True}),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.unet(images)

    @torch.inference_mode()
    def masks(
        self, image: np.ndarray, known: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Masks (S, S) bool of a photograph (S, S, 3) uint8 by the names of `GEOMETRY`, and
        "vessel"; every vessel is either artery or vein.

        Masks that are `known`, by the same names, stand in for what the network found.
        """
        logits = self(to_tensor(Image.fromarray(image))[None].to(self.device))[0].cpu().numpy()
        field = image.max(-1) > FIELD_LIGHT * 255
        found = {name: (mask > 0) & field for name, mask in zip(SEGMENTS, logits)}
        found.update(known or {})
        is_artery = logits[SEGMENTS.index("artery")] > logits[SEGMENTS.index("vein")]
        if not known or "artery" not in known:
            found["artery"] = found["vessel"] & is_artery
            found["vein"] = found["vessel"] & ~is_artery
        return {"field": field, **found}


def without_specks(vessels: np.ndarray) -> np.ndarray:
    """Vessels (S, S) bool without the pieces that are too small to be one."""
    numbered, _ = ndimage.label(vessels, np.ones((3, 3)))
    areas = np.bincount(numbered.ravel())
    areas[0] = 0
    return (areas >= _SPECK * (len(vessels) / 512) ** 2)[numbered]
