"""Where in a photograph a classifier finds its answer: heat maps by captum.

Grad-CAM (Selvaraju et al. 2017), integrated gradients (Sundararajan et al. 2017) and occlusion
(Zeiler & Fergus 2014). What stands for *nothing there* is the photograph blurred, so that neither
dark nor bright pixels count for being so (Sturmfels et al. 2020).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from engine.models.classifier import Classifier
from engine.models.segmenter import FIELD_LIGHT

_STEPS = 24
"""Of the path along which gradients are summed."""
_WINDOW = 16
"""Into how many parts of a side the occluding square divides it."""
_AT_ONCE = 32
_SMOOTH = 1 / 64
"""Spread, as a share of the side, by which maps are smoothed that tell single pixels apart."""
_BLUR = 1 / 16

Heat = np.ndarray
"""(S, S) float32, at least 0: how much speaks for the answer there."""


def heat_maps(network: Classifier, image: torch.Tensor, output: int) -> dict[str, Heat]:
    """By method the map of an image (3, S, S) in [-1, 1] for one of the outputs of a network."""
    network.eval()
    return {name: of(network, image[None], output) for name, of in METHODS.items()}


def with_random_weights(network: Classifier, seed: int) -> Classifier:
    """The same network, all of whose layers are drawn anew as if it had never learned (Adebayo et
    al. 2018, section 3)."""
    found = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in found.modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.BatchNorm1d):
                module.reset_parameters()
    return found.eval()


def _grad_cam(network: Classifier, images: torch.Tensor, output: int) -> Heat:
    from captum.attr import LayerGradCam

    # The last stage has a cell for each 32 pixels, larger than a lesion.
    cam = LayerGradCam(network, network.reader.stage(1))
    found = cam.attribute(images, target=output, relu_attributions=True).detach()
    side = images.shape[-1]
    return F.interpolate(found, (side, side), mode="bilinear")[0, 0].numpy()


def _gradients(network: Classifier, images: torch.Tensor, output: int) -> Heat:
    from captum.attr import IntegratedGradients

    found = IntegratedGradients(network).attribute(
        images, baselines=_blurred(images), target=output, n_steps=_STEPS, internal_batch_size=8
    )
    return _smooth(found[0].sum(0).detach().numpy())


def _occlusion(network: Classifier, images: torch.Tensor, output: int) -> Heat:
    from captum.attr import Occlusion

    step = max(1, images.shape[-1] // _WINDOW)
    with torch.inference_mode():
        found = Occlusion(network).attribute(
            images,
            sliding_window_shapes=(3, step * 2, step * 2),
            strides=(3, step, step),
            baselines=_blurred(images),
            target=output,
            perturbations_per_eval=_AT_ONCE,
        )
    return _smooth(found[0].mean(0).numpy())


METHODS: Mapping[str, Callable[[Classifier, torch.Tensor, int], Heat]] = {
    "grad_cam": _grad_cam,
    "gradients": _gradients,
    "occlusion": _occlusion,
}
"""By name, what makes the map of an image (1, 3, S, S) for an output."""


def _blurred(images: torch.Tensor) -> torch.Tensor:
    """The eye blurred within its own field: a blurred edge would be something there."""
    picture = images[0].permute(1, 2, 0).numpy()
    field = (picture.max(-1, keepdims=True) > 2 * FIELD_LIGHT - 1).astype(np.float32)
    sigma = images.shape[-1] * _BLUR
    inside = cv2.GaussianBlur(picture * field, (0, 0), sigma)
    weight = cv2.GaussianBlur(field[..., 0], (0, 0), sigma)[..., None].clip(1e-3)
    blurred = np.where(field > 0, inside / weight, picture)
    return torch.from_numpy(blurred).permute(2, 0, 1)[None].contiguous()


def _smooth(found: np.ndarray) -> Heat:
    # What speaks against the answer takes from what speaks for it beside it; below 0 is nothing.
    smooth = cv2.GaussianBlur(found.astype(np.float32), (0, 0), len(found) * _SMOOTH)
    return np.asarray(smooth).clip(min=0)
