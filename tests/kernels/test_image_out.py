"""Decoded pictures as bytes: rounded to even, clipped, channels last."""

from __future__ import annotations

import pytest
import torch
from exact_parts import bytes_of, pictures

from kernels.image_out import image_out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_every_byte_is_that_of_the_definition(dtype):
    images = pictures(dtype)
    out = image_out(images)
    assert (out.dtype, out.shape) == (torch.uint8, (2, 9, 13, 3))
    assert out.is_contiguous()
    assert torch.equal(out, bytes_of(images))
    assert len(out.unique()) > 200


def test_halves_go_to_the_even_byte():
    # 0.5, 1.5 and 2.5 bytes are whole numbers of a float's last place: no rounding before.
    halves = torch.tensor([0.5, 1.5, 2.5]) / 127.5 - 1
    scaled = halves * 127.5 + 127.5
    out = image_out(halves.view(1, 3, 1, 1))
    assert out.flatten().tolist() == [round(v) for v in scaled.tolist()]


@pytest.mark.parametrize(
    "images",
    [torch.zeros(3, 4, 4), torch.zeros(1, 4, 4, 4), torch.zeros(1, 3, 4, 4, dtype=torch.uint8)],
    ids=["no batch", "four channels", "bytes"],
)
def test_what_is_no_such_picture_is_refused(images):
    with pytest.raises(ValueError, match=r"expected floats \(B, 3, H, W\)"):
        image_out(images)
