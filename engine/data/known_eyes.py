"""Photographs that published sets hold out although their train split shows the same eye.

IDRiD (Porwal et al. 2018) publishes its segmentation and its grading images as two sets, each with
a train and a test split and neither with a patient: an eye may be held out in one and taught in the
other. These pairs are not the same file, so no hash finds them. They were found by registering
every held-out photograph upon every training photograph (high-passed vessels, turned, magnified and
shifted, as `engine.gates.registered` does): their vessels correlate by 0.57 to 0.79, those of no
other of the 79,000 pairs by more than 0.40. What reads such a photograph as "an eye never seen"
flatters the model, and so it is held out of nothing; that it teaches nothing follows from its
split.
"""

from __future__ import annotations

from engine.data.example import Example

SAME_EYE = {
    "IDRiD_55.jpg": "train_IDRiD_354.jpg",
    "IDRiD_56.jpg": "train_IDRiD_320.jpg",
    "IDRiD_60.jpg": "train_IDRiD_044.jpg",
    "IDRiD_61.jpg": "train_IDRiD_324.jpg",
    "IDRiD_66.jpg": "train_IDRiD_326.jpg",
    "IDRiD_75.jpg": "train_IDRiD_330.jpg",
    "test_IDRiD_072.jpg": "train_IDRiD_017.jpg",
}
"""Test photographs of IDRiD, and the train photograph of the same eye. Names of the segmentation
set are as published; those of the grading set carry their split, since both splits there count from
one."""
_SOURCES = (None, "idrid")


def teaches_elsewhere(example: Example) -> bool:
    """Whether this held-out photograph shows an eye of its own set's train split."""
    return example.path.name in SAME_EYE and example.annotation.source in _SOURCES
