"""Photographs that published sets hold out although their train split shows the same eye.

IDRiD (Porwal et al. 2018) publishes its segmentation and its grading images as two sets, each with
a train and a test split and neither with a patient: an eye may be held out in one and taught in the
other. These pairs are not the same file, so no hash finds them. They were found by registering
held-out photographs upon training photographs (high-passed vessels, turned, magnified and shifted,
as `engine.data.registered` does) and looked at: vessels of these correlate by 0.44 to 0.79. Each
pair is one eye, and as it is in a test split it does not teach. Whoever trained on the published
split was taught it all the same, our embedded models among them: read as "an eye never seen" the
held-out one flatters, and so it is held out of nothing.
"""

from __future__ import annotations

from pathlib import PureWindowsPath

from engine.data.example import Example

SAME_EYE = {
    "IDRiD_55.jpg": "train_IDRiD_354.jpg",
    "IDRiD_56.jpg": "train_IDRiD_320.jpg",
    "IDRiD_60.jpg": "train_IDRiD_044.jpg",
    "IDRiD_61.jpg": "train_IDRiD_324.jpg",
    "IDRiD_64.jpg": "train_IDRiD_380.jpg",
    "IDRiD_66.jpg": "train_IDRiD_326.jpg",
    "IDRiD_68.jpg": "train_IDRiD_028.jpg",
    "IDRiD_75.jpg": "train_IDRiD_330.jpg",
    "test_IDRiD_072.jpg": "train_IDRiD_017.jpg",
}
"""Test photographs of IDRiD, and the train photograph of the same eye. Names of the segmentation
set are as published; those of the grading set carry their split, since both splits there count from
one."""


def file_key(name: str) -> str:
    """A file's name without folders and ending, as any program writes it."""
    return PureWindowsPath(name).stem.casefold()


_HELD_OUT = {file_key(held_out): taught for held_out, taught in SAME_EYE.items()}
_EYES = {file_key(taught): taught for taught in SAME_EYE.values()} | _HELD_OUT


def published_eye(example: Example) -> str | None:
    """The name of the eye that a published photograph shows, where another shows it too."""
    return _EYES.get(name_of(example))


def teaches_elsewhere(example: Example) -> bool:
    """Whether this held-out photograph shows an eye of its own set's train split."""
    return name_of(example) in _HELD_OUT


def name_of(example: Example) -> str:
    """The name of the file that a photograph came as, as `file_key` has it."""
    return file_key(example.came_as or example.path.name)
