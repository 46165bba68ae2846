"""Geometry maps as what a denoiser reads: grey pictures, latents, and a token for each patch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.data.transforms import Augmentation
from engine.models.geometry import (
    PICTURES,
    GeometryEncoder,
    Outlines,
    geometry_latents,
    pictures,
    to_layers,
)
from engine.models.grounds import GEOMETRY, geometry_map
from engine.models.patches import encoder_of
from engine.models.segmenter import Segmenter
from engine.phantom.render import draw
from engine.schema import Annotation


@pytest.fixture(scope="module")
def eye():
    return draw(Annotation(dr_grade=3), 1, 64)


def test_layers_are_shares_of_a_map_and_no_view_of_it():
    map_ = np.zeros((4, 6, 8), np.uint8)
    map_[1, 2, 3] = 255
    layers = to_layers(map_)
    assert layers.shape == (8, 4, 6)
    assert layers[3, 1, 2] == 1
    assert layers.sum() == 1
    layers.zero_()
    assert map_[1, 2, 3] == 255


def test_every_structure_shows_in_exactly_one_picture():
    empty = torch.zeros(1, len(GEOMETRY), 2, 2)
    nothing = pictures(empty)
    for place, name in enumerate(GEOMETRY):
        map_ = empty.clone()
        map_[:, place] = 1
        differs = (pictures(map_) != nothing).flatten(2).any(2)
        assert differs.sum() == 1, name
        assert pictures(map_).abs().max() <= 1.5


def test_latents_of_a_map_are_those_of_its_pictures_as_grey_photographs(pipeline, eye):
    encode = encoder_of(pipeline.vae)
    maps = to_layers(geometry_map(eye.masks))[None]
    latents = geometry_latents(encode, maps)
    channels = pipeline.transformer.config.in_channels
    assert latents.shape == (1, PICTURES * channels, 4, 4)
    veins = encode(pictures(maps)[:, 1:2].expand(-1, 3, -1, -1))
    assert torch.equal(latents[:, channels : 2 * channels], veins)


def test_tokens_are_of_their_own_patch_row_by_row():
    encoder = GeometryEncoder(channels=1, patch_size=2, width=3)
    torch.nn.init.normal_(encoder.linear.weight)
    latents = torch.zeros(1, PICTURES, 4, 6)
    latents[:, :, 2:, 2:4] = 1
    tokens = encoder(latents, torch.tensor([True]))
    assert tokens.shape == (1, 2 * 3, 3)
    assert tokens.abs().sum(2).nonzero()[:, 1].tolist() == [4]


def test_outlines_of_a_photograph_move_with_it_and_known_masks_stand_in(pipeline, eye):
    torch.manual_seed(0)
    outlines = Outlines(Segmenter(features=(8,) * 6).eval(), encoder_of(pipeline.vae))
    still = Augmentation(False, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    turned = replace(still, mirrored=True)
    known = outlines.encode(eye.image, eye.masks, [still, turned])
    straight = geometry_latents(encoder_of(pipeline.vae), to_layers(geometry_map(eye.masks))[None])
    assert known.shape == (2, *straight.shape[1:])
    assert torch.allclose(known[:1], straight, atol=1e-3)
    assert not torch.equal(known[0], known[1])
    assert not torch.equal(outlines.encode(eye.image, {}, [still])[0], known[0])


def test_the_key_tells_segmenters_apart(pipeline):
    encode = encoder_of(pipeline.vae)
    torch.manual_seed(0)
    one, other = (Outlines(Segmenter(features=(8,) * 6), encode) for _ in range(2))
    assert one.key != other.key
