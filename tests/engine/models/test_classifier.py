"""The two readers: small, of one kind of answer, the same from a seed."""

from __future__ import annotations

import pytest
import torch

from engine.models.classifier import SMALL, Classifier, build


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


def test_a_kept_one_sees_contrasts_in_cells_of_eight_pixels_and_no_tint():
    torch.manual_seed(0)
    network = Classifier(network="narrow", side=64, tasks=("dr",), answers=(2,)).eval()
    cells = []
    network.reader.last_stage.register_forward_hook(lambda *given: cells.append(given[2].shape))
    images = torch.rand(2, 3, 64, 64) * 0.4 + 0.3
    tinted = images * torch.tensor([1.5, 1.2, 1.0]).view(3, 1, 1)
    with torch.inference_mode():
        plain, other, unlike = (network(each * 2 - 1) for each in (images, tinted, images.flip(0)))
    assert cells[0] == (2, 64, 8, 8)
    assert (plain - other).abs().max() < 0.2 * (plain - unlike).abs().max()
