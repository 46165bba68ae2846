"""What is random in a sample comes from seed and position alone."""

from __future__ import annotations

import random

import torch

from engine.schema import LABELS
from train.chance import generator_at, random_annotation


def test_a_sample_has_a_generator_of_its_own():
    drawn = {
        (seed, position): torch.randint(2**62, (1,), generator=generator_at(seed, position)).item()
        for seed in (0, 1)
        for position in (-1, 0, 1, 10**9)
    }
    assert len(set(drawn.values())) == 8
    again = torch.randint(2**62, (1,), generator=generator_at(1, 10**9)).item()
    assert again == drawn[1, 10**9]


def test_annotations_know_and_lack_every_value_of_every_label():
    found = [random_annotation(random.Random(i)).labels() for i in range(2000)]
    for label in LABELS:
        values = {labels[label.name] for labels in found}
        assert values == {None, *range(label.highest + 1)}, label.name
