"""What tells photographs apart that is no knowledge of eyes: field, colour and sharpness.

Ill eyes of one clinic beside healthy ones of another are told by these alone. A reader is worth
what it earns beyond them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_DARK = 12
"""Largest value of a pixel that lies outside the field."""


def trivial(image: np.ndarray) -> np.ndarray:
    """Of a square (S, S, 3) uint8 (5,): the share that is field, the mean red, green and blue in
    it, and how sharp it is (the logarithm of the Laplacian's spread)."""
    field = image.max(2) > _DARK
    inside = cv2.erode(field.astype(np.uint8), np.ones((5, 5))) > 0
    if not inside.any():
        return np.zeros(5)
    edges = cv2.Laplacian(image[..., 1].astype(np.float32), cv2.CV_32F)[inside]
    return np.array([field.mean(), *image[inside].mean(0) / 255, np.log(edges.std() + 1e-3)])


def chances(
    images: Sequence[np.ndarray], truth: np.ndarray, asked: Sequence[np.ndarray]
) -> np.ndarray:
    """Chances (n, classes) of the classes 0..K-1 of pictures that are asked about, by a logistic
    regression on the trivial features of others, whose truth (N,) is known and has two classes at
    least; those of classes that it lacks are 0."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(np.stack([*map(trivial, images)]), truth)
    found = np.zeros((len(asked), int(truth.max()) + 1))
    found[:, model.classes_] = model.predict_proba(np.stack([*map(trivial, asked)]))
    return found
