"""The two readers: small, of one kind of answer, the same from a seed."""

from __future__ import annotations

import pytest
import torch

from engine.models.classifier import SMALL, build


@pytest.mark.parametrize("name", [*SMALL, "narrow"])
def test_a_small_network_answers_with_logits_and_is_the_same_from_a_seed(name):
    images = torch.randn(2, 3, 64, 64)
    said = []
    for _ in range(2):
        torch.manual_seed(5)
        network = build(name, 64, 7).eval()
        said.append(network(images))
    assert said[0].shape == (2, 7)
    assert torch.equal(*said)
    assert sum(each.numel() for each in network.parameters()) < 400_000
    said[0].sum().backward()


def test_a_side_that_patches_do_not_fill_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        build("cnn", 100, 2)
