"""Where in a photograph a classifier finds its answer: heat maps by captum.

Grad-CAM (Selvaraju et al. 2017), integrated gradients (Sundararajan et al. 2017) and occlusion
(Zeiler & Fergus 2014). They explain the contrasts that a classifier sees: what stands for *nothing
there* is no contrast, retina like that around it (of baselines, Sturmfels et al. 2020).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from engine.models.classifier import Classifier, Logits

_STEPS = 24
"""Of the path along which gradients are summed."""
_WINDOW = 16
"""Into how many parts of a side the occluding square divides it."""
_AT_ONCE = 32
_SMOOTH = 1 / 64
"""Spread, as a share of the side, by which maps are smoothed that tell single pixels apart."""

Heat = np.ndarray
"""(S, S) float32, at least 0: how much speaks for the answer there."""


def heat_maps(network: Classifier, image: torch.Tensor, output: int) -> dict[str, Heat]:
    """By method the map of an image (3, S, S) in [-1, 1] for one of the outputs of a network."""
    reader = network.eval().reader
    with torch.no_grad():
        contrasts = network.contrasts(image[None])
    return {name: of(reader, contrasts, output) for name, of in METHODS.items()}


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


def _grad_cam(reader: Logits, contrasts: torch.Tensor, output: int) -> Heat:
    from captum.attr import LayerGradCam

    cam = LayerGradCam(reader, reader.last_stage)
    found = cam.attribute(contrasts, target=output, relu_attributions=True).detach()
    side = contrasts.shape[-1]
    return F.interpolate(found, (side, side), mode="bilinear")[0, 0].numpy()


def _gradients(reader: Logits, contrasts: torch.Tensor, output: int) -> Heat:
    from captum.attr import IntegratedGradients

    found = IntegratedGradients(reader).attribute(
        contrasts, target=output, n_steps=_STEPS, internal_batch_size=8
    )
    return _smooth(found[0].sum(0).detach().numpy())


def _occlusion(reader: Logits, contrasts: torch.Tensor, output: int) -> Heat:
    from captum.attr import Occlusion

    step = max(1, contrasts.shape[-1] // _WINDOW)
    with torch.inference_mode():
        found = Occlusion(reader).attribute(
            contrasts,
            sliding_window_shapes=(3, step * 2, step * 2),
            strides=(3, step, step),
            target=output,
            perturbations_per_eval=_AT_ONCE,
        )
    return _smooth(found[0].mean(0).numpy())


METHODS: Mapping[str, Callable[[Logits, torch.Tensor, int], Heat]] = {
    "grad_cam": _grad_cam,
    "gradients": _gradients,
    "occlusion": _occlusion,
}
"""By name, what makes of contrasts (1, 3, S, S) the map for an output."""


def _smooth(found: np.ndarray) -> Heat:
    # What speaks against the answer takes from what speaks for it beside it; below 0 is nothing.
    smooth = cv2.GaussianBlur(found.astype(np.float32), (0, 0), len(found) * _SMOOTH)
    return np.asarray(smooth).clip(min=0)
